//! The loop against an acting trait that answers like a healthy world: every stored state is
//! reopened, as after kill -9, and has to lead to the same end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use model::{Side, Strategy};
use parking_lot::Mutex;
use store::{
    Batch, Change, Committed, Intercepted, Kind, MemoryStore, OnCommit, Store, StoreError,
};
use tokio::sync::mpsc;
use workflow::{
    Action, By, Environment, Fact, FlipAction, FlipInput, FlipStep, Node, Place, Plan, RunState,
    Verb,
};

use super::{Asking, Begin, Loop, Runner, load};
use crate::act::Act;
use crate::clock::Clock;

/// Time that passes with every look.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> u64 {
        1_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Does nothing and says that everything succeeded.
struct Willing {
    node: Node,
    facts: mpsc::Sender<Fact>,
    /// Fences it was told to set and to lift.
    fences: Arc<Mutex<Vec<(Side, bool)>>>,
}

#[async_trait]
impl Act for Willing {
    async fn act(&self, run: &RunState, action: Action) {
        let flip = |input| Fact::SagaProgress {
            attempt: run.saga.as_ref().map_or(0, |s| s.flip.terms.attempt),
            input,
        };
        let acked = |epoch| Fact::NodeAcked { node: self.node.clone(), epoch, txn_wait_ms: 0 };
        let fact = match action {
            Action::PublishTable(table) => {
                let moved = run.saga.as_ref().is_some_and(|s| s.flip.moved());
                let open = table.freeze == routing::Freeze::Open;
                (open || moved).then(|| acked(table.epoch))
            }
            Action::Flip { action, .. } => match action {
                FlipAction::LiftFence { side } => {
                    self.fences.lock().push((side, false));
                    Some(flip(FlipInput::FenceLifted { side }))
                }
                FlipAction::OpenFeed { .. } => Some(flip(FlipInput::FeedOpened)),
                FlipAction::Quiesce { epoch, .. } => Some(acked(epoch)),
                FlipAction::Fence { side } => {
                    self.fences.lock().push((side, true));
                    Some(flip(FlipInput::Fenced))
                }
                FlipAction::FeedFence { .. } => Some(flip(FlipInput::FeedFenced)),
                FlipAction::Drain { .. } => Some(flip(FlipInput::Drained)),
                FlipAction::Publish { .. } | FlipAction::CloseFeed { .. } => None,
            },
            Action::LiftFence { side } => {
                self.fences.lock().push((side, false));
                Some(Fact::FenceLifted { side })
            }
            _ => None,
        };
        if let Some(fact) = fact {
            self.facts.send(fact).await.unwrap();
        }
    }
}

/// A loop in a task, with a world that answers.
struct Living {
    runner: Runner,
    fences: Arc<Mutex<Vec<(Side, bool)>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Living {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn plan() -> Plan {
    let mut plan = Plan::new(Environment::Dev, Strategy::BigBang);
    plan.can_fence = [Side::Source, Side::Target].into();
    plan
}

async fn live(store: &Arc<dyn Store>, boot: &str, plan: Plan) -> Living {
    let run = load(store.as_ref(), "m").await.unwrap();
    let node = Node(boot.to_owned());
    let begin = Begin {
        migration: "m".to_owned(),
        store: Arc::clone(store),
        clock: Arc::new(Ticking::default()),
        node: node.clone(),
        plan,
        run,
    };
    let (runner, make) = Loop::new(begin);
    let (facts, mut told) = mpsc::channel(1_024);
    let fences = Arc::new(Mutex::new(Vec::new()));
    let act = Willing { node, facts, fences: Arc::clone(&fences) };
    let work = make(Arc::new(act));
    let teller = runner.clone();
    let tasks = vec![
        tokio::spawn(async move { work.run().await }),
        tokio::spawn(async move {
            while let Some(fact) = told.recv().await {
                teller.tell(fact).await;
            }
        }),
    ];
    Living { runner, fences, tasks }
}

fn ann() -> By {
    By::operator("ann", "because")
}

impl Living {
    async fn ask(&self, verb: Verb) -> Result<super::Answer, Asking> {
        self.runner.ask(ann(), Some(verb), None).await
    }

    fn run(&self) -> RunState {
        self.runner.snapshot().run.clone().unwrap()
    }

    /// Waits for a state; says which one it is stuck in.
    async fn until(&self, holds: impl Fn(&RunState) -> bool) -> RunState {
        for _ in 0..2_000 {
            let run = self.run();
            if holds(&run) {
                return run;
            }
            self.healthy().await;
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("stuck: {:#?}", self.run());
    }

    /// Facts as the workers of a healthy world would tell them.
    async fn healthy(&self) {
        self.runner.tell(Fact::InStep { in_step: true, lag_ms: 0, pending: 0 }).await;
    }

    /// Drives to a place by advancing and by telling what workers would.
    async fn reach(&self, place: Place) {
        for _ in 0..200 {
            let run = self.run();
            if run.place() == place {
                return;
            }
            self.healthy().await;
            match run.place() {
                Place::Seeding => self.runner.tell(Fact::BackfillDone).await,
                Place::Verifying => {
                    let digest = format!("d{}", run.version);
                    self.runner.tell(Fact::VerifyDone { digest, clean: true, open: 0 }).await;
                }
                _ => {}
            }
            if run.saga.is_none() {
                // Refused while something is missing; asked again then.
                let _ = self.ask(Verb::Advance).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("stuck on the way to {place}: {:#?}", self.run());
    }
}

/// Remembers every state of a run that became durable.
#[derive(Default)]
struct Recorder {
    states: Mutex<Vec<RunState>>,
}

#[async_trait]
impl OnCommit for Recorder {
    async fn commit(&self, inner: &dyn Store, batch: Batch) -> Result<Committed, StoreError> {
        let runs: Vec<_> = batch
            .changes
            .iter()
            .filter_map(|c| match c {
                Change::Put { kind: Kind::Run, body, .. } => {
                    Some(crate::dto::decode(body).unwrap())
                }
                _ => None,
            })
            .collect();
        let done = inner.commit(batch).await?;
        self.states.lock().extend(runs);
        Ok(done)
    }
}

async fn recorded() -> (Arc<Intercepted<Recorder>>, Vec<RunState>) {
    let recorder = Intercepted::new(Arc::new(MemoryStore::new()), Recorder::default());
    let store: Arc<dyn Store> = Arc::clone(&recorder) as Arc<dyn Store>;
    let living = live(&store, "one", plan()).await;
    living.runner.ask(ann(), None, None).await.unwrap();
    living.reach(Place::ServingTarget).await;
    living.ask(Verb::Rollback { accept_loss: false }).await.unwrap();
    living.until(|r| r.place() == Place::RolledBack).await;
    living.ask(Verb::Retry).await.unwrap();
    living.reach(Place::ServingTarget).await;
    living.healthy().await;
    let digest = "again".to_owned();
    living.runner.tell(Fact::VerifyDone { digest, clean: true, open: 0 }).await;
    living.until(|r| r.verified).await;
    living.ask(Verb::Commit { typed: "m".to_owned() }).await.unwrap();
    living.until(|r| r.place() == Place::WarmSource).await;
    living.ask(Verb::Finalize).await.unwrap();
    living.until(|r| r.place() == Place::Finalized).await;
    drop(living);
    let states = recorder.hook.states.lock().clone();
    (recorder, states)
}

async fn store_with(run: &RunState) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let put = Change::Put {
        kind: Kind::Run,
        scope: "m".to_owned(),
        id: run.run.clone(),
        version: run.version,
        expect: None,
        body: crate::dto::encode(run),
    };
    store.commit(Batch::decision(vec![put])).await.unwrap();
    store
}

#[tokio::test]
async fn the_whole_journey_leaves_a_trail() {
    let (recorder, states) = recorded().await;
    let epochs: Vec<_> = states.iter().map(|r| r.epoch).collect();
    assert!(epochs.windows(2).all(|w| w[0] <= w[1]), "an epoch went back: {epochs:?}");
    let query = store::EventQuery { limit: 10_000, ..store::EventQuery::default() };
    let events = recorder.events(query).await.unwrap();
    let count = |kind: &str| events.iter().filter(|e| e.event.kind == kind).count();
    assert_eq!(count("authority_moved"), 3);
    assert_eq!(count("flip_done"), 3);
    let audit = recorder.audit(None, 0, 10_000).await.unwrap();
    assert!(audit.iter().any(|e| e.entry.action == "rollback" && e.entry.reason == "because"));
    assert_eq!(recorder.verify_audit().await.unwrap().broken_at, None);
}

/// Killed at every durable state, a new process finds its way, and authority is never split.
#[tokio::test]
async fn every_stored_state_can_be_gone_on_from() {
    let (_, states) = recorded().await;
    assert!(states.iter().any(|s| s.saga.is_some()), "no state inside a barrier was stored");
    for state in states.iter().filter(|s| !s.place().is_final()) {
        let store = store_with(state).await;
        let living = live(&store, "two", plan()).await;
        let settled = living.until(|r| r.saga.is_none() && r.fences.len() < 2).await;
        let moved = state.saga.as_ref().is_some_and(|s| s.flip.moved());
        let expected = match &state.saga {
            // Stored before the point of no return: taken back. After it: finished.
            Some(saga) if !moved => saga.flip.terms.from,
            Some(saga) => saga.flip.terms.to,
            None => state.authority.default,
        };
        let rolling = state.rollback_asked.is_some();
        if !rolling {
            assert_eq!(settled.authority.default, expected, "from {:?}", state.place());
        }
        let decides = living.run().authority.default;
        living.until(|r| !r.fences.contains(&decides)).await;
    }
}

#[tokio::test]
async fn rollback_is_possible_from_every_state() {
    let (_, states) = recorded().await;
    for state in states.iter().filter(|s| !s.place().is_final()) {
        let store = store_with(state).await;
        let living = live(&store, "two", plan()).await;
        living.ask(Verb::Rollback { accept_loss: false }).await.unwrap();
        let end = living
            .until(|r| {
                r.saga.is_none()
                    && r.authority.default == Side::Source
                    && r.place() == Place::RolledBack
            })
            .await;
        assert!(!end.target_decides_something(), "from {:?}", state.place());
    }
}

#[tokio::test]
async fn a_fence_that_a_crash_left_is_lifted() {
    let (_, states) = recorded().await;
    let fenced =
        |s: &&RunState| s.saga.as_ref().is_some_and(|saga| saga.flip.step == FlipStep::FenceOld);
    let state = states.iter().find(fenced).expect("a fence is stored before it is set");
    let store = store_with(state).await;
    let living = live(&store, "two", plan()).await;
    let side = state.saga.as_ref().unwrap().flip.terms.from;
    living.until(|r| r.saga.is_none() && !r.fences.contains(&side)).await;
    assert!(living.fences.lock().contains(&(side, false)), "{:?}", living.fences.lock());
}

#[tokio::test]
async fn conflicting_operators_are_put_in_order() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let living = live(&store, "one", plan()).await;
    living.runner.ask(ann(), None, None).await.unwrap();
    assert!(matches!(living.runner.ask(ann(), None, None).await, Err(Asking::Refused(_))));
    let version = living.run().version;
    let first = living.runner.ask(ann(), Some(Verb::Advance), Some(version));
    let second = living.runner.ask(ann(), Some(Verb::Advance), Some(version));
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok(), "{first:?}");
    assert!(matches!(second, Err(Asking::Stale { .. })), "{second:?}");
    // Going back needs no version, and a wrong one does not stop it.
    let rollback = Verb::Rollback { accept_loss: false };
    living.runner.ask(ann(), Some(rollback), Some(version)).await.unwrap();
    living.until(|r| r.place() == Place::RolledBack).await;
}

/// Fails for good when it is told to.
#[derive(Default)]
struct Failing {
    fails: AtomicBool,
}

#[async_trait]
impl OnCommit for Failing {
    async fn commit(&self, inner: &dyn Store, batch: Batch) -> Result<Committed, StoreError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Full("test".to_owned()));
        }
        inner.commit(batch).await
    }
}

/// Waits inside the barrier until told to go on.
struct Hesitant {
    inner: Willing,
    frozen: Arc<tokio::sync::Notify>,
}

#[async_trait]
impl Act for Hesitant {
    async fn act(&self, run: &RunState, action: Action) {
        match action {
            // The drain never ends: the barrier stays frozen until its store fails.
            Action::Flip { action: FlipAction::Drain { .. }, .. } => self.frozen.notify_one(),
            other => self.inner.act(run, other).await,
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_in_a_barrier_does_not_keep_clients_waiting() {
    let failing = Intercepted::new(Arc::new(MemoryStore::new()), Failing::default());
    let store: Arc<dyn Store> = Arc::clone(&failing) as Arc<dyn Store>;
    let mut patient = plan();
    patient.pause_budget_ms = 600_000;
    let node = Node("one".to_owned());
    let begin = Begin {
        migration: "m".to_owned(),
        store,
        clock: Arc::new(Ticking::default()),
        node: node.clone(),
        plan: patient,
        run: None,
    };
    let (runner, make) = Loop::new(begin);
    let (facts, mut told) = mpsc::channel(1_024);
    let (fences, frozen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tokio::sync::Notify::new()));
    let willing = Willing { node, facts, fences: Arc::clone(&fences) };
    let work = make(Arc::new(Hesitant { inner: willing, frozen: Arc::clone(&frozen) }));
    let teller = runner.clone();
    let tasks = vec![
        tokio::spawn(async move { work.run().await }),
        tokio::spawn(async move {
            while let Some(fact) = told.recv().await {
                teller.tell(fact).await;
            }
        }),
    ];
    let living = Living { runner, fences, tasks };
    living.runner.ask(ann(), None, None).await.unwrap();
    living.reach(Place::ReadyToCutover).await;
    living.until(|r| r.following.in_step).await;
    living.ask(Verb::Advance).await.unwrap();
    living.until(|r| r.saga.as_ref().is_some_and(|s| s.flip.step == FlipStep::Drain)).await;
    frozen.notified().await;
    failing.hook.fails.store(true, Ordering::SeqCst);
    let attempt = living.run().attempts;
    living.runner.tell(Fact::SagaProgress { attempt, input: FlipInput::Drained }).await;
    let run = living.until(|r| r.saga.is_none()).await;
    assert_eq!(run.authority.default, Side::Source);
    assert_eq!(living.fences.lock().last(), Some(&(Side::Source, false)), "the fence stays");
    // What goes back without moving authority is done even so.
    living.ask(Verb::Panic).await.unwrap();
    assert!(living.run().panicked.is_some());
}
