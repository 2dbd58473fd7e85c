use std::collections::BTreeSet;

use model::{Epoch, Side};
use routing::RoutingTable;

use crate::event::VerbKind;
use crate::gate::{Gate, Role};
use crate::run::{RunState, Saga};
use crate::saga::FlipAction;

model::wire_names! {
    /// A reconciler: runs until told otherwise, may be started and stopped twice.
    pub enum Worker ("worker") {
        /// Observes a copy of the traffic.
        Tap => "tap",
        /// Profiles the workload.
        Profile => "profile",
        /// Judges mirrored reads.
        Compare => "compare",
        /// Runs the smoke tests once.
        Smoke => "smoke",
        /// Copies what the journal holds, from each record's authority.
        Replay => "replay",
        /// Listens to the source's own changes.
        FeedSource => "feed_source",
        /// Listens to the target's own changes.
        FeedTarget => "feed_target",
        /// Copies what was there before.
        Backfill => "backfill",
        /// Compares both sides.
        Verify => "verify",
    }
}

/// What the controller does after the state is stored. Each may be done twice; each that reaches
/// a node or a worker carries the epoch, and receivers refuse older ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Give all nodes this table. Its epoch is new.
    PublishTable(RoutingTable),
    /// Start a worker.
    Start {
        /// Which.
        worker: Worker,
        /// For which epoch.
        epoch: Epoch,
    },
    /// Stop a worker.
    Stop {
        /// Which.
        worker: Worker,
        /// For which epoch.
        epoch: Epoch,
    },
    /// A barrier begins; its work follows as [`Action::Flip`].
    BeginSaga(Saga),
    /// A barrier goes on after a restart; its work follows as [`Action::Flip`].
    ResumeSaga(Saga),
    /// One piece of a barrier's work. Answer with [`crate::Fact::SagaProgress`].
    Flip {
        /// Which attempt.
        attempt: u64,
        /// The newest epoch.
        epoch: Epoch,
        /// What. `Publish` never appears here: it is a [`Action::PublishTable`].
        action: FlipAction,
    },
    /// Rehearse the barrier on a scratch keyspace. Answer with [`crate::Fact::RehearsalDone`].
    BeginRehearsal {
        /// For which epoch.
        epoch: Epoch,
    },
    /// Break a rehearsal off.
    StopRehearsal,
    /// Lift a fence outside a barrier. Answer with [`crate::Fact::FenceLifted`].
    LiftFence {
        /// Which side.
        side: Side,
    },
    /// Append to the durable event stream.
    Emit {
        /// The event's stable name.
        name: &'static str,
        /// Its fields.
        fields: Vec<(&'static str, String)>,
    },
    /// Tell people.
    Notify {
        /// Whether somebody has to act.
        urgent: bool,
        /// One sentence.
        text: String,
    },
    /// Ask people to agree.
    AskApproval {
        /// At which gate.
        gate: Gate,
        /// Whose approval counts.
        roles: BTreeSet<Role>,
        /// How many are missing.
        missing: usize,
        /// What they would sign.
        digest: String,
    },
    /// Remove Exodus' own objects from both sides.
    Cleanup {
        /// For which epoch.
        epoch: Epoch,
    },
}

/// What one event does to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state afterwards.
    pub state: RunState,
    /// What to do, in this order, after the state is stored.
    pub actions: Vec<Action>,
    /// Sentences for whoever asked.
    pub notes: Vec<String>,
    /// Whether anything changed that a restart would not learn again by itself; only then the
    /// version grew and storing is needed. Keep the state in memory either way.
    pub changed: bool,
    /// Whether the state must be stored before the actions run. Where it need not, a crash merely
    /// repeats them.
    pub durable: bool,
}

/// Why a verb is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error[{code}]: {why}")]
pub struct Refused {
    /// The `EXO-` code.
    pub code: &'static str,
    /// Which verb.
    pub verb: Option<VerbKind>,
    /// Why, in one sentence.
    pub why: String,
    /// What to do instead, as commands where possible.
    pub instead: Vec<String>,
}
