use std::collections::{BTreeMap, BTreeSet};

use model::{Side, Strategy, WritePolicy};
use routing::CANARY_STEPS;

use crate::criteria::Criterion;
use crate::evidence::EvidenceKind;
use crate::gate::{Gate, GateSpec, Role};
use crate::place::Place;
use crate::run::TenantBatch;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

model::wire_names! {
    /// How careful a run has to be.
    pub enum Environment ("environment") {
        /// Approvals, evidence and windows as the specification demands. The default.
        Prod => "prod",
        /// Nothing is asked for that the plan does not name.
        Dev => "dev",
    }
}

/// What happens when a worker of a data-moving step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStepFailure {
    /// Everything goes back to the source, while the source decides. Once the target decides the
    /// failure waits for a person: authority moves by checks and people only.
    RollbackAll,
    /// The worker is started again this often, then everything goes back.
    Retry {
        /// How often, at most.
        times: u32,
        /// How long before the first time, in milliseconds; doubled each further time.
        backoff_ms: u64,
    },
    /// The failure is recorded and the run stays where it is until the operator retries.
    AllowPartial,
}

/// A recurring span of time in which a step may be entered, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Days it begins on: bit 0 is Monday, bit 6 Sunday.
    pub days: u8,
    /// First minute of the day, below 1,440.
    pub from_minute: u16,
    /// How long it lasts, in minutes, at most 1,440.
    pub minutes: u16,
}

impl Window {
    /// Whether this moment (milliseconds since the Unix epoch) lies in it.
    #[must_use]
    pub fn contains(&self, now_ms: u64) -> bool {
        let minute = now_ms / MINUTE_MS;
        // 1 January 1970 was a Thursday: day 3 when Monday is 0.
        let (day, of_day) = (minute / 1_440 + 3, minute % 1_440);
        let opened_today = self.on(day) && of_day >= u64::from(self.from_minute);
        let end = u64::from(self.from_minute) + u64::from(self.minutes);
        let still_from_yesterday = self.on(day + 6) && of_day + 1_440 < end;
        (opened_today && of_day < end) || still_from_yesterday
    }

    const fn on(&self, day: u64) -> bool {
        self.days >> (day % 7) & 1 == 1
    }
}

/// What the config asks of a run. Immutable; a changed config is a new plan and an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How careful to be.
    pub environment: Environment,
    /// Which generator of routing tables.
    pub strategy: Strategy,
    /// Percent of cohorts per read step of `canary`, ascending.
    pub canary_steps: Vec<u8>,
    /// How long each read step and each batch of tenants has to last, in milliseconds.
    pub soak_ms: u64,
    /// Whether read steps advance by themselves once nothing is missing (never into the cutover).
    pub auto_advance: bool,
    /// Batches of `user_by_user`, in the order they move.
    pub batches: Vec<TenantBatch>,
    /// Clients, by attribute, that read from a given side once data is verified.
    pub pins: Vec<(Vec<u8>, Side)>,
    /// The write policy while the source decides.
    pub policy_before: WritePolicy,
    /// The write policy while the target decides.
    pub policy_after: WritePolicy,
    /// How long `both_required` waits for the secondary, in milliseconds (default 250).
    pub target_timeout_ms: u32,
    /// Largest lag at which a read may go to the secondary, in milliseconds.
    pub lag_ms_max: Option<u32>,
    /// Comparable requests mirrored while both sides are alive, of 10,000.
    pub sample_per_myriad: u16,
    /// Whether the compare phase already copies and follows (`compare.seed`: touched, full).
    pub capture_in_compare: bool,
    /// Gates and what they ask for. A gate that is not here is open.
    pub gates: BTreeMap<Gate, GateSpec>,
    /// Evidence without which a step is not left, besides what is always asked for.
    pub requires: BTreeMap<Place, BTreeSet<EvidenceKind>>,
    /// How long each kind of evidence counts, in milliseconds.
    pub evidence_max_age_ms: BTreeMap<EvidenceKind, u64>,
    /// How old an unverified dirty range may be before the verification is stale, in milliseconds.
    pub verify_dirty_max_ms: u64,
    /// Checks and what their failure does.
    pub criteria: Vec<Criterion>,
    /// How long a step has to last at least, in milliseconds.
    pub min_duration_ms: BTreeMap<Place, u64>,
    /// When a step may be entered by the operator; a step that is not here: always.
    pub windows: BTreeMap<Place, Vec<Window>>,
    /// How long the source follows after the commit, in milliseconds (default 72 h in prod).
    pub warm_window_ms: u64,
    /// How long a cutover may make clients wait, in milliseconds (default 1,000).
    pub pause_budget_ms: u64,
    /// How long a rollback may make clients wait, in milliseconds (default 5,000).
    pub rollback_budget_ms: u64,
    /// How long open transactions may go on after a freeze, in milliseconds (default 500).
    pub txn_deadline_ms: u64,
    /// Whether the right to fence was proved on the source and the target.
    pub can_fence: BTreeSet<Side>,
    /// What happens when a worker of a data-moving step fails.
    pub on_step_failure: OnStepFailure,
}

impl Plan {
    /// The defaults of an environment for a strategy.
    #[must_use]
    pub fn new(environment: Environment, strategy: Strategy) -> Self {
        let prod = environment == Environment::Prod;
        Self {
            environment,
            strategy,
            canary_steps: CANARY_STEPS.to_vec(),
            soak_ms: if prod { 10 * MINUTE_MS } else { 0 },
            auto_advance: false,
            batches: Vec::new(),
            pins: Vec::new(),
            policy_before: WritePolicy::BothRequired,
            policy_after: WritePolicy::BothRequired,
            target_timeout_ms: 250,
            lag_ms_max: None,
            sample_per_myriad: 100,
            capture_in_compare: false,
            gates: if prod { prod_gates() } else { BTreeMap::new() },
            requires: if prod { prod_evidence() } else { BTreeMap::new() },
            evidence_max_age_ms: ages(),
            verify_dirty_max_ms: HOUR_MS,
            criteria: if prod { prod_criteria() } else { Vec::new() },
            min_duration_ms: BTreeMap::new(),
            windows: BTreeMap::new(),
            warm_window_ms: if prod { 72 * HOUR_MS } else { 0 },
            pause_budget_ms: 1_000,
            rollback_budget_ms: 5_000,
            txn_deadline_ms: 500,
            can_fence: BTreeSet::new(),
            on_step_failure: OnStepFailure::RollbackAll,
        }
    }

    /// The evidence a gate is bound to.
    #[must_use]
    pub fn gate_evidence(&self, gate: Gate) -> Vec<EvidenceKind> {
        let place = match gate {
            Gate::Migrate => Place::Rehearsal,
            Gate::Reads => Place::Reads,
            Gate::Cutover => Place::ReadyToCutover,
            Gate::Commit => Place::ServingTarget,
            Gate::Decommission => Place::WarmSource,
        };
        self.evidence_for(place)
    }

    /// The evidence without which a step is not left.
    #[must_use]
    pub fn evidence_for(&self, place: Place) -> Vec<EvidenceKind> {
        let always = match place {
            Place::Verifying | Place::Reads | Place::Tenants | Place::ReadyToCutover => {
                Some(EvidenceKind::Verify)
            }
            Place::ServingTarget => Some(EvidenceKind::Verify),
            _ => None,
        };
        let asked = self.requires.get(&place).into_iter().flatten().copied();
        always.into_iter().chain(asked).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The check of this name.
    #[must_use]
    pub fn criterion(&self, name: &str) -> Option<&Criterion> {
        self.criteria.iter().find(|c| c.name == name)
    }
}

fn prod_gates() -> BTreeMap<Gate, GateSpec> {
    let owners = GateSpec::one_of(&[Role::DatabaseOwner, Role::ApplicationOwner, Role::Admin]);
    let decision = GateSpec::one_of(&[Role::DecisionOwner]);
    BTreeMap::from([
        (Gate::Migrate, owners),
        (Gate::Commit, decision.clone()),
        (Gate::Decommission, decision),
    ])
}

fn prod_evidence() -> BTreeMap<Place, BTreeSet<EvidenceKind>> {
    use EvidenceKind as E;
    let of = |kinds: &[E]| kinds.iter().copied().collect::<BTreeSet<_>>();
    BTreeMap::from([
        (Place::Setup, of(&[E::PreflightStart])),
        (Place::Tap, of(&[E::Tap])),
        (Place::Analyze, of(&[E::Profile, E::PreflightConnectTarget])),
        (Place::Compare, of(&[E::Compare])),
        (Place::Smoke, of(&[E::Smoke])),
        (Place::Rehearsal, of(&[E::Rehearsal, E::PreflightMigrate, E::Redirect])),
        (Place::ReadyToCutover, of(&[E::Rehearsal])),
        (Place::ServingTarget, of(&[E::PreflightCommit])),
        (Place::WarmSource, of(&[E::TargetBackup, E::Decommission])),
    ])
}

fn prod_criteria() -> Vec<Criterion> {
    let shift = ["target_error_rate", "target_p99", "divergence_growth", "observability"];
    let commit = ["target_healthy", "nothing_parked", "oldest_pending_age", "authority_measured"];
    let shift = shift.into_iter().map(Criterion::shift);
    shift.chain(commit.into_iter().map(Criterion::commit)).collect()
}

fn ages() -> BTreeMap<EvidenceKind, u64> {
    use EvidenceKind as E;
    BTreeMap::from([
        (E::PreflightStart, 7 * 24 * HOUR_MS),
        (E::PreflightConnectTarget, 7 * 24 * HOUR_MS),
        (E::PreflightMigrate, 24 * HOUR_MS),
        (E::PreflightCommit, 24 * HOUR_MS),
        (E::Smoke, 7 * 24 * HOUR_MS),
        (E::Rehearsal, 7 * 24 * HOUR_MS),
        (E::Redirect, 24 * HOUR_MS),
        (E::Verify, 24 * HOUR_MS),
    ])
}
