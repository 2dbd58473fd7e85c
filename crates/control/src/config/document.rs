//! The sections and their defaults. `docs/guide/config.md` is written from these comments.

use std::collections::BTreeMap;

use model::{ConflictPolicy, Side, Strategy, WritePolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use workflow::{Environment, EvidenceKind, Gate, OnFailure, Place, Role};

use crate::config::endpoint::{EndpointSection, InterlaySection};
use crate::config::scalars::{Span, Word};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Name of the migration, its id everywhere: lower-case letters, digits and `-`.
    pub migration: String,
    /// Which family of databases it moves.
    pub family: String,
    /// How careful to be. Default `prod`.
    #[serde(default = "prod")]
    pub environment: Word<Environment>,
    /// Who answers for what.
    #[serde(default)]
    pub owners: Owners,
    /// Where the workload lives.
    pub source: EndpointSection,
    /// Where it goes. May be added until the compare phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EndpointSection>,
    /// Listeners that applications connect to; at least one.
    pub interlay: Vec<InterlaySection>,
    /// How traffic moves.
    #[serde(default)]
    pub strategy: StrategySection,
    /// What a client's success means for the other side.
    #[serde(default)]
    pub write: WriteSection,
    /// Copying of live changes.
    #[serde(default)]
    pub replay: Replay,
    /// Copying of history.
    #[serde(default)]
    pub backfill: Backfill,
    /// Bounds on background load.
    #[serde(default)]
    pub throttle: Throttle,
    /// Comparing of mirrored reads.
    #[serde(default)]
    pub compare: Compare,
    /// Comparing record by record.
    #[serde(default)]
    pub verify: Verify,
    /// Preflight and smoke tests.
    #[serde(default)]
    pub checks: Checks,
    /// The workload profile.
    #[serde(default)]
    pub analysis: Analysis,
    /// Per step: how long at least, with which evidence, in which time windows.
    #[serde(default)]
    pub phases: BTreeMap<Word<Place>, PhaseSection>,
    /// Who has to agree. Replaces the environment's default of the gates it names.
    #[serde(default)]
    pub gates: BTreeMap<Word<Gate>, GateSection>,
    /// Budgets, criteria and the warm-source window.
    #[serde(default)]
    pub rollback: Rollback,
    /// What is observed, and by whom.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// The family's own options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, serde_json::Value>,
}

const fn prod() -> Word<Environment> {
    Word(Environment::Prod)
}

/// Names of people or teams, by what they answer for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Owners {
    /// Drives the run.
    pub operator: Option<String>,
    /// Answers for the data.
    pub database_owner: Option<String>,
    /// Answers for the applications.
    pub application_owner: Option<String>,
    /// Approves rollbacks, where that is configured.
    pub rollback_approver: Option<String>,
    /// Decides that the target stays.
    pub decision_owner: Option<String>,
    /// Who is called when nobody answers.
    pub escalation: Option<String>,
}

impl Owners {
    /// Every role with its name, if one is given.
    #[must_use]
    pub fn all(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("operator", self.operator.as_deref()),
            ("database_owner", self.database_owner.as_deref()),
            ("application_owner", self.application_owner.as_deref()),
            ("rollback_approver", self.rollback_approver.as_deref()),
            ("decision_owner", self.decision_owner.as_deref()),
            ("escalation", self.escalation.as_deref()),
        ]
    }
}

/// How traffic moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StrategySection {
    /// The strategy. Default `canary`.
    pub kind: Word<Strategy>,
    /// `canary`: percent of reads per step, ascending. Default 5, 25, 50, 75, 100.
    pub steps: Vec<u8>,
    /// How long each step lasts at least. Default 10m in prod, 0 in dev.
    pub soak: Option<Span>,
    /// Whether read steps advance by themselves once nothing is missing. Default false.
    pub auto_advance: bool,
    /// `user_by_user`: how keys are partitioned and in which order tenants move.
    pub tenants: Option<Tenants>,
    /// Clients that read from a given side once data is verified.
    pub pins: Vec<PinSpec>,
}

impl Default for StrategySection {
    fn default() -> Self {
        Self {
            kind: Word(Strategy::Canary),
            steps: routing::CANARY_STEPS.to_vec(),
            soak: None,
            auto_advance: false,
            tenants: None,
            pins: Vec::new(),
        }
    }
}

/// A partition of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// The family's rule, e.g. a key prefix.
    pub rule: String,
    /// Tenants that move together, in this order.
    pub batches: Vec<Batch>,
}

/// Tenants that move together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Its name.
    pub name: String,
    /// Its tenants.
    pub tenants: Vec<String>,
}

/// A client that reads from a given side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinSpec {
    /// User or client name.
    pub attribute: String,
    /// The side.
    pub side: Word<Side>,
}

/// Write policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WriteSection {
    /// While the source decides. Default `both_required`.
    pub before: Word<WritePolicy>,
    /// While the target decides. Default `both_required`.
    pub after: Word<WritePolicy>,
    /// How long `both_required` waits for the other side. Default 250ms.
    pub target_timeout: Span,
    /// Largest lag at which a read may go to the other side; none by default.
    pub read_lag_max: Option<Span>,
}

impl Default for WriteSection {
    fn default() -> Self {
        Self {
            before: Word(WritePolicy::BothRequired),
            after: Word(WritePolicy::BothRequired),
            target_timeout: Span(250),
            read_lag_max: None,
        }
    }
}

/// Copying of live changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Replay {
    /// Copiers per direction. Default 4.
    pub copiers: usize,
    /// Records per batch, at most 128. Default 64.
    pub batch_max: usize,
    /// Attempts before a record that a server rejects is parked. Default 3.
    pub reject_attempts: u32,
    /// The other side is in step while its oldest missing change is younger than this. Default 2s.
    pub in_step_lag_max: Span,
}

impl Default for Replay {
    fn default() -> Self {
        Self { copiers: 4, batch_max: 64, reject_attempts: 3, in_step_lag_max: Span(2_000) }
    }
}

/// Copying of history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backfill {
    /// Records that are on the target before our first copy. Default `fail`.
    pub conflict: Word<ConflictPolicy>,
    /// Which datasets move.
    pub datasets: Datasets,
    /// Keys asked of one scan call. Default 512.
    pub scan_chunk: usize,
}

impl Default for Backfill {
    fn default() -> Self {
        Self {
            conflict: Word(ConflictPolicy::Fail),
            datasets: Datasets::default(),
            scan_chunk: 512,
        }
    }
}

/// A choice of datasets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Datasets {
    /// Only these; all when empty.
    pub include: Vec<String>,
}

/// Bounds on background load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Throttle {
    /// Records per second that the backfill copies; unbounded when absent.
    pub records_per_s: Option<u32>,
    /// Background work slows down above this p99 of a side's round trip. Default 50ms.
    pub p99_max: Span,
    /// Background work stops above this many live changes waiting. Default 20000.
    pub live_depth_max: usize,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { records_per_s: None, p99_max: Span(50), live_depth_max: 20_000 }
    }
}

/// Comparing of mirrored reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compare {
    /// Percent of comparable reads. Default 1.
    pub sample_percent: f64,
    /// Percent of the compared reads that may differ, what the target does not have yet not
    /// counted. Default 0.
    pub different_max_percent: f64,
    /// Whether writes are noted and carried to the target from the compare phase on, so that what
    /// was written since is compared for real. History is copied later all the same. Default
    /// false.
    pub seed: bool,
}

impl Default for Compare {
    fn default() -> Self {
        Self { sample_percent: 1.0, different_max_percent: 0.0, seed: false }
    }
}

/// Comparing record by record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// Records per second read per side; unbounded when absent.
    pub records_per_s: Option<u32>,
    /// How old a verification may be before it is stale. Default 24h.
    pub max_age: Span,
    /// How long changes may stay uncompared: a verification is repeated at half of it, and counts
    /// no longer after all of it. Default 1h.
    pub dirty_max: Span,
}

impl Default for Verify {
    fn default() -> Self {
        Self { records_per_s: None, max_age: Span(86_400_000), dirty_max: Span(3_600_000) }
    }
}

/// Preflight and smoke tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// Waived risks.
    pub waivers: Vec<WaiverSpec>,
    /// Commands of the family run one by one through an interlay; each has to succeed.
    pub smoke: Vec<String>,
}

/// One waived risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverSpec {
    /// The check's code.
    pub code: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub author: String,
    /// Until when, RFC 3339.
    pub expires: String,
}

/// The workload profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Analysis {
    /// One business cycle: how long the workload is watched before it counts as representative.
    /// Default 1h.
    pub cycle: Span,
}

impl Default for Analysis {
    fn default() -> Self {
        Self { cycle: Span(3_600_000) }
    }
}

/// What a step asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PhaseSection {
    /// How long it lasts at least.
    pub min_duration: Option<Span>,
    /// Evidence without which it is not left; replaces the environment's default.
    pub requires: Option<Vec<Word<EvidenceKind>>>,
    /// When it may be entered, UTC, each as `mon-fri 09:00-17:00`; always when empty.
    pub windows: Vec<String>,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateSection {
    /// Roles whose approval counts; an empty list opens the gate (never in prod for `migrate` and
    /// `commit`).
    pub roles: Vec<Word<Role>>,
    /// How many approvals. Default 1.
    #[serde(default = "one")]
    pub quorum: usize,
    /// How long an approval counts. Default 72h.
    #[serde(default = "three_days")]
    pub expiry: Span,
    /// Whether one person counts once only. Default true.
    #[serde(default = "yes")]
    pub distinct_people: bool,
    /// Whether whoever brought the run here may approve too. Default false.
    #[serde(default)]
    pub requester_may_approve: bool,
}

const fn one() -> usize {
    1
}

const fn three_days() -> Span {
    Span(259_200_000)
}

const fn yes() -> bool {
    true
}

/// Budgets, criteria and the warm-source window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rollback {
    /// How long a cutover may make clients wait. Default 1s.
    pub pause_budget: Span,
    /// How long a rollback may make clients wait. Default 5s.
    pub rollback_budget: Span,
    /// How long open transactions may go on after a freeze. Default 500ms.
    pub txn_deadline: Span,
    /// How long the source follows after the commit. Default 72h in prod, 0 in dev.
    pub warm_window: Option<Span>,
    /// Whether the old authority is fenced at the database where that right was proved. Default
    /// true.
    pub fence: bool,
    /// How often a failed worker is started again before everything goes back; without it
    /// everything goes back at once.
    pub step_retries: Option<u32>,
    /// Whether a failed worker is only recorded. Default false.
    pub allow_partial: bool,
    /// Criteria; replaces the environment's defaults of the names it lists.
    pub criteria: BTreeMap<String, CriterionSpec>,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            pause_budget: Span(1_000),
            rollback_budget: Span(5_000),
            txn_deadline: Span(500),
            warm_window: None,
            fence: true,
            step_retries: Some(3),
            allow_partial: false,
            criteria: BTreeMap::new(),
        }
    }
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CriterionSpec {
    /// How many failing samples fail it. Default 3.
    pub fail_after: usize,
    /// Of how many. Default 5.
    pub fail_window: usize,
    /// How many passing samples in a row pass it. Default 5.
    pub pass_after: usize,
    /// What a failure does. Default: step back from reads, hold once writes moved.
    pub on_failure: Option<Word<OnFailure>>,
    /// Whether a failure acts. Default true.
    pub enforce: bool,
    /// The bound, where the criterion has one: percent for rates and growth, milliseconds for
    /// latencies and ages, seconds for observability.
    pub limit: Option<u64>,
}

impl Default for CriterionSpec {
    fn default() -> Self {
        Self {
            fail_after: 3,
            fail_window: 5,
            pass_after: 5,
            on_failure: None,
            enforce: true,
            limit: None,
        }
    }
}

/// What is observed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// After how long without a scrape or a subscriber observability counts as lost. Default 60s.
    pub lost_after: Span,
    /// How often criteria are sampled. Default 5s.
    pub sample_every: Span,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { lost_after: Span(60_000), sample_every: Span(5_000) }
    }
}
