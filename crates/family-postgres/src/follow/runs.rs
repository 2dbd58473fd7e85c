//! Many new rows of one table at once: COPY instead of a statement each.

use wire_postgres::logical::{Tuple, Value};

use super::applier::{Applier, Decided, Stop, Upset, garbled};
use super::change::Deed;
use super::judge::Act;
use super::table::Table;

/// New rows in a row from which on COPY is worth ending the pipeline for.
const ROWS_MIN: usize = 100;
/// Bytes handed on at once.
const SEND_BYTES: usize = 64 * 1024;

/// How many changes from the first one on are new rows of one table; 0 when a statement each is
/// as good.
pub(crate) fn run(decided: &[Decided]) -> usize {
    let Some((first, _)) = decided.first() else { return 0 };
    let same = |(change, act): &&Decided| {
        *act == Act::Apply
            && change.relation.oid == first.relation.oid
            && matches!(change.deed(), Ok(Deed::Insert(_)))
    };
    let rows = decided.iter().take_while(same).count();
    if rows >= ROWS_MIN { rows } else { 0 }
}

impl Applier {
    /// Writes a run of new rows in the open transaction.
    pub(crate) async fn copy(
        &mut self,
        source: Option<&Table>,
        rows: &[Decided],
    ) -> Result<(), Stop> {
        let Some((first, _)) = rows.first() else { return Ok(()) };
        let target = self.target(&first.relation, source).await?;
        let (written, names) = target.written();
        if written.is_empty() {
            for one in rows {
                self.add(source, one).await?;
            }
            return Ok(());
        }
        self.settle_all().await?;
        let sql = format!("COPY {} ({names}) FROM STDIN", target.quoted());
        let mut text = Vec::with_capacity(SEND_BYTES * 2);
        let mut wrong = None;
        let mut into = self.conn.copy_in(&sql).await?;
        for (change, _) in rows {
            match change.deed() {
                Ok(Deed::Insert(row)) => line(&mut text, row, &written),
                Ok(_) => {}
                Err(error) => wrong = wrong.or(Some(error)),
            }
            if text.len() >= SEND_BYTES {
                into.send(&text).await?;
                text.clear();
            }
        }
        if let Some(wrong) = wrong {
            into.abort("a change cannot be read").await?;
            return Err(garbled(&wrong, &self.conn).into());
        }
        into.send(&text).await?;
        let taken = into.finish().await?;
        if taken == rows.len() as u64 { Ok(()) } else { Err(Stop::Upset(Upset::Unexpected)) }
    }
}

/// A row as a line of COPY's text format
/// (<https://www.postgresql.org/docs/18/sql-copy.html#id-1.9.3.55.9.2>).
fn line(out: &mut Vec<u8>, row: Tuple<'_>, columns: &[usize]) {
    let values: Vec<Value<'_>> = row.values().collect();
    for (n, at) in columns.iter().enumerate() {
        if n > 0 {
            out.push(b'\t');
        }
        match values.get(*at) {
            Some(Value::Text(text)) => escaped(out, text),
            _ => out.extend(b"\\N"),
        }
    }
    out.push(b'\n');
}

fn escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t');
    while let Some(at) = text.iter().position(special) {
        out.extend(&text[..at]);
        out.extend(match text[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        text = &text[at + 1..];
    }
    out.extend(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_value_is_escaped() {
        let check = |text: &[u8], expect: &[u8]| {
            let mut out = Vec::new();
            escaped(&mut out, text);
            assert_eq!(out, expect);
        };
        check(b"plain", b"plain");
        check(b"a\tb\\N\r\n", b"a\\tb\\\\N\\r\\n");
        check(b"", b"");
    }
}
