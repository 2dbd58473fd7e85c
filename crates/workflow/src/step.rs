//! The decision: what one event does to a run.
//!
//! Verbs and facts only change the state; everything the world has to do about it (tables to
//! publish, workers to start or stop) is derived from the difference of the two states, so a
//! restart that derives it again does nothing new.
//!
//! Layout: `step/asked.rs` the verbs, `step/told.rs` the facts, `step/barrier.rs` flips as part of
//! a run, `step/moves.rs` entering steps and rolling back, `step/traffic.rs` reads and tenants
//! by hand, `step/settle.rs` the difference.

mod asked;
mod barrier;
mod gates;
mod moves;
mod settle;
mod told;
mod traffic;

use crate::action::{Action, Refused, Transition};
use crate::event::{Event, Fact};
use crate::plan::Plan;
use crate::run::RunState;

/// What a transition collects besides the state.
#[derive(Debug, Default)]
struct Out {
    /// Work of a barrier, done after tables are published and before workers start.
    flips: Vec<Action>,
    /// Everything else.
    actions: Vec<Action>,
    notes: Vec<String>,
    /// The table has to be published even if it looks the same.
    republish: bool,
    /// A barrier's state has to be stored before its work.
    durable: bool,
}

impl Out {
    fn emit(&mut self, name: &'static str, fields: Vec<(&'static str, String)>) {
        self.actions.push(Action::Emit { name, fields });
    }

    fn notify(&mut self, urgent: bool, text: String) {
        self.actions.push(Action::Notify { urgent, text });
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

/// Decides what an event does.
///
/// # Errors
/// [`Refused`] when a verb is not carried out; the state is then unchanged. Facts are never
/// refused: those that do not concern the present state change nothing.
pub fn step(plan: &Plan, run: &RunState, event: &Event) -> Result<Transition, Refused> {
    let mut next = run.clone();
    let mut out = Out::default();
    next.now_ms = next.now_ms.max(event.now_ms());
    told::time_passed(plan, &mut next, &mut out);
    let resumed = match event {
        Event::Asked { by, verb, .. } => {
            asked::asked(plan, &mut next, by, verb, &mut out)?;
            false
        }
        Event::Told { fact, .. } => {
            told::told(plan, &mut next, fact, &mut out);
            matches!(fact, Fact::Resumed { .. } | Fact::Started)
        }
    };
    moves::flow(plan, &mut next, &mut out);
    Ok(settle::settle(plan, run, next, out, resumed))
}
