use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::StoreError;
use crate::sqlite::Options;
use crate::sqlite::reserve::Reserve;

/// The newest schema this version reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Marks the file as ours: "EXOD".
const APPLICATION_ID: u32 = 0x4558_4F44;

/// Step i brings schema version i to i + 1. Never edited once released.
const STEPS: &[&str] = &["
CREATE TABLE docs (
    kind INTEGER NOT NULL,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (kind, scope, id)
) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE INDEX events_by_scope ON events (scope, id);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL
);
CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL);
INSERT INTO audit_head VALUES (1, 0);
CREATE TABLE markers (scope TEXT PRIMARY KEY, bits BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE samples (
    scope TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (scope, at_s)
) WITHOUT ROWID;
"];

pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) newest_event: u64,
    pub(super) reserve: Reserve,
    /// Held open for the lock; released with the process.
    pub(super) lock: File,
}

pub(super) fn open(directory: &Path, options: &Options) -> Result<Opened, StoreError> {
    let path = directory.join("exodus.db");
    let unusable = |detail: String| StoreError::Unusable { path: path.clone(), detail };
    std::fs::create_dir_all(directory).map_err(|e| unusable(e.to_string()))?;
    let lock = lock(directory).map_err(|e| match e {
        TryLockError::WouldBlock => StoreError::InUse(directory.to_owned()),
        TryLockError::Error(e) => unusable(e.to_string()),
    })?;
    let connection = Connection::open(&path).map_err(|e| sorted(&path, &e))?;
    check(&connection, &path)?;
    configure(&connection).map_err(|e| sorted(&path, &e))?;
    migrate(&connection, &path)?;
    let newest_event = connection
        .query_row("SELECT coalesce(max(id), 0) FROM events", [], |r| r.get::<_, i64>(0))
        .map_err(|e| sorted(&path, &e))?;
    let reserve = Reserve::keep(&directory.join("reserve"), options.reserve_bytes);
    Ok(Opened { connection, path, newest_event: newest_event.max(0) as u64, reserve, lock })
}

fn lock(directory: &Path) -> Result<File, TryLockError> {
    let path = directory.join("exodus.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// Refuses a file that is damaged, not ours, or newer than us, before anything is written to it.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |name: &str| {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, u32>(0))
            .map_err(|e| sorted(path, &e))
    };
    let (found, owner) = (number("user_version")?, number("application_id")?);
    if found > SCHEMA_VERSION {
        let supported = SCHEMA_VERSION;
        return Err(StoreError::Newer { path: path.to_owned(), found, supported });
    }
    let corrupt = |detail: String| StoreError::Corrupt { path: path.to_owned(), detail };
    if found > 0 && owner != APPLICATION_ID {
        return Err(corrupt("this file was not made by exodus".to_owned()));
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |r| r.get(0))
        .map_err(|e| sorted(path, &e))?;
    if verdict == "ok" { Ok(()) } else { Err(corrupt(verdict)) }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1_000)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.busy_timeout(std::time::Duration::from_secs(5))
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let from: u32 = connection
        .query_row("PRAGMA user_version", [], |r| r.get(0))
        .map_err(|e| sorted(path, &e))?;
    for (index, step) in STEPS.iter().enumerate().skip(from as usize) {
        let next = index + 1;
        let sql = format!(
            "BEGIN IMMEDIATE; {step} PRAGMA application_id = {APPLICATION_ID}; \
             PRAGMA user_version = {next}; COMMIT;"
        );
        connection.execute_batch(&sql).map_err(|e| sorted(path, &e))?;
    }
    Ok(())
}

/// Which of our errors a SQLite error is.
pub(super) fn sorted(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode as E;
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(E::DatabaseCorrupt | E::NotADatabase) => {
            StoreError::Corrupt { path: path.to_owned(), detail }
        }
        Some(E::DiskFull) => StoreError::Full(detail),
        _ => StoreError::Unusable { path: path.to_owned(), detail },
    }
}
