//! One copier: takes keys from the journal, makes the secondary equal, says how it went.
//!
//! The order is the proof: fenced read on the authority, apply on the secondary, then the fence
//! confirms that nothing moved. A record that moved is dirty again. While there is more to do, a
//! batch is confirmed with the question that reads the next. An apply whose answer was
//! lost keeps its keys until the server is proved to have forgotten the connection: an abandoned
//! apply could otherwise run after its successor.

mod choose;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use family::{Applied, Moved, PortError, Reader, Trouble, Writer};
use journal::{Finished, Lane, Leased, Proof};
use model::{Epoch, Image, Key, Record, Side};
use routing::RoutingTable;
use tokio::time::{Duration, Instant};

use crate::decide::{self, Next};
use crate::engine::Engine;
use crate::zoo::Bug;

/// How long an idle copier sleeps at most; the bell wakes it before.
const IDLE: Duration = Duration::from_secs(1);
/// Bytes of one batch above which batches shrink: what is read is held in memory.
const BATCH_BYTES: usize = 4 << 20;
/// How long a live key may wait for others where nobody waits for it: full batches cost both
/// servers a fraction of small ones, and a key written again meanwhile is copied once.
const LINGER: Duration = Duration::from_millis(10);
/// How long it sleeps when the throttle holds back bulk keys.
const THROTTLED: Duration = Duration::from_millis(10);

/// Batches copied one behind the other at most before others may have the gate.
const CHAIN_MAX: usize = 8;

/// What came of a round.
enum Round {
    Worked,
    /// There was nothing to do.
    Idle,
    /// What there is may wait for more, until then.
    Early(Instant),
}

/// A batch that is applied and whose fence is not confirmed.
struct Open {
    authority: Side,
    /// Of the table it was taken by.
    epoch: Epoch,
    /// Records asked for together.
    size: usize,
    leases: Vec<Leased>,
    records: Vec<Record>,
    applied: Vec<Applied>,
}

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
        match copier.round().await {
            Round::Worked => {}
            Round::Idle => copier.rest().await,
            Round::Early(until) => tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = copier.engine.parts.journal.hurry(part) => {}
                () = copier.engine.stop.cancelled() => {}
            },
        }
    }
}

impl Copier {
    /// Copies what there is, a few batches at most.
    async fn round(&mut self) -> Round {
        let engine = Arc::clone(&self.engine);
        // Whoever holds the gate knows that no record is under way.
        let _under_way = engine.gate.read().await;
        let mut open = None;
        let mut round = Round::Idle;
        for _ in 0..CHAIN_MAX {
            let enough = engine.parts.config.batch_max.max(1);
            if let Some(since) = engine.parts.journal.at_leisure(self.part, enough) {
                let due = Instant::from_std(since) + LINGER;
                if due > Instant::now() {
                    if matches!(round, Round::Idle) {
                        round = Round::Early(due);
                    }
                    break;
                }
            }
            let table = engine.parts.table.load_full();
            let batches = self.take(&table);
            if batches.is_empty() {
                break;
            }
            round = Round::Worked;
            for (side, batch) in batches {
                open = self.copy(side, batch, table.epoch, open).await;
            }
        }
        self.close(open).await;
        round
    }

    /// Leases a batch; in several parts where its records differ in authority, or where one
    /// moving or failing record would void the whole.
    fn take(&self, table: &RoutingTable) -> Vec<(Side, Vec<Leased>)> {
        let engine = &self.engine;
        let now = Instant::now();
        let max = self.batch.clamp(1, engine.parts.config.batch_max.max(1));
        let bulk = engine.throttle.permits(max, now);
        let leases = engine.parts.journal.lease(self.part, max, bulk, now.into_std());
        if leases.is_empty() {
            return Vec::new();
        }
        engine.throttle.spend(leases.iter().filter(|l| l.lane == Lane::Bulk).count());
        let filter = engine.filter.load();
        let mut together: [Vec<Leased>; 2] = [Vec::new(), Vec::new()];
        let mut batches = Vec::new();
        for leased in leases {
            if !filter.wants(engine.parts.family.as_ref(), &leased.key) {
                self.finish(&leased, Finished::Equal);
                continue;
            }
            let side = engine.authority_of(table, &leased.key);
            if leased.moves > 0 || leased.attempts > 0 {
                batches.push((side, vec![leased]));
                continue;
            }
            let batch = &mut together[side.index()];
            batch.push(leased);
            if batch.len() >= max {
                batches.push((side, std::mem::take(batch)));
            }
        }
        let rest = [Side::Source, Side::Target].into_iter().zip(together);
        batches.extend(rest.filter(|(_, batch)| !batch.is_empty()));
        batches
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

    /// Reads and applies records of one direction by the table of `epoch`, and confirms the batch
    /// that is `open` on the way. Every lease is finished or open on return, unless the engine
    /// was stopped while their fate was unknown.
    async fn copy(
        &mut self,
        authority: Side,
        leases: Vec<Leased>,
        epoch: Epoch,
        open: Option<Open>,
    ) -> Option<Open> {
        let secondary = authority.other();
        let size = leases.len();
        let keys: Vec<Key> = leases.iter().map(|l| l.key.clone()).collect();
        let records = match self.read(authority, &keys, open).await {
            Ok(records) => records,
            Err(error) => {
                self.readers[authority.index()] = None;
                self.failed_all(authority, leases, &error);
                return None;
            }
        };
        let chosen = match self.choose(authority, leases, records).await {
            Ok(chosen) => chosen,
            Err((leases, error)) => {
                self.writers[secondary.index()] = None;
                self.failed_all(secondary, leases, &error);
                return None;
            }
        };
        let (leases, records) = self.still_due(authority, chosen);
        if leases.is_empty() {
            return None;
        }
        if self.engine.side(secondary).feed.is_open() {
            let family = &self.engine.parts.family;
            let reported = records.iter().map(|r| family.reported_as(&r.key));
            self.engine.side(secondary).touch(reported);
        }
        match self.apply(secondary, &records).await {
            Ok(applied) => Some(Open { authority, epoch, size, leases, records, applied }),
            Err(error) => {
                self.writers[secondary.index()] = None;
                self.quarantine(secondary, leases, &error).await;
                None
            }
        }
    }

    /// Confirms what is open.
    async fn close(&mut self, open: Option<Open>) {
        let Some(open) = open else { return };
        let side = open.authority;
        // Taken before anything is asked: whatever was known to have changed by then is copied.
        let asked = Instant::now().into_std();
        match self.confirm(side).await {
            Ok(moved) => self.conclude(open, &moved, asked),
            Err(error) => {
                self.readers[side.index()] = None;
                self.failed_all(side, open.leases, &error);
            }
        }
    }

    async fn read(
        &mut self,
        side: Side,
        keys: &[Key],
        open: Option<Open>,
    ) -> Result<Vec<Record>, PortError> {
        let engine = Arc::clone(&self.engine);
        let open = match open {
            Some(open) if open.authority == side && self.readers[side.index()].is_some() => {
                Some(open)
            }
            other => {
                self.close(other).await;
                None
            }
        };
        let reader = match &mut self.readers[side.index()] {
            Some(reader) => reader,
            slot => slot.insert(engine.bounded(side, engine.database(side).reader()).await?),
        };
        let records = match open {
            None => engine.bounded(side, reader.read(keys)).await?,
            Some(open) => {
                let asked = Instant::now().into_std();
                match engine.bounded(side, reader.turn(keys)).await {
                    Ok((moved, records)) => {
                        self.conclude(open, &moved, asked);
                        records
                    }
                    Err(error) => {
                        self.failed_all(side, open.leases, &error);
                        return Err(error);
                    }
                }
            }
        };
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

    fn conclude(&mut self, open: Open, moved: &Moved, asked: std::time::Instant) {
        let Open { authority, epoch, size, leases, records, applied } = open;
        let secondary = authority.other();
        let heavy = records.iter().map(bytes).sum::<usize>() > BATCH_BYTES;
        self.adapt(size, heavy || *moved != Moved::None);
        let engine = &self.engine;
        // Under another table another side may have been the authority meanwhile.
        let equal = match engine.parts.table.load().epoch == epoch {
            true => Finished::Proved(Proof { at: asked, epoch: epoch.0 }),
            false => Finished::Equal,
        };
        let has_moved = |key: &Key| match moved {
            Moved::None => false,
            Moved::Some => true,
            Moved::Keys(keys) => keys.contains(key),
        };
        let (mut copied, mut bulk, mut removed) = (0, 0, 0);
        let mut finished = Vec::with_capacity(leases.len());
        for ((leased, record), applied) in leases.into_iter().zip(&records).zip(applied) {
            match applied {
                _ if has_moved(&leased.key) => {
                    engine.totals.moved.fetch_add(1, Ordering::Relaxed);
                    finished.push((leased, Finished::Moved));
                }
                Applied::Done => {
                    copied += 1;
                    bulk += u64::from(leased.lane == Lane::Bulk);
                    removed += u64::from(record.image == Image::Absent);
                    finished.push((leased, equal.clone()));
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
        engine.parts.journal.finish_all(finished, Instant::now().into_std());
        if copied > 0 {
            engine.totals.removed.fetch_add(removed, Ordering::Relaxed);
            engine.copied(copied, bulk);
            engine.side(secondary).worked();
            engine.side(secondary.other()).worked();
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
