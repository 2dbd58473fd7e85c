//! The embedded store: one SQLite file in WAL mode with `synchronous=FULL`.
//!
//! Constraints: one writer thread, so that many batches share one sync; readers have their own
//! connections and never wait for the writer; every document carries a checksum of its identity
//! and content, looked at on every read; an advisory lock on a file beside it keeps a second
//! process out, and is gone with the process, however it ends.
//!
//! Layout: `open` opens, checks and migrates; `writer` is the thread; `apply` one change; `read`
//! the queries; `reserve` the space kept for decisions.

mod apply;
mod open;
mod read;
mod reserve;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::AuditVerdict;
use crate::change::{AuditEntry, Batch, Committed, Doc, Event, EventQuery, Kind};
use crate::error::StoreError;
use crate::store::{Health, Store};

pub use open::SCHEMA_VERSION;
use read::Readers;
use writer::Job;

/// Batches that may wait for the writer.
const QUEUE: usize = 1_024;

/// Bounds of an embedded store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes kept back for decisions: as a file that is given up when the disk is full, and above
    /// `bytes_max`.
    pub reserve_bytes: u64,
    /// Largest size of the database in bytes, beyond which data is refused.
    pub bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { reserve_bytes: 8 << 20, bytes_max: 16 << 30 }
    }
}

/// The embedded store.
pub struct SqliteStore {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    readers: Arc<Readers>,
    newest: watch::Sender<u64>,
    health: Arc<Mutex<Health>>,
}

impl SqliteStore {
    /// Opens the store of a state directory, creating both. Blocks for the checks. Fails when
    /// another process has it open, when it is damaged (it is left as it is), or when a newer
    /// version wrote it.
    pub fn open(directory: &std::path::Path, options: &Options) -> Result<Arc<Self>, StoreError> {
        let opened = open::open(directory, options)?;
        let path: PathBuf = opened.path.clone();
        let newest = watch::channel(opened.newest_event).0;
        let health = Arc::new(Mutex::new(Health::default()));
        let (jobs, inbox) = mpsc::channel(QUEUE);
        let writer =
            writer::Writer::new(opened, inbox, newest.clone(), Arc::clone(&health), options);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| StoreError::Unusable { path: path.clone(), detail: e.to_string() })?;
        Ok(Arc::new(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            readers: Arc::new(Readers::new(path)),
            newest,
            health,
        }))
    }

    /// Finishes what was accepted and closes the file and its lock.
    pub fn close(&self) {
        self.jobs.lock().take();
        self.readers.close();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }

    fn sender(&self) -> Option<mpsc::Sender<Job>> {
        self.jobs.lock().clone()
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, read::ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || readers.run(query));
        match task.await {
            Ok(result) => result,
            Err(stopped) => Err(StoreError::Poisoned(stopped.to_string())),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        batch.check()?;
        let closed = || StoreError::Poisoned("the store is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        let sender = self.sender().ok_or_else(closed)?;
        sender.send(Job { batch, answer }).await.map_err(|_| closed())?;
        drop(sender);
        answered.await.map_err(|_| closed())?
    }

    async fn get(&self, kind: Kind, scope: &str, id: &str) -> Result<Option<Doc>, StoreError> {
        let (scope, id) = (scope.to_owned(), id.to_owned());
        self.read(move |c| read::get(c, kind, &scope, &id)).await
    }

    async fn list(
        &self,
        kind: Kind,
        scope: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Doc>, StoreError> {
        let (scope, after) = (scope.map(str::to_owned), after.map(str::to_owned));
        self.read(move |c| read::list(c, kind, scope.as_deref(), after.as_deref(), limit)).await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, StoreError> {
        self.read(move |c| read::events(c, &query)).await
    }

    async fn audit(
        &self,
        scope: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let scope = scope.map(str::to_owned);
        self.read(move |c| read::audit(c, scope.as_deref(), after, limit)).await
    }

    async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        self.read(read::verify_audit).await
    }

    async fn markers(&self, scope: &str) -> Result<Vec<u16>, StoreError> {
        let scope = scope.to_owned();
        self.read(move |c| read::markers(c, &scope)).await
    }

    async fn samples(
        &self,
        scope: &str,
        from_s: u64,
        to_s: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let scope = scope.to_owned();
        self.read(move |c| read::samples(c, &scope, from_s, to_s)).await
    }

    fn newest_event(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn health(&self) -> Health {
        self.health.lock().clone()
    }
}
