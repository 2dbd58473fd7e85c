//! When two servers' replies to the same read are equal.
//!
//! Constraints: whole replies, bounded by the caller. Numbers of types that users made differ
//! between servers and are not compared. Rows are compared as a multiset: which order a statement
//! leaves open is not known here.

use family::Verdict;
use wire_postgres::notice::Notice;
use wire_postgres::rows::RowDescription;
use wire_postgres::tags::backend as tag;

use super::local;

/// First OID of what users create.
const FIRST_NORMAL_OID: u32 = 16_384;

/// What a reply says, as far as it is compared.
#[derive(Default, PartialEq, Eq)]
struct Said<'a> {
    columns: Vec<(&'a [u8], u32)>,
    rows: Vec<&'a [u8]>,
    tags: Vec<&'a [u8]>,
    /// Class of the SQLSTATE.
    error: Option<&'a [u8]>,
}

fn said(reply: &[u8]) -> Option<Said<'_>> {
    let mut said = Said::default();
    for (type_byte, body, _) in local::messages(reply) {
        match type_byte {
            tag::ROW_DESCRIPTION => {
                let described = RowDescription::parse(body).ok()?;
                let oid = |oid| if oid >= FIRST_NORMAL_OID { FIRST_NORMAL_OID } else { oid };
                said.columns.extend(described.columns().map(|c| (c.name, oid(c.type_oid))));
            }
            tag::DATA_ROW => said.rows.push(body),
            tag::COMMAND_COMPLETE => said.tags.push(body),
            tag::ERROR => said.error = Some(Notice::parse(body).ok()?.sqlstate().get(..2)?),
            tag::COPY_OUT | tag::COPY_IN | tag::COPY_BOTH => return None,
            _ => {}
        }
    }
    Some(said)
}

/// Compares two whole replies.
pub(super) fn replies(authority: &[u8], other: &[u8]) -> Verdict {
    if authority == other {
        return Verdict::Equal;
    }
    let (Some(mut a), Some(mut b)) = (said(authority), said(other)) else {
        return Verdict::NotComparable;
    };
    a.rows.sort_unstable();
    b.rows.sort_unstable();
    if a == b { Verdict::Equal } else { Verdict::Different }
}

/// What kind of reply, and how large; never what is in it.
pub(super) fn mask(reply: &[u8]) -> String {
    match said(reply) {
        Some(Said { error: Some(class), .. }) => format!("error of class {}", class.escape_ascii()),
        Some(said) => format!("{} rows of {} columns", said.rows.len(), said.columns.len()),
        None => format!("{} bytes", reply.len()),
    }
}

#[cfg(test)]
mod tests {
    use wire_postgres::encode;

    use super::*;

    fn rows(values: &[&str], tag: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        local::column(&mut out, b"a", 0);
        for value in values {
            local::put(&mut out, |b| encode::data_row(b, &[Some(value.as_bytes())]));
        }
        local::complete(&mut out, tag);
        out
    }

    #[test]
    fn rows_in_any_order_and_errors_by_class() {
        let a = rows(&["1", "2"], b"SELECT 2");
        assert_eq!(replies(&a, &rows(&["2", "1"], b"SELECT 2")), Verdict::Equal);
        assert_eq!(replies(&a, &rows(&["1", "1"], b"SELECT 2")), Verdict::Different);
        assert_eq!(replies(&a, &rows(&["1"], b"SELECT 1")), Verdict::Different);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        local::fatal(&mut x, "42P01", "no table", "");
        local::fatal(&mut y, "42703", "no column", "");
        assert_eq!(replies(&x, &y), Verdict::Equal);
        assert_eq!(replies(&x, &a), Verdict::Different);
        assert_eq!(mask(&a), "2 rows of 1 columns");
        assert_eq!(mask(&x), "error of class 42");
    }
}
