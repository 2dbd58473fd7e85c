use std::collections::BTreeSet;

use model::{Epoch, ReadMode, Side, Tenant};

use crate::criteria::Verdict;
use crate::evidence::{EvidenceKind, EvidenceOutcome};
use crate::gate::{Gate, Role};
use crate::saga::{FlipInput, Node};

/// Something that happened, with when it happened. Time only ever enters a run this way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A person wants something.
    Asked {
        /// Milliseconds since the Unix epoch.
        now_ms: u64,
        /// Who, and why.
        by: By,
        /// What.
        verb: Verb,
    },
    /// A worker, a node or the clock reports.
    Told {
        /// Milliseconds since the Unix epoch.
        now_ms: u64,
        /// What.
        fact: Fact,
    },
}

impl Event {
    /// A verb with its author.
    #[must_use]
    pub const fn asked(now_ms: u64, by: By, verb: Verb) -> Self {
        Self::Asked { now_ms, by, verb }
    }

    /// A fact.
    #[must_use]
    pub const fn told(now_ms: u64, fact: Fact) -> Self {
        Self::Told { now_ms, fact }
    }

    /// When it happened, milliseconds since the Unix epoch.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        match self {
            Self::Asked { now_ms, .. } | Self::Told { now_ms, .. } => *now_ms,
        }
    }
}

/// A person, the role they act in, and their reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub who: String,
    /// As what.
    pub role: Role,
    /// Why; may be empty where no reason is asked for.
    pub reason: String,
}

impl By {
    /// An operator with a reason.
    #[must_use]
    pub fn operator(who: &str, reason: &str) -> Self {
        Self { who: who.to_owned(), role: Role::Operator, reason: reason.to_owned() }
    }
}

model::wire_names! {
    /// The name of a verb, without its data: the column of the state table.
    pub enum VerbKind ("verb") {
        /// Next step.
        Advance => "advance",
        /// Stay here; data keeps flowing.
        Hold => "hold",
        /// End a hold or a panic.
        Release => "release",
        /// Previous step.
        StepBack => "step_back",
        /// Go again: a failed worker, a rolled-back run.
        Retry => "retry",
        /// All authority to the source.
        Rollback => "rollback",
        /// Pass through to the authority; shifting and comparing off.
        Panic => "panic",
        /// The target stays.
        Commit => "commit",
        /// End the warm-source window.
        Finalize => "finalize",
        /// End a rolled-back run.
        Abandon => "abandon",
        /// Agree at a gate.
        Approve => "approve",
        /// Veto a gate.
        Reject => "reject",
        /// Withdraw one's own approval or veto.
        Revoke => "revoke",
        /// Go on without a kind of evidence.
        Waive => "waive",
        /// Rehearse the barrier on a scratch keyspace.
        Rehearse => "rehearse",
        /// Choose the share of reads.
        SetTraffic => "traffic_set",
        /// Pin or unpin a client's reads.
        Pin => "traffic_pin",
        /// Move tenants to the target.
        TenantMove => "tenant_move",
        /// Return tenants to the source.
        TenantReturn => "tenant_return",
        /// Block cleanup and automatic decisions except rollback.
        IncidentHold => "incident_hold",
        /// End that.
        IncidentRelease => "incident_release",
        /// Remove Exodus' own objects.
        Cleanup => "cleanup",
    }
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Next step.
    Advance,
    /// Stay here; data keeps flowing. A barrier that can still be undone is undone.
    Hold,
    /// End a hold or a panic.
    Release,
    /// Previous step.
    StepBack,
    /// Go again.
    Retry,
    /// All authority to the source. Never waits for anybody.
    Rollback {
        /// Go on although changes that only a dead target has may be lost.
        accept_loss: bool,
    },
    /// Pass through to the authority. Never waits for anybody.
    Panic,
    /// The target stays.
    Commit {
        /// The migration's name, typed.
        typed: String,
    },
    /// End the warm-source window.
    Finalize,
    /// End a rolled-back run.
    Abandon,
    /// Agree at a gate.
    Approve {
        /// Which.
        gate: Gate,
        /// The digest that was looked at; when it is not the present one the approval is refused.
        digest: Option<String>,
    },
    /// Veto a gate.
    Reject {
        /// Which.
        gate: Gate,
    },
    /// Withdraw one's own approval or veto.
    Revoke {
        /// Which.
        gate: Gate,
    },
    /// Go on without a kind of evidence.
    Waive {
        /// Which kind.
        kind: EvidenceKind,
        /// Until when, milliseconds since the Unix epoch.
        expires_ms: u64,
    },
    /// Rehearse the barrier.
    Rehearse,
    /// Choose the share of reads.
    SetTraffic {
        /// How reads are spread; none = by percent.
        mode: Option<ReadMode>,
        /// Percent of cohorts that read from the target, 0 to 100.
        reads_percent: u8,
        /// Go up by more than 25 points at once.
        forced: bool,
    },
    /// Pin or unpin a client's reads.
    Pin {
        /// The client's user or name.
        attribute: Vec<u8>,
        /// To which side; none = no longer pinned by an operator.
        side: Option<Side>,
    },
    /// Move tenants to the target, out of the order of the plan's batches.
    TenantMove {
        /// Which; all of them have to be in the plan.
        tenants: BTreeSet<Tenant>,
    },
    /// Return tenants to the source.
    TenantReturn {
        /// Which.
        tenants: BTreeSet<Tenant>,
    },
    /// Block cleanup and automatic decisions except rollback.
    IncidentHold,
    /// End that.
    IncidentRelease,
    /// Remove Exodus' own objects.
    Cleanup,
}

impl Verb {
    /// The verb's name.
    #[must_use]
    pub const fn kind(&self) -> VerbKind {
        match self {
            Self::Advance => VerbKind::Advance,
            Self::Hold => VerbKind::Hold,
            Self::Release => VerbKind::Release,
            Self::StepBack => VerbKind::StepBack,
            Self::Retry => VerbKind::Retry,
            Self::Rollback { .. } => VerbKind::Rollback,
            Self::Panic => VerbKind::Panic,
            Self::Commit { .. } => VerbKind::Commit,
            Self::Finalize => VerbKind::Finalize,
            Self::Abandon => VerbKind::Abandon,
            Self::Approve { .. } => VerbKind::Approve,
            Self::Reject { .. } => VerbKind::Reject,
            Self::Revoke { .. } => VerbKind::Revoke,
            Self::Waive { .. } => VerbKind::Waive,
            Self::Rehearse => VerbKind::Rehearse,
            Self::SetTraffic { .. } => VerbKind::SetTraffic,
            Self::Pin { .. } => VerbKind::Pin,
            Self::TenantMove { .. } => VerbKind::TenantMove,
            Self::TenantReturn { .. } => VerbKind::TenantReturn,
            Self::IncidentHold => VerbKind::IncidentHold,
            Self::IncidentRelease => VerbKind::IncidentRelease,
            Self::Cleanup => VerbKind::Cleanup,
        }
    }
}

/// What workers, nodes and the clock report. Every fact may be told twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The run was created: publish its first table.
    Started,
    /// The controller was restarted: these nodes serve clients now. Everything wanted is said
    /// again.
    Resumed {
        /// All nodes that serve clients.
        nodes: BTreeSet<Node>,
    },
    /// Time went on.
    Tick,
    /// A node began to serve, with the newest table.
    NodeJoined {
        /// Which.
        node: Node,
    },
    /// A node is gone for certain.
    NodeGone {
        /// Which.
        node: Node,
    },
    /// A node serves this epoch and, where it is frozen, has no write in flight.
    NodeAcked {
        /// Which.
        node: Node,
        /// The epoch.
        epoch: Epoch,
        /// How long it waited for open transactions, in milliseconds.
        txn_wait_ms: u64,
    },
    /// The first copy is complete.
    BackfillDone,
    /// How the secondary follows.
    InStep {
        /// Whether it is in step.
        in_step: bool,
        /// Age of the oldest change it does not have, in milliseconds.
        lag_ms: u64,
        /// How many records it does not have as they are.
        pending: u64,
    },
    /// A verification is through.
    VerifyDone {
        /// Digest of its report.
        digest: String,
        /// Whether everything was compared and is equal or accepted.
        clean: bool,
        /// Differences open.
        open: u64,
    },
    /// What was written since the last verification has not been compared for too long, or has
    /// to be compared again.
    Unverified {
        /// Why it no longer counts, for people.
        why: String,
    },
    /// A new piece of evidence.
    EvidenceAdded {
        /// Of which kind.
        kind: EvidenceKind,
        /// Digest of its report.
        digest: String,
        /// What it says.
        outcome: EvidenceOutcome,
    },
    /// The config changed.
    ConfigChanged {
        /// Digest of the new one.
        digest: String,
        /// Evidence that no longer speaks of what is configured.
        affects: BTreeSet<EvidenceKind>,
    },
    /// One sample of a check.
    CriterionSample {
        /// Which check.
        name: String,
        /// What it says.
        verdict: Verdict,
        /// Its numbers, for people.
        numbers: String,
    },
    /// The barrier hears something.
    SagaProgress {
        /// The attempt it is about ([`crate::FlipTerms::attempt`]).
        attempt: u64,
        /// What.
        input: FlipInput,
    },
    /// The barrier's driver itself failed.
    SagaFailed {
        /// The attempt it is about.
        attempt: u64,
        /// What happened.
        why: String,
    },
    /// A rehearsal ended.
    RehearsalDone {
        /// Digest of its report.
        digest: String,
        /// What it says.
        outcome: EvidenceOutcome,
    },
    /// A worker failed for good.
    WorkerFailed {
        /// Its name.
        worker: String,
        /// The `EXO-` code.
        code: String,
        /// What happened.
        why: String,
    },
    /// A feed has a gap: changes may have been missed.
    FeedLost {
        /// Of which side.
        side: Side,
    },
    /// The feed delivers again, and what it missed was marked.
    FeedRestored {
        /// Of which side.
        side: Side,
    },
    /// A fence was lifted outside a barrier.
    FenceLifted {
        /// Of which side.
        side: Side,
    },
}
