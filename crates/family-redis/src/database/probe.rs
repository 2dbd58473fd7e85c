//! Who a server is and what it can do, found by asking; nothing is written.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use family::{Capability, PortError, Probe};
use wire_redis::Value;

use crate::conn::{Conn, Link};
use crate::database::feed::RedisFeed;
use crate::database::reader::server_time_ms;
use crate::info::Info;
use crate::traits::ABSENT;

/// Clock readings; the one with the shortest round trip counts.
const CLOCK_READINGS: usize = 7;
/// A client id no server has reached.
const NO_CLIENT: &[u8] = b"9007199254740991";

/// A right needed for a task, as a command without effect.
pub(crate) struct Right {
    pub(crate) task: &'static str,
    pub(crate) command: &'static [&'static [u8]],
}

/// What workers need. Each command names a key that does not exist or asks for what is invalid,
/// so that it changes nothing where it is allowed.
pub(crate) const RIGHTS: &[Right] = &[
    Right { task: "scan", command: &[b"SCAN", b"0", b"COUNT", b"1"] },
    Right { task: "read", command: &[b"DUMP", ABSENT] },
    Right { task: "read", command: &[b"PTTL", ABSENT] },
    Right { task: "read", command: &[b"TYPE", ABSENT] },
    Right { task: "read", command: &[b"GET", ABSENT] },
    Right { task: "read", command: &[b"WATCH", ABSENT] },
    Right { task: "read", command: &[b"UNWATCH"] },
    Right { task: "verify", command: &[b"LRANGE", ABSENT, b"0", b"0"] },
    Right { task: "verify", command: &[b"SMEMBERS", ABSENT] },
    Right { task: "verify", command: &[b"HGETALL", ABSENT] },
    Right { task: "verify", command: &[b"ZRANGE", ABSENT, b"0", b"0"] },
    Right { task: "verify", command: &[b"XRANGE", ABSENT, b"-", b"+"] },
    Right { task: "write", command: &[b"RESTORE", ABSENT, b"0", b""] },
    Right { task: "write", command: &[b"UNLINK", ABSENT] },
    Right { task: "write", command: &[b"EXISTS", ABSENT] },
    Right { task: "write", command: &[b"RENAME", ABSENT, ABSENT] },
    Right { task: "write", command: &[b"PERSIST", ABSENT] },
    Right { task: "observe", command: &[b"INFO", b"server"] },
    Right { task: "observe", command: &[b"TIME"] },
    Right { task: "reap", command: &[b"CLIENT", b"LIST"] },
    Right { task: "reap", command: &[b"CLIENT", b"KILL", b"ID", NO_CLIENT] },
];

/// Why a command is not possible, `None` when it is.
pub(crate) async fn denied(
    conn: &mut Conn,
    command: &[&[u8]],
) -> Result<Option<String>, PortError> {
    let reply = conn.call(command).await?;
    Ok(reply.error().filter(|text| is_denial(text)).map(|text| {
        // The text of a refusal names the command at most.
        text.chars().take(120).collect()
    }))
}

pub(crate) fn is_denial(text: &str) -> bool {
    text.starts_with("NOPERM")
        || text.starts_with("ERR unknown command")
        || text.starts_with("ERR unknown subcommand")
        || text.starts_with("ERR Unknown subcommand")
}

pub(crate) async fn probe(link: &Arc<Link>) -> Result<Probe, PortError> {
    let mut conn = link.connect().await?;
    let server = Info::ask(&mut conn, "server").await?;
    let replication = Info::ask(&mut conn, "replication").await?;
    let memory = Info::ask(&mut conn, "memory").await?;
    let (clock_offset_ms, clock_error_ms) = clock(&mut conn).await?;
    let run_id = server.text("run_id").to_owned();
    Ok(Probe {
        product: server.product(),
        version: server.version(),
        incarnation: format!("{run_id}:{}", replication.text("master_replid")),
        identity: run_id,
        capabilities: capabilities(link, &mut conn).await?,
        memory_used: memory.number("used_memory"),
        memory_max: memory.number("maxmemory"),
        clock_offset_ms,
        clock_error_ms,
    })
}

/// The server's clock minus ours, and half the round trip it was read with.
pub(crate) async fn clock(conn: &mut Conn) -> Result<(i64, i64), PortError> {
    let mut best: Option<(i64, i64)> = None;
    for _ in 0..CLOCK_READINGS {
        let asked = Instant::now();
        let ours = now_ms();
        conn.queue(&[b"TIME"]);
        let theirs = server_time_ms(conn).await?;
        let half = i64::try_from(asked.elapsed().as_millis() / 2).unwrap_or(i64::MAX);
        if best.is_none_or(|(_, error)| half < error) {
            best = Some((theirs - ours - half, half));
        }
    }
    Ok(best.unwrap_or((0, i64::MAX)))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn capabilities(link: &Arc<Link>, conn: &mut Conn) -> Result<Vec<Capability>, PortError> {
    let mut found = Vec::new();
    let mut tasks: Vec<&'static str> = RIGHTS.iter().map(|r| r.task).collect();
    tasks.dedup();
    for task in tasks {
        let mut missing = None;
        for right in RIGHTS.iter().filter(|r| r.task == task) {
            missing = missing.or(denied(conn, right.command).await?);
        }
        let evidence =
            missing.clone().unwrap_or_else(|| "every command it needs is allowed".into());
        found.push(Capability { name: task, present: missing.is_none(), evidence });
    }
    let singles: [(&'static str, &[&[u8]]); 4] = [
        ("exact_expiry", &[b"PEXPIRETIME", ABSENT]),
        ("memory_usage", &[b"MEMORY", b"USAGE", ABSENT]),
        ("functions", &[b"FUNCTION", b"LIST"]),
        ("field_expiry", &[b"HPEXPIRETIME", ABSENT, b"FIELDS", b"1", b"f"]),
    ];
    for (name, command) in singles {
        let missing = denied(conn, command).await?;
        let evidence = missing.clone().unwrap_or_else(|| "tried".into());
        found.push(Capability { name, present: missing.is_none(), evidence });
    }
    found.push(tracking(link).await);
    found.push(monitor(link).await);
    Ok(found)
}

/// The feed, opened and dropped again.
pub(crate) async fn tracking(link: &Arc<Link>) -> Capability {
    let opened = RedisFeed::open(link).await.map(|_| ());
    capability("tracking_feed", opened)
}

/// `MONITOR` on a connection of its own, dropped at once.
async fn monitor(link: &Arc<Link>) -> Capability {
    let tried = async {
        let mut conn = link.connect().await?;
        conn.ask(&[b"MONITOR"]).await.map(|_: Value| ())
    };
    capability("monitor", tried.await)
}

fn capability(name: &'static str, tried: Result<(), PortError>) -> Capability {
    Capability {
        name,
        present: tried.is_ok(),
        evidence: tried.map_or_else(|error| error.message, |()| "tried".into()),
    }
}
