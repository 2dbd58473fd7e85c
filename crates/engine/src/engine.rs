//! The door: what control calls.

use std::sync::Arc;
use std::time::Duration;

use journal::Bucket;
use model::{Dataset, Divergence, DivergenceState, Key, Side};
use parking_lot::Mutex;
use tokio::sync::OwnedRwLockWriteGuard;

use crate::error::EngineError;
use crate::parts::{Filter, Parts};
use crate::status::{Drained, InStep, NotDrained, Status};

/// Makes the secondary equal to the authority and says how far it is.
pub struct Engine {
    pub(crate) parts: Parts,
    #[allow(dead_code)]
    pub(crate) state: Mutex<()>,
}

/// While it lives no copier applies anything. Hold it from "drained" until the table with the
/// new authority is published; dropping it lets the copiers go on, under the new table.
pub struct Hold {
    _gate: OwnedRwLockWriteGuard<()>,
}

/// What to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyScope {
    /// Everything the filter moves.
    All,
    /// Open divergences and keys that looked suspicious since.
    Suspects,
    /// One dataset.
    Dataset(Dataset),
}

/// What to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairScope {
    /// These records, whatever the ledger says of them.
    Keys(Vec<Key>),
    /// Every open divergence.
    All,
}

/// What a repair did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairPlan {
    /// Per record: the key, what the secondary has now (masked; the before-image's summary), and
    /// what the authority has (masked).
    pub records: Vec<(Key, String, String)>,
    /// How many of them are removals on the secondary.
    pub removals: usize,
    /// Whether it was done.
    pub done: bool,
}

#[allow(unused_variables, clippy::unused_async)]
impl Engine {
    /// An engine that does nothing until [`Engine::start`].
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, state: Mutex::new(()) })
    }

    /// Loads what is durable and spawns the workers. They first kill what older boots left on
    /// either side, and recheck the buckets that were marked. Call once, inside a runtime.
    pub async fn start(self: &Arc<Self>) -> Result<(), EngineError> {
        Err(EngineError::Closed)
    }

    /// Stops every worker, letting the batch in hand end. The journal stays as it is.
    pub async fn shutdown(&self) {}

    /// Opens a side's change feed and keeps it open. Every change that begins after this returns
    /// is seen. Fine when it is open already.
    pub async fn open_feed(self: &Arc<Self>, side: Side) -> Result<(), EngineError> {
        Err(EngineError::Closed)
    }

    /// Closes a side's change feed.
    pub async fn close_feed(&self, side: Side) {}

    /// Waits until every change made on a side before this call has reached the journal.
    pub async fn feed_fence(&self, side: Side, deadline: Duration) -> Result<(), EngineError> {
        Err(EngineError::Closed)
    }

    /// Starts copying history, or resumes where a former process stopped.
    pub async fn start_backfill(self: &Arc<Self>, filter: Filter) -> Result<(), EngineError> {
        Err(EngineError::Closed)
    }

    /// Pauses the copy of history; live changes go on.
    pub fn pause_backfill(&self) {}

    /// Resumes it.
    pub fn resume_backfill(&self) {}

    /// Offers every key of these buckets again, from both sides.
    pub fn recheck(&self, buckets: &[Bucket], why: &str) {}

    /// Offers every key again, from both sides.
    pub fn recheck_all(&self, why: &str) {}

    /// Changes the bulk lane's bound, in records per second.
    pub fn set_bulk_rate(&self, rate: Option<u32>) {}

    /// Waits until nothing is dirty or in flight.
    pub async fn drain(&self, deadline: Duration) -> Result<Drained, NotDrained> {
        let _ = deadline;
        Err(self.undrained())
    }

    /// Waits until nothing is dirty or in flight and stops the copiers at that instant.
    #[allow(clippy::type_complexity)]
    pub async fn drain_and_hold(&self, deadline: Duration) -> Result<(Drained, Hold), NotDrained> {
        let _ = deadline;
        Err(self.undrained())
    }

    /// Whether the secondary is in step.
    pub fn in_step(&self) -> InStep {
        InStep { reasons: vec![("engine", "not started".into())] }
    }

    /// Starts a comparison of both sides.
    pub fn start_verify(self: &Arc<Self>, scope: VerifyScope) -> Result<(), EngineError> {
        Err(EngineError::Closed)
    }

    /// Pauses it.
    pub fn pause_verify(&self) {}

    /// Resumes it.
    pub fn resume_verify(&self) {}

    /// Divergences, in key order, at most `max`; `None` is every state.
    pub fn divergences(&self, state: Option<DivergenceState>, max: usize) -> Vec<Divergence> {
        let _ = (state, max);
        Vec::new()
    }

    /// Decides that a divergence may stay. `false` when there is none.
    pub async fn accept(&self, key: &Key, reason: &str) -> Result<bool, EngineError> {
        Err(EngineError::Closed)
    }

    /// Writes the authority's state of these records again; only a later comparison clears a
    /// divergence, and one is started.
    pub async fn repair(
        self: &Arc<Self>,
        scope: RepairScope,
        dry_run: bool,
    ) -> Result<RepairPlan, EngineError> {
        Err(EngineError::Closed)
    }

    /// Takes a parked record off the list, to try it again or to leave both sides as they are.
    /// `false` when it is not parked.
    pub fn unpark(&self, key: &Key, retry: bool) -> bool {
        let _ = (key, retry);
        false
    }

    /// An operator vouches for a side: absences on it are believed again, and what was parked
    /// for them is looked at again.
    pub async fn clear_doubt(&self, side: Side) -> Result<(), EngineError> {
        Err(EngineError::Closed)
    }

    /// Everything there is to say.
    pub fn status(&self) -> Status {
        let side = || crate::status::SideStatus {
            breaker: crate::status::BreakerState::Closed,
            last_error: None,
            failures: 0,
            ping_p99_us: None,
            feed: crate::status::FeedState::Closed,
            doubt: None,
            quarantined: 0,
        };
        Status {
            epoch: self.parts.table.load().epoch,
            lag_ms: 0,
            depth: self.parts.journal.depth(),
            in_step: self.in_step(),
            copied_per_second: 0.0,
            totals: Default::default(),
            sides: [side(), side()],
            last_progress_ms: 0,
            stalled: None,
            throttle: crate::status::Throttle { reason: "none", detail: String::new(), rate: None },
            backfill: Default::default(),
            recheck: Default::default(),
            verify: Default::default(),
            divergences: Default::default(),
            divergences_dropped: 0,
            parked: Vec::new(),
            undo: Default::default(),
            store_error: None,
        }
    }

    fn undrained(&self) -> NotDrained {
        let depth = self.parts.journal.depth();
        NotDrained {
            live: depth.live,
            bulk: depth.bulk,
            in_flight: depth.in_flight,
            parked: depth.parked,
            unnamed: self.parts.journal.anything_pending(),
            oldest: None,
            cause: "not started".into(),
        }
    }
}
