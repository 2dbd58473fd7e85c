//! Datasets and keys as everybody outside sees them.
//!
//! A dataset is `schema.table`, each part quoted where an operator would have to quote it. A key
//! is its dataset and, each after a NUL, the values that identify a row as the server writes
//! them under our settings; no text of a server contains NUL. Rows of a table without an identity
//! have the hash of their content as theirs.

use model::{Dataset, Key};

use crate::sql;

/// The dataset of a table.
pub(crate) fn dataset(schema: &str, table: &str) -> Dataset {
    Dataset::new(&format!("{}.{}", part(schema), part(table)))
}

/// Schema and table of a dataset. `None` when it is no dataset of this family.
pub(crate) fn names(dataset: &Dataset) -> Option<(String, String)> {
    let (schema, rest) = take(dataset.as_str())?;
    let (table, rest) = take(rest.strip_prefix('.')?)?;
    rest.is_empty().then_some((schema, table))
}

/// The key of a row.
pub(crate) fn encode<'v>(dataset: &Dataset, values: impl IntoIterator<Item = &'v [u8]>) -> Key {
    let mut bytes = dataset.as_str().as_bytes().to_vec();
    for value in values {
        bytes.push(0);
        bytes.extend_from_slice(value);
    }
    Key::from(bytes)
}

/// Dataset and values of a key.
pub(crate) fn decode(key: &Key) -> (Dataset, Vec<&[u8]>) {
    let mut parts = key.as_bytes().split(|byte| *byte == 0);
    let dataset = parts.next().map(String::from_utf8_lossy).unwrap_or_default();
    (Dataset::new(&dataset), parts.collect())
}

/// A key as an operator would write it.
pub(crate) fn show(key: &Key) -> String {
    let (dataset, values) = decode(key);
    let values: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v)).collect();
    format!("{dataset}({})", values.join(", "))
}

/// A name, quoted only where it must be.
fn part(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    let fine = name.starts_with(plain) && name.chars().all(|c| plain(c) || c.is_ascii_digit());
    if fine { name.to_owned() } else { sql::ident(name) }
}

/// The name at the front, and what follows it.
fn take(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_name_one_table_each() {
        let check = |schema: &str, table: &str, expect: &str| {
            let made = dataset(schema, table);
            assert_eq!(made.as_str(), expect);
            assert_eq!(names(&made), Some((schema.to_owned(), table.to_owned())), "{expect}");
        };
        check("public", "orders", "public.orders");
        check("public", "Order", "public.\"Order\"");
        check("a.b", "c", "\"a.b\".c");
        check("a", "b.c", "a.\"b.c\"");
        check("q\"q", "1", "\"q\"\"q\".\"1\"");
        for bad in ["", "public", "public.", ".t", "a.b.c", "\"a.b"] {
            assert_eq!(names(&Dataset::new(bad)), None, "{bad}");
        }
    }

    #[test]
    fn keys_come_back_and_are_shown() {
        let dataset = dataset("public", "t");
        let key = encode(&dataset, [&b"1"[..], b"", "ä".as_bytes()]);
        assert_eq!(decode(&key), (dataset, vec![&b"1"[..], b"", "ä".as_bytes()]));
        assert_eq!(show(&key), "public.t(1, , ä)");
    }
}
