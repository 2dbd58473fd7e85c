use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fleet::Side;
use crate::role::Role;

/// How bad a check's answer is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CheckClass {
    /// Checked and fine.
    Pass,
    /// Could not be checked.
    NotRun,
    /// Worth knowing.
    Advice,
    /// May hurt; can be waived.
    Risk,
    /// Stops the step it is required for.
    Blocker,
}

/// One check of the preflight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The `EXO-` code.
    pub code: String,
    /// How bad.
    pub class: CheckClass,
    /// `start`, `connect_target`, `migrate`, `commit`.
    pub required_at: String,
    /// The side it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// What was measured.
    pub evidence: String,
    /// What to do.
    pub remedy: String,
    /// When it ran, RFC 3339.
    pub at: String,
    /// Who waived it, why and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<String>,
    /// Whether it can be waived at all.
    pub waivable: bool,
}

/// Whether a gate lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Not asked for yet.
    Pending,
    /// Waits for approvals.
    Waiting,
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Its evidence went stale or its approvals expired.
    Stale,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gate {
    /// Its name: `migrate`, `commit`, …
    pub name: String,
    /// Whether it lets through.
    pub state: GateState,
    /// Who may approve.
    pub roles: Vec<Role>,
    /// How many distinct approvals are needed.
    pub quorum: u32,
    /// The approvals so far.
    pub approvals: Vec<Approval>,
    /// Evidence still missing or stale.
    pub missing: Vec<String>,
    /// Digest of the evidence an approval signs.
    pub evidence_digest: String,
}

/// One approval or rejection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// Whether it approves.
    pub approved: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a criterion says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Holds.
    Pass,
    /// Does not hold.
    Fail,
    /// Not enough to say.
    Inconclusive,
    /// Nothing measured.
    NoData,
}

/// A rollback or commit criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Criterion {
    /// Its name.
    pub name: String,
    /// `rollback` or `commit`.
    pub kind: String,
    /// What it says now.
    pub verdict: Verdict,
    /// What was measured, against what.
    pub evidence: String,
    /// What happens when it fails: `hold`, `step_back`, `rollback`.
    pub on_failure: String,
    /// Whether that really happens or is only recorded.
    pub enforced: bool,
}

/// A dated piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// `preflight`, `verify`, `soak`, `rehearsal`, `smoke`, `compare`, `analysis`.
    pub kind: String,
    /// When, RFC 3339.
    pub at: String,
    /// Whether it speaks for going on.
    pub passed: bool,
    /// In one sentence.
    pub summary: String,
    /// Why it no longer counts, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}
