//! Checks that need both sides at once.

use std::sync::Arc;

use family::{Finding, PortError, Severity};
use model::Side;

use crate::canary;
use crate::clients;
use crate::conn::Conn;
use crate::database::{RedisDatabase, nonce};
use crate::info::Info;

/// Largest difference between the sides' clocks, in milliseconds: an expiry is an absolute time.
const CLOCK_MAX_MS: i64 = 50;

const SAME_SYSTEM: &str = "EXO-PRE-121";
const SAME_REMEDY: &str = "name another target: source and target must be different systems";

pub(crate) fn finding(
    code: &'static str,
    severity: Severity,
    side: Option<Side>,
    evidence: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding { code, severity, side, evidence: evidence.into(), remedy: remedy.into() }
}

pub(crate) async fn endpoints(
    source: &Arc<RedisDatabase>,
    target: &Arc<RedisDatabase>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Err(error) = all(source, target, &mut found).await {
        let remedy = "the checks that are missing were not reached; run preflight again";
        found.push(finding(error.code, Severity::Blocker, None, error.message, remedy));
    }
    found
}

async fn all(
    source: &Arc<RedisDatabase>,
    target: &Arc<RedisDatabase>,
    found: &mut Vec<Finding>,
) -> Result<(), PortError> {
    let mut at_source = source.link().connect().await?;
    let mut at_target = target.link().connect().await?;
    let same = same_system(&mut at_source, &mut at_target).await?;
    let stop = same.severity == Severity::Blocker;
    found.push(same);
    if stop {
        // Everything further would compare a server with itself, or write to it.
        return Ok(());
    }
    found.push(clocks(&mut at_source, &mut at_target).await?);
    found.push(foreign_keys(&mut at_target).await?);
    found.push(capacity(&mut at_source, &mut at_target).await?);
    found.push(databases(&mut at_source, &mut at_target).await?);
    found.push(durability(&mut at_source, &mut at_target).await?);
    canary::fly(source, target, found).await
}

/// Identity, and a live nonce that must be seen from its own side and not from the other.
async fn same_system(source: &mut Conn, target: &mut Conn) -> Result<Finding, PortError> {
    let ids = async |conn: &mut Conn| {
        let run_id = Info::ask(conn, "server").await?.text("run_id").to_owned();
        let replid = Info::ask(conn, "replication").await?.text("master_replid").to_owned();
        Ok::<_, PortError>((run_id, replid))
    };
    let (a, b) = (ids(source).await?, ids(target).await?);
    if !a.0.is_empty() && a.0 == b.0 {
        let evidence = format!("both addresses reach the process with run id {}", a.0);
        return Ok(finding(SAME_SYSTEM, Severity::Blocker, None, evidence, SAME_REMEDY));
    }
    if !a.1.is_empty() && a.1 == b.1 {
        let evidence = format!("both sides carry the replication id {}", a.1);
        return Ok(finding(SAME_SYSTEM, Severity::Blocker, None, evidence, SAME_REMEDY));
    }
    for swapped in [false, true] {
        let (here, there) =
            if swapped { (&mut *target, &mut *source) } else { (&mut *source, &mut *target) };
        if let Some(doubt) = seen_elsewhere(here, there).await? {
            return Ok(doubt);
        }
    }
    let evidence = "run ids and replication ids differ, and each side sees only its own connection";
    Ok(finding(SAME_SYSTEM, Severity::Pass, None, evidence, ""))
}

/// Names a connection of ours at one side and looks for it at both: `None` when only its own
/// side lists it.
async fn seen_elsewhere(here: &mut Conn, there: &mut Conn) -> Result<Option<Finding>, PortError> {
    let name = format!("exodus:nonce:{:016x}", nonce());
    let tag = here.tag().to_owned();
    here.ask(&[b"CLIENT", b"SETNAME", name.as_bytes()]).await?;
    let here_sees = clients::list(here).await?.iter().any(|row| row.name == name);
    let there_sees = clients::list(there).await?.iter().any(|row| row.name == name);
    here.ask(&[b"CLIENT", b"SETNAME", tag.as_bytes()]).await?;
    if there_sees {
        let evidence = format!("a connection made to {} is listed at {}", here.at(), there.at());
        return Ok(Some(finding(SAME_SYSTEM, Severity::Blocker, None, evidence, SAME_REMEDY)));
    }
    if !here_sees {
        let evidence = format!("{} does not list our own connection to it", here.at());
        let remedy = "a load balancer may stand between: name the server itself";
        return Ok(Some(finding(SAME_SYSTEM, Severity::Risk, None, evidence, remedy)));
    }
    Ok(None)
}

async fn clocks(source: &mut Conn, target: &mut Conn) -> Result<Finding, PortError> {
    let (a, a_error) = crate::database::clock(source).await?;
    let (b, b_error) = crate::database::clock(target).await?;
    let (offset, error) = (b - a, a_error + b_error);
    let evidence = format!("the target's clock is {offset} ms from the source's, ± {error} ms");
    let severity = if offset.abs() > CLOCK_MAX_MS + error {
        Severity::Blocker
    } else if error > CLOCK_MAX_MS {
        Severity::NotRun
    } else {
        Severity::Pass
    };
    let remedy = match severity {
        Severity::Pass => "",
        Severity::NotRun => "measure from nearer: the round trip hides the difference",
        _ => "keys expire by the clock of the server: synchronise both (chronyc tracking)",
    };
    Ok(finding("EXO-PRE-122", severity, None, evidence, remedy))
}

async fn foreign_keys(target: &mut Conn) -> Result<Finding, PortError> {
    let keyspace = Info::ask(target, "keyspace").await?.keyspace();
    let total: u64 = keyspace.iter().map(|(_, keys)| keys).sum();
    let side = Some(Side::Target);
    if total == 0 {
        return Ok(finding("EXO-PRE-124", Severity::Pass, side, "the target is empty", ""));
    }
    let per_db: Vec<String> = keyspace.iter().map(|(db, keys)| format!("db{db} {keys}")).collect();
    let evidence = format!("the target already holds {total} keys ({})", per_db.join(", "));
    let remedy = "name a conflict policy that says what happens to keys both sides have, or empty \
                  the target";
    Ok(finding("EXO-PRE-124", Severity::Risk, side, evidence, remedy))
}

async fn capacity(source: &mut Conn, target: &mut Conn) -> Result<Finding, PortError> {
    let (a, b) = (Info::ask(source, "memory").await?, Info::ask(target, "memory").await?);
    let need = a.number("used_memory_dataset").max(1);
    let limit = b.number("maxmemory");
    let side = Some(Side::Target);
    if limit == 0 {
        let total = b.number("total_system_memory");
        let evidence = format!(
            "the source's data takes {need} bytes; the target has no limit of its own (machine: {total})"
        );
        let severity = if total > 0 && need > total { Severity::Blocker } else { Severity::Advice };
        let remedy = "set maxmemory on the target so that it refuses writes before it is killed";
        return Ok(finding("EXO-PRE-125", severity, side, evidence, remedy));
    }
    let free = limit.saturating_sub(b.number("used_memory"));
    let evidence = format!("the source's data takes {need} bytes; the target has {free} free");
    let (severity, remedy) = if free < need {
        (Severity::Blocker, "raise maxmemory on the target")
    } else if free < need.saturating_mul(13) / 10 {
        (Severity::Risk, "less than 30 % headroom: raise maxmemory on the target")
    } else {
        (Severity::Pass, "")
    };
    Ok(finding("EXO-PRE-125", severity, side, evidence, remedy))
}

async fn databases(source: &mut Conn, target: &mut Conn) -> Result<Finding, PortError> {
    let highest = Info::ask(source, "keyspace").await?.keyspace().last().map_or(0, |(db, _)| *db);
    let reply = target.call(&[b"SELECT", highest.to_string().as_bytes()]).await?;
    let refused = reply.error().map(|text| text.into_owned());
    target.ask(&[b"SELECT", b"0"]).await?;
    Ok(match refused {
        None => {
            let evidence = format!("the target has every database in use (highest: db{highest})");
            finding("EXO-PRE-126", Severity::Pass, None, evidence, "")
        }
        Some(text) => {
            let evidence = format!("the source uses db{highest}; the target says: {text}");
            let remedy = "raise `databases` in the target's configuration and restart it";
            finding("EXO-PRE-126", Severity::Blocker, Some(Side::Target), evidence, remedy)
        }
    })
}

/// The target must not keep less than the source did.
async fn durability(source: &mut Conn, target: &mut Conn) -> Result<Finding, PortError> {
    let aof = async |conn: &mut Conn| {
        Ok::<_, PortError>(Info::ask(conn, "persistence").await?.number("aof_enabled") == 1)
    };
    let replicas = async |conn: &mut Conn| {
        Ok::<_, PortError>(Info::ask(conn, "replication").await?.number("connected_slaves"))
    };
    let (a, b) = (aof(source).await?, aof(target).await?);
    let (a_replicas, b_replicas) = (replicas(source).await?, replicas(target).await?);
    let word = |on| if on { "on" } else { "off" };
    let evidence = format!(
        "append-only file: source {}, target {}; replicas: source {a_replicas}, target {b_replicas}",
        word(a),
        word(b)
    );
    let weaker = (a && !b) || a_replicas > b_replicas;
    Ok(if weaker {
        let remedy = "once the target decides, acknowledged writes are only as safe as it keeps \
                      them: give it the source's persistence and replicas before the cutover";
        finding("EXO-PRE-127", Severity::Risk, Some(Side::Target), evidence, remedy)
    } else {
        finding("EXO-PRE-127", Severity::Pass, None, evidence, "")
    })
}
