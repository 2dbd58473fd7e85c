//! What is missing before a run can go on. One list, read by `advance` (which refuses while it is
//! not empty), by `waiting_on` (which shows its head) and by `next`.

use crate::criteria::{JudgedAt, Verdict};
use crate::event::VerbKind;
use crate::evidence::settled;
use crate::gate::{Gate, GateVerdict, gate_verdict};
use crate::place::{Place, Step};
use crate::plan::Plan;
use crate::run::{RunState, TenantBatch};

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The `EXO-` code a refusal carries.
    pub code: &'static str,
    /// What, in one sentence.
    pub what: String,
    /// Who can supply it: a role, or `exodus` when it comes by itself.
    pub who: String,
    /// With which command.
    pub command: String,
    /// Since when it is waited for, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// Verbs that only narrate until they are confirmed.
const NARRATES: &[&str] =
    &["advance", "commit", "finalize", "abandon", "cleanup", "rehearse rollback", "tenant move"];

/// A command line as it can be pasted: it names the migration, and confirms where the verb would
/// only narrate otherwise.
#[must_use]
pub fn command(run: &RunState, words: &str) -> String {
    let yes = if NARRATES.iter().any(|verb| words.starts_with(verb)) { " --yes" } else { "" };
    format!("exodus {words}{yes} -m {}", run.migration)
}

/// The verb that leads forward from a place, where one does.
#[must_use]
pub const fn forward(place: Place) -> Option<VerbKind> {
    match place {
        Place::Setup
        | Place::Tap
        | Place::Analyze
        | Place::Compare
        | Place::Smoke
        | Place::Rehearsal
        | Place::Verifying
        | Place::Reads
        | Place::Tenants
        | Place::ReadyToCutover => Some(VerbKind::Advance),
        Place::ServingTarget => Some(VerbKind::Commit),
        Place::WarmSource => Some(VerbKind::Finalize),
        Place::RolledBack => Some(VerbKind::Retry),
        Place::RollbackBlocked => Some(VerbKind::Rollback),
        Place::Seeding
        | Place::CuttingOver
        | Place::RollingBack
        | Place::Finalized
        | Place::Abandoned => None,
    }
}

/// The step that `advance` leads to.
#[must_use]
pub fn ahead(plan: &Plan, run: &RunState) -> Option<Step> {
    use model::Strategy as S;
    Some(match &run.step {
        Step::Setup => Step::Tap,
        Step::Tap => Step::Analyze,
        Step::Analyze => Step::Compare,
        Step::Compare => Step::Smoke,
        Step::Smoke => Step::Rehearsal,
        Step::Rehearsal => Step::Seeding,
        Step::Seeding => Step::Verifying,
        Step::Verifying => match plan.strategy {
            S::Canary if !plan.canary_steps.is_empty() => Step::Reads { index: 0 },
            S::Canary | S::BigBang | S::BlueGreen => Step::ReadyToCutover,
            S::UserByUser => Step::Tenants,
            S::Shadow => return None,
        },
        Step::Reads { index } if index + 1 < plan.canary_steps.len() => {
            Step::Reads { index: index + 1 }
        }
        Step::Reads { .. } => Step::ReadyToCutover,
        Step::Tenants if next_batch(plan, run).is_some() => Step::Tenants,
        Step::Tenants => Step::ReadyToCutover,
        Step::ReadyToCutover => Step::CuttingOver,
        _ => return None,
    })
}

/// [`forward`] as this plan means it: a strategy that never serves from the target is over when
/// it was rolled back.
#[must_use]
pub(crate) const fn onward(plan: &Plan, place: Place) -> Option<VerbKind> {
    match place {
        Place::RolledBack if !routing::serves_target(plan.strategy) => Some(VerbKind::Abandon),
        _ => forward(place),
    }
}

/// The first batch that is not with the target yet.
#[must_use]
pub fn next_batch<'a>(plan: &'a Plan, run: &RunState) -> Option<&'a TenantBatch> {
    plan.batches.iter().find(|batch| !run.batch_moved(batch))
}

/// The gate that stands at a place.
#[must_use]
pub const fn gate_at(place: Place) -> Option<Gate> {
    match place {
        Place::Rehearsal | Place::RolledBack => Some(Gate::Migrate),
        Place::Reads => Some(Gate::Reads),
        Place::ReadyToCutover => Some(Gate::Cutover),
        Place::ServingTarget => Some(Gate::Commit),
        Place::WarmSource => Some(Gate::Decommission),
        _ => None,
    }
}

/// Everything that is missing before the run can go forward from where it is; most direct first.
#[must_use]
pub fn needs(plan: &Plan, run: &RunState) -> Vec<Need> {
    let mut list = Vec::new();
    let place = run.place();
    failure(run, &mut list);
    following(run, &mut list);
    evidence(plan, run, &mut list);
    durations(plan, run, &mut list);
    checks(plan, run, &mut list);
    if place == Place::Verifying && !routing::serves_target(plan.strategy) {
        list.push(Need {
            code: "EXO-RUN-019",
            what: "the shadow strategy never serves from the target; end the exercise by rolling \
                   back and abandoning, or apply a plan with another strategy"
                .to_owned(),
            who: "operator".to_owned(),
            command: command(run, "rollback"),
            since_ms: run.since_ms,
        });
    }
    if place == Place::WarmSource && run.incident_hold.is_some() {
        list.push(Need {
            code: "EXO-RUN-011",
            what: "an incident is held open".to_owned(),
            who: "incident_owner".to_owned(),
            command: command(run, "incident release"),
            since_ms: run.since_ms,
        });
    }
    gate(plan, run, &mut list);
    list
}

fn failure(run: &RunState, list: &mut Vec<Need>) {
    if let Some(failed) = &run.failure {
        list.push(Need {
            code: "EXO-RUN-012",
            what: format!("{} failed: [{}] {}", failed.worker, failed.code, failed.why),
            who: "operator".to_owned(),
            command: command(run, "retry"),
            since_ms: failed.at_ms,
        });
    }
}

fn following(run: &RunState, list: &mut Vec<Need>) {
    let mut wait = |what: String| {
        list.push(Need {
            code: "EXO-RUN-012",
            what,
            who: "exodus".to_owned(),
            command: command(run, "status -w"),
            since_ms: run.since_ms,
        });
    };
    match run.place() {
        Place::Seeding if !crate::derive::capture_everywhere(run) => {
            wait("all nodes have to note writes before the copy begins".to_owned());
        }
        Place::Seeding if !run.backfilled => wait("the copy is under way".to_owned()),
        Place::Seeding | Place::Tenants | Place::ReadyToCutover if !run.following.in_step => {
            let f = &run.following;
            wait(format!(
                "the other side has to be in step: {} records pending, oldest {} ms",
                f.pending, f.lag_ms
            ));
        }
        _ => {}
    }
    if let Place::Tenants | Place::ReadyToCutover | Place::Reads = run.place()
        && !run.feeds_lost.is_empty()
    {
        wait("a feed is lost; it has to deliver again".to_owned());
    }
}

fn evidence(plan: &Plan, run: &RunState, list: &mut Vec<Need>) {
    if run.rehearsing_since_ms.is_some() && run.place() == Place::Rehearsal {
        list.push(Need {
            code: "EXO-RUN-005",
            what: "a rehearsal is under way".to_owned(),
            who: "exodus".to_owned(),
            command: command(run, "status -w"),
            since_ms: run.since_ms,
        });
    }
    for kind in plan.evidence_for(run.place()) {
        if let Err(what) = settled(run, kind) {
            list.push(Need {
                code: "EXO-RUN-005",
                what,
                who: "operator".to_owned(),
                command: command(run, kind.verb()),
                since_ms: run.since_ms,
            });
        }
    }
    let needs_verified = matches!(
        run.place(),
        Place::Verifying | Place::Reads | Place::Tenants | Place::ReadyToCutover
    );
    if needs_verified && !run.verified && !list.iter().any(|n| n.code == "EXO-RUN-005") {
        list.push(Need {
            code: "EXO-RUN-005",
            what: "the last verification was not clean".to_owned(),
            who: "operator".to_owned(),
            command: command(run, "verify run"),
            since_ms: run.since_ms,
        });
    }
}

fn durations(plan: &Plan, run: &RunState, list: &mut Vec<Need>) {
    let place = run.place();
    let soak = match place {
        Place::Reads | Place::ServingTarget => plan.soak_ms,
        Place::Tenants if run.target_decides_something() => plan.soak_ms,
        _ => 0,
    };
    let at_least = soak.max(plan.min_duration_ms.get(&place).copied().unwrap_or(0));
    let mut until = |code, what: &str, end: u64| {
        if run.now_ms < end {
            list.push(Need {
                code,
                what: format!("{what}: {} s left", (end - run.now_ms).div_ceil(1_000)),
                who: "exodus".to_owned(),
                command: command(run, "status -w"),
                since_ms: run.since_ms,
            });
        }
    };
    until("EXO-RUN-007", "this step has to last a while", run.since_ms + at_least);
    if place == Place::WarmSource {
        let end = run.since_ms + plan.warm_window_ms;
        until("EXO-RUN-018", "the warm-source window is not over", end);
    }
    let windows = ahead(plan, run).and_then(|step| plan.windows.get(&step.place()));
    if let Some(windows) = windows
        && !windows.iter().any(|w| w.contains(run.now_ms))
    {
        list.push(Need {
            code: "EXO-RUN-015",
            what: "the next step may only be entered in its time window".to_owned(),
            who: "exodus".to_owned(),
            command: command(run, "status -w"),
            since_ms: run.since_ms,
        });
    }
}

fn checks(plan: &Plan, run: &RunState, list: &mut Vec<Need>) {
    let place = run.place();
    let judged = match place {
        Place::Reads | Place::ServingTarget => true,
        Place::Tenants => run.target_decides_something(),
        _ => false,
    };
    if !judged {
        return;
    }
    let relevant = plan.criteria.iter().filter(|c| {
        c.enforce
            && c.judged_in(place)
            && (c.at == JudgedAt::Shift || place == Place::ServingTarget)
    });
    for check in relevant {
        let judgement = run.criteria.get(&check.name);
        let verdict = judgement.map_or(Verdict::NoData, |j| j.verdict);
        let vetoed = check.name == crate::criteria::DECISION_OWNER_REJECTS;
        if verdict == Verdict::Pass || (vetoed && verdict == Verdict::NoData) {
            continue;
        }
        let numbers = judgement.map_or("", |j| j.numbers.as_str());
        list.push(Need {
            code: "EXO-RUN-006",
            what: format!("check {} says {verdict} {numbers}", check.name).trim_end().to_owned(),
            who: "exodus".to_owned(),
            command: command(run, "status -w"),
            since_ms: judgement.map_or(run.since_ms, |j| j.since_ms),
        });
    }
}

fn gate(plan: &Plan, run: &RunState, list: &mut Vec<Need>) {
    let Some(gate) = gate_at(run.place()) else { return };
    if run.place() == Place::RolledBack && !run.rolled_back_from.is_some_and(Place::moves_data) {
        return;
    }
    let GateVerdict::Closed { missing, roles, why } = gate_verdict(plan, run, gate) else { return };
    let roles = roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    list.push(Need {
        code: "EXO-RUN-004",
        what: format!("gate {gate} is closed: {why}; {missing} more needed"),
        who: roles,
        command: command(run, &format!("approve {gate}")),
        since_ms: run.since_ms,
    });
}
