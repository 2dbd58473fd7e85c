//! The door: what control calls, and what every worker shares.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use family::{Database, Feed, PortError, Trouble};
use journal::{Bucket, Cause};
use model::{Divergence, DivergenceState, Key, Side};
use parking_lot::Mutex;
use routing::RoutingTable;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backfill::Backfill;
use crate::error::EngineError;
use crate::ledger::Ledger;
use crate::parts::{Filter, Parts};
use crate::progress::ProgressError;
use crate::recheck::Recheck;
use crate::sampler::Meter;
use crate::scope::{RepairPlan, RepairScope, VerifyScope};
use crate::side::SideState;
use crate::status::{Drained, InStep, NotDrained, Status, Totals};
use crate::stream::Streams;
use crate::throttle::Throttler;
use crate::verify::Verify;
use crate::zoo::Bug;
use crate::{copier, decide, feed, marks, recheck, sampler, start, stream, verify};

/// How long a shutdown waits for batches in hand before it abandons them.
const GRACE: Duration = Duration::from_secs(5);

/// Makes the secondary equal to the authority and says how far it is.
pub struct Engine {
    pub(crate) parts: Parts,
    sides: [SideState; 2],
    pub(crate) totals: Counters,
    pub(crate) meter: Meter,
    pub(crate) throttle: Throttler,
    /// Copiers hold it shared per batch; a [`Hold`] has it alone.
    pub(crate) gate: Arc<RwLock<()>>,
    ready: watch::Sender<bool>,
    /// Hashes of records that were on the target before us and are not decided about.
    pub(crate) existing: Mutex<HashSet<u64>>,
    pub(crate) existing_changed: AtomicBool,
    pub(crate) filter: ArcSwap<Filter>,
    pub(crate) backfill: Backfill,
    pub(crate) recheck: Recheck,
    pub(crate) verify: Verify,
    pub(crate) ledger: Ledger,
    /// Of a family that is followed by its transactions.
    pub(crate) streams: Option<Streams>,
    store_error: Mutex<Option<String>>,
    started: AtomicBool,
    pub(crate) stop: CancellationToken,
    /// Ends what did not end by itself within the grace.
    abandon: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Counters since the process began.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) copied: AtomicU64,
    pub(crate) bulk: AtomicU64,
    pub(crate) moved: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) removed: AtomicU64,
    pub(crate) turned: AtomicU64,
    pub(crate) absences_left: AtomicU64,
    pub(crate) echoes: AtomicU64,
    pub(crate) foreign: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) conflicts_overwritten: AtomicU64,
    pub(crate) conflicts_kept: AtomicU64,
    pub(crate) conflicts_failed: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Totals {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            copied: of(&self.copied),
            moved: of(&self.moved),
            retries: of(&self.retries),
            removed: of(&self.removed),
            turned: of(&self.turned),
            absences_left: of(&self.absences_left),
            echoes: of(&self.echoes),
            foreign_on_secondary: of(&self.foreign),
            gaps: of(&self.gaps),
            conflicts_overwritten: of(&self.conflicts_overwritten),
            conflicts_kept: of(&self.conflicts_kept),
            conflicts_failed: of(&self.conflicts_failed),
        }
    }
}

/// While it lives no copier applies anything. Hold it from "drained" until the table with the
/// new authority is published; dropping it lets the copiers go on, under the new table.
pub struct Hold {
    _gate: OwnedRwLockWriteGuard<()>,
    engine: Arc<Engine>,
}

impl Hold {
    pub(crate) const fn new(gate: OwnedRwLockWriteGuard<()>, engine: Arc<Engine>) -> Self {
        Self { _gate: gate, engine }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Under the table that is published now.
        self.engine.set_modes();
    }
}

impl Engine {
    /// An engine that does nothing until [`Engine::start`].
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            sides: [SideState::new(), SideState::new()],
            totals: Counters::default(),
            meter: Meter::new(),
            throttle: Throttler::new(parts.config.bulk_rate_max),
            gate: Arc::default(),
            ready: watch::Sender::new(false),
            existing: Mutex::default(),
            existing_changed: AtomicBool::new(false),
            filter: ArcSwap::default(),
            backfill: Backfill::new(),
            recheck: Recheck::new(),
            verify: Verify::new(),
            ledger: Ledger::default(),
            streams: Streams::of(parts.family.road()),
            store_error: Mutex::default(),
            started: AtomicBool::new(false),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            tasks: TaskTracker::new(),
            parts,
        })
    }

    /// Loads what is durable and spawns the workers. They first kill what older boots left on
    /// either side, and look again at the buckets that were marked and the records that were
    /// parked. Does not wait for the databases. Fails when the store does, or when called twice.
    pub async fn start(self: &Arc<Self>) -> Result<(), EngineError> {
        if self.started.swap(true, Ordering::SeqCst) || self.stop.is_cancelled() {
            return Err(EngineError::Closed);
        }
        let durable = self.parts.progress.load().await?;
        self.restore(&durable);
        if self.streams.is_some() {
            self.spawn(stream::run(Arc::clone(self)));
        } else {
            self.start_copiers();
        }
        self.spawn(start::prologue(Arc::clone(self), durable));
        self.spawn(sampler::run(Arc::clone(self)));
        self.spawn(sampler::heal(Arc::clone(self), Side::Source));
        self.spawn(sampler::heal(Arc::clone(self), Side::Target));
        self.spawn(verify::audit(Arc::clone(self)));
        Ok(())
    }

    fn start_copiers(self: &Arc<Self>) {
        for part in 0..self.parts.journal.copiers() {
            let (engine, abandon) = (Arc::clone(self), self.abandon.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = copier::run(engine, part) => {}
                    () = abandon.cancelled() => {}
                }
            });
        }
        self.spawn(marks::run(Arc::clone(self)));
        self.spawn(recheck::run(Arc::clone(self)));
        self.spawn(feed::cover_unnamed_writes(Arc::clone(self)));
    }

    /// Stops every worker, letting batches in hand end within five seconds. The journal keeps
    /// what is dirty; another engine may be started on it.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait()).await.is_err() {
            self.abandon.cancel();
            self.tasks.wait().await;
        }
    }

    /// Stops at once and leaves whatever is under way in the air, as a crash would. For drills
    /// and tests: [`Engine::shutdown`] is the way to stop.
    pub async fn abandon(&self) {
        self.stop.cancel();
        self.abandon.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Opens a side's change feed and keeps it open. Every change that begins after this returns
    /// is seen. Fine when it is open already.
    pub async fn open_feed(self: &Arc<Self>, side: Side) -> Result<(), EngineError> {
        match self.streams {
            Some(_) => self.stream_open(side).await,
            None => self.feed_open(side).await,
        }
    }

    /// Closes a side's change feed. A followed log goes on being read as long as it is captured
    /// ([`Engine::release`]): whoever writes where nobody should is to be seen.
    pub async fn close_feed(&self, side: Side) {
        if self.streams.is_none() {
            self.feed_close(side).await;
        }
    }

    /// Gives up for good what is kept of each side's log for us. Fine when nothing is.
    pub async fn release(&self) -> Result<(), EngineError> {
        self.stream_release().await
    }

    /// Waits until every change made on a side before this call has reached the journal.
    pub async fn feed_fence(&self, side: Side, deadline: Duration) -> Result<(), EngineError> {
        let attempts = async {
            let mut failures = 0;
            while !self.passed(side).await {
                failures += 1;
                tokio::time::sleep(self.delay(failures)).await;
            }
        };
        let within = tokio::time::timeout(deadline, attempts).await;
        within.map_err(|_| EngineError::Deadline(format!("the {side}'s feed passed no fence")))
    }

    /// Starts copying history, or resumes where a former process stopped. Refused for conflict
    /// policies that are not built.
    pub fn start_backfill(self: &Arc<Self>, filter: Filter) -> Result<(), EngineError> {
        self.backfill_start(filter)
    }

    /// Says which records move, before anything is copied.
    pub fn set_filter(&self, filter: Filter) {
        self.filter.store(Arc::new(filter));
    }

    /// Forgets how far the copy of history has come, durably, so that the next start copies
    /// everything. Waits until a copy under way has stopped.
    pub async fn forget_backfill(&self) -> Result<(), EngineError> {
        self.backfill_forget().await
    }

    /// Pauses the copy of history; live changes go on.
    pub fn pause_backfill(&self) {
        self.backfill.pause(true);
    }

    /// Resumes it.
    pub fn resume_backfill(&self) {
        self.backfill.pause(false);
    }

    /// Offers every key of these buckets again, from both sides.
    pub fn recheck(&self, buckets: &[Bucket], why: &str) {
        self.recheck_buckets(buckets, Cause::Feed, why);
    }

    /// Offers every key again, from both sides.
    pub fn recheck_all(&self, why: &str) {
        self.recheck_everything(Cause::Feed, why);
    }

    /// Changes the bulk lane's bound, in records per second.
    pub fn set_bulk_rate(&self, rate: Option<u32>) {
        self.throttle.set_max(rate);
    }

    /// Waits until nothing is dirty or in flight.
    pub async fn drain(&self, deadline: Duration) -> Result<Drained, NotDrained> {
        self.drained(deadline).await
    }

    /// Waits until nothing is dirty or in flight and stops the copiers at that instant.
    pub async fn drain_and_hold(
        self: &Arc<Self>,
        deadline: Duration,
    ) -> Result<(Drained, Hold), Box<NotDrained>> {
        self.drained_and_held(deadline).await.map_err(Box::new)
    }

    /// Whether the secondary is in step, and if not, every reason.
    #[must_use]
    pub fn in_step(&self) -> InStep {
        self.step()
    }

    /// Starts a comparison of both sides. Refused while one runs.
    pub fn start_verify(self: &Arc<Self>, scope: VerifyScope) -> Result<(), EngineError> {
        self.verify_start(scope)
    }

    /// Pauses it.
    pub fn pause_verify(&self) {
        self.verify.pause(true);
    }

    /// Resumes it.
    pub fn resume_verify(&self) {
        self.verify.pause(false);
    }

    /// Divergences, in key order, at most `max`; `None` is every state.
    #[must_use]
    pub fn divergences(&self, state: Option<DivergenceState>, max: usize) -> Vec<Divergence> {
        self.ledger.list(state, max)
    }

    /// Decides that a divergence may stay. `false` when there is none.
    pub async fn accept(&self, key: &Key, reason: &str) -> Result<bool, EngineError> {
        let Some(accepted) = self.ledger.accept(key, reason) else { return Ok(false) };
        self.parts.progress.save_divergences(&[accepted]).await?;
        Ok(true)
    }

    /// Writes the authority's state of these records again, through the same lease as live
    /// changes, so that it cannot overwrite a newer write. Only a later comparison clears a
    /// divergence; one of the suspects is started.
    pub async fn repair(
        self: &Arc<Self>,
        scope: RepairScope,
        dry_run: bool,
    ) -> Result<RepairPlan, EngineError> {
        self.repair_records(scope, dry_run).await
    }

    /// Takes a parked record off the list, to try it again (its absence is then explained by the
    /// operator) or to leave both sides as they are. `false` when it is not parked.
    pub fn unpark(&self, key: &Key, retry: bool) -> bool {
        let now = tokio::time::Instant::now().into_std();
        self.parts.journal.unpark(key, retry, now)
    }

    /// An operator vouches for a side: absences on it are believed again, and what was parked
    /// for them is looked at again.
    pub async fn clear_doubt(&self, side: Side) -> Result<(), EngineError> {
        self.side(side).set_doubt(None);
        self.parts.progress.save_side(side, &self.facts(side)).await?;
        for (key, parked) in self.parts.journal.parked(usize::MAX) {
            if parked.code == decide::ABSENCE {
                self.unpark(&key, true);
            }
        }
        Ok(())
    }

    /// Everything there is to say.
    #[must_use]
    pub fn status(&self) -> Status {
        self.snapshot()
    }
}

/// What workers share.
impl Engine {
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    pub(crate) const fn side(&self, side: Side) -> &SideState {
        &self.sides[side.index()]
    }

    pub(crate) fn database(&self, side: Side) -> &Arc<dyn Database> {
        match side {
            Side::Source => &self.parts.source,
            Side::Target => &self.parts.target,
        }
    }

    /// Who decides about a key.
    pub(crate) fn authority_of(&self, table: &RoutingTable, key: &Key) -> Side {
        if self.parts.config.has(Bug::StaleDirection) {
            return Side::Source;
        }
        let tenant = match &self.parts.config.tenant_rule {
            Some(rule) if !table.authority.moved.is_empty() => {
                self.parts.family.tenant_of(rule, key)
            }
            _ => None,
        };
        table.authority.of(tenant.as_ref())
    }

    /// Whether a side decides about anything.
    pub(crate) fn decides(&self, side: Side) -> bool {
        let table = self.parts.table.load();
        table.authority.default == side || !table.authority.moved.is_empty()
    }

    /// A port call that cannot hang.
    pub(crate) async fn bounded<T>(
        &self,
        side: Side,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let limit = self.parts.config.call_timeout;
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            let message = format!("the {side} did not answer within {limit:?}");
            Err(PortError::new(Trouble::Unreachable, "EXO-ENG-011", message))
        })
    }

    pub(crate) async fn open_feed_of(&self, side: Side) -> Result<Box<dyn Feed>, PortError> {
        self.bounded(side, self.database(side).feed()).await
    }

    pub(crate) fn port_failed(&self, side: Side, error: &PortError) {
        if decide::concerns_the_side(error.trouble) {
            self.side(side).failed(error, self.parts.config.backoff);
        }
    }

    /// A growing delay for loops that try again.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        decide::backoff(failures, &Key::new(b""), &self.parts.config)
    }

    pub(crate) fn both_well(&self) -> bool {
        self.sides.iter().all(SideState::is_well)
    }

    pub(crate) async fn until_both_well(&self) {
        for side in &self.sides {
            side.well().await;
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub(crate) fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    pub(crate) async fn until_ready(&self) {
        // The sender lives in `self`: it cannot have gone.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    pub(crate) fn copied(&self, records: u64, bulk: u64) {
        self.totals.copied.fetch_add(records, Ordering::Relaxed);
        self.totals.bulk.fetch_add(bulk, Ordering::Relaxed);
        self.meter.progressed();
    }

    pub(crate) fn store_failed(&self, error: &ProgressError) {
        tracing::error!(code = "EXO-ENG-004", %error, "the store cannot keep progress");
        *self.store_error.lock() = Some(error.to_string());
    }

    pub(crate) fn store_error(&self) -> Option<String> {
        self.store_error.lock().clone()
    }
}
