//! Comparing a page of keys: what they are, how large, then what they hold.

use std::time::{SystemTime, UNIX_EPOCH};

use redis::{Cmd, Value, cmd};

use super::pair::Pair;
use super::report::Class;
use super::{Options, big, shape, stream};
use crate::conn::Fault;
use crate::value;

/// A key that differs, how, and both sides in short.
type Found = (Vec<u8>, (Class, String));

/// Elements up to which a key is read whole; a string counts its bytes divided by 64.
const WHOLE_MAX: i64 = 1_000;

/// A command about one key.
pub(super) fn about(verb: &str, key: &[u8]) -> Cmd {
    let mut c = cmd(verb);
    c.arg(key);
    c
}

/// What both sides say a key is.
struct Facts {
    kind: [Vec<u8>; 2],
    expiry: [i64; 2],
}

/// The keys that differ, at most one difference each.
pub(super) fn differences(
    pair: &mut Pair,
    keys: &[Vec<u8>],
    options: &Options,
) -> Result<Vec<Found>, Fault> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let facts = facts(pair, keys)?;
    let mut found = Vec::new();
    let mut same_kind: Vec<(&[u8], &str)> = Vec::new();
    for (key, fact) in keys.iter().zip(&facts) {
        match judge_facts(fact, options) {
            Judged::Differs(class, detail) => found.push((key.clone(), (class, detail))),
            Judged::Gone => {}
            Judged::Contents(kind) => same_kind.push((key, kind)),
        }
    }
    found.extend(contents(pair, &same_kind, options)?);
    Ok(found)
}

fn facts(pair: &mut Pair, keys: &[Vec<u8>]) -> Result<Vec<Facts>, Fault> {
    let commands: Vec<Cmd> =
        keys.iter().flat_map(|k| [about("TYPE", k), about("PEXPIRETIME", k)]).collect();
    let (left, right) = pair.both(&commands)?;
    let text = |v: &Value| value::bytes(v).unwrap_or_default().to_vec();
    let number = |v: &Value| value::int(v).unwrap_or(-1);
    Ok(left
        .chunks(2)
        .zip(right.chunks(2))
        .map(|(l, r)| Facts {
            kind: [text(&l[0]), text(&r[0])],
            expiry: [number(&l[1]), number(&r[1])],
        })
        .collect())
}

enum Judged<'f> {
    Differs(Class, String),
    /// On neither side any more, or about to be.
    Gone,
    Contents(&'f str),
}

fn judge_facts<'f>(facts: &'f Facts, options: &Options) -> Judged<'f> {
    let [left, right] = &facts.kind;
    let [left_expiry, right_expiry] = facts.expiry;
    let due = |expiry: i64| expiry >= 0 && expiry <= now_ms() + options.ttl_tolerance_ms;
    let name = |kind: &[u8]| String::from_utf8_lossy(kind).into_owned();
    match (left.as_slice(), right.as_slice()) {
        (b"none", b"none") => Judged::Gone,
        (b"none", _) if due(right_expiry) => Judged::Gone,
        (_, b"none") if due(left_expiry) => Judged::Gone,
        (b"none", kind) => Judged::Differs(Class::Extra, format!("a {}", name(kind))),
        (kind, b"none") => Judged::Differs(Class::Missing, format!("a {}", name(kind))),
        (l, r) if l != r => Judged::Differs(Class::Type, format!("{} / {}", name(l), name(r))),
        (l, _) => {
            let both_expire = left_expiry >= 0 && right_expiry >= 0;
            let apart = (left_expiry - right_expiry).abs();
            if left_expiry != right_expiry && !(both_expire && apart <= options.ttl_tolerance_ms) {
                let detail = format!("expires at {left_expiry} / {right_expiry} ms");
                return Judged::Differs(Class::Ttl, detail);
            }
            Judged::Contents(std::str::from_utf8(l).unwrap_or("unreadable"))
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Reads small keys whole, in one batch, and walks the others one by one.
fn contents(
    pair: &mut Pair,
    keys: &[(&[u8], &str)],
    options: &Options,
) -> Result<Vec<Found>, Fault> {
    let sizes: Vec<Cmd> = keys.iter().map(|(key, kind)| size_of(kind, key)).collect();
    let (left, right) = pair.both_lenient(&sizes)?;
    let (mut small, mut large, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for ((key, kind), sizes) in keys.iter().zip(left.iter().zip(right.iter())) {
        let size = |side: &Result<Value, String>| side.as_ref().ok().and_then(value::int);
        match (size(sizes.0), size(sizes.1)) {
            (Some(l), Some(r)) if l != r => {
                let detail = format!("{kind} of size {l} / {r}");
                found.push((key.to_vec(), (Class::Value, detail)));
            }
            (Some(l), Some(_)) if l <= whole_max(kind) => small.push((*key, *kind)),
            _ => large.push((*key, *kind)),
        }
    }
    found.extend(small_contents(pair, &small, options)?);
    for (key, kind) in large {
        let difference = match kind {
            "stream" => stream::walk(pair, key)?,
            _ => big::walk(pair, key, kind)?,
        };
        found.extend(difference.map(|detail| (key.to_vec(), (Class::Value, detail))));
    }
    Ok(found)
}

fn small_contents(
    pair: &mut Pair,
    keys: &[(&[u8], &str)],
    options: &Options,
) -> Result<Vec<Found>, Fault> {
    let reads: Vec<Cmd> = keys.iter().map(|(key, kind)| whole(kind, key)).collect();
    let (left, right) = pair.both_lenient(&reads)?;
    let mut found = Vec::new();
    for ((key, kind), (left, right)) in keys.iter().zip(left.into_iter().zip(right)) {
        let difference = match (left, right) {
            (Ok(l), Ok(r)) if *kind == "stream" => stream::difference(&l, &r, options),
            (Ok(l), Ok(r)) => shape::difference(kind, &l, &r),
            (l, r) => Some(format!("cannot be read: {:?} / {:?}", l.err(), r.err())),
        };
        found.extend(difference.map(|detail| (key.to_vec(), (Class::Value, detail))));
    }
    Ok(found)
}

fn whole_max(kind: &str) -> i64 {
    if kind == "string" { WHOLE_MAX * 64 } else { WHOLE_MAX }
}

fn size_of(kind: &str, key: &[u8]) -> Cmd {
    let verb = match kind {
        "string" => "STRLEN",
        "list" => "LLEN",
        "set" => "SCARD",
        "hash" => "HLEN",
        "zset" => "ZCARD",
        "stream" => "XLEN",
        // Of a module's type only the dump is known.
        _ => "DUMP",
    };
    about(verb, key)
}

fn whole(kind: &str, key: &[u8]) -> Cmd {
    let mut c;
    match kind {
        "string" => c = about("GET", key),
        "list" => {
            c = about("LRANGE", key);
            c.arg(0).arg(-1);
        }
        "set" => c = about("SMEMBERS", key),
        "hash" => c = about("HGETALL", key),
        "zset" => {
            c = about("ZRANGE", key);
            c.arg(0).arg(-1).arg("WITHSCORES");
        }
        _ => c = stream::full(key, 0),
    }
    c
}
