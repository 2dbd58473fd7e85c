//! Sequences: set on one side to where the other one's stand, never back.

use std::collections::BTreeMap;

use family::{PortError, Trouble};

use crate::conn::{Conn, Row};
use crate::database::relation::MOVING;
use crate::error::code;
use crate::sql::{literal, qualified};

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stand {
    last: i64,
    /// `last` was given out already.
    called: bool,
    step: i64,
}

impl Stand {
    /// The next number it gives, which may lie outside of its range.
    fn next(self) -> i128 {
        i128::from(self.last) + if self.called { i128::from(self.step) } else { 0 }
    }
}

/// Sets every sequence of `to` that is behind that of `from`. Says how many there are and moved.
pub(crate) async fn sequences(from: &mut Conn, to: &mut Conn) -> Result<Vec<String>, PortError> {
    let (source, target) = (stands(from).await?, stands(to).await?);
    let missing = source.keys().find(|name| !target.contains_key(*name));
    if let Some((schema, name)) = missing {
        let why = format!("{}: there is no sequence {}", to.at(), qualified(schema, name));
        return Err(PortError::new(Trouble::Rejected, code::DATASET, why));
    }
    let mut set = Vec::new();
    for (name, stand) in &source {
        if target.get(name).is_some_and(|there| is_behind(*there, *stand)) {
            set.push(format!(
                "SELECT setval({}::regclass, {}, {})",
                literal(&qualified(&name.0, &name.1)),
                stand.last,
                stand.called
            ));
        }
    }
    if !set.is_empty() {
        to.execute(&set.join(";")).await?;
    }
    Ok(vec![format!("{} of {} sequences moved forward", set.len(), source.len())])
}

/// Whether setting it to the other's stand moves it on in its own direction.
fn is_behind(there: Stand, wanted: Stand) -> bool {
    if wanted.step < 0 { wanted.next() < there.next() } else { wanted.next() > there.next() }
}

/// Where all sequences of the database stand, in one question.
async fn stands(conn: &mut Conn) -> Result<BTreeMap<(String, String), Stand>, PortError> {
    let list = format!(
        "SELECT n.nspname, c.relname, s.seqincrement FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid \
         WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {MOVING} ORDER BY 1, 2"
    );
    let found = conn.query(&list).await?;
    let mut each = Vec::new();
    for (n, row) in found.iter().enumerate() {
        let name = qualified(row.text(0)?, row.text(1)?);
        each.push(format!("SELECT {n}, last_value, is_called FROM {name}"));
    }
    if each.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = conn.query(&each.join(" UNION ALL ")).await?;
    let at = conn.at().clone();
    let stand = |row: &Row| {
        let number: usize = row.number(0)?;
        let of = found.get(number).ok_or_else(|| crate::error::unexpected("a sequence", &at))?;
        let stand = Stand { last: row.number(1)?, called: row.flag(2)?, step: of.number(2)? };
        Ok(((of.text(0)?.to_owned(), of.text(1)?.to_owned()), stand))
    };
    rows.iter().map(stand).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_only_move_in_their_own_direction() {
        let stand = |last, called, step| Stand { last, called, step };
        let check = |there, wanted, expect| assert_eq!(is_behind(there, wanted), expect);
        check(stand(1, false, 1), stand(1, true, 1), true);
        check(stand(1, true, 1), stand(1, false, 1), false);
        check(stand(10, true, 1), stand(9, true, 1), false);
        check(stand(5, true, 1), stand(6, false, 1), false);
        check(stand(-1, false, -1), stand(-1, true, -1), true);
        check(stand(-9, true, -1), stand(-5, true, -1), false);
        check(stand(i64::MAX - 1, true, 1), stand(i64::MAX, true, 1), true);
    }
}
