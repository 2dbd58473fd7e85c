//! What runs until told otherwise. Start and stop only say what is wanted; a worker that needs
//! the engine begins as soon as the engine is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use engine::{Engine, VerifyScope, WorkState};
use model::Side;
use parking_lot::Mutex;
use store::{Batch, Change, Kind};
use tokio_util::sync::CancellationToken;
use workflow::{Fact, Worker};

use crate::world::World;
use crate::{smoke, tap};

/// Id of the setting that says which round the stored frontiers belong to.
const COPY_ROUND: &str = "copy_round";

/// The workers that are wanted now.
#[derive(Default)]
pub(crate) struct Workers {
    wanted: Mutex<BTreeSet<Worker>>,
    /// Which copy is wanted; frontiers of older rounds do not count.
    copy_round: AtomicU32,
    /// Ends the tap under way.
    tap: Mutex<CancellationToken>,
}

impl Workers {
    /// Whether a worker is wanted now.
    pub(crate) fn wants(&self, worker: Worker) -> bool {
        self.wanted.lock().contains(&worker)
    }

    /// Wants a worker. One that runs begins its work anew.
    pub(super) fn start(&self, world: &Arc<World>, worker: Worker, copy_round: u32) {
        self.copy_round.store(copy_round, Ordering::Relaxed);
        self.wanted.lock().insert(worker);
        match worker {
            Worker::Smoke => return smoke::begin(world),
            Worker::Tap => {
                let until = CancellationToken::new();
                std::mem::replace(&mut *self.tap.lock(), until.clone()).cancel();
                return tap::begin(world, until);
            }
            _ => {}
        }
        if let Some(engine) = world.engine() {
            begin(world, engine, worker);
        }
    }

    pub(super) fn stop(&self, world: &Arc<World>, worker: Worker) {
        self.wanted.lock().remove(&worker);
        if worker == Worker::Tap {
            // It costs a source dearly, and would see our own copy as the application's traffic.
            self.tap.lock().cancel();
        }
        let Some(engine) = world.engine() else { return };
        match worker {
            Worker::FeedSource => close_feed(world, engine, Side::Source),
            Worker::FeedTarget => close_feed(world, engine, Side::Target),
            Worker::Backfill => engine.pause_backfill(),
            Worker::Verify => engine.pause_verify(),
            Worker::Tap | Worker::Profile | Worker::Compare | Worker::Smoke | Worker::Replay => {}
        }
    }

    /// The engine has come: begins what was wanted meanwhile.
    pub(crate) fn engine_came(&self, world: &Arc<World>, engine: &Arc<Engine>) {
        let wanted: Vec<_> = self.wanted.lock().iter().copied().collect();
        for worker in wanted {
            begin(world, Arc::clone(engine), worker);
        }
    }
}

fn begin(world: &Arc<World>, engine: Arc<Engine>, worker: Worker) {
    match worker {
        Worker::FeedSource => open_feed(world, engine, Side::Source),
        Worker::FeedTarget => open_feed(world, engine, Side::Target),
        Worker::Backfill => backfill(world, engine),
        Worker::Verify => {
            engine.resume_verify();
            if engine.status().verify.state != WorkState::Running
                && let Err(error) = engine.start_verify(VerifyScope::All)
            {
                failed(world, worker, error.code(), &error.to_string());
            }
        }
        // The engine replays whenever it runs; the others only look at counters.
        Worker::Replay | Worker::Tap | Worker::Profile | Worker::Compare | Worker::Smoke => {}
    }
}

/// Goes on with the copy of this round; one of an older round is forgotten first.
fn backfill(world: &Arc<World>, engine: Arc<Engine>) {
    let round = world.workers.copy_round.load(Ordering::Relaxed).to_string();
    world.spawn(async move |world| {
        let fail = |code: &str, why: String| failed(&world, Worker::Backfill, code, &why);
        let stored = world.store.get(Kind::Setting, &world.id, COPY_ROUND).await;
        let of_round = match stored {
            Ok(doc) => doc.is_some_and(|d| d.body == round.as_bytes()),
            Err(error) => return fail(error.code(), error.to_string()),
        };
        if !of_round {
            if let Err(error) = engine.forget_backfill().await {
                return fail(error.code(), error.to_string());
            }
            let put = Change::put(Kind::Setting, &world.id, COPY_ROUND, round.into_bytes());
            if let Err(error) = world.store.commit(Batch::decision(vec![put])).await {
                return fail(error.code(), error.to_string());
            }
        }
        engine.resume_backfill();
        if let Err(error) = engine.start_backfill(world.filter()) {
            fail(error.code(), error.to_string());
        }
    });
}

/// Keeps asking until the feed is open, not wanted any more, or the process ends.
fn open_feed(world: &Arc<World>, engine: Arc<Engine>, side: Side) {
    let worker = worker_of(side);
    world.spawn(async move |world| {
        while world.workers.wants(worker) {
            match engine.open_feed(side).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%side, %error, "the feed could not be opened yet");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    });
}

fn close_feed(world: &Arc<World>, engine: Arc<Engine>, side: Side) {
    world.spawn(async move |world| {
        if !world.workers.wants(worker_of(side)) {
            engine.close_feed(side).await;
        }
    });
}

/// The worker that listens to a side.
pub(crate) const fn worker_of(side: Side) -> Worker {
    match side {
        Side::Source => Worker::FeedSource,
        Side::Target => Worker::FeedTarget,
    }
}

fn failed(world: &Arc<World>, worker: Worker, code: &str, why: &str) {
    world.tell(Fact::WorkerFailed {
        worker: worker.as_str().to_owned(),
        code: code.to_owned(),
        why: why.to_owned(),
    });
}
