//! The loop of one migration: hear, step, store, act.
//!
//! Constraints: one task owns the run, so that conflicting operators are put in order here; a
//! state is durable before its actions run wherever the workflow says so; a store that fails
//! stops deciding and not traffic: a barrier that froze writes is undone without it, unless it is
//! unknown whether the new authority was stored.
//!
//! Layout: `handle` is what others hold, `record` turns a transition into stored changes.

mod handle;
mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use store::{Batch, Kind, Store, StoreError};
use tokio::sync::mpsc;
use workflow::{
    Event, Fact, FlipStep, Node, Plan, RunState, Transition, VerbKind, step, wake_at_ms,
};

use crate::act::Act;
use crate::clock::Clock;
use crate::dto;

pub(crate) use handle::{Answer, Ask, Asking, Input, Runner, Snapshot};

/// Time is told at least this often.
const TICK: Duration = Duration::from_millis(1_000);

/// The owner of a run.
pub(crate) struct Loop {
    migration: String,
    store: Arc<dyn Store>,
    act: Arc<dyn Act>,
    clock: Arc<dyn Clock>,
    node: Node,
    inbox: mpsc::Receiver<Input>,
    shared: Arc<handle::Shared>,
    plan: Plan,
    run: Option<RunState>,
    /// Version of the stored document that the next one replaces; 0 = there is none.
    stored: u64,
}

/// What a loop begins with.
pub(crate) struct Begin {
    pub(crate) migration: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node: Node,
    pub(crate) plan: Plan,
    pub(crate) run: Option<RunState>,
}

/// The newest run of a migration, as stored.
pub(crate) async fn load(store: &dyn Store, migration: &str) -> anyhow::Result<Option<RunState>> {
    let mut newest = None;
    for doc in store.list(Kind::Run, Some(migration), None, 10_000).await? {
        newest = Some(doc);
    }
    newest.map(|doc| dto::decode(&doc.body).map_err(anyhow::Error::from)).transpose()
}

/// Ids of runs sort by their order.
fn run_id(number: u32) -> String {
    format!("run-{number:04}")
}

impl Loop {
    pub(crate) fn new(begin: Begin) -> (Runner, impl FnOnce(Arc<dyn Act>) -> Self) {
        let (outbox, inbox) = mpsc::channel(handle::QUEUE);
        let snapshot = Snapshot { run: begin.run.clone(), plan: begin.plan.clone() };
        let shared = Arc::new(handle::Shared::new(snapshot));
        let runner = Runner::new(outbox, Arc::clone(&shared), Arc::clone(&begin.clock));
        let make = move |act| Self {
            stored: begin.run.as_ref().map_or(0, |r| r.version),
            migration: begin.migration,
            store: begin.store,
            act,
            clock: begin.clock,
            node: begin.node,
            inbox,
            shared,
            plan: begin.plan,
            run: begin.run,
        };
        (runner, make)
    }

    /// Goes on where a former process stopped, then serves until every handle is gone.
    pub(crate) async fn run(mut self) {
        if self.run.is_some() {
            let nodes = [self.node.clone()].into();
            self.tell(Fact::Resumed { nodes }).await;
        }
        loop {
            let sleep = self.until_wake();
            match tokio::time::timeout(sleep, self.inbox.recv()).await {
                Err(_) => self.tell(Fact::Tick).await,
                Ok(None) => return,
                Ok(Some(Input::Fact(fact))) => self.tell(fact).await,
                Ok(Some(Input::Ask(ask))) => self.ask(ask).await,
                Ok(Some(Input::Plan(plan, fact))) => self.replan(*plan, fact).await,
                Ok(Some(Input::Settled(done))) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn until_wake(&self) -> Duration {
        let now = self.clock.now_ms();
        let wake = self.run.as_ref().and_then(|run| wake_at_ms(&self.plan, run));
        wake.map_or(TICK, |at| Duration::from_millis(at.saturating_sub(now).max(1)).min(TICK))
    }

    async fn replan(&mut self, plan: Plan, fact: Option<Fact>) {
        if self.plan != plan {
            self.plan = plan;
            self.publish();
        }
        if let Some(fact) = fact {
            self.tell(fact).await;
        }
    }

    async fn tell(&mut self, fact: Fact) {
        let Some(run) = &self.run else { return };
        let event = Event::told(self.clock.now_ms(), fact);
        match step(&self.plan, run, &event) {
            Ok(transition) => {
                if let Err(error) = self.take(transition, None).await {
                    tracing::error!(migration = self.migration, %error, "a state was not stored");
                    self.open_again(&error).await;
                }
            }
            Err(refused) => tracing::error!(%refused, "a fact was refused"),
        }
    }

    /// Clients must not wait for a store that has failed. Until the new authority is stored, what
    /// is durable leads to an undo anyway, so the undo needs no store. A state that may or may
    /// not be durable and says that authority has moved stays closed: nobody can know.
    async fn open_again(&mut self, error: &StoreError) {
        let Some(run) = &self.run else { return };
        let Some(saga) = run.saga.as_ref().filter(|s| !s.flip.moved()) else { return };
        let unknown = matches!(error, StoreError::Poisoned(_)) && saga.flip.step == FlipStep::Drain;
        if unknown {
            return tracing::error!(
                migration = self.migration,
                "writes stay frozen: whether the new authority was stored is not known; restart exodus"
            );
        }
        let why = format!("the store failed: {error}");
        let fact = Fact::SagaFailed { attempt: saga.flip.terms.attempt, why };
        let event = Event::told(self.clock.now_ms(), fact);
        if let Ok(transition) = step(&self.plan, run, &event) {
            self.take_unstored(transition).await;
        }
    }

    /// Makes a transition the state without storing it, and acts on it. Only where what is
    /// durable leads to the same.
    async fn take_unstored(&mut self, transition: Transition) {
        self.run = Some(transition.state);
        self.publish();
        if let Some(run) = &self.run {
            for action in transition.actions {
                self.act.act(run, action).await;
            }
        }
    }

    async fn ask(&mut self, ask: Ask) {
        let answer = self.answer(&ask).await;
        let _ = ask.reply.send(answer);
    }

    async fn answer(&mut self, ask: &Ask) -> Result<Answer, Asking> {
        let now = self.clock.now_ms();
        if ask.verb.is_none() {
            return self.begin(ask, now).await;
        }
        let (Some(run), Some(verb)) = (&self.run, &ask.verb) else { return Err(Asking::NoRun) };
        let at_once = matches!(verb.kind(), VerbKind::Rollback | VerbKind::Panic);
        if let Some(expected) = ask.version.filter(|v| *v != run.version && !at_once) {
            return Err(Asking::Stale { expected, found: run.version });
        }
        let event = Event::asked(now, ask.by.clone(), verb.clone());
        let transition = step(&self.plan, run, &event).map_err(Asking::Refused)?;
        let mut notes = transition.notes.clone();
        // Reads that return to the authority can neither lose nor split anything.
        let harmless = at_once && !run.target_decides_something() && run.saga.is_none();
        let unstored = harmless.then(|| transition.clone());
        match (self.take(transition, Some(ask)).await, unstored) {
            (Ok(()), _) => {}
            (Err(error), Some(transition)) => {
                notes.push(format!("done, but not stored, so a restart forgets it: {error}"));
                self.take_unstored(transition).await;
            }
            (Err(error), None) => return Err(Asking::Store(error)),
        }
        Ok(Answer { notes, version: self.run.as_ref().map_or(0, |r| r.version) })
    }

    /// Creates a run: the first, or the next after one that ended.
    async fn begin(&mut self, ask: &Ask, now: u64) -> Result<Answer, Asking> {
        let who = ask.by.who.as_str();
        let run = match &self.run {
            None => RunState::new(&run_id(1), &self.migration, who, now),
            Some(last) => {
                let number = last.run.trim_start_matches("run-").parse::<u32>().unwrap_or(0);
                last.after(&run_id(number + 1), who, now).map_err(Asking::Refused)?
            }
        };
        let (old, stored) = (self.run.replace(run.clone()), std::mem::replace(&mut self.stored, 0));
        let started = step(&self.plan, &run, &Event::told(now, Fact::Started));
        let transition = started.map_err(Asking::Refused)?;
        if let Err(error) = self.take(transition, Some(ask)).await {
            (self.run, self.stored) = (old, stored);
            self.publish();
            return Err(Asking::Store(error));
        }
        self.tell(Fact::NodeJoined { node: self.node.clone() }).await;
        Ok(Answer { notes: Vec::new(), version: self.run.as_ref().map_or(0, |r| r.version) })
    }

    /// Stores a transition, makes it the state, and acts on it.
    async fn take(&mut self, transition: Transition, ask: Option<&Ask>) -> Result<(), StoreError> {
        let Transition { state, actions, durable, .. } = transition;
        let old = self.run.as_ref().unwrap_or(&state);
        let fresh = self.stored == 0;
        let told = record::told(&self.migration, old, &state, &actions, ask, state.now_ms);
        if durable || fresh || !told.is_empty() {
            let mut changes = told;
            changes.push(record::state(&state, self.stored));
            self.store.commit(Batch::decision(changes)).await?;
            self.stored = state.version;
        }
        self.run = Some(state);
        // Also what is not stored, because a restart would learn it again, is worth showing.
        self.publish();
        if let Some(run) = &self.run {
            for action in actions {
                self.act.act(run, action).await;
            }
        }
        Ok(())
    }

    fn publish(&self) {
        self.shared.publish(Snapshot { run: self.run.clone(), plan: self.plan.clone() });
    }
}
