//! Checks that concern one side alone. Nothing is written but, where accounts are to be fenced,
//! a scratch account that exists for a moment.

use std::sync::Arc;

use family::{Feed, FeedEvent, Finding, PortError, Severity, Trouble};
use wire_redis::Value;

use crate::clients;
use crate::conn::{Conn, Link};
use crate::database::feed::RedisFeed;
use crate::database::{fence, is_foreign, nonce, probe, shown};
use crate::info::Info;

/// First Redis-compatible major version with the tracking feed.
const MAJOR_MIN: u32 = 6;
/// All that workers need, and nothing that could empty or re-role a server. A test holds it.
pub const WORKER_RULES: &str = "~* &__redis__:invalidate -@all +@read +@write +@connection \
    +@transaction -@dangerous +restore +info +time +subscribe +client|list +client|kill \
    +client|tracking +client|unblock +monitor +acl|whoami +acl|list +acl|users +acl|setuser \
    +acl|deluser +config|get +module|list +function|list";
/// Sessions named in evidence.
const SESSIONS_SHOWN: usize = 5;

/// A finding in the making: everything but its severity is a sentence.
pub(crate) fn finding(
    link: &Link,
    code: &'static str,
    severity: Severity,
    evidence: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        code,
        severity,
        side: Some(link.side()),
        evidence: format!("{}: {}", link.address(), evidence.into()),
        remedy: remedy.into(),
    }
}

pub(crate) async fn assess(link: &Arc<Link>) -> Vec<Finding> {
    let mut conn = match link.connect().await {
        Ok(conn) => conn,
        Err(error) => {
            let remedy = match error.trouble {
                Trouble::Denied => "check the account, its secret and the TLS mode of the endpoint",
                _ => "check the address, the network and that the server runs",
            };
            return vec![finding(link, "EXO-PRE-101", Severity::Blocker, error.message, remedy)];
        }
    };
    let mut found = vec![finding(link, "EXO-PRE-101", Severity::Pass, "reached and let in", "")];
    let checks = async {
        found.push(version(link, &mut conn).await?);
        found.push(rights(link, &mut conn).await?);
        found.push(feed(link).await);
        found.push(persistence(link, &mut conn).await?);
        found.push(loading(link, &mut conn).await?);
        found.push(memory(link, &mut conn).await?);
        found.push(cluster(link, &mut conn).await?);
        found.push(role(link, &mut conn).await?);
        found.push(modules(link, &mut conn).await?);
        found.push(functions(link, &mut conn).await?);
        found.push(fencing(link, &mut conn).await?);
        found.push(sessions(link, &mut conn).await?);
        Ok::<(), PortError>(())
    };
    if let Err(error) = checks.await {
        let remedy = "the checks that are missing were not reached; run preflight again";
        found.push(finding(link, error.code, Severity::Blocker, error.message, remedy));
    }
    found
}

async fn version(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let info = Info::ask(conn, "server").await?;
    let evidence = format!("{} {}", info.product(), info.version());
    let severity = match info.compatible_major() {
        0 => Severity::NotRun,
        major if major < MAJOR_MIN => Severity::Blocker,
        _ => Severity::Pass,
    };
    let remedy = match severity {
        Severity::Pass => "",
        _ => "servers before 6.0 have no tracking feed: upgrade first",
    };
    Ok(finding(link, "EXO-PRE-102", severity, evidence, remedy))
}

async fn rights(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let mut missing = Vec::new();
    for right in probe::RIGHTS {
        if let Some(why) = probe::denied(conn, right.command).await? {
            missing.push(format!("{}: {why}", right.task));
        }
    }
    if missing.is_empty() {
        let evidence = "every command that workers need is allowed";
        return Ok(finding(link, "EXO-PRE-103", Severity::Pass, evidence, ""));
    }
    let remedy = format!("ACL SETUSER <worker> {WORKER_RULES}");
    Ok(finding(link, "EXO-PRE-103", Severity::Blocker, missing.join("; "), remedy))
}

/// The feed, opened and asked for a barrier.
async fn feed(link: &Arc<Link>) -> Finding {
    let tried = async {
        let mut feed = RedisFeed::open(link).await?;
        feed.request_fence(1).await?;
        while feed.next().await? != FeedEvent::Fenced(1) {}
        Ok::<(), PortError>(())
    };
    let outcome = match tokio::time::timeout(link.timeout() * 2, tried).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.message),
        Err(_) => Some("the barrier did not arrive".into()),
    };
    match outcome {
        None => {
            let evidence = "the tracking feed was opened and a barrier came through";
            finding(link, "EXO-PRE-104", Severity::Pass, evidence, "")
        }
        Some(why) => {
            let remedy = "allow CLIENT TRACKING and SUBSCRIBE on __redis__:invalidate: ACL SETUSER \
                          <worker> +client|tracking +subscribe &__redis__:invalidate";
            finding(link, "EXO-PRE-104", Severity::Blocker, why, remedy)
        }
    }
}

async fn config(conn: &mut Conn, name: &str) -> Result<Option<String>, PortError> {
    let reply = conn.call(&[b"CONFIG", b"GET", name.as_bytes()]).await?;
    let value = reply.as_items().and_then(|pair| pair.get(1)).and_then(Value::as_str);
    Ok(value.map(str::to_owned))
}

async fn persistence(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let info = Info::ask(conn, "persistence").await?;
    let aof = info.number("aof_enabled") == 1;
    let fsync = config(conn, "appendfsync").await?;
    let save = config(conn, "save").await?;
    let evidence = format!(
        "append-only file {}, appendfsync {}, snapshots {}",
        if aof { "on" } else { "off" },
        fsync.as_deref().unwrap_or("unknown"),
        save.as_deref().map_or("unknown", |s| if s.is_empty() { "off" } else { s }),
    );
    let failed =
        info.text("aof_last_write_status") == "err" || info.text("rdb_last_bgsave_status") == "err";
    let (severity, remedy) = match (aof, fsync.as_deref(), save.as_deref()) {
        _ if failed => (Severity::Blocker, "the server cannot persist: look at its log and disk"),
        (true, Some("always"), _) => (Severity::Pass, ""),
        (true, ..) => (
            Severity::Advice,
            "a crash of this server can lose its last second of acknowledged writes, also through \
             us; CONFIG SET appendfsync always would not",
        ),
        (false, _, Some("")) => (
            Severity::Risk,
            "this server keeps nothing over a restart, so nothing acknowledged survives one; \
             CONFIG SET appendonly yes",
        ),
        _ => (
            Severity::Risk,
            "a crash of this server loses all since its last snapshot, also through us; \
             CONFIG SET appendonly yes",
        ),
    };
    Ok(finding(link, "EXO-PRE-105", severity, evidence, remedy))
}

/// The append-only file is loaded as `default`; a transaction in it that `default` may not
/// execute is dropped, with a line in the server's log only (Redis 7.0.15, Valkey 8.0.1).
async fn loading(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let finding = |severity, evidence: String, remedy| {
        finding(link, "EXO-PRE-113", severity, evidence, remedy)
    };
    let aof = Info::ask(conn, "persistence").await?.number("aof_enabled") == 1;
    if !aof {
        return Ok(finding(
            Severity::Pass,
            "nothing is loaded from an append-only file".into(),
            "",
        ));
    }
    Ok(match fence::default_lacks(conn).await {
        Ok(None) => finding(Severity::Pass, "the account `default` may load everything".into(), ""),
        Ok(Some(line)) => finding(
            Severity::Risk,
            format!("{line}: a restart drops the transactions and scripts of its append-only file"),
            "ACL SETUSER default off ~* &* +@all (nobody can log in as it), and the same in the \
             ACL file or the configuration",
        ),
        Err(error) if conn.is_spent() => return Err(error),
        Err(error) => finding(Severity::NotRun, error.message, "allow the worker +acl|list"),
    })
}

async fn memory(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let info = Info::ask(conn, "memory").await?;
    let (used, max) = (info.number("used_memory"), info.number("maxmemory"));
    let policy = info.text("maxmemory_policy");
    let evicted = Info::ask(conn, "stats").await?.number("evicted_keys");
    let evidence = format!(
        "{used} bytes used, limit {}, policy {}, {evicted} keys evicted so far",
        if max == 0 { "none".into() } else { max.to_string() },
        if policy.is_empty() { "unknown" } else { policy },
    );
    let evicts = max > 0 && !policy.is_empty() && policy != "noeviction";
    let (severity, remedy) = if evicts {
        (
            Severity::Risk,
            "this server drops records by itself; absences of such records are asked about, not \
             copied. CONFIG SET maxmemory-policy noeviction while a migration runs",
        )
    } else if max > 0 && used.saturating_mul(10) > max.saturating_mul(9) {
        (Severity::Risk, "less than a tenth of its memory is left; raise maxmemory")
    } else {
        (Severity::Pass, "")
    };
    Ok(finding(link, "EXO-PRE-106", severity, evidence, remedy))
}

async fn cluster(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let enabled = Info::ask(conn, "cluster").await?.number("cluster_enabled") == 1;
    Ok(if enabled {
        let remedy = "cluster mode is not built yet; only single-shard endpoints can be moved";
        finding(link, "EXO-PRE-107", Severity::Blocker, "cluster mode is on", remedy)
    } else {
        finding(link, "EXO-PRE-107", Severity::Pass, "cluster mode is off", "")
    })
}

async fn role(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let info = Info::ask(conn, "replication").await?;
    let role = info.text("role");
    let evidence = format!("role {role}, {} replicas", info.number("connected_slaves"));
    Ok(match role {
        "master" => finding(link, "EXO-PRE-108", Severity::Pass, evidence, ""),
        _ => {
            let remedy = "name the primary's address: a replica cannot be written or fenced";
            finding(link, "EXO-PRE-108", Severity::Blocker, evidence, remedy)
        }
    })
}

async fn modules(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let reply = conn.call(&[b"MODULE", b"LIST"]).await?;
    let Some(modules) = reply.as_items() else {
        let evidence = "MODULE LIST is not allowed, so module types cannot be counted beforehand";
        let remedy = "records of module types will be parked with EXO-RED-013, not lost";
        return Ok(finding(link, "EXO-PRE-109", Severity::NotRun, evidence, remedy));
    };
    let names: Vec<&str> = modules
        .iter()
        .filter_map(Value::as_items)
        .filter_map(|fields| {
            let at = fields.iter().position(|f| f.as_str() == Some("name"))?;
            fields.get(at + 1)?.as_str()
        })
        .collect();
    Ok(if modules.is_empty() {
        finding(link, "EXO-PRE-109", Severity::Pass, "no modules loaded", "")
    } else {
        let remedy = "records of their types move only where the other side has the same modules; \
                      others are parked with EXO-RED-013";
        finding(
            link,
            "EXO-PRE-109",
            Severity::Risk,
            format!("modules: {}", names.join(", ")),
            remedy,
        )
    })
}

async fn functions(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let reply = conn.call(&[b"FUNCTION", b"LIST"]).await?;
    let count = reply.as_items().map_or(0, <[Value]>::len);
    Ok(if count == 0 {
        finding(link, "EXO-PRE-110", Severity::Pass, "no function libraries", "")
    } else {
        let remedy = "function libraries are not records and are not copied: redis-cli FUNCTION \
                      DUMP on the source, FUNCTION RESTORE on the target";
        let evidence = format!("{count} function libraries");
        finding(link, "EXO-PRE-110", Severity::Risk, evidence, remedy)
    })
}

/// Plans the real fence, and proves the right to set and lift one on a scratch account.
async fn fencing(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    const REMEDY: &str = "give the application an account of its own, name it in the endpoint's \
                          application users, and allow the worker +acl; without a fence a node \
                          that loses contact stops writing only by itself";
    let planned = fence::plan(conn, link.application_users()).await;
    let why = match planned {
        Err(error) if conn.is_spent() => return Err(error),
        Err(error) => Some(error.message),
        Ok(_) => rehearse(conn).await?,
    };
    Ok(match why {
        None => {
            let evidence = format!(
                "write rights of {} can be taken and given back (rehearsed on a scratch account)",
                link.application_users().join(", ")
            );
            finding(link, "EXO-PRE-111", Severity::Pass, evidence, "")
        }
        Some(why) => finding(link, "EXO-PRE-111", Severity::Risk, why, REMEDY),
    })
}

/// Why a fence does not work here, `None` when it does.
async fn rehearse(conn: &mut Conn) -> Result<Option<String>, PortError> {
    let user = format!("__exodus_scratch_{:016x}", nonce());
    let users = std::slice::from_ref(&user);
    let made = conn.call(&[b"ACL", b"SETUSER", user.as_bytes(), b"off", b"~*", b"+@all"]).await?;
    if let Some(text) = made.error() {
        return Ok(Some(text.into_owned()));
    }
    let outcome = async {
        let before = fence::plan(conn, users).await?;
        fence::apply(conn, &before).await?;
        let during = fence::plan(conn, users).await?;
        fence::lift(conn, &before).await?;
        let after = fence::plan(conn, users).await?;
        Ok::<_, PortError>(match () {
            () if during == before => Some("the account kept its rights".to_owned()),
            () if after != before => Some("the account did not get its rights back".to_owned()),
            () => None,
        })
    }
    .await;
    if conn.is_spent() {
        return outcome;
    }
    conn.call(&[b"ACL", b"DELUSER", user.as_bytes()]).await?;
    Ok(outcome.unwrap_or_else(|error| Some(error.message)))
}

async fn sessions(link: &Link, conn: &mut Conn) -> Result<Finding, PortError> {
    let rows = match clients::list(conn).await {
        Ok(rows) => rows,
        Err(error) if conn.is_spent() => return Err(error),
        Err(error) => {
            let remedy = "allow the worker +client|list";
            return Ok(finding(link, "EXO-PRE-112", Severity::NotRun, error.message, remedy));
        }
    };
    let foreign: Vec<String> = rows.iter().filter(|row| is_foreign(row)).map(shown).collect();
    Ok(if foreign.is_empty() {
        finding(link, "EXO-PRE-112", Severity::Pass, "no session but our own", "")
    } else {
        let some = foreign.iter().take(SESSIONS_SHOWN).cloned().collect::<Vec<_>>().join("; ");
        let evidence = format!("{} sessions that are not ours: {some}", foreign.len());
        let remedy = "point these clients at the interlay before migrate: what they write directly \
                      is followed by the feed, but cannot be held or moved at the cutover";
        finding(link, "EXO-PRE-112", Severity::Risk, evidence, remedy)
    })
}
