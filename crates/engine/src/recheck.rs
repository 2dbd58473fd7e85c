//! Looks at keys again whose changes may have been missed: scans both sides and offers every key
//! of the asked-for buckets in the bulk lane.
//!
//! While anything is asked for, the journal is uncertain: no read leaves the authority, nothing
//! is said to be in step or drained. Rechecking everything sets every marker first, so that a
//! crash in the middle begins it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use journal::{BUCKETS, Bucket, Cause, Chunk, Lane, bucket_of, key_hash};
use model::Side;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::decide::ABSENCE;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::parts::PARKED_MAX;
use crate::scan::Scan;
use crate::status::RecheckStatus;

/// Longest rest between two passes.
const REST_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Recheck {
    state: Mutex<State>,
    bell: Notify,
    offered: AtomicU64,
}

struct State {
    asked: Asked,
    running: usize,
    note: String,
}

#[derive(Clone)]
struct Asked {
    buckets: Box<[bool]>,
    count: usize,
    cause: Cause,
}

impl Asked {
    fn none() -> Self {
        Self { buckets: vec![false; BUCKETS].into(), count: 0, cause: Cause::Scan }
    }

    fn add(&mut self, bucket: Bucket) {
        let slot = &mut self.buckets[usize::from(bucket.0)];
        self.count += usize::from(!*slot);
        *slot = true;
    }

    fn merge(&mut self, other: &Self) {
        for (index, asked) in other.buckets.iter().enumerate() {
            if *asked {
                self.add(Bucket(index as u16));
            }
        }
        self.cause = self.cause.max(other.cause);
    }
}

impl Recheck {
    pub(crate) fn new() -> Self {
        let state = State { asked: Asked::none(), running: 0, note: String::new() };
        Self { state: Mutex::new(state), bell: Notify::new(), offered: AtomicU64::new(0) }
    }

    /// Nothing is asked for and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.asked.count == 0 && state.running == 0
    }

    pub(crate) fn status(&self) -> RecheckStatus {
        let state = self.state.lock();
        RecheckStatus {
            buckets_left: state.asked.count.max(state.running),
            keys_offered: self.offered.load(Ordering::Relaxed),
            note: state.note.clone(),
        }
    }

    fn give_back(&self, asked: &Asked) {
        let mut state = self.state.lock();
        state.asked.merge(asked);
        state.running = 0;
    }

    fn say(&self, note: &str) {
        self.state.lock().note = note.to_owned();
    }
}

impl Engine {
    pub(crate) fn recheck_buckets(&self, buckets: &[Bucket], cause: Cause, why: &str) {
        if buckets.is_empty() {
            return;
        }
        let mut state = self.recheck.state.lock();
        for bucket in buckets {
            state.asked.add(*bucket);
        }
        state.asked.cause = state.asked.cause.max(cause);
        state.note = why.to_owned();
        drop(state);
        self.refresh_certainty();
        self.recheck.bell.notify_one();
    }

    /// Tells the journal whether changes may have been missed.
    pub(crate) fn refresh_certainty(&self) {
        let lost = [Side::Source, Side::Target]
            .into_iter()
            .any(|side| self.decides(side) && self.side(side).feed.is_lost());
        // Under the lock, so that the last to look is the last to say.
        let state = self.recheck.state.lock();
        let uncertain = lost || state.asked.count > 0 || state.running > 0;
        self.parts.journal.set_uncertain(uncertain);
    }

    pub(crate) fn recheck_everything(&self, cause: Cause, why: &str) {
        self.parts.journal.markers().demand_all();
        let all: Vec<_> = (0..BUCKETS as u16).map(Bucket).collect();
        self.recheck_buckets(&all, cause, why);
    }
}

/// The worker.
pub(crate) async fn run(engine: Arc<Engine>) {
    let recheck = &engine.recheck;
    let mut failures = 0;
    // A server that evicts reports a gap again and again: look at most half of the time.
    let mut not_before = Instant::now();
    loop {
        if recheck.state.lock().asked.count == 0 {
            recheck.bell.notified().await;
            continue;
        }
        tokio::time::sleep_until(not_before).await;
        let asked = {
            let mut state = recheck.state.lock();
            state.running = state.asked.count;
            std::mem::replace(&mut state.asked, Asked::none())
        };
        let began = Instant::now();
        match pass(&engine, &asked).await {
            Ok(()) => {
                failures = 0;
                not_before = Instant::now() + began.elapsed().min(REST_MAX);
                finished(&engine).await;
            }
            Err(error) => {
                failures += 1;
                recheck.say(&format!("will try again: {error}"));
                recheck.give_back(&asked);
                tokio::time::sleep(engine.delay(failures)).await;
            }
        }
    }
}

async fn pass(engine: &Engine, asked: &Asked) -> Result<(), EngineError> {
    engine.recheck.offered.store(0, Ordering::Relaxed);
    for side in [Side::Source, Side::Target] {
        for dataset in engine.datasets(side).await? {
            let mut scan = Scan::new(side, dataset, None);
            let mut waiting = std::collections::VecDeque::new();
            let mut outstanding = 0;
            while let Some(mut keys) = scan.next(engine).await? {
                keys.retain(|key| asked.buckets[usize::from(bucket_of(key_hash(key)).0)]);
                if keys.is_empty() {
                    continue;
                }
                room_for_parked(engine).await;
                let chunk = Chunk::new(keys.len());
                outstanding += keys.len();
                waiting.push_back((keys.len(), Arc::clone(&chunk)));
                engine.recheck.offered.fetch_add(keys.len() as u64, Ordering::Relaxed);
                let now = Instant::now().into_std();
                engine.parts.journal.stale(keys, Lane::Bulk, asked.cause, Some(&chunk), now);
                while outstanding > engine.parts.config.bulk_outstanding_max {
                    let Some((keys, chunk)) = waiting.pop_front() else { break };
                    chunk.finished().await;
                    outstanding -= keys;
                }
            }
            for (_, chunk) in waiting {
                chunk.finished().await;
            }
        }
    }
    Ok(())
}

/// An emptied authority would park the whole other side: stop at a number an operator can read.
async fn room_for_parked(engine: &Engine) {
    while engine.parts.journal.depth().parked >= PARKED_MAX {
        engine.recheck.say("too many parked records: decide about them first");
        engine.parts.journal.changed().await;
    }
}

async fn finished(engine: &Engine) {
    // What was parked for a doubt keeps the doubt; with nothing parked the data is all there.
    let unexplained =
        engine.parts.journal.parked(PARKED_MAX).iter().any(|(_, parked)| parked.code == ABSENCE);
    let idle = {
        let mut state = engine.recheck.state.lock();
        state.running = 0;
        let idle = state.asked.count == 0;
        if idle {
            state.note = "everything asked for was looked at".into();
        }
        idle
    };
    engine.refresh_certainty();
    if idle && !unexplained {
        for side in [Side::Source, Side::Target] {
            if engine.side(side).doubt().is_some() {
                engine.side(side).set_doubt(None);
                engine.save_side(side).await;
            }
        }
    }
}
