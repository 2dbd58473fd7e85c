//! Reading a sample of the data set back and comparing it with its definition.

use std::time::Duration;

use redis::{Cmd, Value, cmd};

use super::{Content, Dataset};
use crate::conn::{Address, Conn, Fault};
use crate::rng::Rng;
use crate::value;

/// Compares `sample` keys without a time to live with what they were seeded with; returns a line
/// per key that differs. Kinds known only by their commands are left to the equality check.
pub fn verify(dataset: &Dataset, address: &Address, sample: u64) -> Result<Vec<String>, Fault> {
    let mut rng = Rng::fork(dataset.seed, 0x5EED);
    let mut conns = Vec::new();
    for db in super::DATABASES {
        conns.push((db, Conn::open(address, db, Duration::from_secs(30))?));
    }
    let mut wrong = Vec::new();
    for _ in 0..sample {
        let key = dataset.key(rng.below(dataset.keys));
        if key.ttl_ms.is_some() {
            continue;
        }
        let Some(read) = reading(&key.name, &key.content) else { continue };
        let Some((_, conn)) = conns.iter_mut().find(|(db, _)| *db == key.db) else { continue };
        let held = conn.call(&read)?;
        if !holds(&key.content, &held) {
            wrong.push(format!("db{} {} is not as seeded", key.db, key.name));
        }
    }
    Ok(wrong)
}

fn reading(name: &str, content: &Content) -> Option<Cmd> {
    let (verb, tail): (&str, &[&str]) = match content {
        Content::String(_) => ("GET", &[]),
        Content::List(_) => ("LRANGE", &["0", "-1"]),
        Content::Set(_) => ("SMEMBERS", &[]),
        Content::Hash(_) => ("HGETALL", &[]),
        Content::ZSet(_) => ("ZRANGE", &["0", "-1", "WITHSCORES"]),
        Content::Opaque(_) => return None,
    };
    let mut command = cmd(verb);
    command.arg(name).arg(tail);
    Some(command)
}

fn holds(content: &Content, held: &Value) -> bool {
    let flat: Vec<&[u8]> = match held {
        Value::Map(pairs) => {
            pairs.iter().flat_map(|(k, v)| [k, v]).filter_map(value::bytes).collect()
        }
        other => value::items(other).iter().filter_map(value::bytes).collect(),
    };
    match content {
        Content::String(expected) => value::bytes(held) == Some(expected),
        Content::List(expected) => flat == expected.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        Content::Set(expected) => {
            let mut held = flat;
            let mut expected: Vec<&[u8]> = expected.iter().map(Vec::as_slice).collect();
            held.sort_unstable();
            expected.sort_unstable();
            held == expected
        }
        Content::Hash(expected) => {
            let mut held: Vec<_> = flat.chunks(2).map(<[_]>::to_vec).collect();
            let mut expected: Vec<_> =
                expected.iter().map(|(f, v)| vec![f.as_slice(), v.as_slice()]).collect();
            held.sort();
            expected.sort();
            held == expected
        }
        Content::ZSet(expected) => {
            let mut held: Vec<_> = flat.chunks(2).filter_map(member_and_score).collect();
            let mut expected: Vec<_> =
                expected.iter().map(|(m, s)| (m.as_slice(), s.to_bits())).collect();
            held.sort_unstable();
            expected.sort_unstable();
            held == expected
        }
        Content::Opaque(_) => true,
    }
}

fn member_and_score<'v>(pair: &[&'v [u8]]) -> Option<(&'v [u8], u64)> {
    let [member, score] = pair else { return None };
    let score: f64 = std::str::from_utf8(score).ok()?.parse().ok()?;
    Some((member, score.to_bits()))
}
