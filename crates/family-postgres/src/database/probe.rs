//! Who a server is and what it can do, by asking it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use family::{Capability, PortError, Probe};

use crate::conn::{Conn, Row};

/// Everything in one question. What a role may not read is NULL, never an error.
const FACTS: &str = "SELECT \
    current_setting('server_version'), \
    (SELECT oid FROM pg_database WHERE datname = current_database()), \
    pg_postmaster_start_time()::text, \
    pg_is_in_recovery(), \
    current_setting('wal_level'), \
    current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots), \
    current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_activity \
      WHERE backend_type = 'walsender'), \
    current_setting('max_prepared_transactions')::int, \
    r.rolsuper, \
    r.rolsuper OR r.rolreplication, \
    r.rolsuper OR has_table_privilege('pg_catalog.pg_authid', 'SELECT'), \
    r.rolsuper OR pg_has_role('pg_signal_backend', 'USAGE'), \
    r.rolsuper OR pg_has_role(d.datdba, 'USAGE'), \
    r.rolsuper OR r.rolbypassrls, \
    r.rolsuper OR has_database_privilege(current_database(), 'CREATE'), \
    has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'), \
    current_setting('port'), \
    (SELECT string_agg(slot_name || '=' || coalesce(to_jsonb(s) ->> 'wal_status', '?'), ' ' \
      ORDER BY slot_name) FROM pg_replication_slots s WHERE starts_with(slot_name, 'exodus_')) \
    FROM pg_roles r, pg_database d \
    WHERE r.rolname = current_user AND d.datname = current_database()";

pub(super) async fn probe(conn: &mut Conn) -> Result<Probe, PortError> {
    let facts = conn.query_one(FACTS).await?;
    let (identity, timeline) = identity(conn, &facts).await?;
    let (clock_offset_ms, clock_error_ms) = clock(conn).await?;
    let replica = replica(conn).await?;
    Ok(Probe {
        product: "postgresql".into(),
        version: facts.text(0)?.to_owned(),
        identity,
        incarnation: format!("{timeline} since {}", facts.text(2)?),
        capabilities: capabilities(conn.version(), &facts, replica)?,
        memory_used: 0,
        memory_max: 0,
        clock_offset_ms,
        clock_error_ms,
    })
}

/// The system's number and the database's; and the timeline.
async fn identity(conn: &mut Conn, facts: &Row) -> Result<(String, String), PortError> {
    let database = facts.text(1)?;
    if facts.flag(15)? {
        let control = "SELECT system_identifier, timeline_id \
             FROM pg_control_system(), pg_control_checkpoint()";
        if let Ok(row) = conn.query_one(control).await {
            return Ok((
                format!("{}/{database}", row.text(0)?),
                format!("timeline {}", row.text(1)?),
            ));
        }
    }
    // Without the right to ask: the oldest objects of a cluster were made when it was, and its
    // start and port tell it from a copy of its files that runs elsewhere.
    let start = facts.text(2)?;
    Ok((format!("started {start} port {}/{database}", facts.text(16)?), "timeline unknown".into()))
}

/// The server's clock minus ours, and half the round trip it was asked in; the best of three.
async fn clock(conn: &mut Conn) -> Result<(i64, i64), PortError> {
    let mut best = (0, i64::MAX);
    for _ in 0..3 {
        let (before, asked) = (SystemTime::now(), Instant::now());
        let row =
            conn.query_one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await?;
        let half = asked.elapsed() / 2;
        let ours = (before + half).duration_since(UNIX_EPOCH).unwrap_or_default();
        let offset = row.number::<i64>(0)? - i64::try_from(ours.as_millis()).unwrap_or(i64::MAX);
        let error = i64::try_from(half.as_millis()).unwrap_or(i64::MAX).saturating_add(1);
        if error < best.1 {
            best = (offset, error);
        }
    }
    Ok(best)
}

/// Whether triggers and foreign keys may be switched off for a session.
async fn replica(conn: &mut Conn) -> Result<bool, PortError> {
    match conn.execute("BEGIN; SET LOCAL session_replication_role = replica; ROLLBACK").await {
        Ok(_) => Ok(true),
        Err(error) if error.is("42501") => {
            conn.execute("ROLLBACK").await?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn capabilities(version: u32, facts: &Row, replica: bool) -> Result<Vec<Capability>, PortError> {
    let mut found = Vec::new();
    let mut say = |name, present, evidence: String| {
        found.push(Capability { name, present, evidence });
    };
    let role = |has: bool, what: &str| {
        if has { format!("our role {what}") } else { format!("our role does not: {what}") }
    };
    let (level, superuser) = (facts.text(4)?, facts.flag(8)?);
    say("wal_level_logical", level == "logical", format!("wal_level = {level}"));
    let primary = !facts.flag(3)?;
    say("primary", primary, format!("pg_is_in_recovery() = {}", !primary));
    for (name, column, what) in [
        ("free_slots", 5, "replication slots are free"),
        ("free_wal_senders", 6, "WAL senders are free"),
        ("prepared_transactions", 7, "prepared transactions are allowed"),
    ] {
        let count: i64 = facts.number(column)?;
        say(name, count > 0, format!("{count} {what}"));
    }
    let messages = version >= 140_000;
    say("logical_messages", messages, format!("server_version_num = {version}"));
    say("decode_prepared", version >= 150_000, format!("server_version_num = {version}"));
    say("superuser", superuser, role(superuser, "is a superuser"));
    say("event_triggers", superuser, role(superuser, "may make event triggers"));
    for (name, column, what) in [
        ("replication", 9, "may replicate"),
        ("read_verifiers", 10, "may read pg_authid"),
        ("signal_backend", 11, "may end sessions of others"),
        ("revoke_connect", 12, "owns the database"),
        ("bypass_rls", 13, "sees all rows"),
        ("create_schema", 14, "may make schemas"),
    ] {
        let has = facts.flag(column)?;
        say(name, has, role(has, what));
    }
    say("replica_role", replica, role(replica, "may set session_replication_role"));
    Ok(found)
}
