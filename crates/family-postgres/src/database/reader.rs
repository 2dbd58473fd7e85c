//! Reading rows by key, and whether they moved since.
//!
//! A batch of keys is one question per dataset. "Moved" is told by the versions of the tuples
//! (their place and the transaction that made them), which are read with the rows and again when
//! the fence ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use family::{Moved, PortError, Reader};
use model::{Dataset, Digest, Image, Key, Record};

use super::image::RowImage;
use super::relation::Relation;
use super::statements;
use crate::conn::{Conn, Link, Purpose, Row};
use crate::error;
use crate::key;

/// What reader connections are called.
const PURPOSE: Purpose = Purpose::of("reader");

pub(crate) struct PostgresReader {
    link: Arc<Link>,
    conn: Option<Conn>,
    /// Keys of the last read and the versions they had.
    fence: Vec<(Key, String)>,
}

/// Keys of one dataset, with their numbers in the batch.
struct Group<'k> {
    relation: Relation,
    keys: Vec<Numbered<'k>>,
}

/// A key's number in the batch, and its values.
type Numbered<'k> = (usize, Vec<&'k [u8]>);

impl Group<'_> {
    /// One `text[]` for each column of the key.
    fn arrays(&self) -> Vec<Vec<u8>> {
        let width = self.relation.key.len().max(1);
        let column = |n: usize| {
            let values = self.keys.iter().map(move |(_, k)| k.get(n).copied().unwrap_or_default());
            statements::array(values)
        };
        (0..width).map(column).collect()
    }

    /// Asks; each row with the number of its key in the batch.
    async fn ask(&self, conn: &mut Conn, sql: &str) -> Result<Vec<(usize, Row)>, PortError> {
        let arrays = self.arrays();
        let values: Vec<Option<&[u8]>> = arrays.iter().map(|a| Some(&a[..])).collect();
        let rows = conn.query_with(sql, &values).await?;
        let number = |row: Row| {
            let asked: usize = row.number(0)?;
            let found = asked.checked_sub(1).and_then(|n| self.keys.get(n));
            let (number, _) =
                found.ok_or_else(|| error::unexpected("a batch of keys", "a server"))?;
            Ok((*number, row))
        };
        rows.into_iter().map(number).collect()
    }
}

impl PostgresReader {
    pub(crate) async fn open(link: &Arc<Link>) -> Result<Self, PortError> {
        let conn = link.connect(PURPOSE).await?;
        Ok(Self { link: link.clone(), conn: Some(conn), fence: Vec::new() })
    }

    /// The connection, made anew where the last one was lost.
    async fn conn(&mut self) -> Result<&mut Conn, PortError> {
        if self.conn.as_ref().is_none_or(Conn::is_spent) {
            self.conn = None;
            self.conn = Some(self.link.connect(PURPOSE).await?);
        }
        let lost = || error::unreachable(self.link.address(), "no connection");
        self.conn.as_mut().ok_or_else(lost)
    }

    /// What `sql` says of each key, in any order; keys that it does not speak of are left out.
    async fn ask_all(
        &mut self,
        keys: &[Key],
        sql: fn(&Relation) -> String,
    ) -> Result<Vec<(usize, Row, Relation)>, PortError> {
        let conn = self.conn().await?;
        let mut found = Vec::new();
        for group in grouped(conn, keys).await? {
            let rows = group.ask(conn, &sql(&group.relation)).await?;
            found.extend(rows.into_iter().map(|(n, row)| (n, row, group.relation.clone())));
        }
        Ok(found)
    }

    async fn versions(&mut self, keys: &[Key]) -> Result<Vec<String>, PortError> {
        let mut versions = vec![String::new(); keys.len()];
        for (n, row, _) in self.ask_all(keys, statements::versions).await? {
            row.opt(1)?.unwrap_or_default().clone_into(&mut versions[n]);
        }
        Ok(versions)
    }
}

/// Which keys have rows.
pub(super) async fn present(conn: &mut Conn, keys: &[Key]) -> Result<Vec<bool>, PortError> {
    let mut found = vec![false; keys.len()];
    for group in grouped(conn, keys).await? {
        let sql = statements::versions(&group.relation);
        for (n, row) in group.ask(conn, &sql).await? {
            found[n] = row.get(1).is_some();
        }
    }
    Ok(found)
}

/// Keys by dataset, with what the catalog says of it now: a column may have come meanwhile.
async fn grouped<'k>(conn: &mut Conn, keys: &'k [Key]) -> Result<Vec<Group<'k>>, PortError> {
    let mut datasets: BTreeMap<Dataset, Vec<Numbered<'k>>> = BTreeMap::new();
    for (n, key) in keys.iter().enumerate() {
        let (dataset, values) = key::decode(key);
        datasets.entry(dataset).or_default().push((n, values));
    }
    let mut groups = Vec::new();
    for (dataset, keys) in datasets {
        groups.push(Group { relation: Relation::load(conn, &dataset).await?, keys });
    }
    Ok(groups)
}

#[async_trait]
impl Reader for PostgresReader {
    async fn read(&mut self, keys: &[Key]) -> Result<Vec<Record>, PortError> {
        self.fence.clear();
        let mut images: Vec<Option<RowImage>> = vec![None; keys.len()];
        let mut versions: Vec<Vec<String>> = vec![Vec::new(); keys.len()];
        for (n, row, relation) in self.ask_all(keys, statements::rows).await? {
            let Some(version) = row.opt(1)? else { continue };
            versions[n].push(version.to_owned());
            if let Some(image) = &mut images[n] {
                image.count += 1;
                continue;
            }
            let given = relation.stored().zip(row.values().iter().skip(2));
            let values = given.map(|(c, v)| (c.name.clone(), v.as_ref().map(|v| v.to_vec())));
            images[n] = Some(RowImage { count: 1, values: values.collect() });
        }
        for (key, mut versions) in keys.iter().zip(versions) {
            versions.sort();
            self.fence.push((key.clone(), versions.join(" ")));
        }
        let record = |(key, image): (&Key, Option<RowImage>)| {
            let image = image.map_or(Image::Absent, |i| Image::Present { bytes: i.encode() });
            Record { key: key.clone(), image }
        };
        Ok(keys.iter().zip(images).map(record).collect())
    }

    async fn confirm(&mut self) -> Result<Moved, PortError> {
        let (keys, then): (Vec<_>, Vec<_>) = std::mem::take(&mut self.fence).into_iter().unzip();
        let now = self.versions(&keys).await?;
        // The server sorts versions by its collation, we by bytes.
        let sorted = |text: &String| {
            let mut parts: Vec<_> = text.split(' ').map(str::to_owned).collect();
            parts.sort();
            parts
        };
        let moved = keys.into_iter().zip(then.iter().zip(&now));
        let moved: Vec<Key> =
            moved.filter(|(_, (a, b))| sorted(a) != sorted(b)).map(|(key, _)| key).collect();
        Ok(if moved.is_empty() { Moved::None } else { Moved::Keys(moved) })
    }

    async fn digest(&mut self, keys: &[Key]) -> Result<Vec<Option<Digest>>, PortError> {
        let mut digests = vec![None; keys.len()];
        for (n, row, relation) in self.ask_all(keys, statements::digests).await? {
            let Some(text) = row.opt(1)? else { continue };
            let radix = if relation.key.is_empty() { 10 } else { 16 };
            let value = u128::from_str_radix(text, radix)
                .map_err(|_| error::unexpected("a question for digests", self.link.address()))?;
            digests[n] = Some(Digest(value.to_be_bytes()));
        }
        Ok(digests)
    }

    async fn describe(&mut self, keys: &[Key]) -> Result<Vec<String>, PortError> {
        let mut shown = vec!["absent".to_owned(); keys.len()];
        for (n, row, relation) in self.ask_all(keys, statements::descriptions).await? {
            let count: u64 = row.number(1)?;
            shown[n] = match (count, relation.key.is_empty()) {
                (0, _) => continue,
                (_, true) => format!("row without key, {count} times"),
                // Nothing behind it: what stands last is compared as an expiry.
                (_, false) => format!("row, {} bytes (md5 {}…)", row.text(2)?, row.text(3)?),
            };
        }
        Ok(shown)
    }
}
