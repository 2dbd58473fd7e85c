use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::{Epoch, ReadMode, Side, Tenant};
use routing::Authority;

use crate::action::Refused;
use crate::criteria::{Judgement, OnFailure};
use crate::evidence::{Evidence, EvidenceKind, Waiver};
use crate::gate::{Approval, Gate, Rejection};
use crate::place::{Place, Step};
use crate::saga::{FlipKind, FlipState, Node};

/// How many past flips a run remembers.
pub const ATTEMPTS_KEPT: usize = 32;

/// Everything durable about one run. The controller stores it before it acts; it can be read at
/// any moment and continued from by [`crate::Fact::Resumed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// The run's own id.
    pub run: String,
    /// The migration it executes.
    pub migration: String,
    /// Grows with every change a person would want to know of before acting; what `If-Match`
    /// compares. Time, lag, acknowledgements and uncounted samples do not let it grow.
    pub version: u64,
    /// The newest time the run was told, milliseconds since the Unix epoch. Never goes back.
    pub now_ms: u64,
    /// The newest published epoch.
    pub epoch: Epoch,
    /// Where it is.
    pub step: Step,
    /// Since when.
    pub since_ms: u64,
    /// Who brought it here: the requester, for gates.
    pub moved_by: String,
    /// Which side decides.
    pub authority: Authority,
    /// Since when.
    pub authority_since_ms: u64,
    /// Percent of cohorts whose reads the strategy sends to the target.
    pub reads_percent: u8,
    /// How an operator chose to spread reads instead, until the next step.
    pub reads_mode: Option<ReadMode>,
    /// Clients, by attribute, that an operator pinned to a side, besides the plan's.
    pub pins: BTreeMap<Vec<u8>, Side>,
    /// Stay at this step: by an operator, a check, or a failure.
    pub held: Option<Held>,
    /// Pass through to the authority; shifting and comparing are off.
    pub panicked: Option<Held>,
    /// An incident: no cleanup and no automatic decision except rollback.
    pub incident_hold: Option<Held>,
    /// Approvals per gate, oldest first.
    pub approvals: BTreeMap<Gate, Vec<Approval>>,
    /// Vetoes per gate.
    pub rejections: BTreeMap<Gate, Rejection>,
    /// The newest evidence of each kind.
    pub evidence: BTreeMap<EvidenceKind, Evidence>,
    /// What may be missing.
    pub waivers: BTreeMap<EvidenceKind, Waiver>,
    /// Checks, judged since this step began.
    pub criteria: BTreeMap<String, Judgement>,
    /// Nodes that serve clients, with the epoch each acknowledged.
    pub nodes: BTreeMap<Node, Epoch>,
    /// The first epoch whose table notes writes, while capture is on.
    pub capture: Option<Epoch>,
    /// Which copy this is, from 1. A new one begins when notes were interrupted, or when it is
    /// asked for; frontiers of older rounds no longer count.
    pub copy_round: u32,
    /// Whether this round's copy is complete.
    pub backfilled: bool,
    /// How the secondary follows.
    pub following: Following,
    /// Whether the secondary's data is copied and verified, so that it may serve reads.
    pub verified: bool,
    /// Sides whose feed is lost.
    pub feeds_lost: BTreeSet<Side>,
    /// Sides that carry, or may carry, a fence of ours.
    pub fences: BTreeSet<Side>,
    /// When lifting a fence that should not be there is tried again, in milliseconds since the Unix
    /// epoch.
    pub lift_again_ms: Option<u64>,
    /// The barrier under way.
    pub saga: Option<Saga>,
    /// A rollback that begins as soon as the barrier under way is through.
    pub rollback_asked: Option<RollbackAsked>,
    /// Where the run was when it was rolled back.
    pub rolled_back_from: Option<Place>,
    /// Whether a rehearsal is under way, and since when.
    pub rehearsing_since_ms: Option<u64>,
    /// How many flips were begun.
    pub attempts: u64,
    /// Past flips, oldest first, at most [`ATTEMPTS_KEPT`].
    pub history: VecDeque<Attempt>,
    /// The failure of a worker that waits for a retry.
    pub failure: Option<StepFailure>,
    /// When the failed step, or the blocked rollback, is tried again.
    pub retry_at_ms: Option<u64>,
    /// How often in a row it was tried again.
    pub retries: u32,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// Who stopped something, since when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// A person, `criterion NAME` or `exodus`.
    pub by: String,
    /// Why; empty until it is given.
    pub reason: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// How the secondary follows the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Following {
    /// Whether it is in step.
    pub in_step: bool,
    /// Age of the oldest change it does not have, in milliseconds.
    pub lag_ms: u64,
    /// How many records it does not have as they are.
    pub pending: u64,
}

/// Tenants that move together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantBatch {
    /// The batch's name for people.
    pub name: String,
    /// Its tenants.
    pub tenants: BTreeSet<Tenant>,
}

/// A barrier under way, with where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saga {
    /// The barrier.
    pub flip: FlipState,
    /// Who decides once it moved.
    pub next: Authority,
    /// The step it leads to.
    pub lands: Step,
    /// The step it falls back to when it is undone.
    pub falls: Step,
    /// Who asked for it.
    pub by: String,
}

/// A rollback somebody or something asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackAsked {
    /// Who.
    pub by: String,
    /// Why; empty until it is given.
    pub reason: String,
    /// Whether changes that only a dead target has may be lost.
    pub accept_loss: bool,
}

/// One flip that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number.
    pub number: u64,
    /// What for.
    pub kind: FlipKind,
    /// When it began, milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// Whether authority moved.
    pub moved: bool,
    /// How long clients waited, in milliseconds.
    pub pause_ms: u64,
    /// How much of that was for open transactions, in milliseconds.
    pub txn_wait_ms: u64,
    /// From its beginning to its end, in milliseconds.
    pub took_ms: u64,
    /// Why it was undone, or what it ended with besides success.
    pub reason: Option<String>,
}

/// A worker that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// The worker's name.
    pub worker: String,
    /// The `EXO-` code.
    pub code: String,
    /// What happened.
    pub why: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

model::wire_names! {
    /// How a run ended.
    pub enum Outcome ("outcome") {
        /// The target is the only system.
        Finalized => "finalized",
        /// The source is.
        Abandoned => "abandoned",
    }
}

impl RunState {
    /// A run that has not begun.
    #[must_use]
    pub fn new(run: &str, migration: &str, by: &str, now_ms: u64) -> Self {
        Self {
            run: run.to_owned(),
            migration: migration.to_owned(),
            version: 1,
            now_ms,
            epoch: Epoch(1),
            step: Step::Setup,
            since_ms: now_ms,
            moved_by: by.to_owned(),
            authority: Authority::whole(Side::Source),
            authority_since_ms: now_ms,
            reads_percent: 0,
            reads_mode: None,
            pins: BTreeMap::new(),
            held: None,
            panicked: None,
            incident_hold: None,
            approvals: BTreeMap::new(),
            rejections: BTreeMap::new(),
            evidence: BTreeMap::new(),
            waivers: BTreeMap::new(),
            criteria: BTreeMap::new(),
            nodes: BTreeMap::new(),
            capture: None,
            copy_round: 0,
            backfilled: false,
            following: Following::default(),
            verified: false,
            feeds_lost: BTreeSet::new(),
            fences: BTreeSet::new(),
            lift_again_ms: None,
            saga: None,
            rollback_asked: None,
            rolled_back_from: None,
            rehearsing_since_ms: None,
            attempts: 0,
            history: VecDeque::new(),
            failure: None,
            retry_at_ms: None,
            retries: 0,
            outcome: None,
        }
    }

    /// The run after this one, with epochs that go on from it.
    ///
    /// # Errors
    /// [`Refused`] while this run is not over, and after it was finalized: the target is then the
    /// only system, and a new run of the same migration would give authority to the source.
    pub fn after(&self, run: &str, by: &str, now_ms: u64) -> Result<Self, Refused> {
        let refused = |why: &str, instead: &str| Refused {
            code: "EXO-RUN-002",
            verb: None,
            why: why.to_owned(),
            instead: vec![instead.to_owned()],
        };
        match self.outcome {
            Some(Outcome::Abandoned) => {}
            Some(Outcome::Finalized) => {
                let why = "the migration is finalized; going back is a new, reverse migration";
                return Err(refused(why, "exodus init --reverse"));
            }
            None => {
                let why = format!("run {} is not over", self.run);
                return Err(refused(&why, "exodus status"));
            }
        }
        Ok(Self {
            epoch: self.epoch.next(),
            nodes: self.nodes.clone(),
            fences: self.fences.clone(),
            attempts: self.attempts,
            copy_round: self.copy_round,
            ..Self::new(run, &self.migration, by, now_ms)
        })
    }

    /// The step's name.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.step.place()
    }

    /// Whether any record is decided by the target.
    #[must_use]
    pub fn target_decides_something(&self) -> bool {
        self.authority.default == Side::Target || !self.authority.moved.is_empty()
    }

    /// Whether any record is decided by the source.
    #[must_use]
    pub fn source_decides_something(&self) -> bool {
        self.authority.default == Side::Source || !self.authority.moved.is_empty()
    }

    /// Sides that decide something and carry, or may carry, a fence nobody wants there.
    #[must_use]
    pub fn forgotten_fences(&self) -> Vec<Side> {
        let decides = |side: &Side| match side {
            Side::Source => self.source_decides_something(),
            Side::Target => self.target_decides_something(),
        };
        match self.saga {
            Some(_) => Vec::new(),
            None => self.fences.iter().copied().filter(decides).collect(),
        }
    }

    /// Whether all tenants of a batch are with the target.
    #[must_use]
    pub fn batch_moved(&self, batch: &TenantBatch) -> bool {
        batch.tenants.iter().all(|t| self.authority.of(Some(t)) == Side::Target)
    }

    /// Whether every node serves at least this epoch.
    #[must_use]
    pub fn all_nodes_at(&self, epoch: Epoch) -> bool {
        self.nodes.values().all(|at| *at >= epoch)
    }

    /// Whether a check that is enforced acts here in this way, for people who read `would_have`.
    #[must_use]
    pub fn unenforced_failures(&self) -> Vec<(&str, OnFailure)> {
        self.criteria
            .iter()
            .filter_map(|(name, j)| j.would_have.map(|w| (name.as_str(), w)))
            .collect()
    }
}
