//! What keeps the followed side's changes: publications and a slot.
//!
//! Constraints: tables are listed one by one, because FOR ALL TABLES makes the application's
//! UPDATE fail on tables without a key, also on those it creates later; a table whose rows cannot
//! be identified is published for inserts and truncates only, for the same reason. A slot that
//! was there and is not any more is never made anew: what it kept is lost.

use std::sync::Arc;

use family::{PortError, Retained, Trouble};
use wire_postgres::Lsn;

use super::code;
use super::names::SCHEMA;
use super::ours::{self, Progress};
use super::shared::{Shared, Work};
use super::table::{self, Identity, Table};
use crate::conn::Conn;
use crate::error::Error;
use crate::sql::{ident, literal};

/// The first version whose decoder tells the messages by which our own transactions are known.
const VERSION_MIN: u32 = 140_000;

/// A slot as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    plugin: String,
    here: bool,
    /// The process that reads it.
    pub(crate) active: Option<u32>,
    /// What it needed was thrown away.
    pub(crate) lost: bool,
    confirmed: Lsn,
}

/// What is to be done about a slot.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    /// Nothing was there.
    Make,
    /// An earlier call ended between the slot and its progress.
    Record(Lsn),
    /// It is as it should be.
    Nothing,
    /// Changes are lost.
    Lost(&'static str),
}

fn need(slot: Option<&Slot>, progress: Option<&Progress>, now: &System) -> Need {
    match (slot, progress) {
        (None, None) => Need::Make,
        (Some(slot), _) if slot.lost => Need::Lost("the server threw away log that its slot needs"),
        (Some(slot), _) if slot.plugin != "pgoutput" || !slot.here => {
            Need::Lost("its slot is of another kind or database")
        }
        (Some(slot), None) => Need::Record(slot.confirmed),
        (_, Some(known)) if known.system != now.id => {
            Need::Lost("it is another system than before")
        }
        (_, Some(known)) if known.timeline != now.timeline => {
            Need::Lost("it was promoted or restored since")
        }
        (None, Some(_)) => Need::Lost("its slot is gone"),
        (Some(_), Some(_)) => Need::Nothing,
    }
}

/// Which system a server is, and which history of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    id: String,
    timeline: u32,
}

/// Makes the slot and what it needs, or finds them.
pub(crate) async fn capture(shared: &Arc<Shared>) -> Result<(), PortError> {
    let mut from = shared.connect(&shared.from, Work::Ask).await?;
    if from.version() < VERSION_MIN {
        let message = format!("{}: the server is older than version 14", from.at());
        return Err(PortError::new(Trouble::Unsupported, code::TOO_OLD, message));
    }
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    ours::create(&mut to).await?;
    let now = system(shared).await?;
    let progress = ours::progress(&mut to, &shared.names).await?;
    let slot = slot(&mut from, &shared.names.slot).await?;
    let start = match need(slot.as_ref(), progress.as_ref(), &now) {
        Need::Lost(why) => return Err(lost(shared, why)),
        Need::Nothing => None,
        Need::Record(at) => Some(at),
        Need::Make => {
            let made = publish(shared, &mut from).await?;
            match create(shared, &mut from).await {
                Ok(at) => Some(at),
                Err(error) => {
                    if made {
                        drop_publications(shared, &mut from).await?;
                    }
                    return Err(error);
                }
            }
        }
    };
    if let Some(at) = start {
        let sql = format!(
            "INSERT INTO {SCHEMA}.progress (run, direction, upto, system, timeline) \
             VALUES ({}, '{}', '{at}', {}, {}) ON CONFLICT (run, direction) DO NOTHING",
            literal(&shared.names.run),
            shared.names.direction,
            literal(&now.id),
            now.timeline
        );
        to.execute(&sql).await?;
    }
    from.close().await;
    to.close().await;
    Ok(())
}

/// What the stream begins with: progress that fits the slot, or an error that nothing mends.
pub(crate) async fn check(
    shared: &Arc<Shared>,
    from: &mut Conn,
    to: &mut Conn,
) -> Result<(Progress, Slot), PortError> {
    let now = system(shared).await?;
    let progress = ours::progress(to, &shared.names).await?;
    let slot = slot(from, &shared.names.slot).await?;
    match (need(slot.as_ref(), progress.as_ref(), &now), progress, slot) {
        (Need::Nothing, Some(progress), Some(slot)) => Ok((progress, slot)),
        (Need::Lost(why), ..) => Err(lost(shared, why)),
        _ => Err(lost(shared, "its changes were never captured")),
    }
}

fn lost(shared: &Shared, why: &str) -> PortError {
    let message = format!("{}: changes are lost: {why}", shared.from.address());
    PortError::new(Trouble::Replaced, code::LOST, message)
}

async fn system(shared: &Shared) -> Result<System, PortError> {
    let mut conn = shared.connect(&shared.from, Work::Stream).await?;
    let row = conn.query_one("IDENTIFY_SYSTEM").await?;
    let system = System { id: row.text(0)?.to_owned(), timeline: row.number(1)? };
    conn.close().await;
    Ok(system)
}

async fn slot(conn: &mut Conn, name: &str) -> Result<Option<Slot>, PortError> {
    let sql = format!(
        "SELECT plugin, coalesce(database = pg_catalog.current_database(), false), active_pid, \
         wal_status IS NOT DISTINCT FROM 'lost', coalesce(confirmed_flush_lsn, '0/0') \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        literal(name)
    );
    let rows = conn.query(&sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Slot {
        plugin: row.opt(0)?.unwrap_or_default().to_owned(),
        here: row.flag(1)?,
        active: row.opt(2)?.and_then(|pid| pid.parse().ok()),
        lost: row.flag(3)?,
        confirmed: ours::lsn(row, 4, conn.at())?,
    }))
}

/// Publishes the tables that move. Says whether anything was made.
async fn publish(shared: &Shared, conn: &mut Conn) -> Result<bool, PortError> {
    let mut tables = table::load(conn, shared.only()).await?;
    if shared.may_identify() {
        for table in tables.iter_mut().filter(|table| !table.is_identified()) {
            identify(conn, table).await?;
            table.identity = Identity::Full;
        }
    }
    let (whole, inserts): (Vec<&Table>, Vec<&Table>) =
        tables.iter().partition(|table| table.is_identified());
    let mut made = false;
    for (name, tables, what) in [
        (&shared.names.publication, whole, "insert, update, delete, truncate"),
        (&shared.names.inserts, inserts, "insert, truncate"),
    ] {
        let list: Vec<String> = tables.iter().map(|table| table.only()).collect();
        let there =
            format!("SELECT FROM pg_catalog.pg_publication WHERE pubname = {}", literal(name));
        let there = !conn.query(&there).await?.is_empty();
        let list = list.join(", ");
        let sql = match (there, list.is_empty()) {
            (true, false) => format!("ALTER PUBLICATION {} SET TABLE {list}", ident(name)),
            (true, true) => continue,
            (false, empty) => {
                made = true;
                let list = if empty { String::new() } else { format!(" FOR TABLE {list}") };
                format!(
                    "CREATE PUBLICATION {}{list} WITH (publish = '{what}', \
                     publish_via_partition_root = true)",
                    ident(name)
                )
            }
        };
        conn.execute(&sql).await?;
    }
    Ok(made)
}

/// Makes the server write whole rows into its log for a table and its partitions.
async fn identify(conn: &mut Conn, table: &Table) -> Result<(), PortError> {
    let sql = format!(
        "SELECT coalesce(p.relid, c.oid)::regclass FROM pg_catalog.pg_class c \
         LEFT JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) p ON true WHERE c.oid = {}",
        table.oid
    );
    let names = conn.query(&sql).await?;
    for row in names {
        let sql = format!("ALTER TABLE {} REPLICA IDENTITY FULL", row.text(0)?);
        conn.execute(&sql).await.map_err(|failed| {
            let message = format!(
                "{}: the identity of {}.{} could not be changed: {failed}",
                conn.at(),
                table.schema,
                table.name
            );
            PortError::new(Trouble::Unreachable, code::IDENTITY, message)
        })?;
    }
    Ok(())
}

/// Makes the slot. A server waits for every transaction that is open; we do so for a while only.
async fn create(shared: &Shared, conn: &mut Conn) -> Result<Lsn, PortError> {
    let wait = shared.slot_wait().as_millis().max(1);
    conn.execute(&format!("SET statement_timeout = {wait}; SET lock_timeout = 0")).await?;
    let sql = format!(
        "SELECT lsn FROM pg_catalog.pg_create_logical_replication_slot({}, 'pgoutput')",
        literal(&shared.names.slot)
    );
    let made = conn.query_one(&sql).await;
    conn.execute("RESET statement_timeout; RESET lock_timeout").await?;
    match made {
        Ok(row) => ours::lsn(&row, 0, conn.at()),
        Err(error) if error.is("57014") || error.is("55P03") => Err(blocked(conn).await?),
        Err(error) => Err(Error::into(error)),
    }
}

/// Who keeps a slot from being made.
async fn blocked(conn: &mut Conn) -> Result<PortError, PortError> {
    const NAMED_MAX: usize = 5;
    let sql = "SELECT 'process ' || pid || ' (' || application_name || '), open for ' || \
         extract(epoch FROM clock_timestamp() - xact_start)::bigint || ' s', xact_start \
         FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() \
         UNION ALL SELECT 'prepared transaction ' || quote_literal(gid) || ', for ' || \
         extract(epoch FROM clock_timestamp() - prepared)::bigint || ' s', prepared \
         FROM pg_catalog.pg_prepared_xacts ORDER BY 2";
    let rows = conn.query(sql).await?;
    let named: Result<Vec<&str>, _> = rows.iter().take(NAMED_MAX).map(|row| row.text(0)).collect();
    let message = format!(
        "{}: a slot has to wait for {} open transactions: {}",
        conn.at(),
        rows.len(),
        named?.join("; ")
    );
    Ok(PortError::new(Trouble::Unreachable, code::BLOCKED, message))
}

/// How much log is kept for us; `None` when nothing is captured.
pub(crate) async fn retained(shared: &Shared) -> Result<Option<Retained>, PortError> {
    let mut asking = shared.asking.lock().await;
    let mut conn = shared.asker(&mut asking).await?;
    let sql = format!(
        "SELECT greatest(pg_catalog.pg_current_wal_lsn() - restart_lsn, 0)::bigint, \
         CASE WHEN safe_wal_size IS NOT NULL AND wal_status <> 'lost' THEN \
           (greatest(pg_catalog.pg_current_wal_lsn() - restart_lsn, 0) + greatest(safe_wal_size, 0))::bigint END \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        literal(&shared.names.slot)
    );
    let rows = conn.query(&sql).await?;
    *asking = Some(conn);
    if let Some(row) = rows.first() {
        let number = |column| Ok::<_, PortError>(row.opt(column)?.and_then(|n| n.parse().ok()));
        return Ok(Some(Retained { bytes: number(0)?.unwrap_or(0), limit: number(1)? }));
    }
    // Gone, though it was there: the stream finds out and says so.
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    let known = ours::progress(&mut to, &shared.names).await?;
    to.close().await;
    Ok(known.map(|_| Retained::default()))
}

/// Gives the capture up: slot, publications, and our rows on the other side.
pub(crate) async fn release(shared: &Shared) -> Result<(), PortError> {
    let mut from = shared.connect(&shared.from, Work::Ask).await?;
    free(shared, &mut from).await?;
    let sql = format!(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        literal(&shared.names.slot)
    );
    from.execute(&sql).await?;
    drop_publications(shared, &mut from).await?;
    from.close().await;
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    ours::create(&mut to).await?;
    let mine = ours::mine(&shared.names);
    for table in ["progress", "owner", "part", "chunk"] {
        to.execute(&format!("DELETE FROM {SCHEMA}.{table} WHERE {mine}")).await?;
    }
    to.close().await;
    Ok(())
}

async fn drop_publications(shared: &Shared, conn: &mut Conn) -> Result<(), PortError> {
    for name in [&shared.names.publication, &shared.names.inserts] {
        conn.execute(&format!("DROP PUBLICATION IF EXISTS {}", ident(name))).await?;
    }
    Ok(())
}

/// Ends whoever reads our slot: only a stream of ours does.
pub(crate) async fn free(shared: &Shared, conn: &mut Conn) -> Result<(), PortError> {
    let which = format!(
        "pid = (SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = {})",
        literal(&shared.names.slot)
    );
    crate::conn::kill(conn, &which).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_there_is_never_made_anew() {
        let now = System { id: "1".into(), timeline: 1 };
        let slot = Slot {
            plugin: "pgoutput".into(),
            here: true,
            active: None,
            lost: false,
            confirmed: Lsn(7),
        };
        let progress = Progress { upto: Lsn(9), begun: false, system: "1".into(), timeline: 1 };
        let check = |slot: Option<&Slot>, progress: Option<&Progress>, expect: &str| {
            let found = format!("{:?}", need(slot, progress, &now));
            assert!(found.starts_with(expect), "{found} is not {expect}");
        };
        check(None, None, "Make");
        check(Some(&slot), None, "Record(Lsn(7))");
        check(Some(&slot), Some(&progress), "Nothing");
        check(None, Some(&progress), "Lost");
        check(Some(&Slot { lost: true, ..slot.clone() }), Some(&progress), "Lost");
        check(Some(&Slot { lost: true, ..slot.clone() }), None, "Lost");
        check(Some(&Slot { here: false, ..slot.clone() }), Some(&progress), "Lost");
        check(Some(&slot), Some(&Progress { timeline: 2, ..progress.clone() }), "Lost");
        check(Some(&slot), Some(&Progress { system: "2".into(), ..progress.clone() }), "Lost");
    }
}
