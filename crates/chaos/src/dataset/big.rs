//! The few keys that are large enough to need another way of copying.

use redis::cmd;

use crate::conn::{Conn, Fault};
use crate::rng::Rng;

const STRING_BYTES: usize = 20 << 20;
const HASH_FIELDS: u64 = 200_000;
const ZSET_MEMBERS: u64 = 100_000;
const LIST_ITEMS: u64 = 50_000;
const CHUNK: u64 = 2_000;

/// Writes them into the connection's database; returns how many keys.
pub(super) fn seed(seed: u64, conn: &mut Conn) -> Result<u64, Fault> {
    let mut rng = Rng::fork(seed, u64::MAX);
    let mut set = cmd("SET");
    set.arg("ds:big:string").arg(rng.bytes(STRING_BYTES));
    conn.call(&set)?;
    fill(conn, "HSET", "ds:big:hash", HASH_FIELDS, |c, n| {
        c.arg(format!("field:{n}")).arg(rng.next());
    })?;
    fill(conn, "ZADD", "ds:big:zset", ZSET_MEMBERS, |c, n| {
        c.arg(rng.below(1 << 40)).arg(format!("member:{n}"));
    })?;
    fill(conn, "RPUSH", "ds:big:list", LIST_ITEMS, |c, n| {
        c.arg(format!("item:{n}:{:x}", rng.next()));
    })?;
    Ok(4)
}

fn fill(
    conn: &mut Conn,
    verb: &str,
    key: &str,
    count: u64,
    mut add: impl FnMut(&mut redis::Cmd, u64),
) -> Result<(), Fault> {
    for start in (0..count).step_by(CHUNK as usize) {
        let mut command = cmd(verb);
        command.arg(key);
        for n in start..(start + CHUNK).min(count) {
            add(&mut command, n);
        }
        conn.call(&command)?;
    }
    Ok(())
}
