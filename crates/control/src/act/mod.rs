//! Doing what a stored state asks for.
//!
//! Constraints: every action may be done twice; an action for an older attempt or epoch finds
//! itself outdated and does nothing; whatever takes time runs beside the loop and reports a fact.
//!
//! Layout: `real` dispatches, `barrier` does the pieces of a flip, `fence` keeps fence records,
//! `workers` starts and stops what runs until told otherwise.

mod barrier;
mod fence;
mod real;
mod workers;

use async_trait::async_trait;
use workflow::{Action, RunState};

pub(crate) use fence::reconcile as reconcile_fence;
pub(crate) use real::Doer;
pub(crate) use workers::{Workers, worker_of};

/// Does actions. The loop waits for `act`, so it returns soon.
#[async_trait]
pub(crate) trait Act: Send + Sync + 'static {
    /// Does one action of this state.
    async fn act(&self, run: &RunState, action: Action);
}
