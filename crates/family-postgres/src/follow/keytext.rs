//! Keys as bytes for the engine, as arrays for our own tables, and in conditions.

use wire_postgres::MessageError;

use super::order::KeyText;
use super::table::Table;
use crate::sql::literal;

/// Bounds of a part, or where a part's copy has come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    /// Copied up to and with this key.
    pub(crate) lower: Option<KeyText>,
    /// To be copied up to and with this key.
    pub(crate) upper: Option<KeyText>,
}

impl Bounds {
    /// For the engine to keep.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.lower.as_ref());
        put(&mut out, self.upper.as_ref());
        out
    }

    /// What [`Self::encode`] made.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, MessageError> {
        let (lower, upper) = (take(&mut bytes)?, take(&mut bytes)?);
        if bytes.is_empty() { Ok(Self { lower, upper }) } else { Err(MessageError::Short) }
    }
}

/// A key for the engine: `None` is no key.
fn put(out: &mut Vec<u8>, key: Option<&KeyText>) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let Some(key) = key else { return out.extend(u32::MAX.to_be_bytes()) };
    out.extend(number(key.len()));
    for value in key {
        out.extend(number(value.len()));
        out.extend(value.as_bytes());
    }
}

fn take(bytes: &mut &[u8]) -> Result<Option<KeyText>, MessageError> {
    let number = |bytes: &mut &[u8]| {
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or(MessageError::Short)?;
        *bytes = rest;
        Ok(u32::from_be_bytes(*head))
    };
    let count = number(bytes)?;
    if count == u32::MAX {
        return Ok(None);
    }
    let mut key = Vec::new();
    for _ in 0..count {
        let len = number(bytes)? as usize;
        let (value, rest) = bytes.split_at_checked(len).ok_or(MessageError::Short)?;
        *bytes = rest;
        key.push(String::from_utf8(value.to_vec()).map_err(|_| MessageError::Short)?);
    }
    Ok(Some(key))
}

/// A key as `text[]` in a statement.
pub(crate) fn array(key: Option<&KeyText>) -> String {
    let Some(key) = key else { return "NULL::text[]".into() };
    let values: Vec<String> = key.iter().map(|value| literal(value)).collect();
    format!("ARRAY[{}]::text[]", values.join(", "))
}

/// What a server prints of a `text[]` without NULLs
/// (<https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO>).
pub(crate) fn parse(text: &str) -> KeyText {
    let mut key = KeyText::new();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let mut chars = inner.chars();
    let mut value: Option<String> = None;
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                value.get_or_insert_default();
            }
            '\\' => value.get_or_insert_default().extend(chars.next()),
            ',' if !quoted => key.extend(value.take()),
            c => value.get_or_insert_default().push(c),
        }
    }
    key.extend(value);
    key
}

/// `("a", "b")` of the key's columns; `prefix` names the table.
pub(crate) fn columns(table: &Table, prefix: &str) -> String {
    let names: Vec<String> =
        table.key_columns().map(|column| format!("{prefix}{}", column.quoted())).collect();
    format!("({})", names.join(", "))
}

/// `('1'::integer, …)`.
pub(crate) fn values(table: &Table, key: &KeyText) -> String {
    let values: Vec<String> = table
        .key_columns()
        .zip(key)
        .map(|(column, value)| format!("{}::{}", literal(value), column.type_name))
        .collect();
    format!("({})", values.join(", "))
}

/// The condition that a row lies in a range; `true` where it is open.
pub(crate) fn within(table: &Table, lower: Option<&KeyText>, upper: Option<&KeyText>) -> String {
    let key = columns(table, "");
    let lower = lower.map(|lower| format!("{key} > {}", values(table, lower)));
    let upper = upper.map(|upper| format!("{key} <= {}", values(table, upper)));
    match (lower, upper) {
        (None, None) => "true".into(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(lower), Some(upper)) => format!("{lower} AND {upper}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_come_back() {
        let key = |values: &[&str]| Some(values.iter().map(|v| (*v).to_owned()).collect());
        for bounds in [
            Bounds::default(),
            Bounds { lower: key(&["1", "ä'b"]), upper: None },
            Bounds { lower: key(&[]), upper: key(&["", "2"]) },
        ] {
            let bytes = bounds.encode();
            assert_eq!(Bounds::decode(&bytes), Ok(bounds));
            assert!(Bounds::decode(&bytes[..bytes.len() - 1]).is_err());
        }
        assert!(Bounds::decode(&[0, 0, 0, 9, 1]).is_err());
    }

    #[test]
    fn printed_arrays_are_read() {
        let check = |text, expect: &[&str]| assert_eq!(parse(text), expect, "{text}");
        check("{}", &[]);
        check("{1,b}", &["1", "b"]);
        check(r#"{"a,b","c\"d\\","",NULLS}"#, &["a,b", "c\"d\\", "", "NULLS"]);
        check(r#"{"{}"," x "}"#, &["{}", " x "]);
    }

    #[test]
    fn keys_in_statements_are_quoted() {
        assert_eq!(array(Some(&vec!["a'b".into()])), "ARRAY['a''b']::text[]");
        assert_eq!(array(None), "NULL::text[]");
    }
}
