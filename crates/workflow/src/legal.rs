//! Which plans may run: the table of write policies, and what an environment demands.

use std::collections::BTreeSet;

use model::{Side, Strategy, WritePolicy};

use crate::gate::Gate;
use crate::place::{Place, Step};
use crate::plan::{Environment, Plan};
use crate::run::RunState;

/// What a pair of endpoints can keep, as probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilyCaps {
    /// Both sides can prepare a transaction and decide it later.
    pub two_phase_commit: bool,
    /// Changes made on the target can be followed to the source.
    pub reverse: bool,
    /// Each direction can be filtered by tenant.
    pub tenant_filter: bool,
}

/// Why a write policy cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IllegalPolicy {
    /// The `EXO-` code.
    pub code: &'static str,
    /// Why.
    pub why: &'static str,
    /// What to use instead.
    pub instead: WritePolicy,
}

/// Judges one policy for the time one side decides.
///
/// # Errors
/// [`IllegalPolicy`] with the reason and a policy that can be kept.
pub const fn legal_policy(
    authority: Side,
    policy: WritePolicy,
    caps: &FamilyCaps,
    rollback_promised: bool,
) -> Result<(), IllegalPolicy> {
    use WritePolicy as W;
    match (policy, authority) {
        (W::TwoPhaseCommit, _) if !caps.two_phase_commit => illegal(
            "EXO-RUN-020",
            "two_phase_commit needs transactions that can be prepared on both sides and decided \
             later; these servers have none, and undoing an acknowledged write is not an option",
            W::BothRequired,
        ),
        (W::NewAuthoritative, Side::Source) => illegal(
            "EXO-RUN-021",
            "new_authoritative lets the target decide; before authority moves the source decides",
            W::OldAuthoritative,
        ),
        (W::OldAuthoritative, Side::Target) => illegal(
            "EXO-RUN-022",
            "old_authoritative lets the source decide; after authority moved it does so only by a \
             rollback",
            W::NewAuthoritative,
        ),
        (W::BestEffort, Side::Target) if rollback_promised => illegal(
            "EXO-RUN-023",
            "best_effort does not keep the source complete, so a rollback could not be promised",
            W::BothRequired,
        ),
        (W::BothRequired | W::NewAuthoritative, Side::Target)
            if rollback_promised && !caps.reverse =>
        {
            illegal(
                "EXO-RUN-024",
                "the target's changes cannot be followed back to the source, so a rollback could \
                 not be promised",
                W::BestEffort,
            )
        }
        _ => Ok(()),
    }
}

const fn illegal(
    code: &'static str,
    why: &'static str,
    instead: WritePolicy,
) -> Result<(), IllegalPolicy> {
    Err(IllegalPolicy { code, why, instead })
}

/// Why a plan cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error[{code}]: {why}")]
pub struct PlanFault {
    /// The `EXO-` code.
    pub code: &'static str,
    /// Why, in one sentence.
    pub why: String,
    /// What to change.
    pub fix: String,
}

/// Everything that is wrong with a plan before it runs.
#[must_use]
pub fn check_plan(plan: &Plan, caps: &FamilyCaps) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    policies(plan, caps, &mut faults);
    strategy(plan, caps, &mut faults);
    gates_and_criteria(plan, &mut faults);
    faults
}

fn policies(plan: &Plan, caps: &FamilyCaps, faults: &mut Vec<PlanFault>) {
    let both = [(Side::Source, plan.policy_before), (Side::Target, plan.policy_after)];
    for (authority, policy) in both {
        if let Err(no) = legal_policy(authority, policy, caps, true) {
            faults.push(PlanFault {
                code: no.code,
                why: no.why.to_owned(),
                fix: format!("while the {authority} decides, use {}", no.instead),
            });
        }
    }
}

fn strategy(plan: &Plan, caps: &FamilyCaps, faults: &mut Vec<PlanFault>) {
    let steps = &plan.canary_steps;
    let ascending = steps.windows(2).all(|pair| pair[0] < pair[1]);
    let bounded = steps.iter().all(|p| (1..=100).contains(p));
    if plan.strategy == Strategy::Canary && (steps.is_empty() || !ascending || !bounded) {
        faults.push(PlanFault {
            code: "EXO-RUN-030",
            why: format!("canary steps {steps:?} are not ascending percentages from 1 to 100"),
            fix: "name them like [5, 25, 50, 75, 100]".to_owned(),
        });
    }
    if plan.strategy != Strategy::UserByUser {
        return;
    }
    if plan.batches.is_empty() {
        faults.push(PlanFault {
            code: "EXO-RUN-031",
            why: "user_by_user has no tenants to move".to_owned(),
            fix: "name at least one batch of tenants".to_owned(),
        });
    }
    let mut seen = BTreeSet::new();
    if !plan.batches.iter().flat_map(|b| &b.tenants).all(|t| seen.insert(t)) {
        faults.push(PlanFault {
            code: "EXO-RUN-031",
            why: "a tenant is in two batches".to_owned(),
            fix: "name every tenant once".to_owned(),
        });
    }
    if !caps.tenant_filter || !caps.reverse {
        faults.push(PlanFault {
            code: "EXO-RUN-032",
            why: "both directions live at once in user_by_user, and these endpoints cannot keep \
                  them apart by tenant"
                .to_owned(),
            fix: "use canary or big_bang".to_owned(),
        });
    }
}

fn gates_and_criteria(plan: &Plan, faults: &mut Vec<PlanFault>) {
    for (gate, spec) in &plan.gates {
        if spec.quorum == 0 || spec.roles.is_empty() {
            faults.push(PlanFault {
                code: "EXO-RUN-033",
                why: format!("gate {gate} names nobody, or asks for no approval"),
                fix: "name roles and a quorum of at least 1".to_owned(),
            });
        }
    }
    for check in &plan.criteria {
        if check.fail_after == 0 || check.fail_after > check.fail_window || check.pass_after == 0 {
            faults.push(PlanFault {
                code: "EXO-RUN-034",
                why: format!("check {} can never fail, or passes without a sample", check.name),
                fix: "use for instance fail_after: 3 of 5 and pass_after: 5".to_owned(),
            });
        }
    }
    if plan.environment != Environment::Prod {
        return;
    }
    for gate in [Gate::Migrate, Gate::Commit] {
        if !plan.gates.contains_key(&gate) {
            faults.push(PlanFault {
                code: "EXO-RUN-035",
                why: format!("in prod the gate {gate} cannot be turned off"),
                fix: format!("configure gates.{gate}, or declare environment: dev"),
            });
        }
    }
    if !plan.criteria.iter().any(|c| c.enforce && c.at == crate::criteria::JudgedAt::Shift) {
        faults.push(PlanFault {
            code: "EXO-RUN-036",
            why: "in prod at least one rollback criterion has to be enforced".to_owned(),
            fix: "configure rollback.criteria, or declare environment: dev".to_owned(),
        });
    }
}

/// Why a changed plan cannot take over a run where it is. Everything else about a plan may change
/// at any time; what proofs it spoils is told with [`crate::Fact::ConfigChanged`].
#[must_use]
pub fn check_change(run: &RunState, old: &Plan, new: &Plan) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    let fault = |why: &str, fix: &str| PlanFault {
        code: "EXO-RUN-037",
        why: why.to_owned(),
        fix: fix.to_owned(),
    };
    let shifted = run.saga.is_some()
        || run.target_decides_something()
        || matches!(run.place(), Place::Reads | Place::Tenants | Place::ReadyToCutover);
    if shifted && old.strategy != new.strategy {
        faults.push(fault(
            "the strategy cannot change while reads or authority have moved",
            "step back to verifying, or roll back, and apply it then",
        ));
    }
    let planned: BTreeSet<_> = new.batches.iter().flat_map(|b| &b.tenants).collect();
    if run.authority.moved.iter().any(|tenant| !planned.contains(tenant)) {
        faults.push(fault(
            "a tenant that has moved is not in any batch of the new plan",
            "keep it in the plan, or return it first",
        ));
    }
    if let Step::Reads { index } = run.step
        && index >= new.canary_steps.len()
    {
        faults.push(fault(
            "the run is at a read step that the new plan does not have",
            "step back first, or keep as many steps",
        ));
    }
    faults
}
