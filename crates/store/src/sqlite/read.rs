use std::path::PathBuf;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::audit::{AuditVerdict, Walk};
use crate::change::{AuditEntry, Doc, Event, EventQuery, Kind, NewAudit, NewEvent};
use crate::error::StoreError;
use crate::sqlite::apply::checksum;
use crate::sqlite::open::sorted;

/// Read connections kept for the next reader.
const IDLE: usize = 4;

/// A row whose checksum does not hold, or SQLite's own trouble.
pub(super) enum ReadError {
    Checksum(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Read-only connections beside the writer.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()) }
    }

    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }

    pub(super) fn run<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().map_err(|e| sorted(&self.path, &e))?,
        };
        let result = query(&connection).map_err(|e| match e {
            ReadError::Sqlite(e) => sorted(&self.path, &e),
            ReadError::Checksum(detail) => StoreError::Corrupt { path: self.path.clone(), detail },
        });
        let mut idle = self.idle.lock();
        if result.is_ok() && idle.len() < IDLE {
            idle.push(connection);
        }
        result
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    }
}

fn doc(kind: Kind, row: &Row<'_>) -> rusqlite::Result<Result<Doc, ReadError>> {
    let doc = Doc {
        scope: row.get(0)?,
        id: row.get(1)?,
        version: row.get::<_, i64>(2)? as u64,
        body: row.get(3)?,
    };
    let stored: Vec<u8> = row.get(4)?;
    let sum = checksum(kind, &doc.scope, &doc.id, doc.version, &doc.body);
    Ok(if stored == sum {
        Ok(doc)
    } else {
        Err(ReadError::Checksum(format!("checksum of {kind:?} `{}/{}`", doc.scope, doc.id)))
    })
}

pub(super) fn get(
    c: &Connection,
    kind: Kind,
    scope: &str,
    id: &str,
) -> Result<Option<Doc>, ReadError> {
    c.prepare_cached(
        "SELECT scope, id, version, body, checksum FROM docs
         WHERE kind = ?1 AND scope = ?2 AND id = ?3",
    )?
    .query_row(params![kind as u8, scope, id], |row| doc(kind, row))
    .optional()?
    .transpose()
}

pub(super) fn list(
    c: &Connection,
    kind: Kind,
    scope: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Doc>, ReadError> {
    let mut statement = c.prepare_cached(
        "SELECT scope, id, version, body, checksum FROM docs
         WHERE kind = ?1 AND (?2 IS NULL OR scope = ?2) AND (?3 IS NULL OR id > ?3)
         ORDER BY scope, id LIMIT ?4",
    )?;
    let rows = statement
        .query_map(params![kind as u8, scope, after, limit as i64], |row| doc(kind, row))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    rows.into_iter().collect()
}

pub(super) fn events(c: &Connection, query: &EventQuery) -> Result<Vec<Event>, ReadError> {
    let order = if query.newest { "DESC" } else { "ASC" };
    let mut statement = c.prepare_cached(&format!(
        "SELECT id, scope, at_ms, kind, payload FROM events
         WHERE id > ?1 AND (?2 IS NULL OR scope = ?2) AND (?3 IS NULL OR kind = ?3)
         ORDER BY id {order} LIMIT ?4"
    ))?;
    let bound = params![query.after as i64, query.scope, query.kind, query.limit as i64];
    let mut found = statement
        .query_map(bound, |row| {
            Ok(Event {
                id: row.get::<_, i64>(0)? as u64,
                event: NewEvent {
                    scope: row.get(1)?,
                    at_ms: row.get::<_, i64>(2)? as u64,
                    kind: row.get(3)?,
                    payload: row.get(4)?,
                },
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if query.newest {
        found.reverse();
    }
    Ok(found)
}

fn audit_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.get::<_, i64>(0)? as u64,
        entry: NewAudit {
            scope: row.get(1)?,
            at_ms: row.get::<_, i64>(2)? as u64,
            actor: row.get(3)?,
            action: row.get(4)?,
            reason: row.get(5)?,
            payload: row.get(6)?,
        },
        previous: row.get(7)?,
        hash: row.get(8)?,
    })
}

const AUDIT: &str =
    "SELECT id, scope, at_ms, actor, action, reason, payload, previous, hash FROM audit";

pub(super) fn audit(
    c: &Connection,
    scope: Option<&str>,
    after: u64,
    limit: usize,
) -> Result<Vec<AuditEntry>, ReadError> {
    let sql = format!("{AUDIT} WHERE id > ?1 AND (?2 IS NULL OR scope = ?2) ORDER BY id LIMIT ?3");
    let mut statement = c.prepare_cached(&sql)?;
    let rows = statement.query_map(params![after as i64, scope, limit as i64], audit_entry)?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

pub(super) fn verify_audit(c: &Connection) -> Result<AuditVerdict, ReadError> {
    let expected: i64 = c.query_row("SELECT entries FROM audit_head", [], |r| r.get(0))?;
    let mut statement = c.prepare_cached(&format!("{AUDIT} ORDER BY id"))?;
    let mut walk = Walk::new();
    for entry in statement.query_map([], audit_entry)? {
        walk.see(&entry?);
    }
    Ok(walk.verdict(expected.max(0) as u64))
}

pub(super) fn markers(c: &Connection, scope: &str) -> Result<Vec<u16>, ReadError> {
    let bits: Option<Vec<u8>> = c
        .prepare_cached("SELECT bits FROM markers WHERE scope = ?1")?
        .query_row([scope], |r| r.get(0))
        .optional()?;
    let bits = bits.unwrap_or_default();
    let set = |n: &u16| bits.get(usize::from(*n) / 8).is_some_and(|b| b & (1 << (n % 8)) != 0);
    Ok((0..16_384).filter(set).collect())
}

pub(super) fn samples(
    c: &Connection,
    scope: &str,
    from_s: u64,
    to_s: u64,
) -> Result<Vec<(u64, Vec<u8>)>, ReadError> {
    let mut statement = c.prepare_cached(
        "SELECT at_s, body FROM samples WHERE scope = ?1 AND at_s BETWEEN ?2 AND ?3 ORDER BY at_s",
    )?;
    let bound = params![scope, clamp(from_s), clamp(to_s)];
    let rows = statement.query_map(bound, |r| Ok((r.get::<_, i64>(0)? as u64, r.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

fn clamp(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
