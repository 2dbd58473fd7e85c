//! A burst of `MONITOR`: what commands a live server is asked, by whom, and which of them need
//! attention before a migration.
//!
//! Constraints: bounded in time, lines, bytes and distinct words; the server is asked for its
//! latency all the while and left alone as soon as that suffers (`MONITOR` costs a busy server
//! up to half its throughput); arguments are looked at for the command's name only and never
//! kept.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::family::{EndpointSpec, PortError, Trouble};
use wire_redis::Value;

use crate::conn::{Conn, Link};
use crate::error::code;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapLimits {
    /// Longest burst.
    pub duration: Duration,
    /// Most commands looked at.
    pub commands_max: u64,
    /// Stops when a `PING` takes this many times what it took before the burst …
    pub slowdown_max: u32,
    /// … and at least this long.
    pub latency_floor: Duration,
}

impl Default for TapLimits {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(10),
            commands_max: 1_000_000,
            slowdown_max: 5,
            latency_floor: Duration::from_millis(5),
        }
    }
}

/// Why a burst ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TapStop {
    /// The time was over.
    Duration,
    /// Enough commands were seen.
    Commands,
    /// The server's latency suffered: before, and when it was stopped.
    Impact {
        /// Median `PING` before the burst.
        before: Duration,
        /// The one that was too long.
        now: Duration,
    },
    /// The stream could not be followed any further.
    Lost(String),
}

/// What a burst showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapProfile {
    /// Commands seen.
    pub seen: u64,
    /// Lines that could not be understood.
    pub unparsed: u64,
    /// Count per command (container commands with their subcommand), in lower case.
    pub commands: BTreeMap<String, u64>,
    /// Count per client address without port; `lua` for what scripts ran.
    pub clients: BTreeMap<String, u64>,
    /// Count per database number.
    pub databases: BTreeMap<u16, u64>,
    /// Commands that need attention: name, count, why.
    pub risky: Vec<(String, u64, &'static str)>,
    /// How long it listened.
    pub elapsed: Duration,
    /// Why it ended.
    pub stopped: TapStop,
}

/// Distinct commands kept; further ones count as `other`.
const COMMANDS_KEPT: usize = 512;
/// Distinct clients kept; further ones count as `other`.
const CLIENTS_KEPT: usize = 4096;
const PING_EVERY: Duration = Duration::from_millis(100);
const BASELINE_PINGS: usize = 9;

/// Commands that behave differently, or cost more, while two sides are kept equal.
const RISKY: &[(&str, &str)] = &[
    ("flushall", "empties every database; the other side is emptied by a full comparison"),
    ("flushdb", "empties a database; the other side is emptied by a full comparison"),
    ("swapdb", "is invisible to the change feed; refused while a migration is live"),
    ("move", "changes two databases at once; both keys are copied afterwards"),
    ("keys", "blocks the server over the whole keyspace"),
    ("monitor", "shows one side only"),
    ("debug", "acts on one server, not on the data; refused through the interlay"),
    ("migrate", "moves keys past the interlay"),
    ("replicaof", "replaces the dataset"),
    ("slaveof", "replaces the dataset"),
    ("wait", "speaks of the deciding side's replicas only"),
    ("waitaof", "speaks of the deciding side's file only"),
    ("randomkey", "differs between the sides; never compared"),
    ("eval", "keys it touches undeclared are known from the feed only"),
    ("evalsha", "keys it touches undeclared are known from the feed only"),
    ("fcall", "function libraries have to be copied by hand"),
    ("function load", "function libraries have to be copied by hand"),
    ("client tracking", "invalidations come from the side that serves reads"),
    ("subscribe", "follows the deciding side; re-subscribed at a switch"),
    ("psubscribe", "follows the deciding side; re-subscribed at a switch"),
    ("blpop", "is unblocked and asked again at a cutover"),
    ("brpop", "is unblocked and asked again at a cutover"),
    ("bzpopmin", "is unblocked and asked again at a cutover"),
    ("bzpopmax", "is unblocked and asked again at a cutover"),
    ("xreadgroup", "is unblocked and asked again at a cutover when it blocks"),
];

/// Commands whose second word says what they do.
const CONTAINERS: &[&str] = &[
    "acl", "client", "cluster", "command", "config", "function", "latency", "memory", "module",
    "object", "pubsub", "script", "slowlog", "xgroup", "xinfo",
];

/// Listens to a server for a bounded while.
///
/// # Errors
/// When the server cannot be reached or does not allow `MONITOR`. What ends a burst that had
/// begun is part of the profile instead.
pub async fn monitor(spec: &EndpointSpec, limits: TapLimits) -> Result<TapProfile, PortError> {
    let link = Link::new(spec, Arc::default())?;
    let mut pinger = link.connect().await?;
    let before = baseline(&mut pinger).await?;
    let mut conn = link.connect().await?;
    conn.ask(&[b"MONITOR"])
        .await
        .map_err(|e| PortError::new(Trouble::Unsupported, code::TAP, e.message))?;
    let mut tally = Tally::default();
    let begun = Instant::now();
    let too_long = (before * limits.slowdown_max).max(limits.latency_floor);
    let stopped = loop {
        if begun.elapsed() >= limits.duration {
            break TapStop::Duration;
        }
        if tally.seen >= limits.commands_max {
            break TapStop::Commands;
        }
        let until = (begun + limits.duration).min(Instant::now() + PING_EVERY);
        if let Err(error) = listen(&mut conn, &mut tally, until, limits.commands_max).await {
            break TapStop::Lost(error.message);
        }
        // Measured while the burst goes on; our own backlog is not the server's latency.
        let asked = Instant::now();
        match pinger.ask(&[b"PING"]).await {
            Err(error) => break TapStop::Lost(error.message),
            Ok(_) if asked.elapsed() > too_long => {
                break TapStop::Impact { before, now: asked.elapsed() };
            }
            Ok(_) => {}
        }
    };
    drop(conn);
    Ok(tally.profile(begun.elapsed(), stopped))
}

async fn baseline(conn: &mut Conn) -> Result<Duration, PortError> {
    let mut taken = Vec::with_capacity(BASELINE_PINGS);
    for _ in 0..BASELINE_PINGS {
        let asked = Instant::now();
        conn.ask(&[b"PING"]).await?;
        taken.push(asked.elapsed());
    }
    taken.sort_unstable();
    Ok(taken[BASELINE_PINGS / 2])
}

/// Counts lines until a moment or a number is reached.
async fn listen(
    conn: &mut Conn,
    tally: &mut Tally,
    until: Instant,
    commands_max: u64,
) -> Result<(), PortError> {
    while Instant::now() < until && tally.seen < commands_max {
        let next = poll_fn(|cx| conn.poll_next(cx));
        match tokio::time::timeout_at(until.into(), next).await {
            Err(_) => return Ok(()),
            Ok(line) => tally.count(&line?),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    seen: u64,
    unparsed: u64,
    commands: BTreeMap<String, u64>,
    clients: BTreeMap<String, u64>,
    databases: BTreeMap<u16, u64>,
}

impl Tally {
    fn count(&mut self, line: &Value) {
        self.seen += 1;
        match line.as_bytes().and_then(|bytes| Line::parse(bytes)) {
            None => self.unparsed += 1,
            Some(line) => {
                add(&mut self.commands, line.command, COMMANDS_KEPT);
                add(&mut self.clients, line.client, CLIENTS_KEPT);
                *self.databases.entry(line.db).or_default() += 1;
            }
        }
    }

    fn profile(self, elapsed: Duration, stopped: TapStop) -> TapProfile {
        let risky = RISKY
            .iter()
            .filter_map(|(name, why)| Some(((*name).to_owned(), *self.commands.get(*name)?, *why)))
            .collect();
        TapProfile {
            seen: self.seen,
            unparsed: self.unparsed,
            commands: self.commands,
            clients: self.clients,
            databases: self.databases,
            risky,
            elapsed,
            stopped,
        }
    }
}

fn add(counts: &mut BTreeMap<String, u64>, word: String, kept: usize) {
    let room = counts.len() < kept;
    match counts.get_mut(&word) {
        Some(count) => *count += 1,
        None if room => {
            counts.insert(word, 1);
        }
        None => *counts.entry("other".into()).or_default() += 1,
    }
}

/// `1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`, what we use of it.
struct Line {
    db: u16,
    client: String,
    command: String,
}

impl Line {
    fn parse(line: &[u8]) -> Option<Self> {
        let open = memchr::memchr(b'[', line)?;
        let close = open + memchr::memchr(b']', &line[open..])?;
        let origin = std::str::from_utf8(&line[open + 1..close]).ok()?;
        let (db, client) = origin.split_once(' ')?;
        // An IPv6 address has brackets of its own: `[0 [::1]:60866]`.
        let (client, rest) = match client.strip_prefix('[') {
            Some(address) => (address, line.get(close + 1..)?),
            None => (client.rsplit_once(':').map_or(client, |(host, _)| host), &line[close..]),
        };
        let (command, rest) = word(rest)?;
        let mut command = command;
        if CONTAINERS.contains(&command.as_str())
            && let Some((second, _)) = word(rest)
        {
            command = format!("{command} {second}");
        }
        Some(Self { db: db.parse().ok()?, client: client.to_owned(), command })
    }
}

/// The next quoted word in lower case, and what follows; words longer than a command are none.
fn word(line: &[u8]) -> Option<(String, &[u8])> {
    const WORD_BYTES_MAX: usize = 64;
    let start = memchr::memchr(b'"', line)? + 1;
    let length = memchr::memchr(b'"', &line[start..])?;
    let text = std::str::from_utf8(&line[start..start + length]).ok()?;
    let fits = length <= WORD_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| (text.to_ascii_lowercase(), &line[start + length + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Option<(u16, &str, &str)>) {
        let got = Line::parse(line.as_bytes());
        let got = got.as_ref().map(|l| (l.db, l.client.as_str(), l.command.as_str()));
        assert_eq!(got, expect, "{line}");
    }

    #[test]
    fn lines() {
        check(r#"1.2 [0 127.0.0.1:60866] "KEYS" "*""#, Some((0, "127.0.0.1", "keys")));
        check(r#"1.2 [3 lua] "set" "a" "b""#, Some((3, "lua", "set")));
        check(r#"1.2 [0 [::1]:60866] "get" "a""#, Some((0, "::1", "get")));
        check(r#"1.2 [0 1.1.1.1:2] "config" "GET" "x""#, Some((0, "1.1.1.1", "config get")));
        check(r#"1.2 [0 unix:/tmp/s] "ping""#, Some((0, "unix", "ping")));
        check("junk", None);
    }

    #[test]
    fn distinct_words_are_bounded() {
        let mut counts = BTreeMap::new();
        for i in 0..9 {
            add(&mut counts, format!("c{i}"), 3);
        }
        assert_eq!(counts.len(), 4);
        assert_eq!(counts["other"], 6);
    }
}
