//! Gates: who has to agree before a run goes on, and what their agreement is bound to.
//!
//! An approval signs the digest of the gate's evidence. It is void as soon as a piece of that
//! evidence goes stale or fails; a newer piece that passes while the old one still counted does
//! not void it. A rejection closes the gate until whoever rejected revokes it.

use std::collections::BTreeSet;

use crate::evidence::{EvidenceKind, settled};
use crate::plan::Plan;
use crate::run::RunState;

model::wire_names! {
    /// A point where people decide.
    pub enum Gate ("gate") {
        /// Before data moves.
        Migrate => "migrate",
        /// Before each further share of reads.
        Reads => "reads",
        /// Before authority moves.
        Cutover => "cutover",
        /// Before the target stays.
        Commit => "commit",
        /// Before the source is given up.
        Decommission => "decommission",
    }
}

model::wire_names! {
    /// What a person is to a migration.
    pub enum Role ("role") {
        /// May look.
        Observer => "observer",
        /// Drives the run.
        Operator => "operator",
        /// Owns the databases.
        DatabaseOwner => "database_owner",
        /// Owns the applications.
        ApplicationOwner => "application_owner",
        /// Approves rollbacks where that is configured.
        RollbackApprover => "rollback_approver",
        /// Decides that the target stays.
        DecisionOwner => "decision_owner",
        /// Owns an incident.
        IncidentOwner => "incident_owner",
        /// Administers Exodus.
        Admin => "admin",
        /// A machine that may look and propose.
        Agent => "agent",
    }
}

/// What a gate asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateSpec {
    /// Roles whose approval counts.
    pub roles: BTreeSet<Role>,
    /// How many approvals are needed, at least 1.
    pub quorum: usize,
    /// How long an approval counts, in milliseconds; none = until its evidence goes stale.
    pub expiry_ms: Option<u64>,
    /// Whether one person counts once only.
    pub distinct_people: bool,
    /// Whether whoever brought the run here may approve too.
    pub requester_may_approve: bool,
}

impl GateSpec {
    /// One approval by any of these roles, of somebody else, for three days.
    #[must_use]
    pub fn one_of(roles: &[Role]) -> Self {
        Self {
            roles: roles.iter().copied().collect(),
            quorum: 1,
            expiry_ms: Some(72 * 3_600_000),
            distinct_people: true,
            requester_may_approve: false,
        }
    }
}

/// One person's agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub who: String,
    /// In which role.
    pub role: Role,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The digest of the gate's evidence at that moment.
    pub digest: String,
}

/// One person's veto.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Who.
    pub who: String,
    /// In which role.
    pub role: Role,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
}

/// Whether a gate is open, with what is missing when it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateVerdict {
    /// The plan has no such gate.
    NotConfigured,
    /// Enough people agreed to evidence that still counts.
    Granted,
    /// Closed.
    Closed {
        /// Approvals still missing.
        missing: usize,
        /// Who may give them.
        roles: BTreeSet<Role>,
        /// Why, in one sentence.
        why: String,
    },
}

impl GateVerdict {
    /// Whether the run may pass.
    #[must_use]
    pub const fn open(&self) -> bool {
        matches!(self, Self::NotConfigured | Self::Granted)
    }
}

/// What an approval of this gate signs: its evidence, kind by kind.
#[must_use]
pub fn gate_digest(plan: &Plan, run: &RunState, gate: Gate) -> String {
    let pieces = plan.gate_evidence(gate).into_iter().map(|kind| {
        let digest = run.evidence.get(&kind).map_or("none", |e| e.digest.as_str());
        let waived = if run.waivers.contains_key(&kind) { "+waived" } else { "" };
        format!("{kind}={digest}{waived}")
    });
    pieces.collect::<Vec<_>>().join(";")
}

/// Judges a gate.
#[must_use]
pub fn gate_verdict(plan: &Plan, run: &RunState, gate: Gate) -> GateVerdict {
    let Some(spec) = plan.gates.get(&gate) else { return GateVerdict::NotConfigured };
    let closed = |missing, why| GateVerdict::Closed { missing, roles: spec.roles.clone(), why };
    if let Some(no) = run.rejections.get(&gate) {
        return closed(spec.quorum, format!("{} rejected it: {}", no.who, no.reason));
    }
    for kind in plan.gate_evidence(gate) {
        if let Err(why) = settled(run, kind) {
            return closed(spec.quorum, why);
        }
    }
    let given = counted(spec, run, gate);
    if given >= spec.quorum {
        return GateVerdict::Granted;
    }
    closed(spec.quorum - given, format!("{given} of {} approvals given", spec.quorum))
}

fn counted(spec: &GateSpec, run: &RunState, gate: Gate) -> usize {
    let alive = run.approvals.get(&gate).into_iter().flatten().filter(|a| {
        spec.roles.contains(&a.role)
            && spec.expiry_ms.is_none_or(|ms| run.now_ms.saturating_sub(a.at_ms) < ms)
    });
    if spec.distinct_people {
        alive.map(|a| a.who.as_str()).collect::<BTreeSet<_>>().len()
    } else {
        alive.count()
    }
}

/// Removes the approvals bound to these kinds of evidence. Returns the gates that lost some.
pub(crate) fn void(plan: &Plan, run: &mut RunState, kinds: &[EvidenceKind]) -> Vec<Gate> {
    let mut lost = Vec::new();
    for gate in Gate::ALL {
        let bound = plan.gate_evidence(*gate).iter().any(|k| kinds.contains(k));
        if bound && run.approvals.remove(gate).is_some_and(|a| !a.is_empty()) {
            lost.push(*gate);
        }
    }
    lost
}
