//! The one thread that writes. Takes whatever waits, applies it in one transaction with a
//! savepoint per batch, syncs once, then answers everybody.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use crate::change::{Batch, Class, Committed};
use crate::error::StoreError;
use crate::sqlite::Options;
use crate::sqlite::apply::{ApplyError, apply};
use crate::sqlite::open::Opened;
use crate::sqlite::reserve::Reserve;
use crate::store::Health;

/// Batches that share one sync.
const GROUP_MAX: usize = 256;
/// How often a full store looks for room again.
const ROOM_AGAIN: Duration = Duration::from_secs(5);

/// A batch and who waits for it.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Committed, StoreError>>,
}

pub(super) struct Writer {
    connection: Connection,
    inbox: mpsc::Receiver<Job>,
    newest: watch::Sender<u64>,
    health: Arc<Mutex<Health>>,
    reserve: Reserve,
    /// Pages for data, and for decisions on top of that.
    pages: [i64; 2],
    full_since: Option<Instant>,
    _lock: File,
}

/// How a group of batches ended.
enum Ended {
    /// Durable; each batch's own result.
    Committed(Vec<Result<Committed, StoreError>>),
    /// No room; nothing of it was kept.
    Full(String),
    /// It is not known what reached the disk.
    Unknown(String),
}

impl Writer {
    pub(super) fn new(
        opened: Opened,
        inbox: mpsc::Receiver<Job>,
        newest: watch::Sender<u64>,
        health: Arc<Mutex<Health>>,
        options: &Options,
    ) -> Self {
        let page: i64 =
            opened.connection.query_row("PRAGMA page_size", [], |r| r.get(0)).unwrap_or(4_096);
        let pages = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        Self {
            pages: [
                pages(options.bytes_max),
                pages(options.bytes_max.saturating_add(options.reserve_bytes)),
            ],
            connection: opened.connection,
            inbox,
            newest,
            health,
            reserve: opened.reserve,
            full_since: None,
            _lock: opened.lock,
        }
    }

    pub(super) fn run(mut self) {
        while let Some(first) = self.inbox.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP_MAX
                && let Ok(next) = self.inbox.try_recv()
            {
                group.push(next);
            }
            self.serve(group);
        }
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    fn serve(&mut self, group: Vec<Job>) {
        let poisoned = self.health.lock().poisoned.clone();
        if let Some(why) = poisoned {
            return refuse(group, &StoreError::Poisoned(why));
        }
        self.look_for_room();
        let (decisions, data): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|j| j.batch.class == Class::Decision);
        if data.is_empty() || self.full_since.is_some() {
            refuse(data, &StoreError::Full("data waits until there is room".to_owned()));
            return self.decide(decisions);
        }
        // Decisions share the sync with data, but never their fate when there is no room.
        let all: Vec<&Batch> = decisions.iter().chain(&data).map(|j| &j.batch).collect();
        match self.commit(&all, Class::Data) {
            Ended::Committed(results) => {
                self.answer(decisions.into_iter().chain(data).collect(), results);
            }
            Ended::Full(why) => {
                self.out_of_room();
                refuse(data, &StoreError::Full(why));
                self.decide(decisions);
            }
            Ended::Unknown(why) => {
                self.poison(&why);
                refuse(decisions.into_iter().chain(data).collect(), &StoreError::Poisoned(why));
            }
        }
    }

    fn decide(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let batches: Vec<&Batch> = jobs.iter().map(|j| &j.batch).collect();
        let ended = match self.commit(&batches, Class::Decision) {
            Ended::Full(_) if self.reserve.give_up() => {
                self.out_of_room();
                self.commit(&batches, Class::Decision)
            }
            ended => ended,
        };
        match ended {
            Ended::Committed(results) => self.answer(jobs, results),
            Ended::Full(why) => {
                self.out_of_room();
                refuse(jobs, &StoreError::Full(why));
            }
            Ended::Unknown(why) => {
                self.poison(&why);
                refuse(jobs, &StoreError::Poisoned(why));
            }
        }
    }

    /// One transaction over all batches. A batch that is refused (not for lack of room) leaves no
    /// trace and does not disturb the others.
    fn commit(&self, batches: &[&Batch], class: Class) -> Ended {
        let limit = self.pages[usize::from(class == Class::Decision)];
        match self.try_commit(batches, limit) {
            Ok(results) => Ended::Committed(results),
            Err((error, committing)) => {
                let rolled_back = self.connection.is_autocommit()
                    || self.connection.execute_batch("ROLLBACK").is_ok();
                let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
                match (full, rolled_back, committing) {
                    (true, true, _) => Ended::Full(error.to_string()),
                    _ => Ended::Unknown(error.to_string()),
                }
            }
        }
    }

    fn try_commit(
        &self,
        batches: &[&Batch],
        limit: i64,
    ) -> Result<Vec<Result<Committed, StoreError>>, (rusqlite::Error, bool)> {
        let c = &self.connection;
        let working = |e| (e, false);
        c.pragma_update(None, "max_page_count", limit).map_err(working)?;
        c.execute_batch("BEGIN IMMEDIATE").map_err(working)?;
        let mut results = Vec::with_capacity(batches.len());
        for batch in batches {
            c.prepare_cached("SAVEPOINT batch").and_then(|mut s| s.execute([])).map_err(working)?;
            let mut done = Committed::default();
            match batch.changes.iter().try_for_each(|change| apply(c, change, &mut done)) {
                Ok(()) => results.push(Ok(done)),
                Err(ApplyError::Refused(why)) => {
                    c.execute_batch("ROLLBACK TO batch").map_err(working)?;
                    results.push(Err(why));
                }
                Err(ApplyError::Sqlite(e)) => return Err(working(e)),
            }
            c.prepare_cached("RELEASE batch").and_then(|mut s| s.execute([])).map_err(working)?;
        }
        c.execute_batch("COMMIT").map_err(|e| (e, true))?;
        Ok(results)
    }

    fn answer(&self, jobs: Vec<Job>, results: Vec<Result<Committed, StoreError>>) {
        let newest = results.iter().flatten().filter_map(|d| d.events.last()).max().copied();
        if let Some(newest) = newest {
            self.newest.send_replace(newest);
        }
        for (job, result) in jobs.into_iter().zip(results) {
            let _ = job.answer.send(result);
        }
    }

    fn out_of_room(&mut self) {
        self.full_since = Some(Instant::now());
        self.health.lock().full = true;
    }

    /// A full store tries data again after a while, if the reserve can be taken back.
    fn look_for_room(&mut self) {
        if self.full_since.is_some_and(|at| at.elapsed() >= ROOM_AGAIN) {
            if self.reserve.take() {
                self.full_since = None;
                self.health.lock().full = false;
            } else {
                self.full_since = Some(Instant::now());
            }
        }
    }

    fn poison(&self, why: &str) {
        tracing::error!(code = "EXO-STO-004", why, "the store failed");
        self.health.lock().poisoned = Some(why.to_owned());
    }
}

fn refuse(jobs: Vec<Job>, why: &StoreError) {
    for job in jobs {
        let _ = job.answer.send(Err(why.clone()));
    }
}
