//! The identity of a Redis record: database number and key name.
//!
//! Layout of the bytes: `u16` big-endian database number, then the name as it is. Sorting by
//! identity therefore groups by database.

use model::{Dataset, Key, Tenant};

/// Names beginning with this are ours: never copied, compared or reported.
pub const OWN_PREFIX: &[u8] = b"__exodus:";

/// A record's identity, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRef<'a> {
    /// Logical database number.
    pub db: u16,
    /// Key name.
    pub name: &'a [u8],
}

/// The identity of the key `name` in database `db`.
#[must_use]
pub fn encode(db: u16, name: &[u8]) -> Key {
    let mut bytes = Vec::with_capacity(2 + name.len());
    bytes.extend_from_slice(&db.to_be_bytes());
    bytes.extend_from_slice(name);
    Key::from(bytes)
}

/// Takes an identity apart; `None` when this family did not make it.
#[must_use]
pub fn decode(key: &Key) -> Option<KeyRef<'_>> {
    let (db, name) = key.as_bytes().split_first_chunk::<2>()?;
    Some(KeyRef { db: u16::from_be_bytes(*db), name })
}

/// Whether a key name is one of our own scratch names.
#[must_use]
pub fn is_own(name: &[u8]) -> bool {
    name.starts_with(OWN_PREFIX)
}

/// The dataset of a database number: `db0`, `db1`, ….
#[must_use]
pub fn dataset(db: u16) -> Dataset {
    Dataset::new(&format!("db{db}"))
}

/// The database number of a dataset name; `None` when it is not of this family.
#[must_use]
pub fn dataset_db(dataset: &Dataset) -> Option<u16> {
    dataset.as_str().strip_prefix("db")?.parse().ok()
}

/// The part of a key name that decides its cluster slot.
///
/// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>
#[must_use]
pub fn hash_tag(name: &[u8]) -> Option<&[u8]> {
    let open = memchr::memchr(b'{', name)?;
    let rest = &name[open + 1..];
    let close = memchr::memchr(b'}', rest)?;
    (close > 0).then(|| &rest[..close])
}

/// The tenant of a key under a partition rule; `None` when the rule does not apply to it.
///
/// Rules: `db` (the database number), `hash_tag` (the text in the first braces), `prefix:<s>`
/// (the name up to the first `<s>`, which may stand in double quotes).
#[must_use]
pub fn tenant(rule: &str, key: KeyRef<'_>) -> Option<Tenant> {
    match rule {
        "db" => Some(Tenant::new(key.db.to_string().as_bytes())),
        "hash_tag" => hash_tag(key.name).map(Tenant::new),
        _ => {
            let separator = rule.strip_prefix("prefix:")?;
            let separator = separator
                .strip_prefix('"')
                .and_then(|s| s.strip_suffix('"'))
                .unwrap_or(separator)
                .as_bytes();
            if separator.is_empty() {
                return None;
            }
            let at = memchr::memmem::find(key.name, separator)?;
            (at > 0).then(|| Tenant::new(&key.name[..at]))
        }
    }
}

/// A key as `redis-cli` takes it: quoted where needed, its database named unless it is 0.
#[must_use]
pub fn show(key: KeyRef<'_>) -> String {
    let plain = !key.name.is_empty()
        && key.name.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\'));
    let name = match plain {
        true => String::from_utf8_lossy(key.name).into_owned(),
        false => quoted(key.name),
    };
    if key.db == 0 { name } else { format!("-n {} {name}", key.db) }
}

fn quoted(name: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::from("\"");
    for &byte in name {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte as char);
            }
            b' '..=b'~' => out.push(byte as char),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// A scratch name that lies in the same cluster slot as `name` wherever such a name exists (a
/// name with a `}` but no hash tag of its own has none).
#[must_use]
pub(crate) fn scratch_name(name: &[u8], purpose: &str, nonce: u64) -> Vec<u8> {
    let mut out = OWN_PREFIX.to_vec();
    out.extend_from_slice(format!("{purpose}:{nonce:016x}:{{").as_bytes());
    out.extend_from_slice(hash_tag(name).unwrap_or(name));
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_round_trips_and_sorts_by_database() {
        let key = encode(258, b"a\0b");
        assert_eq!(decode(&key), Some(KeyRef { db: 258, name: b"a\0b" }));
        assert!(encode(1, b"z") < encode(2, b"a"));
        assert_eq!(decode(&Key::new(b"x")), None);
    }

    #[test]
    fn tenants() {
        let check = |rule, name: &[u8], expect: Option<&[u8]>| {
            let got = tenant(rule, KeyRef { db: 3, name });
            assert_eq!(got.as_ref().map(Tenant::as_bytes), expect, "{rule}");
        };
        check("db", b"x", Some(b"3"));
        check("prefix:\":\"", b"acme:user:1", Some(b"acme"));
        check("prefix::", b"acme:user:1", Some(b"acme"));
        check("prefix:--", b"acme--1", Some(b"acme"));
        check("prefix:\":\"", b"acme", None);
        check("prefix:\":\"", b":x", None);
        check("prefix:\"\"", b"x", None);
        check("hash_tag", b"a{t}b", Some(b"t"));
        check("hash_tag", b"a{}b{c}", None);
        check("nonsense", b"x", None);
    }

    #[test]
    fn shown_as_typed() {
        assert_eq!(show(KeyRef { db: 0, name: b"user:1" }), "user:1");
        assert_eq!(show(KeyRef { db: 2, name: b"a \"b\"\n" }), r#"-n 2 "a \"b\"\x0a""#);
        assert_eq!(show(KeyRef { db: 0, name: b"" }), "\"\"");
    }

    #[test]
    fn scratch_names_share_the_slot() {
        assert_eq!(hash_tag(&scratch_name(b"a{t}b", "tmp", 1)), Some(b"t".as_slice()));
        assert_eq!(hash_tag(&scratch_name(b"plain", "tmp", 1)), Some(b"plain".as_slice()));
        assert!(is_own(&scratch_name(b"plain", "tmp", 1)));
    }
}
