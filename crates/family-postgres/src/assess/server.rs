//! What the system must be set up for.

use family::{PortError, Severity};
use model::Side;

use super::{Check, Facts, Judged, names, one, shown};
use crate::conn::Row;
use crate::sql::ident;

/// Slots and WAL senders one side needs: one for its stream, one for a change of hands.
const SLOTS: i64 = 2;
/// A transaction as old as this may hold up the making of a slot.
const LONG_SECONDS: u32 = 60;

pub(super) fn checks(_facts: &Facts) -> Vec<Check> {
    let check = |code, sql: &str, judge| Check { code, sql: sql.to_owned(), judge };
    vec![
        check(
            "EXO-PRE-201",
            "SELECT current_setting('server_version'), current_database()",
            version,
        ),
        check("EXO-PRE-202", "SELECT current_setting('wal_level')", wal_level),
        check(
            "EXO-PRE-203",
            "SELECT current_setting('max_replication_slots')::bigint, \
             (SELECT count(*) FROM pg_replication_slots WHERE NOT starts_with(slot_name, 'exodus_')), \
             current_setting('max_wal_senders')::bigint, \
             (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' \
              AND NOT starts_with(application_name, 'exodus:'))",
            slots,
        ),
        check("EXO-PRE-204", "SELECT current_setting('max_slot_wal_keep_size', true)", keep_size),
        check(
            "EXO-PRE-205",
            "SELECT rolsuper, rolsuper OR rolreplication, \
             rolsuper OR pg_has_role('pg_signal_backend', 'USAGE'), \
             rolsuper OR pg_has_role((SELECT datdba FROM pg_database \
               WHERE datname = current_database()), 'USAGE') \
             FROM pg_roles WHERE rolname = current_user",
            rights,
        ),
        check(
            "EXO-PRE-206",
            &format!(
                "SELECT 'pid ' || pid || ' (' || coalesce(usename, '?') || ', ' || \
                 extract(epoch FROM now() - xact_start)::bigint || ' s)' FROM pg_stat_activity \
                 WHERE xact_start < now() - interval '{LONG_SECONDS} s' AND pid <> pg_backend_pid() \
                 AND backend_type = 'client backend' ORDER BY xact_start"
            ),
            long_transactions,
        ),
        check(
            "EXO-PRE-207",
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared",
            prepared,
        ),
        check("EXO-PRE-217", SUPERUSERS, superusers),
        check("EXO-PRE-218", "SELECT pg_is_in_recovery()", recovery),
        check("EXO-PRE-223", "SELECT current_setting('max_prepared_transactions')", two_phase),
    ]
}

const SUPERUSERS: &str = "SELECT rolname, EXISTS (SELECT FROM pg_stat_activity a \
    WHERE a.usesysid = r.oid AND a.backend_type = 'client backend' \
    AND NOT starts_with(a.application_name, 'exodus:')) \
    FROM pg_roles r WHERE rolsuper AND rolcanlogin ORDER BY 1";

fn version(facts: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let row = one(rows)?;
    let evidence = format!("connected to {} of PostgreSQL {}", row.text(1)?, row.text(0)?);
    if facts.version >= 140_000 {
        return Ok(Judged::pass(evidence));
    }
    Ok(Judged::new(
        Severity::Blocker,
        format!(
            "{evidence}, which does not carry messages in its logical stream (14 and later do)"
        ),
        "upgrade this side to PostgreSQL 14 or later first, with pg_upgrade",
    ))
}

fn wal_level(facts: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let level = one(rows)?.text(0)?;
    if level == "logical" {
        return Ok(Judged::pass("wal_level = logical"));
    }
    let (severity, why) = match facts.side {
        Side::Source => (Severity::Blocker, "its changes cannot be followed"),
        Side::Target => (Severity::Risk, "there would be no way back after the cutover"),
    };
    let remedy = "ALTER SYSTEM SET wal_level = logical; -- then restart the server";
    Ok(Judged::new(severity, format!("wal_level = {level}: {why}"), remedy))
}

fn slots(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let row = one(rows)?;
    let (slots, used): (i64, i64) = (row.number(0)?, row.number(1)?);
    let (senders, busy): (i64, i64) = (row.number(2)?, row.number(3)?);
    let evidence =
        format!("{used} of {slots} replication slots and {busy} of {senders} WAL senders are used");
    if slots - used >= SLOTS && senders - busy >= SLOTS {
        return Ok(Judged::pass(evidence));
    }
    let remedy = format!(
        "ALTER SYSTEM SET max_replication_slots = {}; ALTER SYSTEM SET max_wal_senders = {}; \
         -- then restart the server",
        slots.max(used + SLOTS),
        senders.max(busy + SLOTS)
    );
    Ok(Judged::new(Severity::Blocker, format!("{evidence}; {SLOTS} of each must be free"), remedy))
}

fn keep_size(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    match one(rows)?.opt(0)?.unwrap_or("-1") {
        "-1" => Ok(Judged::new(
            Severity::Advice,
            "max_slot_wal_keep_size = -1: log kept for us is limited by the disk only",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '64GB'; SELECT pg_reload_conf(); \
             -- as much as the disk can spare",
        )),
        size => Ok(Judged::pass(format!(
            "max_slot_wal_keep_size = {size}: more log than that is not kept for us"
        ))),
    }
}

fn rights(facts: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let row = one(rows)?;
    if row.flag(0)? {
        return Ok(Judged::pass(format!("our role {} is a superuser", facts.user)));
    }
    let role = ident(&facts.user);
    let mut missing = Vec::new();
    let mut remedy = String::new();
    for (column, what, statement) in [
        (1, "replicate", format!("ALTER ROLE {role} REPLICATION;")),
        (2, "end sessions of others", format!("GRANT pg_signal_backend TO {role};")),
        (3, "shut the database to others", format!("-- GRANT <owner of the database> TO {role};")),
    ] {
        if !row.flag(column)? {
            missing.push(what.to_owned());
            remedy.push_str(&statement);
            remedy.push('\n');
        }
    }
    if missing.is_empty() {
        return Ok(Judged::pass(format!("our role {} has the rights it needs", facts.user)));
    }
    let evidence = format!("our role {} may not {}", facts.user, missing.join(", nor "));
    let severity = if row.flag(1)? { Severity::Risk } else { Severity::Blocker };
    Ok(Judged::new(severity, evidence, remedy.trim_end()))
}

fn long_transactions(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let what = format!("transactions older than {LONG_SECONDS} s, which a new slot waits for");
    let remedy = "end them, or wait: SELECT pg_terminate_backend(<pid>);";
    Ok(Judged::list(Severity::Risk, &names(rows)?, &what, remedy))
}

fn prepared(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let what = "prepared transactions, which a new slot waits for";
    let found = names(rows)?;
    let each = found.first().map(|gid| format!("ROLLBACK PREPARED {};", crate::sql::literal(gid)));
    let remedy = format!("COMMIT PREPARED or ROLLBACK PREPARED each: {}", each.unwrap_or_default());
    Ok(Judged::list(Severity::Risk, &found, what, remedy))
}

/// A fence cannot keep superusers out: those of the application are a leak.
fn superusers(facts: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let (mut named, mut connected) = (Vec::new(), Vec::new());
    for row in rows {
        let role = row.text(0)?.to_owned();
        if facts.application_users.contains(&role) {
            named.push(role);
        } else if row.flag(1)? {
            connected.push(role);
        }
    }
    if named.is_empty() && connected.is_empty() {
        return Ok(Judged::pass("no superuser of an application is connected or named"));
    }
    let severity = if named.is_empty() { Severity::Advice } else { Severity::Risk };
    let all: Vec<String> = named.into_iter().chain(connected).collect();
    let evidence = format!(
        "superusers that are connected or an application's cannot be fenced: {}",
        shown(&all)
    );
    let remedy: Vec<String> =
        all.iter().map(|r| format!("ALTER ROLE {} NOSUPERUSER;", ident(r))).collect();
    Ok(Judged::new(severity, evidence, remedy.join(" ")))
}

fn recovery(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    if !one(rows)?.flag(0)? {
        return Ok(Judged::pass("the server is a primary"));
    }
    let remedy = "give the address of the primary: SELECT * FROM pg_stat_wal_receiver;";
    Ok(Judged::new(Severity::Blocker, "the server is a standby", remedy))
}

fn two_phase(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let count: u32 = one(rows)?.number(0)?;
    if count > 0 {
        return Ok(Judged::pass(format!("max_prepared_transactions = {count}")));
    }
    let remedy = "ALTER SYSTEM SET max_prepared_transactions = 64; -- then restart the server";
    let evidence = "max_prepared_transactions = 0: the policy two_phase_commit cannot be used";
    Ok(Judged::new(Severity::Advice, evidence, remedy))
}
