//! Things that may be in a collection once and not twice: RPUSH, `XADD *`, SADD, ZADD, APPEND.

use redis::cmd;

use crate::load::client::{Client, Reply};
use crate::load::ledger::Kind;
use crate::load::stats::Class;
use crate::value;

/// Keys per workload that are written at the same time.
const HOT: u64 = 24;
/// Writes of one client after which it goes on to fresh keys.
const PAGE: u64 = 4_000;

/// Appends one token somewhere.
pub(in crate::load) fn run(client: &mut Client) {
    let kind = match client.rng.below(10) {
        0..4 => Kind::ListPush,
        4..6 => Kind::StreamAdd,
        6 => Kind::SetAdd,
        7 => Kind::ZAdd,
        _ => Kind::Append,
    };
    let hot = if kind == Kind::StreamAdd { HOT / 3 } else { HOT };
    let key = (client.sequence() / PAGE * hot + client.rng.below(hot)) as u32;
    let name = client.names.key(kind, key);
    let token = client.token();
    let score = (token.0 & 0xFFFF) as i64;
    let mut c;
    match kind {
        Kind::ListPush => {
            c = cmd("RPUSH");
            c.arg(name).arg(token.to_string());
        }
        Kind::StreamAdd => {
            c = cmd("XADD");
            c.arg(name).arg("*").arg("token").arg(token.to_string());
        }
        Kind::SetAdd => {
            c = cmd("SADD");
            c.arg(name).arg(token.to_string());
        }
        Kind::ZAdd => {
            c = cmd("ZADD");
            c.arg(name).arg(score).arg(token.to_string());
        }
        _ => {
            c = cmd("APPEND");
            c.arg(name).arg(format!("{token};"));
        }
    }
    let reply = client.call(Class::Write, &c);
    let result = match (&reply, kind) {
        (Reply::Ok(id), Kind::StreamAdd) => value::bytes(id).and_then(packed_id).unwrap_or(0),
        _ => reply.int(),
    };
    if matches!(kind, Kind::SetAdd | Kind::ZAdd) && matches!(reply, Reply::Ok(_)) && result != 1 {
        client.violation(format!("{kind:?} of the new token {token} answered {result}: not new"));
    }
    client.record_full(kind, (key, 0), token, score, (result, reply.outcome()));
}

/// A stream id in one number.
pub(crate) fn packed_id(id: &[u8]) -> Option<i64> {
    let (ms, sequence) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some((ms.parse::<i64>().ok()? << 20) | sequence.parse::<i64>().ok()?)
}
