//! Comparing the sides record by record.
//!
//! Constraints: changes nothing on either side, takes no lease. Digests of both sides are taken
//! at almost the same time; a key that was busy before or after proves nothing and is looked at
//! again. A difference counts once it was seen twice with the key at rest. Both sides are
//! scanned, so that extra records are found; nothing compared is never called equal.
//!
//! Layout: `run` is one verify, `compare` its connections, `audit` looks at single unexplained
//! changes, `repair` writes the authority's state again.

mod audit;
mod compare;
mod repair;
mod run;

use std::collections::HashSet;
use std::sync::Arc;

use model::Key;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::progress::Verified;
use crate::scope::VerifyScope;
use crate::status::{VerifyStatus, WorkState};

pub(crate) use audit::audit;
pub(crate) use compare::{Comparer, Pair};

/// Keys that wait for an audit; more mean that a whole verify is required.
const SUSPECTS: usize = 10_000;

pub(crate) struct Verify {
    state: Mutex<State>,
    paused: watch::Sender<bool>,
    bell: Notify,
}

#[derive(Default)]
struct State {
    work: WorkState,
    scope: String,
    compared: u64,
    looked_at_again: u64,
    note: String,
    required: Option<String>,
    /// Grows with every requirement, so that a verify only answers older ones.
    requirements: u64,
    last: Option<Verified>,
    last_at: Option<Instant>,
    /// Look at the suspects once more after the run that is under way.
    follow_up: bool,
    suspects: HashSet<Key>,
    auditing: usize,
}

impl Verify {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), paused: watch::Sender::new(false), bell: Notify::new() }
    }

    pub(crate) fn restore(&self, last: Option<Verified>) {
        self.state.lock().last = last;
    }

    /// The evidence of the last verify is stale.
    pub(crate) fn require(&self, why: String) {
        let mut state = self.state.lock();
        state.required = Some(why);
        state.requirements += 1;
    }

    /// A change nothing of ours explains: look at this key.
    pub(crate) fn suspect(&self, key: Key) {
        let mut state = self.state.lock();
        if state.suspects.len() >= SUSPECTS {
            drop(state);
            self.require("more unexplained changes on the secondary than can be audited".into());
            return;
        }
        state.suspects.insert(key);
        drop(state);
        self.bell.notify_one();
    }

    pub(crate) fn suspects(&self) -> usize {
        let state = self.state.lock();
        state.suspects.len() + state.auditing
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    fn say(&self, note: String) {
        self.state.lock().note = note;
    }

    pub(crate) fn status(&self, open: u64) -> VerifyStatus {
        let state = self.state.lock();
        let paused = state.work == WorkState::Running && *self.paused.borrow();
        VerifyStatus {
            state: if paused { WorkState::Paused } else { state.work },
            scope: state.scope.clone(),
            compared: state.compared,
            suspects: state.looked_at_again,
            open,
            note: state.note.clone(),
            required: state.required.clone(),
            last: state.last.clone(),
            last_age_ms: state.last_at.map(|at| at.elapsed().as_millis() as u64),
        }
    }
}

impl Engine {
    pub(crate) fn verify_start(self: &Arc<Self>, scope: VerifyScope) -> Result<(), EngineError> {
        {
            let mut state = self.verify.state.lock();
            if state.work == WorkState::Running {
                if scope == VerifyScope::Suspects {
                    state.follow_up = true;
                    return Ok(());
                }
                let message = format!("a verify of `{}` is under way", state.scope);
                return Err(EngineError::Refused { code: "EXO-ENG-010", message });
            }
            state.begin(&scope);
        }
        let engine = Arc::clone(self);
        self.spawn(async move {
            let mut scope = scope;
            loop {
                run::run(&engine, &scope).await;
                let mut state = engine.verify.state.lock();
                if !std::mem::take(&mut state.follow_up) {
                    state.work = WorkState::Done;
                    return;
                }
                scope = VerifyScope::Suspects;
                state.begin(&scope);
            }
        });
        Ok(())
    }
}

impl State {
    fn begin(&mut self, scope: &VerifyScope) {
        self.work = WorkState::Running;
        self.scope = name(scope);
        self.compared = 0;
        self.looked_at_again = 0;
        self.note = "starting".into();
    }
}

fn name(scope: &VerifyScope) -> String {
    match scope {
        VerifyScope::All => "all".into(),
        VerifyScope::Suspects => "suspects".into(),
        VerifyScope::Dataset(dataset) => dataset.to_string(),
    }
}
