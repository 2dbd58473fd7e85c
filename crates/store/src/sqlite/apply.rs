use rusqlite::{Connection, OptionalExtension, params};

use crate::audit;
use crate::change::{Change, Committed, Kind, MARKER_BYTES, NewAudit, NewEvent};
use crate::error::StoreError;

/// Why a change was not applied.
pub(super) enum ApplyError {
    /// The batch is refused; nothing is wrong with the store.
    Refused(StoreError),
    /// SQLite said no.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Applies one change inside the writer's transaction.
pub(super) fn apply(
    c: &Connection,
    change: &Change,
    done: &mut Committed,
) -> Result<(), ApplyError> {
    match change {
        Change::Put { kind, scope, id, version, expect, body } => {
            if let Some(expected) = *expect {
                expect_version(c, *kind, scope, id, expected)?;
            }
            let sum = checksum(*kind, scope, id, *version, body);
            c.prepare_cached(
                "INSERT OR REPLACE INTO docs (kind, scope, id, version, body, checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                *kind as u8,
                scope,
                id,
                *version as i64,
                body,
                &sum[..]
            ])?;
        }
        Change::Delete { kind, scope, id } => {
            c.prepare_cached("DELETE FROM docs WHERE kind = ?1 AND scope = ?2 AND id = ?3")?
                .execute(params![*kind as u8, scope, id])?;
        }
        Change::Clear { kind, scope } => {
            c.prepare_cached("DELETE FROM docs WHERE kind = ?1 AND scope = ?2")?
                .execute(params![*kind as u8, scope])?;
        }
        Change::Expire { kind, below } => {
            c.prepare_cached("DELETE FROM docs WHERE kind = ?1 AND version < ?2")?
                .execute(params![*kind as u8, *below as i64])?;
        }
        Change::Event(event) => done.events.push(append_event(c, event)?),
        Change::Audit(entry) => done.audits.push(append_audit(c, entry)?),
        Change::SetMarkers { scope, buckets } => {
            edit_markers(c, scope, buckets, |byte, mask| byte | mask)?;
        }
        Change::ClearMarkers { scope, buckets } => {
            edit_markers(c, scope, buckets, |byte, mask| byte & !mask)?;
        }
        Change::Sample { scope, at_s, body, keep_s } => {
            c.prepare_cached(
                "INSERT OR REPLACE INTO samples (scope, at_s, body) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![scope, *at_s as i64, body])?;
            c.prepare_cached("DELETE FROM samples WHERE scope = ?1 AND at_s < ?2")?
                .execute(params![scope, at_s.saturating_sub(*keep_s) as i64])?;
        }
    }
    Ok(())
}

fn expect_version(
    c: &Connection,
    kind: Kind,
    scope: &str,
    id: &str,
    expected: u64,
) -> Result<(), ApplyError> {
    let found: Option<i64> = c
        .prepare_cached("SELECT version FROM docs WHERE kind = ?1 AND scope = ?2 AND id = ?3")?
        .query_row(params![kind as u8, scope, id], |r| r.get(0))
        .optional()?;
    let found = found.map_or(0, |v| v as u64);
    if found == expected {
        Ok(())
    } else {
        Err(ApplyError::Refused(StoreError::Conflict { expected, found }))
    }
}

fn append_event(c: &Connection, event: &NewEvent) -> rusqlite::Result<u64> {
    c.prepare_cached("INSERT INTO events (scope, at_ms, kind, payload) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![event.scope, event.at_ms as i64, event.kind, event.payload])?;
    Ok(c.last_insert_rowid() as u64)
}

fn append_audit(c: &Connection, entry: &NewAudit) -> rusqlite::Result<u64> {
    let last: Option<(i64, [u8; 32])> = c
        .prepare_cached("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")?
        .query_row([], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let (id, previous) = last.map_or((1, audit::FIRST), |(id, hash)| (id as u64 + 1, hash));
    let chained = audit::chain(id, entry.clone(), previous);
    c.prepare_cached(
        "INSERT INTO audit (id, scope, at_ms, actor, action, reason, payload, previous, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        id as i64,
        entry.scope,
        entry.at_ms as i64,
        entry.actor,
        entry.action,
        entry.reason,
        entry.payload,
        &chained.previous[..],
        &chained.hash[..],
    ])?;
    c.prepare_cached("UPDATE audit_head SET entries = entries + 1")?.execute([])?;
    Ok(id)
}

fn edit_markers(
    c: &Connection,
    scope: &str,
    buckets: &[u16],
    edit: impl Fn(u8, u8) -> u8,
) -> rusqlite::Result<()> {
    let bits: Option<Vec<u8>> = c
        .prepare_cached("SELECT bits FROM markers WHERE scope = ?1")?
        .query_row([scope], |r| r.get(0))
        .optional()?;
    let mut bits = bits.unwrap_or_default();
    bits.resize(MARKER_BYTES, 0);
    for bucket in buckets {
        if let Some(byte) = bits.get_mut(usize::from(*bucket) / 8) {
            *byte = edit(*byte, 1 << (bucket % 8));
        }
    }
    c.prepare_cached("INSERT OR REPLACE INTO markers (scope, bits) VALUES (?1, ?2)")?
        .execute(params![scope, bits])?;
    Ok(())
}

/// Sixteen bytes over everything a row says, so that a flipped bit or a swapped row is seen.
pub(super) fn checksum(kind: Kind, scope: &str, id: &str, version: u64, body: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind as u8]);
    hasher.update(&version.to_be_bytes());
    for field in [scope.as_bytes(), id.as_bytes(), body] {
        hasher.update(&(field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    let mut sum = [0; 16];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    sum
}
