//! When two servers' replies to the same read are equal.
//!
//! Constraints: whole replies, bounded by the caller; both in the same protocol version.

use bytes::BytesMut;
use family::Verdict;
use wire_redis::{Decoder, Value};

use crate::commands::Comparator;

/// Largest difference of remaining times, in milliseconds: the two replies are made at different
/// instants.
const TTL_TOLERANCE_MS: i64 = 1_500;
/// Largest relative difference of two formattings of one number.
const FLOAT_TOLERANCE: f64 = 1e-12;
/// Bytes of a value shown in a sample before masking; what is masked is its length.
const SHOWN_MAX: usize = 60;

/// Compares two whole replies.
pub(super) fn replies(how: Comparator, authority: &[u8], other: &[u8]) -> Verdict {
    if how == Comparator::NotCompared {
        return Verdict::NotComparable;
    }
    if authority == other {
        return Verdict::Equal;
    }
    let (Some(a), Some(b)) = (decode(authority), decode(other)) else {
        return Verdict::NotComparable;
    };
    let equal = match (&a, &b) {
        // The texts of errors differ between servers; their codes do not.
        (Value::Error(a), Value::Error(b)) => code(a) == code(b),
        _ => match how {
            Comparator::NotCompared => return Verdict::NotComparable,
            Comparator::Exact => a == b,
            Comparator::Multiset => same_items(a, b, 1),
            Comparator::Pairs => same_items(a, b, 2),
            Comparator::Float => close(&a, &b),
            Comparator::Seconds => within(&a, &b, (TTL_TOLERANCE_MS + 999) / 1000),
            Comparator::Millis => within(&a, &b, TTL_TOLERANCE_MS),
        },
    };
    if equal { Verdict::Equal } else { Verdict::Different }
}

/// Whether the other reply is what a read of an absent key answers, or lacks some of the keys or
/// members that were asked for, and is equal otherwise.
pub(super) fn lacks(command: &str, authority: &[u8], other: &[u8]) -> bool {
    let (Some(a), Some(b)) = (decode(authority), decode(other)) else { return false };
    match (&a, &b) {
        (Value::Error(_), _) => false,
        // The first bit that is set, of a key that is not there.
        (_, Value::Int(-1)) => command == "bitpos",
        (_, b) if absent(b) => true,
        // One answer per key or member that was asked for.
        _ => match (a.as_items(), b.as_items()) {
            (Some(a), Some(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || absent(b))
            }
            _ => false,
        },
    }
}

/// What servers say of a key that does not exist, whatever was asked.
fn absent(value: &Value) -> bool {
    match value {
        Value::Nil | Value::Int(0 | -2) => true,
        Value::Simple(text) => text.as_ref() == b"none",
        Value::Bulk(text) => text.is_empty(),
        Value::Error(text) => {
            code(text) == b"NOGROUP" || text.windows(11).any(|w| w == b"no such key")
        }
        other => other.as_items().is_some_and(|items| items.iter().all(absent)),
    }
}

fn decode(reply: &[u8]) -> Option<Value> {
    Decoder::new().decode(&mut BytesMut::from(reply)).ok().flatten()
}

fn code(error: &[u8]) -> &[u8] {
    error.split(|b| *b == b' ').next().unwrap_or_default()
}

fn same_items(a: Value, b: Value, group: usize) -> bool {
    let (Some(a), Some(b)) = (a.into_items(), b.into_items()) else { return false };
    let sorted = |items: Vec<Value>| {
        let mut groups: Vec<String> = items.chunks(group).map(|g| format!("{g:?}")).collect();
        groups.sort_unstable();
        groups
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

fn close(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (a.as_items(), b.as_items()) {
        return a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b));
    }
    if a == b {
        return true;
    }
    let number = |v: &Value| match v {
        Value::Double(d) => Some(*d),
        other => other.as_str().and_then(|s| s.parse::<f64>().ok()),
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= FLOAT_TOLERANCE * a.abs().max(b.abs()),
        _ => false,
    }
}

fn within(a: &Value, b: &Value, tolerance: i64) -> bool {
    match (a.as_int(), b.as_int()) {
        // Negative is "no expiry" and "no key".
        (Some(a), Some(b)) if a >= 0 && b >= 0 => a.abs_diff(b) <= tolerance.unsigned_abs(),
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// What kind of reply, and how large; never what is in it.
pub(super) fn mask(reply: &[u8]) -> String {
    let Some(value) = decode(reply) else { return format!("{} bytes", reply.len()) };
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Int(n) if n < 0 => n.to_string(),
        Value::Int(_) => "integer".to_owned(),
        Value::Error(text) => {
            let text = String::from_utf8_lossy(code(&text)).into_owned();
            format!("error {}", text.chars().take(SHOWN_MAX).collect::<String>())
        }
        Value::Simple(b) | Value::Bulk(b) => format!("string of {} bytes", b.len()),
        other => match other.as_items() {
            Some(items) => format!("{} items", items.len()),
            None => "scalar".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparators() {
        use Verdict::{Different, Equal, NotComparable};
        let check = |how, a: &str, b: &str, expect| {
            assert_eq!(replies(how, a.as_bytes(), b.as_bytes()), expect, "{how:?} {a:?} {b:?}");
        };
        check(Comparator::Exact, "$1\r\na\r\n", "$1\r\na\r\n", Equal);
        check(Comparator::Exact, "$1\r\na\r\n", "$1\r\nb\r\n", Different);
        check(Comparator::Exact, "$-1\r\n", "_\r\n", Equal);
        check(Comparator::Exact, "-WRONGTYPE a\r\n", "-WRONGTYPE b\r\n", Equal);
        check(Comparator::Exact, "-WRONGTYPE a\r\n", "$1\r\na\r\n", Different);
        check(Comparator::Multiset, "*2\r\n:1\r\n:2\r\n", "*2\r\n:2\r\n:1\r\n", Equal);
        check(Comparator::Multiset, "*2\r\n:1\r\n:1\r\n", "*2\r\n:2\r\n:1\r\n", Different);
        let (a, b) = ("*4\r\n+a\r\n+1\r\n+b\r\n+2\r\n", "*4\r\n+b\r\n+2\r\n+a\r\n+1\r\n");
        check(Comparator::Pairs, a, b, Equal);
        check(Comparator::Pairs, a, "*4\r\n+a\r\n+2\r\n+b\r\n+1\r\n", Different);
        check(Comparator::Float, "$3\r\n0.1\r\n", "$20\r\n0.10000000000000001\0\r\n", Different);
        check(Comparator::Float, "$3\r\n0.1\r\n", "$19\r\n0.10000000000000001\r\n", Equal);
        check(Comparator::Float, "$3\r\n0.1\r\n", "$3\r\n0.2\r\n", Different);
        check(Comparator::Millis, ":1000\r\n", ":1900\r\n", Equal);
        check(Comparator::Millis, ":-1\r\n", ":100\r\n", Different);
        check(Comparator::Seconds, ":10\r\n", ":13\r\n", Different);
        check(Comparator::NotCompared, ":1\r\n", ":1\r\n", NotComparable);
    }

    #[test]
    fn an_absent_key_is_told_from_another_value() {
        let check = |command, a: &str, b: &str, expect: bool| {
            assert_eq!(lacks(command, a.as_bytes(), b.as_bytes()), expect, "{command} {a:?} {b:?}");
        };
        check("get", "$1\r\na\r\n", "$-1\r\n", true);
        check("get", "$1\r\na\r\n", "_\r\n", true);
        check("get", "$1\r\na\r\n", "$1\r\nb\r\n", false);
        check("get", "$-1\r\n", "$1\r\nb\r\n", false);
        check("get", "$1\r\na\r\n", "-NOPERM no\r\n", false);
        check("get", "-WRONGTYPE a\r\n", "$-1\r\n", false);
        check("type", "+string\r\n", "+none\r\n", true);
        check("ttl", ":100\r\n", ":-2\r\n", true);
        check("ttl", ":100\r\n", ":-1\r\n", false);
        check("bitpos", ":3\r\n", ":-1\r\n", true);
        check("getrange", "$1\r\na\r\n", "$0\r\n\r\n", true);
        check("hgetall", "*2\r\n+a\r\n+1\r\n", "*0\r\n", true);
        check("mget", "*2\r\n+a\r\n+b\r\n", "*2\r\n+a\r\n$-1\r\n", true);
        check("mget", "*2\r\n+a\r\n+b\r\n", "*2\r\n+c\r\n$-1\r\n", false);
        check("smismember", "*2\r\n:1\r\n:1\r\n", "*2\r\n:0\r\n:0\r\n", true);
        check("xinfo", "*2\r\n+a\r\n+1\r\n", "-ERR no such key\r\n", true);
    }

    #[test]
    fn samples_show_no_values() {
        for secret in ["$6\r\nsecret\r\n", "+secret\r\n", "*1\r\n$6\r\nsecret\r\n"] {
            assert!(!mask(secret.as_bytes()).contains("secret"));
        }
        assert_eq!(mask(b"$6\r\nsecret\r\n"), "string of 6 bytes");
    }
}
