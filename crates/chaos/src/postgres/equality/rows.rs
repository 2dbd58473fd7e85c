//! Rows: each side digests every table by itself, in buckets; only buckets that differ are read.
//!
//! A row's text is that of its columns by name, each as the server prints it; its digest is the
//! MD5 of that. A bucket is the count and two sums of digests, so a row that is there twice does
//! not go unseen. Rows are dealt to buckets by their key, so both versions of a changed row meet.

use std::collections::{BTreeMap, HashMap};

use super::Options;
use super::pair::Pair;
use super::report::{Class, Report, apart};
use crate::postgres::conn::{Conn, Fault};

/// Buckets per table.
const BUCKETS: u32 = 4_096;
/// Buckets that are read when they differ; what else differs is only counted by bucket.
const BUCKETS_READ_MAX: usize = 200;
/// Rows of which the differing columns are named, per table.
const NAMED_MAX: usize = 10;

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Relation {
    /// With `ONLY` where rows of others would come with it.
    from: String,
    columns: Vec<String>,
    key: Vec<String>,
    /// The key is one whole number.
    numeric: bool,
}

impl Relation {
    fn text(columns: &[String]) -> String {
        if columns.is_empty() {
            return "'()'".to_owned();
        }
        let casts: Vec<String> = columns.iter().map(|c| format!("{c}::text")).collect();
        format!("ROW({})::text", casts.join(", "))
    }

    fn row(&self) -> String {
        Self::text(&self.columns)
    }

    /// What names a row; the whole row where nothing else does.
    fn key(&self) -> String {
        if self.key.is_empty() { self.row() } else { Self::text(&self.key) }
    }

    fn bucket(&self) -> String {
        match self.key.first() {
            Some(key) if self.numeric => format!("mod({key}::bigint, {BUCKETS})::int"),
            _ => format!("('x' || left(md5({}), 3))::bit(12)::int", self.key()),
        }
    }

    /// Bucket, count, and two sums of sixty bits of each row's digest.
    fn digests(&self) -> String {
        let Self { from, .. } = self;
        let (bucket, row) = (self.bucket(), self.row());
        format!(
            "SELECT b::text, count(*)::text, sum(('x' || left(m, 15))::bit(60)::bigint)::text, \
             sum(('x' || right(m, 15))::bit(60)::bigint)::text \
             FROM (SELECT {bucket} AS b, md5({row}) AS m FROM {from}) AS digested GROUP BY b"
        )
    }

    fn content(&self, buckets: &[i32]) -> String {
        let Self { from, .. } = self;
        let list: Vec<String> = buckets.iter().map(ToString::to_string).collect();
        let (bucket, key, row) = (self.bucket(), self.key(), self.row());
        format!("SELECT {key}, md5({row}) FROM {from} WHERE {bucket} IN ({})", list.join(", "))
    }
}

type Buckets = BTreeMap<i32, [String; 3]>;

/// Compares the rows of every relation that both sides have.
pub(super) fn compare(
    pair: &mut Pair,
    options: &Options,
    report: &mut Report,
) -> Result<(), Fault> {
    let theirs = options.theirs();
    let kinds = if options.materialized { "'r', 'v', 'm'" } else { "'r', 'v'" };
    let (left, right) = pair.both(|conn| relations(conn, &theirs, kinds))?;
    for (name, relation) in &left {
        // What is not there, or has other columns, is told among the facts.
        let Some(other) = right.get(name) else { continue };
        if other.columns != relation.columns {
            continue;
        }
        one(pair, name, relation, report)?;
    }
    Ok(())
}

fn one(pair: &mut Pair, name: &str, relation: &Relation, report: &mut Report) -> Result<(), Fault> {
    let sql = relation.digests();
    let (left, right) = pair.both(|conn| buckets(conn, &sql))?;
    report.relations += 1;
    report.rows_left += count(&left);
    report.rows_right += count(&right);
    let every = left.keys().chain(right.keys().filter(|b| !left.contains_key(b)));
    let differing: Vec<i32> = every.filter(|b| left.get(b) != right.get(b)).copied().collect();
    if differing.is_empty() {
        return Ok(());
    }
    let read = &differing[..differing.len().min(BUCKETS_READ_MAX)];
    let sql = relation.content(read);
    let (left, right) = pair.both(|conn| content(conn, &sql))?;
    let mut named = 0;
    let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let (here, there) = (left.get(key), right.get(key));
        if here == there {
            continue;
        }
        let (class, detail) = match (here, there) {
            (Some(_), None) => (Class::Missing, "only on the left".to_owned()),
            (None, _) => (Class::Extra, "only on the right".to_owned()),
            (Some(here), Some(there)) if relation.key.is_empty() => {
                (Class::Row, format!("{} times left, {} right", here.len(), there.len()))
            }
            _ if named < NAMED_MAX => {
                named += 1;
                (Class::Row, columns(pair, relation, key)?)
            }
            _ => (Class::Row, String::new()),
        };
        report.add(class, name, key, detail);
    }
    if differing.len() > read.len() {
        let more = format!("{} of {BUCKETS} parts not looked into", differing.len() - read.len());
        report.add(Class::Row, name, "(more)", more);
    }
    Ok(())
}

fn count(buckets: &Buckets) -> u64 {
    buckets.values().filter_map(|bucket| bucket[0].parse::<u64>().ok()).sum()
}

fn buckets(conn: &mut Conn, sql: &str) -> Result<Buckets, Fault> {
    let mut found = BTreeMap::new();
    for row in conn.simple(sql)? {
        let mut fields = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || fields.next().unwrap_or_default();
        let bucket = next().parse().unwrap_or(i32::MAX);
        found.insert(bucket, [next(), next(), next()]);
    }
    Ok(found)
}

/// Digests by key, each key's in order.
fn content(conn: &mut Conn, sql: &str) -> Result<HashMap<String, Vec<String>>, Fault> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    conn.each(sql, &[], |row| {
        found.entry(row.get(0)).or_default().push(row.get(1));
    })?;
    found.values_mut().for_each(|digests| digests.sort_unstable());
    Ok(found)
}

/// The columns in which two rows of the same key differ.
fn columns(pair: &mut Pair, relation: &Relation, key: &str) -> Result<String, Fault> {
    let casts: Vec<String> = relation.columns.iter().map(|c| format!("{c}::text")).collect();
    let sql = format!(
        "SELECT ARRAY[{}] FROM {} WHERE {} = $1",
        casts.join(", "),
        relation.from,
        relation.key()
    );
    let fields = |conn: &mut Conn| -> Result<Vec<Option<String>>, Fault> {
        let rows = conn.query_once(&sql, &[&key])?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
    };
    let (left, right) = pair.both(fields)?;
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "NULL".to_owned());
    let differing: Vec<String> = relation
        .columns
        .iter()
        .zip(left.iter().zip(&right))
        .filter(|(_, (l, r))| l != r)
        .map(|(column, (l, r))| format!("{column} {}", apart(&text(l), &text(r))))
        .collect();
    Ok(differing.join("; "))
}

/// Every relation of these kinds with rows, leaves of partitions one by one. One that was never
/// filled cannot be read; that it is not is told among the facts.
fn relations(
    conn: &mut Conn,
    theirs: &str,
    kinds: &str,
) -> Result<BTreeMap<String, Relation>, Fault> {
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname), c.relkind IN ('r', 'p'), \
         ARRAY(SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid \
           AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname COLLATE \"C\"), \
         coalesce(k.columns, '{{}}'), coalesce(k.numeric, false) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN LATERAL (SELECT \
             array_agg(quote_ident(a.attname) ORDER BY array_position(i.indkey::int2[], a.attnum)) \
               AS columns, \
             count(*) = 1 AND bool_and(a.atttypid IN (20, 21, 23)) AS numeric \
           FROM pg_index i JOIN pg_attribute a \
             ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) \
           WHERE i.indrelid = c.oid AND i.indisprimary) AS k ON true \
         WHERE {theirs} AND c.relkind IN ({kinds}) AND c.relispopulated"
    );
    let mut found = BTreeMap::new();
    for row in conn.query_once(&sql, &[])? {
        let (name, table): (String, bool) = (row.get(0), row.get(1));
        let from = if table { format!("ONLY {name}") } else { name.clone() };
        let (columns, key, numeric) = (row.get(2), row.get(3), row.get(4));
        found.insert(name, Relation { from, columns, key, numeric });
    }
    Ok(found)
}
