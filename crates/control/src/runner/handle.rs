use std::sync::Arc;

use arc_swap::ArcSwap;
use store::StoreError;
use tokio::sync::{mpsc, oneshot};
use workflow::{By, Fact, Plan, Refused, RunState, Verb};

use crate::clock::Clock;

/// Inputs that may wait for the loop.
pub(crate) const QUEUE: usize = 1_024;

/// What the loop hears.
pub(crate) enum Input {
    /// Something happened.
    Fact(Fact),
    /// Somebody wants something.
    Ask(Ask),
    /// The plan is another one now, with the fact that goes with it.
    Plan(Box<Plan>, Option<Fact>),
    /// Somebody waits until everything before is taken in.
    Settled(oneshot::Sender<()>),
}

/// A person's wish.
pub(crate) struct Ask {
    /// Who and why.
    pub(crate) by: By,
    /// What; none = a new run.
    pub(crate) verb: Option<Verb>,
    /// The state version it was decided on.
    pub(crate) version: Option<u64>,
    pub(crate) reply: oneshot::Sender<Result<Answer, Asking>>,
}

/// A wish that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) notes: Vec<String>,
    pub(crate) version: u64,
}

/// Why a wish was not.
#[derive(Debug, Clone)]
pub(crate) enum Asking {
    NoRun,
    Stale { expected: u64, found: u64 },
    Refused(Refused),
    Store(StoreError),
    Closed,
}

/// What everybody may read at any time.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) run: Option<RunState>,
    pub(crate) plan: Plan,
}

pub(crate) struct Shared {
    snapshot: ArcSwap<Snapshot>,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot: ArcSwap::from_pointee(snapshot) }
    }

    /// Replaces what is read.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }
}

/// What others hold of a loop.
#[derive(Clone)]
pub(crate) struct Runner {
    outbox: mpsc::Sender<Input>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

impl Runner {
    pub(crate) fn new(
        outbox: mpsc::Sender<Input>,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { outbox, shared, clock }
    }

    /// The state now. Never waits.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Says that something happened.
    pub(crate) async fn tell(&self, fact: Fact) {
        let _ = self.outbox.send(Input::Fact(fact)).await;
    }

    /// Waits until everything told before is taken in.
    pub(crate) async fn settled(&self) {
        let (done, taken) = oneshot::channel();
        if self.outbox.send(Input::Settled(done)).await.is_ok() {
            let _ = taken.await;
        }
    }

    /// Asks for a verb; none = a new run. `version` is what it was decided on.
    pub(crate) async fn ask(
        &self,
        by: By,
        verb: Option<Verb>,
        version: Option<u64>,
    ) -> Result<Answer, Asking> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { by, verb, version, reply };
        self.outbox.send(Input::Ask(ask)).await.map_err(|_| Asking::Closed)?;
        answer.await.map_err(|_| Asking::Closed)?
    }

    /// Replaces the plan.
    pub(crate) async fn replan(&self, plan: Plan, fact: Option<Fact>) {
        let _ = self.outbox.send(Input::Plan(Box::new(plan), fact)).await;
    }
}
