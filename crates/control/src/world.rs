//! What the actions of one migration work on: listeners, databases, engine, store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use engine::{Engine, Filter, Hold};
use family::{Database, Probe};
use journal::Horizon;
use model::{Dataset, Key, Side};
use parking_lot::Mutex;
use store::{Batch, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workflow::{Fact, Node};

use crate::act::Workers;
use crate::cleaned::Cleaned;
use crate::clock::Clock;
use crate::config::Document;
use crate::events;
use crate::interlays::Interlays;
use crate::observe::{Baseline, Seen};
use crate::plugin::FamilyPlugin;
use crate::runner::{Runner, Snapshot};

/// One migration's world. Everything in it may be missing for a while except the listeners.
pub(crate) struct World {
    pub(crate) id: String,
    pub(crate) node: Node,
    pub(crate) document: ArcSwap<Document>,
    pub(crate) plugin: Arc<dyn FamilyPlugin>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interlays: Interlays,
    pub(crate) workers: Workers,
    pub(crate) hold: Mutex<Option<Hold>>,
    /// How far each side's log is on the other, where transactions are followed.
    pub(crate) horizon: Arc<Horizon>,
    /// One at a time sets or lifts a fence on a side.
    pub(crate) fencing: [tokio::sync::Mutex<()>; 2],
    engine: watch::Sender<Option<Arc<Engine>>>,
    databases: [watch::Sender<Option<Arc<dyn Database>>>; 2],
    runner: OnceLock<Runner>,
    errors: Mutex<[Option<String>; 3]>,
    can_fence: Mutex<BTreeSet<Side>>,
    rehearsal: Mutex<Option<CancellationToken>>,
    cleaned: Mutex<Option<Cleaned>>,
    /// Until when differences are ignored, milliseconds since the Unix epoch.
    ignored: Mutex<BTreeMap<Key, u64>>,
    probes: [Mutex<Option<Probe>>; 2],
    baseline: Mutex<Option<Baseline>>,
    /// Sessions that reach the source without an interlay, when they were last counted.
    direct: Mutex<Option<u64>>,
    /// What ages in this process are measured from.
    pub(crate) born: Instant,
    /// Runs of the checks under way.
    checking: Arc<AtomicUsize>,
    pub(crate) seen: Seen,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a world is made of.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) node: Node,
    pub(crate) document: Document,
    pub(crate) plugin: Arc<dyn FamilyPlugin>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interlays: Interlays,
}

/// A run of the checks that is under way.
pub(crate) struct Checking(Arc<AtomicUsize>);

impl Drop for Checking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl World {
    pub(crate) fn new(made: Made) -> Arc<Self> {
        Arc::new(Self {
            id: made.id,
            node: made.node,
            document: ArcSwap::from_pointee(made.document),
            plugin: made.plugin,
            store: made.store,
            clock: made.clock,
            interlays: made.interlays,
            workers: Workers::default(),
            hold: Mutex::default(),
            horizon: Arc::new(Horizon::new(Instant::now())),
            fencing: Default::default(),
            engine: watch::channel(None).0,
            databases: [watch::channel(None).0, watch::channel(None).0],
            runner: OnceLock::new(),
            errors: Mutex::default(),
            can_fence: Mutex::default(),
            rehearsal: Mutex::default(),
            cleaned: Mutex::default(),
            ignored: Mutex::default(),
            probes: Default::default(),
            baseline: Mutex::default(),
            direct: Mutex::default(),
            born: Instant::now(),
            checking: Arc::default(),
            seen: Seen::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Runs beside everything else, until done or the world stops.
    pub(crate) fn spawn<F>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, work) = (self.stop.clone(), work(Arc::clone(self)));
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Ends every task and the engine. Listeners are drained apart.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.hold.lock().take();
        if let Some(engine) = self.engine() {
            engine.shutdown().await;
        }
    }

    pub(crate) fn set_runner(&self, runner: Runner) {
        let _ = self.runner.set(runner);
    }

    pub(crate) fn runner(&self) -> Option<&Runner> {
        self.runner.get()
    }

    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.runner.get().map(Runner::snapshot)
    }

    /// Tells the loop, without waiting for it.
    pub(crate) fn tell(self: &Arc<Self>, fact: Fact) {
        self.spawn(async move |world| world.report(fact).await);
    }

    /// Tells the loop.
    pub(crate) async fn report(&self, fact: Fact) {
        if let Some(runner) = self.runner.get() {
            runner.tell(fact).await;
        }
    }

    /// Appends an event that is not part of a transition.
    pub(crate) async fn emit(&self, kind: &str, fields: serde_json::Value) {
        let event = events::new(&self.id, self.clock.now_ms(), kind, fields);
        if let Err(error) = self.store.commit(Batch::data(vec![event])).await {
            tracing::error!(%error, kind, "an event was not stored");
        }
    }

    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.borrow().clone()
    }

    pub(crate) fn set_engine(self: &Arc<Self>, engine: &Arc<Engine>) {
        self.engine.send_replace(Some(Arc::clone(engine)));
        self.workers.engine_came(self, engine);
    }

    /// The engine, as soon as it is there.
    pub(crate) async fn engine_within(&self, left: Duration) -> Result<Arc<Engine>, String> {
        let mut engines = self.engine.subscribe();
        let come = tokio::time::timeout(left, engines.wait_for(Option::is_some)).await;
        let engine = come.ok().and_then(Result::ok).and_then(|e| e.clone());
        engine.ok_or_else(|| "source and target are not both connected yet".to_owned())
    }

    pub(crate) fn database(&self, side: Side) -> Option<Arc<dyn Database>> {
        self.databases[side.index()].borrow().clone()
    }

    pub(crate) fn set_database(&self, side: Side, database: Arc<dyn Database>) {
        self.databases[side.index()].send_replace(Some(database));
    }

    /// Which records move.
    pub(crate) fn filter(&self) -> Filter {
        let document = self.document.load();
        let include = &document.backfill.datasets.include;
        let datasets =
            (!include.is_empty()).then(|| include.iter().map(|d| Dataset::new(d)).collect());
        Filter { datasets, keys: None }
    }

    pub(crate) fn set_probe(&self, side: Side, probe: Probe) {
        *self.probes[side.index()].lock() = Some(probe);
    }

    /// What is known of a server.
    pub(crate) fn probe(&self, side: Side) -> Option<Probe> {
        self.probes[side.index()].lock().clone()
    }

    pub(crate) fn set_baseline(&self, baseline: Option<Baseline>) {
        *self.baseline.lock() = baseline;
    }

    /// The source's latency in the analyze phase.
    pub(crate) fn baseline(&self) -> Option<Baseline> {
        self.baseline.lock().clone()
    }

    pub(crate) fn set_direct(&self, sessions: Option<u64>) {
        *self.direct.lock() = sessions;
    }

    pub(crate) fn direct(&self) -> Option<u64> {
        *self.direct.lock()
    }

    pub(crate) fn ignore_until(&self, all: impl IntoIterator<Item = (Key, u64)>) {
        self.ignored.lock().extend(all);
    }

    /// Ignored differences whose time is over.
    pub(crate) fn ignored_until(&self, now_ms: u64) -> Vec<Key> {
        let ignored = self.ignored.lock();
        ignored.iter().filter(|(_, end)| **end <= now_ms).map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn forget_ignored(&self, keys: &[&Key]) {
        let mut ignored = self.ignored.lock();
        for key in keys {
            ignored.remove(*key);
        }
    }

    pub(crate) fn set_cleaned(&self, cleaned: Option<Cleaned>) {
        *self.cleaned.lock() = cleaned;
    }

    /// The last cleanup of this migration.
    pub(crate) fn cleaned(&self) -> Option<Cleaned> {
        self.cleaned.lock().clone()
    }

    /// The checks are being run until what is returned is dropped.
    pub(crate) fn checking(&self) -> Checking {
        self.checking.fetch_add(1, Ordering::Relaxed);
        Checking(Arc::clone(&self.checking))
    }

    /// Whether the checks are being run right now.
    pub(crate) fn is_checking(&self) -> bool {
        self.checking.load(Ordering::Relaxed) > 0
    }

    /// A rehearsal begins; an older one ends.
    pub(crate) fn new_rehearsal(&self) -> CancellationToken {
        let token = self.stop.child_token();
        if let Some(older) = self.rehearsal.lock().replace(token.clone()) {
            older.cancel();
        }
        token
    }

    pub(crate) fn stop_rehearsal(&self) {
        if let Some(token) = self.rehearsal.lock().take() {
            token.cancel();
        }
    }

    /// Notes why a side is not connected; true when that is news.
    pub(crate) fn set_error(&self, side: Side, error: Option<String>) -> bool {
        let slot = &mut self.errors.lock()[side.index()];
        let news = *slot != error;
        *slot = error;
        news
    }

    /// Why a side is not connected.
    pub(crate) fn error(&self, side: Side) -> Option<String> {
        self.errors.lock()[side.index()].clone()
    }

    pub(crate) fn set_engine_error(&self, error: String) {
        self.errors.lock()[2] = Some(error);
    }

    /// Why the engine does not run.
    pub(crate) fn engine_error(&self) -> Option<String> {
        self.errors.lock()[2].clone()
    }

    pub(crate) fn set_can_fence(&self, sides: BTreeSet<Side>) {
        *self.can_fence.lock() = sides;
    }

    /// Sides on which a fence was proved possible.
    pub(crate) fn can_fence(&self) -> BTreeSet<Side> {
        self.can_fence.lock().clone()
    }
}
