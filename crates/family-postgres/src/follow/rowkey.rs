//! Rows as records of the engine: a table and the values of its key.

use model::Key;

use super::order::KeyText;

/// A record's identity.
pub(crate) fn encode(schema: &str, table: &str, key: &KeyText) -> Key {
    let mut out = format!("{schema}.{table}").into_bytes();
    for value in key {
        out.push(0);
        out.extend(value.as_bytes());
    }
    Key::from(out)
}
