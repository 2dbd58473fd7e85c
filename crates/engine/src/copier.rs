//! One copier: takes keys from the journal, makes the secondary equal, says how it went.
//!
//! The order is the proof: fenced read on the authority, apply on the secondary, then the fence
//! confirms that nothing moved. A record that moved is dirty again. An apply whose answer was
//! lost keeps its keys until the server is proved to have forgotten the connection: an abandoned
//! apply could otherwise run after its successor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use family::{Applied, Moved, PortError, Reader, Trouble, Writer};
use journal::{Cause, Finished, Lane, Leased, key_hash};
use model::{Image, Key, Record, Side};
use tokio::time::{Duration, Instant};

use crate::decide::{self, ABSENCE, Conflict, EXISTS, Next};
use crate::engine::Engine;
use crate::parts::PARKED_MAX;
use crate::zoo::Bug;

/// How long an idle copier sleeps at most; the bell wakes it before.
const IDLE: Duration = Duration::from_secs(1);
/// Bytes of one batch above which batches shrink: what is read is held in memory.
const BATCH_BYTES: usize = 4 << 20;
/// How long it sleeps when the throttle holds back bulk keys.
const THROTTLED: Duration = Duration::from_millis(10);

pub(crate) struct Copier {
    engine: Arc<Engine>,
    part: usize,
    readers: [Option<Box<dyn Reader>>; 2],
    writers: [Option<Box<dyn Writer>>; 2],
    /// Grows while nothing moves under the batches, shrinks when something does.
    batch: usize,
}

/// The worker for one part of the journal.
pub(crate) async fn run(engine: Arc<Engine>, part: usize) {
    engine.until_ready().await;
    let batch = engine.parts.config.batch_max.clamp(1, 16);
    let mut copier = Copier { engine, part, readers: [None, None], writers: [None, None], batch };
    while !copier.engine.stop.is_cancelled() {
        if !copier.engine.both_well() {
            tokio::select! {
                () = copier.engine.until_both_well() => {}
                () = copier.engine.stop.cancelled() => return,
            }
        }
        if !copier.round().await {
            copier.rest().await;
        }
    }
}

impl Copier {
    /// Copies one batch. `false` when there was nothing to do.
    async fn round(&mut self) -> bool {
        let engine = Arc::clone(&self.engine);
        // Whoever holds the gate knows that no record is under way.
        let _under_way = engine.gate.read().await;
        let now = Instant::now();
        let max = self.batch.clamp(1, engine.parts.config.batch_max.max(1));
        let bulk = engine.throttle.permits(max, now);
        let leases = engine.parts.journal.lease(self.part, max, bulk, now.into_std());
        if leases.is_empty() {
            return false;
        }
        engine.throttle.spend(leases.iter().filter(|l| l.lane == Lane::Bulk).count());
        let table = engine.parts.table.load_full();
        let filter = engine.filter.load_full();
        let mut together: [Vec<Leased>; 2] = [Vec::new(), Vec::new()];
        let mut alone = Vec::new();
        for leased in leases {
            if !filter.wants(engine.parts.family.as_ref(), &leased.key) {
                self.finish(&leased, Finished::Equal);
                continue;
            }
            let side = engine.authority_of(&table, &leased.key);
            // One moving or failing record would void the whole batch: those go alone.
            if leased.moves > 0 || leased.attempts > 0 {
                alone.push((side, leased));
            } else {
                together[side.index()].push(leased);
            }
        }
        for side in [Side::Source, Side::Target] {
            let batch = std::mem::take(&mut together[side.index()]);
            let mut left = batch.into_iter().peekable();
            while left.peek().is_some() {
                let some: Vec<_> = left.by_ref().take(max).collect();
                let size = some.len();
                let too_large = self.copy(side, some).await;
                self.adapt(size, too_large);
            }
        }
        for (side, leased) in alone {
            self.copy(side, vec![leased]).await;
        }
        true
    }

    fn adapt(&mut self, size: usize, too_large: bool) {
        if too_large {
            self.batch = (self.batch / 2).max(1);
        } else if size >= self.batch {
            self.batch = (self.batch * 2).min(self.engine.parts.config.batch_max.max(1));
        }
    }

    async fn rest(&mut self) {
        let engine = &self.engine;
        let limit = if engine.throttle.limits() && engine.parts.journal.depth().bulk > 0 {
            THROTTLED
        } else {
            IDLE
        };
        let mut until = Instant::now() + limit;
        if let Some(at) = engine.parts.journal.next_delayed(self.part) {
            until = until.min(Instant::from_std(at));
        }
        tokio::select! {
            () = engine.parts.journal.work(self.part) => {}
            () = tokio::time::sleep_until(until) => {}
            () = engine.stop.cancelled() => {}
        }
    }

    fn finish(&self, leased: &Leased, how: Finished) {
        self.engine.parts.journal.finish(leased, how, Instant::now().into_std());
    }

    /// Copies records of one direction; every lease is finished on return, unless the engine was
    /// stopped while their fate was unknown. Returns whether the batch was too large: something
    /// moved under it, or it held too many bytes.
    async fn copy(&mut self, authority: Side, leases: Vec<Leased>) -> bool {
        let secondary = authority.other();
        let keys: Vec<Key> = leases.iter().map(|l| l.key.clone()).collect();
        let records = match self.read(authority, &keys).await {
            Ok(records) => records,
            Err(error) => {
                self.readers[authority.index()] = None;
                self.failed_all(authority, leases, &error);
                return false;
            }
        };
        let chosen = match self.choose(authority, leases, records).await {
            Ok(chosen) => chosen,
            Err((leases, error)) => {
                self.writers[secondary.index()] = None;
                self.failed_all(secondary, leases, &error);
                return false;
            }
        };
        let (leases, records) = self.still_due(authority, chosen);
        if leases.is_empty() {
            return false;
        }
        let heavy = records.iter().map(bytes).sum::<usize>() > BATCH_BYTES;
        if self.engine.side(secondary).feed.is_open() {
            self.engine.side(secondary).touch(records.iter().map(|r| &r.key));
        }
        let applied = match self.apply(secondary, &records).await {
            Ok(applied) => applied,
            Err(error) => {
                self.writers[secondary.index()] = None;
                self.quarantine(secondary, leases, &error).await;
                return false;
            }
        };
        let moved = match self.confirm(authority).await {
            Ok(moved) => moved,
            Err(error) => {
                self.readers[authority.index()] = None;
                self.failed_all(authority, leases, &error);
                return false;
            }
        };
        self.conclude(secondary, leases, &records, applied, &moved);
        heavy || moved != Moved::None
    }

    async fn read(&mut self, side: Side, keys: &[Key]) -> Result<Vec<Record>, PortError> {
        let engine = Arc::clone(&self.engine);
        if self.readers[side.index()].is_none() {
            let reader = engine.bounded(side, engine.database(side).reader()).await?;
            self.readers[side.index()] = Some(reader);
        }
        let Some(reader) = self.readers[side.index()].as_mut() else { return Ok(Vec::new()) };
        let records = engine.bounded(side, reader.read(keys)).await?;
        let answered = records.len() == keys.len()
            && records.iter().zip(keys).all(|(record, key)| record.key == *key);
        if answered { Ok(records) } else { Err(wrong_answer("read")) }
    }

    async fn writer(&mut self, side: Side) -> Result<&mut Box<dyn Writer>, PortError> {
        if self.writers[side.index()].is_none() {
            let engine = Arc::clone(&self.engine);
            let writer = engine.bounded(side, engine.database(side).writer()).await?;
            self.writers[side.index()] = Some(writer);
        }
        self.writers[side.index()].as_mut().ok_or_else(|| wrong_answer("writer"))
    }

    async fn apply(&mut self, side: Side, records: &[Record]) -> Result<Vec<Applied>, PortError> {
        let engine = Arc::clone(&self.engine);
        let writer = self.writer(side).await?;
        let applied = engine.bounded(side, writer.apply(records)).await?;
        if applied.len() == records.len() { Ok(applied) } else { Err(wrong_answer("apply")) }
    }

    async fn confirm(&mut self, side: Side) -> Result<Moved, PortError> {
        let engine = Arc::clone(&self.engine);
        match self.readers[side.index()].as_mut() {
            Some(reader) => engine.bounded(side, reader.confirm()).await,
            None => Err(wrong_answer("confirm")),
        }
    }

    /// Applies the absence rule and the conflict policy. Both need to know what the secondary
    /// has, and are asked only where that could change the answer.
    async fn choose(
        &mut self,
        authority: Side,
        leases: Vec<Leased>,
        records: Vec<Record>,
    ) -> Result<Vec<(Leased, Record)>, (Vec<Leased>, PortError)> {
        let engine = Arc::clone(&self.engine);
        let secondary = authority.other();
        let doubt = engine.side(authority).doubt();
        let unexplained = |leased: &Leased, record: &Record| {
            record.image == Image::Absent && !decide::absence_is_explained(leased.cause, doubt)
        };
        let before_us = |leased: &Leased| secondary == Side::Target && engine.was_there(leased);
        let asked: Vec<usize> = leases
            .iter()
            .zip(&records)
            .enumerate()
            .filter(|(_, (leased, record))| unexplained(leased, record) || before_us(leased))
            .map(|(index, _)| index)
            .collect();
        if asked.is_empty() {
            return Ok(leases.into_iter().zip(records).collect());
        }
        let keys: Vec<Key> = asked.iter().map(|&i| leases[i].key.clone()).collect();
        let exist = match self.exist(secondary, &keys).await {
            Ok(exist) => exist,
            Err(error) => return Err((leases, error)),
        };
        let mut exists = vec![None; leases.len()];
        for (&index, exist) in asked.iter().zip(exist) {
            exists[index] = Some(exist);
        }
        let mut chosen = Vec::with_capacity(leases.len());
        for ((leased, record), exists) in leases.into_iter().zip(records).zip(exists) {
            match exists {
                Some(true) if before_us(&leased) => {
                    if self.settle_conflict(&leased) {
                        chosen.push((leased, record));
                    }
                }
                Some(true)
                    if unexplained(&leased, &record)
                        && engine.parts.journal.depth().parked >= PARKED_MAX =>
                {
                    engine.totals.absences_left.fetch_add(1, Ordering::Relaxed);
                    engine.verify.require("more unexplained absences than can be parked".into());
                    self.finish(&leased, Finished::Equal);
                }
                Some(true) if unexplained(&leased, &record) => {
                    let reason = "it is gone from the authority and nothing explains why";
                    self.park(&leased, ABSENCE, reason);
                }
                Some(false) if before_us(&leased) => {
                    engine.decided(&leased.key);
                    chosen.push((leased, record));
                }
                _ => chosen.push((leased, record)),
            }
        }
        Ok(chosen)
    }

    async fn exist(&mut self, side: Side, keys: &[Key]) -> Result<Vec<bool>, PortError> {
        let engine = Arc::clone(&self.engine);
        let writer = self.writer(side).await?;
        let exist = engine.bounded(side, writer.exists(keys)).await?;
        if exist.len() == keys.len() { Ok(exist) } else { Err(wrong_answer("exists")) }
    }

    /// Decides once per record, before our first write to it. `true`: copy it.
    fn settle_conflict(&self, leased: &Leased) -> bool {
        let totals = &self.engine.totals;
        // Somebody wrote it since: the authority's history is not what is copied here.
        let live = leased.lane == Lane::Live || leased.cause != Cause::Scan;
        match decide::conflict(self.engine.parts.config.conflict) {
            _ if live => {
                totals.conflicts_overwritten.fetch_add(1, Ordering::Relaxed);
                self.engine.decided(&leased.key);
                true
            }
            Conflict::Overwrite => {
                totals.conflicts_overwritten.fetch_add(1, Ordering::Relaxed);
                self.engine.decided(&leased.key);
                true
            }
            Conflict::Keep => {
                totals.conflicts_kept.fetch_add(1, Ordering::Relaxed);
                self.engine.decided(&leased.key);
                self.finish(leased, Finished::Equal);
                false
            }
            Conflict::Refuse => {
                totals.conflicts_failed.fetch_add(1, Ordering::Relaxed);
                self.park(leased, EXISTS, "it was on the target before the first copy");
                false
            }
        }
    }

    fn park(&self, leased: &Leased, code: &'static str, reason: &str) {
        tracing::warn!(code, key = %self.engine.parts.family.show_key(&leased.key), reason, "parked");
        self.finish(leased, Finished::Park { code, reason: reason.to_owned() });
    }

    /// Gives back what is not copied in this direction any more.
    fn still_due(
        &self,
        authority: Side,
        chosen: Vec<(Leased, Record)>,
    ) -> (Vec<Leased>, Vec<Record>) {
        let table = self.engine.parts.table.load();
        let (due, turned): (Vec<_>, Vec<_>) = chosen
            .into_iter()
            .partition(|(leased, _)| self.engine.authority_of(&table, &leased.key) == authority);
        for (leased, _) in turned {
            self.engine.totals.turned.fetch_add(1, Ordering::Relaxed);
            self.finish(&leased, Finished::Returned);
        }
        due.into_iter().unzip()
    }

    fn failed_all(&self, side: Side, leases: Vec<Leased>, error: &PortError) {
        self.engine.port_failed(side, error);
        for leased in leases {
            self.failed(&leased, error);
        }
    }

    fn failed(&self, leased: &Leased, error: &PortError) {
        match decide::after(error.trouble, leased.attempts, &leased.key, &self.engine.parts.config)
        {
            Next::Later(delay) => {
                self.engine.totals.retries.fetch_add(1, Ordering::Relaxed);
                self.finish(leased, Finished::Later(delay));
            }
            Next::Park => self.park(leased, error.code, &error.message),
        }
    }

    /// Keeps the leases until the abandoned connection is proved dead (`EXO-ENG-003`).
    async fn quarantine(&mut self, side: Side, leases: Vec<Leased>, error: &PortError) {
        let engine = Arc::clone(&self.engine);
        engine.port_failed(side, error);
        let kept = &engine.side(side).quarantined;
        kept.fetch_add(leases.len() as u64, Ordering::SeqCst);
        let mut attempts = 0;
        loop {
            if engine.parts.config.has(Bug::SkipReap) {
                break;
            }
            match engine.bounded(side, engine.database(side).reap()).await {
                Ok(_) => break,
                Err(error) => engine.port_failed(side, &error),
            }
            attempts += 1;
            tokio::select! {
                () = tokio::time::sleep(engine.delay(attempts)) => {}
                // The leases stay out: the next start reaps before it reclaims them.
                () = engine.stop.cancelled() => return,
            }
        }
        kept.fetch_sub(leases.len() as u64, Ordering::SeqCst);
        for leased in leases {
            self.failed(&leased, error);
        }
    }

    fn conclude(
        &self,
        secondary: Side,
        leases: Vec<Leased>,
        records: &[Record],
        applied: Vec<Applied>,
        moved: &Moved,
    ) {
        let engine = &self.engine;
        let has_moved = |key: &Key| match moved {
            Moved::None => false,
            Moved::Some => true,
            Moved::Keys(keys) => keys.contains(key),
        };
        let (mut copied, mut bulk, mut removed) = (0, 0, 0);
        for ((leased, record), applied) in leases.into_iter().zip(records).zip(applied) {
            match applied {
                _ if has_moved(&leased.key) => {
                    engine.totals.moved.fetch_add(1, Ordering::Relaxed);
                    self.finish(&leased, Finished::Moved);
                }
                Applied::Done => {
                    copied += 1;
                    bulk += u64::from(leased.lane == Lane::Bulk);
                    removed += u64::from(record.image == Image::Absent);
                    self.finish(&leased, Finished::Equal);
                }
                Applied::Failed(_) if engine.parts.config.has(Bug::LoseFailed) => {
                    self.finish(&leased, Finished::Equal);
                }
                Applied::Failed(error) => {
                    engine.port_failed(secondary, &error);
                    self.failed(&leased, &error);
                }
            }
        }
        if copied > 0 {
            engine.totals.removed.fetch_add(removed, Ordering::Relaxed);
            engine.copied(copied, bulk);
            engine.side(secondary).worked();
            engine.side(secondary.other()).worked();
        }
    }
}

impl Engine {
    /// Whether the record was on the target before us and nothing was decided about it yet.
    fn was_there(&self, leased: &Leased) -> bool {
        let existing = self.existing.lock();
        !existing.is_empty() && existing.contains(&key_hash(&leased.key).0)
    }

    fn decided(&self, key: &Key) {
        if self.existing.lock().remove(&key_hash(key).0) {
            self.existing_changed.store(true, Ordering::Relaxed);
        }
    }
}

fn bytes(record: &Record) -> usize {
    match &record.image {
        Image::Present { bytes } => bytes.len(),
        Image::Absent => 0,
    }
}

fn wrong_answer(call: &str) -> PortError {
    let message = format!("`{call}` answered for other records than it was asked for");
    PortError::new(Trouble::Protocol, "EXO-ENG-012", message)
}
