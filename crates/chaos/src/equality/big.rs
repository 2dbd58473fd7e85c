//! Large keys in chunks: memory bounded by one chunk of each side.
//!
//! Sizes are already known to be equal, so for sets and hashes it is enough that everything on
//! the left is on the right.

use redis::{Value, cmd};

use super::key::about;
use super::pair::Pair;
use super::shape::{self, bytes, elements, first_unequal, pairs, scored};
use crate::conn::Fault;
use crate::value;

const CHUNK_BYTES: i64 = 1 << 20;
const CHUNK: i64 = 2_000;

/// Why the key's contents differ, or `None`.
pub(super) fn walk(pair: &mut Pair, key: &[u8], kind: &str) -> Result<Option<String>, Fault> {
    match kind {
        "string" => string(pair, key),
        "list" => ranges(pair, key, "LRANGE"),
        "zset" => ranges(pair, key, "ZRANGE"),
        "set" | "hash" => members(pair, key, kind),
        _ => dumps(pair, key),
    }
}

fn string(pair: &mut Pair, key: &[u8]) -> Result<Option<String>, Fault> {
    for start in (0_i64..).step_by(CHUNK_BYTES as usize) {
        let mut read = about("GETRANGE", key);
        read.arg(start).arg(start + CHUNK_BYTES - 1);
        let (left, right) = pair.both(&[read])?;
        if let Some(why) = shape::strings(bytes(&left[0]), bytes(&right[0])) {
            return Ok(Some(format!("after byte {start}, {why}")));
        }
        if bytes(&left[0]).len() < CHUNK_BYTES as usize {
            break;
        }
    }
    Ok(None)
}

fn ranges(pair: &mut Pair, key: &[u8], verb: &str) -> Result<Option<String>, Fault> {
    for start in (0_i64..).step_by(CHUNK as usize) {
        let mut read = about(verb, key);
        read.arg(start).arg(start + CHUNK - 1);
        if verb == "ZRANGE" {
            read.arg("WITHSCORES");
        }
        let (left, right) = pair.both(&[read])?;
        let why = match verb {
            "ZRANGE" => first_unequal(&scored(&left[0]), &scored(&right[0])),
            _ => first_unequal(&elements(&left[0]), &elements(&right[0])),
        };
        if let Some(why) = why {
            return Ok(Some(format!("after {start}, {why}")));
        }
        if value::items(&left[0]).is_empty() {
            break;
        }
    }
    Ok(None)
}

fn members(pair: &mut Pair, key: &[u8], kind: &str) -> Result<Option<String>, Fault> {
    let verb = if kind == "set" { "SSCAN" } else { "HSCAN" };
    let mut cursor = 0;
    loop {
        let mut scan = about(verb, key);
        scan.arg(cursor).arg("COUNT").arg(CHUNK);
        let reply = pair.left.call(&scan)?;
        let [next, page] = value::items(&reply) else {
            return Err(Fault::No(format!("{verb} did not answer with a cursor and a page")));
        };
        if let Some(why) = absent_or_other(pair, key, kind, page)? {
            return Ok(Some(why));
        }
        cursor = value::int(next).unwrap_or(0);
        if cursor == 0 {
            return Ok(None);
        }
    }
}

fn absent_or_other(
    pair: &mut Pair,
    key: &[u8],
    kind: &str,
    page: &Value,
) -> Result<Option<String>, Fault> {
    if value::items(page).is_empty() {
        return Ok(None);
    }
    if kind == "set" {
        let wanted = elements(page);
        let mut ask = about("SMISMEMBER", key);
        ask.arg(&wanted);
        let held = pair.right.call(&ask)?;
        let absent = value::items(&held).iter().position(|v| value::int(v) != Some(1));
        return Ok(absent.map(|at| format!("member {} / absent", value::show(&wanted[at]))));
    }
    let wanted = pairs(page);
    let mut ask = about("HMGET", key);
    for (field, _) in &wanted {
        ask.arg(field);
    }
    let held = pair.right.call(&ask)?;
    let other = value::items(&held)
        .iter()
        .zip(&wanted)
        .find(|(held, (_, wanted))| value::bytes(held) != Some(wanted));
    Ok(other.map(|(held, (field, wanted))| {
        let held = value::bytes(held).map_or_else(|| "absent".to_owned(), value::show);
        format!("field {}: {} / {held}", value::show(field), value::show(wanted))
    }))
}

/// Types only a module understands: the serialised form without its version and checksum.
fn dumps(pair: &mut Pair, key: &[u8]) -> Result<Option<String>, Fault> {
    let mut dump = cmd("DUMP");
    dump.arg(key);
    let (left, right) = pair.both(&[dump])?;
    let body = |v: &Value| bytes(v)[..bytes(v).len().saturating_sub(10)].to_vec();
    let same = body(&left[0]) == body(&right[0]);
    Ok((!same).then(|| "serialised forms differ".to_owned()))
}
