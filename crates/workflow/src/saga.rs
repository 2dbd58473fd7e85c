//! The flip: moving authority from one side to the other behind a barrier, as a pure machine.
//!
//! Constraints: every transition may be repeated and every action is idempotent and tagged with
//! the attempt; a state is stored before its actions run where [`Flipped::durable`] says so. The
//! machine can undo itself until the state [`FlipStep::AwaitRehomed`] is stored: storing that
//! state *is* storing epoch n+1. Quiet is waited for per node, as a set, never as a count. A node
//! that is frozen and silent cannot harm; a node that never froze can, so it must be acknowledged,
//! proved dead, or shut out by a fence at the database.
//!
//! Life cycle: `LiftNew → OpenFeed → CatchUp → AwaitQuiet (epoch n, frozen) → FenceOld → FeedFence → Drain →
//! AwaitRehomed (epoch n+1, moved, closed) → Done (epoch n+2, open)`; from anything before
//! `AwaitRehomed`: `Undoing → Undone` (open again, as before).
//!
//! Layout: this file is the data, `saga/drive.rs` the transitions.

mod drive;

use std::collections::BTreeSet;

use model::{Epoch, Side};

pub use drive::flip;

/// How long a feed may take to open, a fence to be lifted and the new side to get in step, each,
/// before anything is frozen, in milliseconds.
pub const PREPARE_MS: u64 = 30_000;
/// How long nodes may take to acknowledge the moved authority before the others are opened. A
/// node later than that is still frozen and therefore harmless. In milliseconds.
pub const REHOME_MS: u64 = 5_000;
/// How long an undo waits for the fence before it reopens without, in milliseconds. What stays
/// fenced answers with errors instead of silence; the run goes on trying to lift it.
pub const LIFT_MS: u64 = 1_000;

/// One process that serves clients, by a name that is new with every start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(pub String);

model::wire_names! {
    /// What a flip is for.
    pub enum FlipKind ("flip kind") {
        /// Source to target, everything.
        Cutover => "cutover",
        /// Target to source, everything.
        Rollback => "rollback",
        /// Some tenants, either way.
        TenantFlip => "tenant_flip",
        /// There and back on a scratch keyspace, for evidence.
        Rehearsal => "rehearsal",
    }
}

model::wire_names! {
    /// Where a flip is.
    pub enum FlipStep ("flip step") {
        /// The fence of an earlier flip is being lifted from the side that will decide.
        LiftNew => "lift_new",
        /// The feed of the side that will decide is being opened.
        OpenFeed => "open_feed",
        /// Waiting, with writes going on, until the side that will decide is in step, so that the
        /// pause is short.
        CatchUp => "catch_up",
        /// Epoch n is published frozen; nodes finish what they have in flight.
        AwaitQuiet => "await_quiet",
        /// The old authority is being fenced at the database. The fence counts as set from here.
        FenceOld => "fence_old",
        /// Waiting until the old authority's feed has told everything that happened before.
        FeedFence => "feed_fence",
        /// Waiting until the journal holds nothing any more.
        Drain => "drain",
        /// Epoch n+1 is stored and published closed; nodes move their sessions. No way back.
        AwaitRehomed => "await_rehomed",
        /// Epoch n+2 is open on the new authority.
        Done => "done",
        /// The fence is being lifted again before the old authority is reopened.
        Undoing => "undoing",
        /// Open as before.
        Undone => "undone",
    }
}

/// The terms of one flip.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlipTerms {
    /// What for.
    pub kind: FlipKind,
    /// Who decides now.
    pub from: Side,
    /// Who decides afterwards.
    pub to: Side,
    /// Which attempt of the run, from 1; inputs of other attempts are ignored.
    pub attempt: u64,
    /// How long clients may wait, time for open transactions excepted, in milliseconds.
    pub budget_ms: u64,
    /// How long open transactions may go on after the freeze, in milliseconds.
    pub txn_deadline_ms: u64,
    /// Whether the old authority is fenced at the database.
    pub fence: bool,
    /// Whether the new authority still carries a fence.
    pub lift_new: bool,
    /// Whether an operator accepted that changes the old authority alone has may be lost.
    pub accept_loss: bool,
}

/// A flip under way. All of it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlipState {
    /// What was agreed.
    pub terms: FlipTerms,
    /// Where it is.
    pub step: FlipStep,
    /// The newest epoch this flip published.
    pub epoch: Epoch,
    /// Nodes that serve clients.
    pub live: BTreeSet<Node>,
    /// Those of them that acknowledged what is waited for.
    pub acked: BTreeSet<Node>,
    /// Nodes that never acknowledged the freeze and are shut out by the fence, or that never
    /// acknowledged the moved authority and stay frozen.
    pub missing: BTreeSet<Node>,
    /// When it began, milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// When writes were frozen, once they were.
    pub frozen_ms: Option<u64>,
    /// Longest time a node waited for open transactions, in milliseconds.
    pub txn_wait_ms: u64,
    /// When the present step is given up, milliseconds since the Unix epoch; none = never.
    pub deadline_ms: Option<u64>,
    /// Whether a fence on the old authority was recorded, and so may have been set.
    pub fenced: bool,
    /// Whether the new authority's fence was lifted.
    pub lifted: bool,
    /// Records known to be missing on the new authority, accepted by the operator.
    pub at_risk: u64,
    /// When it ended, milliseconds since the Unix epoch.
    pub ended_ms: Option<u64>,
    /// Why it is undone, or what it ended with besides success.
    pub reason: Option<String>,
}

/// What a flip hears.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlipInput {
    /// The fence of this side is lifted.
    FenceLifted {
        /// Which side.
        side: Side,
    },
    /// It could not be lifted.
    LiftFailed {
        /// Which side.
        side: Side,
        /// What the database said.
        why: String,
    },
    /// The feed of the new authority delivers.
    FeedOpened,
    /// It could not be opened.
    FeedFailed {
        /// What the database said.
        why: String,
    },
    /// The side that will decide is in step, up to what is being written now.
    InStep,
    /// A node serves this epoch and, where it is frozen, has no write in flight.
    Acked {
        /// Which node.
        node: Node,
        /// The epoch it serves.
        epoch: Epoch,
        /// How long it waited for open transactions, in milliseconds.
        txn_wait_ms: u64,
    },
    /// A node began to serve. It was given the newest table.
    NodeJoined {
        /// Which node.
        node: Node,
    },
    /// A node is gone *for certain*: its process is proved dead, with its connections.
    NodeGone {
        /// Which node.
        node: Node,
    },
    /// No session but ours can write on the old authority any more.
    Fenced,
    /// There is no right to fence there.
    FenceSkipped,
    /// The fence could not be set.
    FenceFailed {
        /// What the database said.
        why: String,
    },
    /// The feed has told everything from before the freeze.
    FeedFenced,
    /// The feed was lost meanwhile.
    FeedFenceFailed {
        /// What happened.
        why: String,
    },
    /// The journal is empty: both sides are equal.
    Drained,
    /// It cannot become empty.
    DrainFailed {
        /// What happened.
        why: String,
        /// Records the new authority does not have.
        remaining: u64,
    },
    /// The operator, or a criterion, wants it undone.
    Undo {
        /// Why.
        why: String,
    },
    /// The operator accepts loss from now on (rollback from a dead target).
    AcceptLoss,
    /// Time went on.
    Tick,
    /// The controller was restarted; these nodes serve clients now.
    Resumed {
        /// All of them.
        live: BTreeSet<Node>,
    },
}

/// What a flip wants done. Each may be done twice; none is done for an older attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlipAction {
    /// Lift the fence of this side. Answer: `FenceLifted` or `LiftFailed`.
    LiftFence {
        /// Which side.
        side: Side,
    },
    /// Open the feed of this side. Answer: `FeedOpened` or `FeedFailed`.
    OpenFeed {
        /// Which side.
        side: Side,
    },
    /// Give all nodes this table. Answer: `Acked`, per node.
    Publish {
        /// Its epoch.
        epoch: Epoch,
        /// Whether writes wait.
        frozen: bool,
        /// Whether authority is with the new side.
        moved: bool,
    },
    /// Make nodes quiet: unblock blocked requests, end open transactions at the deadline.
    /// Answer: `Acked`, per node.
    Quiesce {
        /// The frozen epoch.
        epoch: Epoch,
        /// When open transactions are ended, milliseconds since the Unix epoch.
        txn_deadline_ms: u64,
    },
    /// Fence the old authority. Answer: `Fenced`, `FenceSkipped` or `FenceFailed`.
    Fence {
        /// Which side.
        side: Side,
    },
    /// Wait for the old authority's feed. Answer: `FeedFenced` or `FeedFenceFailed`.
    FeedFence {
        /// Which side.
        side: Side,
    },
    /// Copy whatever the journal holds until it is empty. Answer: `Drained` or `DrainFailed`.
    Drain {
        /// From which side.
        from: Side,
    },
    /// The feed of this side is not needed after all.
    CloseFeed {
        /// Which side.
        side: Side,
    },
}

/// A transition of a flip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flipped {
    /// The state afterwards.
    pub state: FlipState,
    /// What to do, in this order.
    pub actions: Vec<FlipAction>,
    /// Whether the state must be stored before the actions run. Otherwise a crash merely repeats
    /// them.
    pub durable: bool,
}

impl FlipState {
    /// Begins a flip. `epoch` is the newest published so far; `live` the nodes that serve clients.
    #[must_use]
    pub fn begin(terms: FlipTerms, epoch: Epoch, live: BTreeSet<Node>, now_ms: u64) -> Flipped {
        drive::begin(Self {
            terms,
            step: FlipStep::OpenFeed,
            epoch,
            live,
            acked: BTreeSet::new(),
            missing: BTreeSet::new(),
            began_ms: now_ms,
            frozen_ms: None,
            txn_wait_ms: 0,
            deadline_ms: Some(now_ms + PREPARE_MS),
            fenced: false,
            lifted: false,
            at_risk: 0,
            ended_ms: None,
            reason: None,
        })
    }

    /// Whether authority is with the new side: epoch n+1 is stored, undo is not possible.
    #[must_use]
    pub const fn moved(&self) -> bool {
        matches!(self.step, FlipStep::AwaitRehomed | FlipStep::Done)
    }

    /// Whether writes wait.
    #[must_use]
    pub const fn frozen(&self) -> bool {
        self.frozen_ms.is_some() && !matches!(self.step, FlipStep::Done | FlipStep::Undone)
    }

    /// Whether it is over, one way or the other.
    #[must_use]
    pub const fn over(&self) -> bool {
        matches!(self.step, FlipStep::Done | FlipStep::Undone)
    }

    /// How long clients waited, in milliseconds, open transactions included.
    #[must_use]
    pub fn pause_ms(&self, now_ms: u64) -> u64 {
        let end = self.ended_ms.unwrap_or(now_ms);
        self.frozen_ms.map_or(0, |start| end.saturating_sub(start))
    }
}
