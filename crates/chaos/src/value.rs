//! Reading replies without caring whether they came as RESP2 or RESP3.

use redis::Value;

/// The bytes of a string-like reply.
#[must_use]
pub fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(b) => Some(b),
        Value::SimpleString(s) => Some(s.as_bytes()),
        Value::VerbatimString { text, .. } => Some(text.as_bytes()),
        Value::Okay => Some(b"OK"),
        _ => None,
    }
}

/// An integer, whether sent as one or as a decimal string.
#[must_use]
pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(i) => Some(*i),
        other => std::str::from_utf8(bytes(other)?).ok()?.parse().ok(),
    }
}

/// A float, whether sent as one or as a decimal string (`inf` included).
#[must_use]
pub fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Double(d) => Some(*d),
        Value::Int(i) => Some(*i as f64),
        other => std::str::from_utf8(bytes(other)?).ok()?.parse().ok(),
    }
}

/// The elements of an array or set; empty for nil and anything else.
#[must_use]
pub fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(v) | Value::Set(v) => v,
        _ => &[],
    }
}

/// The value of `field` in a map that may be a flat array.
#[must_use]
pub fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    if let Value::Map(pairs) = value {
        return pairs.iter().find(|(k, _)| bytes(k) == Some(name.as_bytes())).map(|(_, v)| v);
    }
    items(value).chunks(2).find_map(|pair| match pair {
        [k, v] if bytes(k) == Some(name.as_bytes()) => Some(v),
        _ => None,
    })
}

/// A key or value as a human can read it: printable bytes kept, others escaped, at most 96.
#[must_use]
pub fn show(data: &[u8]) -> String {
    let head = &data[..data.len().min(96)];
    let more = if data.len() > head.len() { "…" } else { "" };
    format!("{}{more}", head.escape_ascii())
}
