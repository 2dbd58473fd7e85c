//! What the engine says of itself: one snapshot, plain data, no lock held.

use std::collections::BTreeMap;
use std::time::Duration;

use family::Doubt;
use journal::{Depth, Parked};
use model::{Dataset, DivergenceClass, DivergenceState, Epoch, Key};

use crate::progress::{Fill, Verified};

/// Everything an operator may want to know of copying, feeds, backfill and verify.
#[derive(Debug, Clone)]
pub struct Status {
    /// Epoch of the table the engine obeys.
    pub epoch: Epoch,
    /// Age of the oldest live change that the secondary does not have, in milliseconds.
    pub lag_ms: u64,
    /// What is outstanding.
    pub depth: Depth,
    /// Whether the secondary is in step, and if not, why.
    pub in_step: InStep,
    /// Records copied per second over the last samples.
    pub copied_per_second: f64,
    /// Counters since the process began.
    pub totals: Totals,
    /// Source and target, by [`model::Side::index`].
    pub sides: [SideStatus; 2],
    /// Milliseconds since a record was last copied, or since there was last nothing to do.
    pub last_progress_ms: u64,
    /// Work is outstanding and nothing moves: what most likely holds it (`EXO-ENG-007`).
    pub stalled: Option<String>,
    /// What limits the bulk lane now.
    pub throttle: Throttle,
    /// The copy of history.
    pub backfill: BackfillStatus,
    /// Keys looked at again after an unclean stop, a feed gap or a flush.
    pub recheck: RecheckStatus,
    /// Comparison of the two sides.
    pub verify: VerifyStatus,
    /// Divergences by class and state.
    pub divergences: BTreeMap<(DivergenceClass, DivergenceState), u64>,
    /// Divergences that did not fit in memory; the next verify finds them again.
    pub divergences_dropped: u64,
    /// The first parked records, in key order (all of them are counted in `depth`).
    pub parked: Vec<(Key, Parked)>,
    /// What an undo would mean now.
    pub undo: Undo,
    /// How far the authority's log is on the other side, where whole transactions are followed.
    pub log: Option<LogStatus>,
    /// The store refuses to keep progress; the last message.
    pub store_error: Option<String>,
}

/// How far the authority's log is on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStatus {
    /// Where the log stood when it was last asked.
    pub head: u64,
    /// Everything up to here is durable on the other side.
    pub applied: u64,
    /// Transactions applied since the process began.
    pub transactions: u64,
    /// Records changed by them.
    pub changes: u64,
    /// Bytes of log that the source and the target keep for us, by [`model::Side::index`].
    pub retained: [Option<family::Retained>; 2],
}

/// Whether the secondary can take over now. `reasons` is empty exactly when it is in step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InStep {
    /// Every reason against, as (stable word, sentence).
    pub reasons: Vec<(&'static str, String)>,
}

impl InStep {
    /// In step: no reason against.
    #[must_use]
    pub const fn is(&self) -> bool {
        self.reasons.is_empty()
    }

    /// In step but for what live traffic causes all the time and a barrier settles by itself:
    /// changes of the secondary that are still to be explained (expiries, mostly), and writes
    /// that await a feed fence. Good enough to begin a barrier, which waits for both.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.reasons.iter().all(|(word, _)| matches!(*word, "suspects" | "unnamed_writes"))
    }
}

/// Counters since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Records that became equal.
    pub copied: u64,
    /// Copies that were void because the record moved meanwhile.
    pub moved: u64,
    /// Attempts that failed and are tried again.
    pub retries: u64,
    /// Absences applied.
    pub removed: u64,
    /// Leases given back because the direction had changed.
    pub turned: u64,
    /// Unexplained absences beyond what is parked: the secondary keeps those records, and only a
    /// verify names them.
    pub absences_left: u64,
    /// Feed entries caused by our own copies.
    pub echoes: u64,
    /// Feed entries of the secondary that no copy of ours explains (`EXO-ENG-009`).
    pub foreign_on_secondary: u64,
    /// Feed gaps.
    pub gaps: u64,
    /// Conflict outcomes: existing record replaced.
    pub conflicts_overwritten: u64,
    /// Conflict outcomes: existing record kept.
    pub conflicts_kept: u64,
    /// Conflict outcomes: parked for the operator.
    pub conflicts_failed: u64,
}

/// One side as the engine meets it.
#[derive(Debug, Clone)]
pub struct SideStatus {
    /// Whether its breaker lets work through.
    pub breaker: BreakerState,
    /// Its last error and how often it failed in a row.
    pub last_error: Option<String>,
    /// What kind of error that was: a server that answers and refuses is not one that is gone.
    pub trouble: Option<family::Trouble>,
    /// See `last_error`.
    pub failures: u32,
    /// p99 of recent round trips, in microseconds; `None` before the first.
    pub ping_p99_us: Option<u64>,
    /// Its feed.
    pub feed: FeedState,
    /// Why absences on this side are not believed.
    pub doubt: Option<Doubt>,
    /// Keys kept back until abandoned connections are proved dead on this side.
    pub quarantined: u64,
}

/// A circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Work passes.
    Closed,
    /// Nothing passes before this much time.
    Open(Duration),
    /// One attempt is under way.
    Probing,
}

/// A feed's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedState {
    /// Nobody asked for it.
    Closed,
    /// Being opened, or opened again after a failure: the last message.
    Opening(String),
    /// Delivering.
    Open,
}

/// What limits the bulk lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Throttle {
    /// Stable word: `none`, `rate`, `source_latency`, `target_latency`, `live_depth`, `breaker`,
    /// `paused`.
    pub reason: &'static str,
    /// A sentence with numbers.
    pub detail: String,
    /// Records per second that may pass now; `None` is unbounded.
    pub rate: Option<f64>,
}

/// The copy of history.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BackfillStatus {
    /// Where it is.
    pub state: WorkState,
    /// Records finished and estimated, all datasets.
    pub records_done: u64,
    /// Never below `records_done`.
    pub records_total: u64,
    /// Bytes estimated, 0 = unknown.
    pub bytes_total: u64,
    /// Records finished per second, recently.
    pub rate: f64,
    /// Seconds left, from and to; `None` until it means something.
    pub eta_seconds: Option<(u64, u64)>,
    /// Each dataset.
    pub datasets: BTreeMap<Dataset, Fill>,
    /// What it is busy with, or its last error.
    pub note: String,
}

/// Where a background job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkState {
    /// Never asked for.
    #[default]
    Idle,
    /// Working.
    Running,
    /// Paused by an operator.
    Paused,
    /// Done.
    Done,
    /// Gave up; its note says why.
    Failed,
}

/// Keys looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecheckStatus {
    /// Buckets still to be looked at (of [`journal::BUCKETS`]).
    pub buckets_left: usize,
    /// Keys offered by the current pass.
    pub keys_offered: u64,
    /// Why, or the last error.
    pub note: String,
}

/// Comparison of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyStatus {
    /// Where it is.
    pub state: WorkState,
    /// What is compared: `all`, `suspects`, or a dataset's name.
    pub scope: String,
    /// Records compared so far in this run.
    pub compared: u64,
    /// Keys that differ so far and are looked at again in later rounds.
    pub suspects: u64,
    /// Divergences that are open (suspected or confirmed).
    pub open: u64,
    /// What it is busy with, or its last error.
    pub note: String,
    /// A gap, flush or unclean stop came after the last full verify: its evidence is stale.
    pub required: Option<String>,
    /// The last run that ended.
    pub last: Option<Verified>,
    /// How long ago that was, in milliseconds, if it ended in this process.
    pub last_age_ms: Option<u64>,
}

/// What an undo would mean now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Undo {
    /// Keys whose latest state only the authority has, in flight included.
    pub writes_at_risk: u64,
    /// Estimated milliseconds to drain them at the present rate; `None` when nothing moves.
    pub drain_ms: Option<u64>,
    /// The secondary could take authority after a drain.
    pub ready: bool,
}

/// The journal was empty at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// How long it took.
    pub took: Duration,
    /// Records that stay parked.
    pub parked: usize,
}

/// The journal was not empty in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDrained {
    /// Live keys left.
    pub live: usize,
    /// Bulk keys left.
    pub bulk: usize,
    /// Keys with writes in flight.
    pub in_flight: usize,
    /// Parked records.
    pub parked: usize,
    /// Whether a write that names no keys is not yet covered by a feed fence.
    pub unnamed: bool,
    /// Age of the oldest live change.
    pub oldest: Option<Duration>,
    /// What most likely holds it.
    pub cause: String,
}

impl std::fmt::Display for NotDrained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "EXO-ENG-008: not drained: {} live, {} bulk, {} in flight, {} parked, oldest {} ms: {}",
            self.live,
            self.bulk,
            self.in_flight,
            self.parked,
            self.oldest.map_or(0, |d| d.as_millis()),
            self.cause
        )
    }
}

impl std::error::Error for NotDrained {}
