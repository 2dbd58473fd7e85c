//! Our own tables on the side that is applied to: progress, what was copied, who owns a direction.
//!
//! Constraint: `progress` is written by the applier in every transaction, so nobody else may hold
//! a lock on its rows; who owns a direction is therefore a table of its own, whose row a chunk
//! locks (shared) until it is committed. A process that takes the direction over waits for that
//! lock: after it nothing of an older process can become durable.

use std::sync::Arc;

use family::{PortError, Trouble};
use wire_postgres::Lsn;

use super::code;
use super::names::{Names, SCHEMA};
use super::shared::{Shared, Work};
use super::shelf::Seen;
use super::table;
use crate::conn::{self, Conn, Row};
use crate::error;
use crate::sql::literal;

/// How far a direction has come, as the other side has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every transaction that committed before is applied or does not count.
    pub(crate) upto: Lsn,
    /// Nothing is copied by this direction: all it tells counts.
    pub(crate) begun: bool,
    /// Identity of the followed system.
    pub(crate) system: String,
    /// And of its history.
    pub(crate) timeline: u32,
}

/// `run = … AND direction = …`.
pub(crate) fn mine(names: &Names) -> String {
    format!("run = {} AND direction = '{}'", literal(&names.run), names.direction)
}

/// Makes our tables where they are missing.
pub(crate) async fn create(conn: &mut Conn) -> Result<(), PortError> {
    let there = format!("SELECT pg_catalog.to_regclass('{SCHEMA}.chunk') IS NOT NULL");
    if conn.query_one(&there).await?.flag(0)? {
        return Ok(());
    }
    // Two directions or two processes may come here at once; IF NOT EXISTS alone can fail then.
    let sql = format!(
        "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('{SCHEMA}')); \
         CREATE SCHEMA IF NOT EXISTS {SCHEMA}; \
         CREATE TABLE IF NOT EXISTS {SCHEMA}.progress (run text NOT NULL, direction text NOT NULL, \
           upto pg_lsn NOT NULL, begun boolean NOT NULL DEFAULT false, system text NOT NULL, \
           timeline bigint NOT NULL, changed timestamptz NOT NULL DEFAULT pg_catalog.now(), \
           PRIMARY KEY (run, direction)) WITH (fillfactor = 50); \
         CREATE TABLE IF NOT EXISTS {SCHEMA}.owner (run text NOT NULL, direction text NOT NULL, \
           generation bigint NOT NULL, PRIMARY KEY (run, direction)); \
         CREATE TABLE IF NOT EXISTS {SCHEMA}.part (run text NOT NULL, direction text NOT NULL, \
           dataset text NOT NULL, number integer NOT NULL, lower text[], upper text[], \
           records bigint NOT NULL, PRIMARY KEY (run, direction, dataset, number)); \
         CREATE TABLE IF NOT EXISTS {SCHEMA}.chunk (run text NOT NULL, direction text NOT NULL, \
           dataset text NOT NULL, single boolean NOT NULL, lower text[], upper text[], \
           snapshot text NOT NULL, upto pg_lsn NOT NULL, records bigint NOT NULL, \
           bytes bigint NOT NULL); \
         CREATE UNIQUE INDEX IF NOT EXISTS chunk_once ON {SCHEMA}.chunk \
           (run, direction, dataset, (coalesce(lower, '{{}}'::text[]))) WHERE NOT single; \
         CREATE UNIQUE INDEX IF NOT EXISTS chunk_single ON {SCHEMA}.chunk \
           (run, direction, dataset, lower) WHERE single; COMMIT"
    );
    if let Err(failed) = conn.execute(&sql).await {
        conn.execute("ROLLBACK").await?;
        return Err(failed.into());
    }
    Ok(())
}

/// The direction's progress; `None` when it was never captured.
pub(crate) async fn progress(
    conn: &mut Conn,
    names: &Names,
) -> Result<Option<Progress>, PortError> {
    let there = format!("SELECT pg_catalog.to_regclass('{SCHEMA}.progress') IS NOT NULL");
    if !conn.query_one(&there).await?.flag(0)? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT upto, begun, system, timeline FROM {SCHEMA}.progress WHERE {}",
        mine(names)
    );
    let rows = conn.query(&sql).await?;
    rows.first().map(|row| read(row, conn.at())).transpose()
}

fn read(row: &Row, at: &str) -> Result<Progress, PortError> {
    Ok(Progress {
        upto: lsn(row, 0, at)?,
        begun: row.flag(1)?,
        system: row.text(2)?.to_owned(),
        timeline: row.number(3)?,
    })
}

/// An offset in an answer.
pub(crate) fn lsn(row: &Row, column: usize, at: &str) -> Result<Lsn, PortError> {
    row.text(column)?.parse().map_err(|_| error::unexpected("a question for an offset", at))
}

/// Makes this process the one that copies and applies, and reads what earlier ones did. Once per
/// direction and process.
pub(crate) async fn adopt(shared: &Arc<Shared>) -> Result<u64, PortError> {
    let mut owner = shared.owner.lock().await;
    if let Some(owner) = *owner {
        return Ok(owner);
    }
    let taken = Box::pin(take(shared)).await?;
    *owner = Some(taken);
    Ok(taken)
}

async fn take(shared: &Arc<Shared>) -> Result<u64, PortError> {
    let names = &shared.names;
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    create(&mut to).await?;
    end_older(&mut to, shared).await?;
    let mine = mine(names);
    let sql = format!(
        "INSERT INTO {SCHEMA}.owner (run, direction, generation) VALUES ({}, '{}', 1) \
         ON CONFLICT (run, direction) DO UPDATE SET generation = owner.generation + 1 \
         RETURNING generation",
        literal(&names.run),
        names.direction
    );
    let generation = to.query_one(&sql).await?.number(0)?;
    let mut from = shared.connect(&shared.from, Work::Ask).await?;
    let tables = table::load(&mut from, shared.only()).await?;
    shared.desk.learn(&tables);
    let sql = format!(
        "SELECT dataset, single, lower, upper, snapshot, upto FROM {SCHEMA}.chunk WHERE {mine}"
    );
    for row in to.query(&sql).await? {
        let Some(table) = tables.iter().find(|t| t.dataset().as_str() == row.text(0).unwrap_or(""))
        else {
            continue;
        };
        let snapshot = row.text(4)?.parse();
        let snapshot = snapshot.map_err(|_| error::unexpected("a question for chunks", to.at()))?;
        let seen = Seen { snapshot, upto: lsn(&row, 5, to.at())? };
        let bound = |column| row.opt(column).map(|text| text.map(super::keytext::parse));
        let (lower, upper) = (bound(2)?, bound(3)?);
        match (row.flag(1)?, lower) {
            (true, Some(key)) => shared.desk.refetched(table, key, seen),
            (_, lower) => shared.desk.restore(table, lower, upper, seen),
        }
    }
    if let Some(progress) = progress(&mut to, names).await? {
        shared.raise_floor(progress.upto);
        shared.desk.settle(progress.upto);
        if progress.begun {
            shared.desk.set_begun();
        }
    }
    from.close().await;
    to.close().await;
    Ok(generation)
}

/// Ends sessions of older processes of this run that copy or apply in this direction.
pub(crate) async fn end_older(conn: &mut Conn, shared: &Shared) -> Result<(), PortError> {
    let tag = shared.to.tag();
    let front = tag.rsplit_once(':').map_or(tag, |(front, _)| front);
    let direction = shared.names.direction;
    let which = format!(
        "pg_catalog.starts_with(application_name, {}) \
         AND NOT pg_catalog.starts_with(application_name, {}) \
         AND application_name ~ ':(fill|apply)-{direction}$'",
        literal(&format!("{front}:")),
        literal(&format!("{tag}:"))
    );
    let ended = conn::kill(conn, &which).await?;
    if ended > 0 {
        tracing::info!(ended, direction, "sessions of an older process were ended");
    }
    Ok(())
}

/// Holds the direction for this process until the transaction ends; an error when another one
/// has taken it over.
pub(crate) async fn hold(conn: &mut Conn, names: &Names, generation: u64) -> Result<(), PortError> {
    let sql = format!("SELECT generation FROM {SCHEMA}.owner WHERE {} FOR SHARE", mine(names));
    let rows = conn.query(&sql).await?;
    let found: Option<u64> = rows.first().map(|row| row.number(0)).transpose()?;
    if found == Some(generation) {
        return Ok(());
    }
    let message = format!("{}: another process copies and applies here now", conn.at());
    Err(PortError::new(Trouble::Unreachable, code::TAKEN_OVER, message))
}
