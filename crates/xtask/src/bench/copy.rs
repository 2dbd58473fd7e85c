//! How fast a data set is copied, against two ceilings of the same run: writing alone (a
//! pipelined RESTORE loop) and a plain SCAN, DUMP, RESTORE loop without any fence.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::exodus;
use super::process::{Running, find, server};
use super::resp::{Connection, Reply};
use super::stats::Spread;

/// Commands of one pipelined batch.
const BATCH: usize = 500;
/// Bytes of a value.
const SIZE: usize = 64;

/// A way of copying and its keys per second over all rounds.
pub(crate) struct Copied {
    pub(crate) name: String,
    pub(crate) rate: Option<Spread>,
}

/// The two ceilings and, from the repository at `root`, Exodus: interleaved.
pub(crate) fn all(
    root: Option<&Path>,
    folder: &Path,
    keys: u64,
    rounds: usize,
) -> Result<Vec<Copied>> {
    let pair = Pair::start(folder, keys)?;
    let (mut alone, mut pipe, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        pair.empty_target()?;
        alone.push(restore(pair.target, keys)?);
        pair.empty_target()?;
        pipe.push(scan_dump_restore(pair.source, pair.target, keys)?);
        if let Some(root) = root {
            pair.empty_target()?;
            ours.push(exodus::backfill(root, folder, round, pair.source, pair.target, keys)?);
            ensure!(count(pair.target)? >= keys, "Exodus said done before every key was there");
        }
    }
    let named = [(RESTORE, &alone), (PIPE, &pipe), ("exodus backfill", &ours)];
    let made = named.into_iter().filter(|(_, rates)| !rates.is_empty());
    Ok(made.map(|(name, rates)| copied(name, rates)).collect())
}

const RESTORE: &str = "RESTORE alone, one connection";
const PIPE: &str = "SCAN + DUMP + RESTORE loop, one connection each, no fence";

fn copied(name: &str, rates: &[f64]) -> Copied {
    Copied { name: name.to_owned(), rate: Spread::of(rates) }
}

struct Pair {
    source: u16,
    target: u16,
    /// Ended with the pair.
    _servers: [Running; 2],
}

impl Pair {
    fn start(folder: &Path, keys: u64) -> Result<Self> {
        let redis = find("redis-server", "EXODUS_REDIS_SERVER")?;
        let valkey = find("valkey-server", "EXODUS_VALKEY_SERVER")?;
        let (one, source) = server(&redis, folder, "copy-source")?;
        let (two, target) = server(&valkey, folder, "copy-target")?;
        seed(source, keys)?;
        Ok(Self { source, target, _servers: [one, two] })
    }

    fn empty_target(&self) -> Result<()> {
        Connection::open(self.target)?.call(&[b"FLUSHALL"]).map(|_| ())
    }
}

fn name(at: u64) -> String {
    format!("key:{at:012}")
}

fn seed(port: u16, keys: u64) -> Result<()> {
    let mut connection = Connection::open(port)?;
    for at in 0..keys {
        let value = format!("{at:0SIZE$}");
        connection.push(&[b"SET", name(at).as_bytes(), value.as_bytes()]);
        if (at + 1) % BATCH as u64 == 0 {
            connection.flush()?;
        }
    }
    connection.flush().map(|_| ())
}

fn count(port: u16) -> Result<u64> {
    match Connection::open(port)?.call(&[b"DBSIZE"])? {
        Reply::Int(keys) => Ok(keys.unsigned_abs()),
        other => bail!("DBSIZE answered {other:?}"),
    }
}

/// Writes `keys` values the way a copy does, from memory: keys per second.
fn restore(port: u16, keys: u64) -> Result<f64> {
    let mut connection = Connection::open(port)?;
    let value = "v".repeat(SIZE);
    connection.call(&[b"SET", b"sample", value.as_bytes()])?;
    let Reply::Bulk(Some(dump)) = connection.call(&[b"DUMP", b"sample"])? else {
        bail!("DUMP answered no value");
    };
    let start = Instant::now();
    for at in 0..keys {
        connection.push(&[b"RESTORE", name(at).as_bytes(), b"0", &dump, b"REPLACE", b"ABSTTL"]);
        if (at + 1) % BATCH as u64 == 0 {
            connection.flush()?;
        }
    }
    connection.flush()?;
    Ok(keys as f64 / start.elapsed().as_secs_f64())
}

/// The plain loop a script would write: keys per second.
fn scan_dump_restore(source: u16, target: u16, keys: u64) -> Result<f64> {
    let (mut from, mut to) = (Connection::open(source)?, Connection::open(target)?);
    let start = Instant::now();
    let mut cursor = b"0".to_vec();
    loop {
        let count = BATCH.to_string();
        let Reply::Many(parts) = from.call(&[b"SCAN", &cursor, b"COUNT", count.as_bytes()])? else {
            bail!("SCAN answered no list");
        };
        let [Reply::Bulk(Some(next)), Reply::Many(found)] = parts.as_slice() else {
            bail!("SCAN answered {parts:?}");
        };
        let names: Vec<&[u8]> = found.iter().filter_map(bulk).collect();
        for name in &names {
            from.push(&[b"DUMP", name]);
            from.push(&[b"PEXPIRETIME", name]);
        }
        let states = from.flush()?;
        for (name, state) in names.iter().zip(states.chunks(2)) {
            if let [Reply::Bulk(Some(dump)), Reply::Int(at)] = state {
                let at = (*at).max(0).to_string();
                to.push(&[b"RESTORE", name, at.as_bytes(), dump, b"REPLACE", b"ABSTTL"]);
            }
        }
        to.flush()?;
        cursor.clone_from(next);
        if cursor == b"0" {
            break;
        }
    }
    let rate = keys as f64 / start.elapsed().as_secs_f64();
    ensure!(self::count(target)? >= keys, "the plain loop lost keys");
    Ok(rate)
}

fn bulk(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::Bulk(Some(bytes)) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_width() {
        assert_eq!(name(7).len(), name(999_999).len());
    }
}
