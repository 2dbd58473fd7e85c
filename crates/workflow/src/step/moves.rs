use std::collections::BTreeSet;

use model::{Side, Tenant};

use super::{Out, barrier};
use crate::action::Action;
use crate::evidence::spoil;
use crate::gate::{Gate, void};
use crate::needs::{ahead, needs, next_batch};
use crate::place::{Place, Step};
use crate::plan::Plan;
use crate::run::{RollbackAsked, RunState};

/// How long until a blocked rollback is tried again, at first and at most, in milliseconds.
const ROLLBACK_AGAIN_MS: (u64, u64) = (1_000, 60_000);

/// Enters a step: what was judged or retried at the one before no longer counts.
pub(super) fn enter(run: &mut RunState, step: Step, by: &str, out: &mut Out) {
    let from = run.place();
    let going_back = matches!(step.place(), Place::RollingBack | Place::RollbackBlocked);
    if !going_back {
        run.retries = 0;
    }
    run.retry_at_ms = None;
    run.failure = None;
    run.criteria.clear();
    run.reads_mode = None;
    run.approvals.remove(&Gate::Reads);
    run.since_ms = run.now_ms;
    by.clone_into(&mut run.moved_by);
    run.step = step;
    let percent = run.reads_percent.to_string();
    out.emit(
        "step_entered",
        vec![
            ("from", from.to_string()),
            ("step", run.place().to_string()),
            ("phase", run.step.phase().to_string()),
            ("by", by.to_owned()),
            ("reads_percent", percent),
        ],
    );
}

/// Goes to the step ahead.
pub(super) fn advance(plan: &Plan, run: &mut RunState, by: &str, out: &mut Out) {
    match (run.step.clone(), ahead(plan, run)) {
        (Step::Tenants, Some(Step::Tenants)) => {
            let Some(batch) = next_batch(plan, run) else { return };
            out.note(&format!("batch {} moves to the target", batch.name));
            barrier::move_tenants(plan, run, &batch.tenants, Side::Target, by, out);
        }
        (_, Some(Step::CuttingOver)) => {
            enter(run, Step::CuttingOver, by, out);
            barrier::cutover(plan, run, by, out);
        }
        (_, Some(step)) => {
            if let Step::Reads { index } = step {
                run.reads_percent = plan.canary_steps.get(index).copied().unwrap_or(100);
            }
            enter(run, step, by, out);
        }
        (_, None) => {}
    }
}

/// Data is copied and verified anew.
pub(super) fn copy_anew(run: &mut RunState, why: &str) {
    run.copy_round += 1;
    run.backfilled = false;
    run.verified = false;
    spoil(run, [crate::evidence::EvidenceKind::Verify], why);
}

/// Goes to the step before. `why_not` has made sure that there is one.
pub(super) fn step_back(plan: &Plan, run: &mut RunState, by: &str, why: &str, out: &mut Out) {
    if run.saga.is_some() {
        return barrier::undo(plan, run, why, out);
    }
    let to = match run.step.clone() {
        Step::Tap => Step::Setup,
        Step::Analyze => Step::Tap,
        Step::Compare => Step::Analyze,
        Step::Smoke => Step::Compare,
        Step::Rehearsal => {
            stop_rehearsal(run, out);
            Step::Smoke
        }
        Step::Seeding => Step::Rehearsal,
        Step::Verifying => {
            copy_anew(run, "the copy began anew");
            Step::Seeding
        }
        Step::Reads { index: 0 } => {
            run.reads_percent = 0;
            Step::Verifying
        }
        Step::Reads { index } => reads(plan, run, index - 1),
        Step::Tenants if run.target_decides_something() => {
            let tenants = last_moved(plan, run);
            return barrier::move_tenants(plan, run, &tenants, Side::Source, by, out);
        }
        Step::Tenants => Step::Verifying,
        Step::ReadyToCutover if plan.strategy == model::Strategy::UserByUser => Step::Tenants,
        Step::ReadyToCutover => match plan.canary_steps.len() {
            0 => Step::Verifying,
            n if plan.strategy == model::Strategy::Canary => reads(plan, run, n - 1),
            _ => Step::Verifying,
        },
        Step::ServingTarget => {
            enter(run, Step::RollingBack, by, out);
            return barrier::back_one_step(plan, run, by, out);
        }
        Step::WarmSource => Step::ServingTarget,
        _ => return,
    };
    enter(run, to, by, out);
}

/// The tenants that one step back returns: the last batch any of which moved, or whoever moved.
fn last_moved(plan: &Plan, run: &RunState) -> BTreeSet<Tenant> {
    let moved = &run.authority.moved;
    let batch = plan.batches.iter().rev().find(|b| !b.tenants.is_disjoint(moved));
    batch.map_or_else(|| moved.clone(), |b| b.tenants.intersection(moved).cloned().collect())
}

fn reads(plan: &Plan, run: &mut RunState, index: usize) -> Step {
    run.reads_percent = plan.canary_steps.get(index).copied().unwrap_or(0);
    Step::Reads { index }
}

pub(super) fn stop_rehearsal(run: &mut RunState, out: &mut Out) {
    if run.rehearsing_since_ms.take().is_some() {
        out.actions.push(Action::StopRehearsal);
    }
}

/// All authority to the source. Accepted everywhere that is not final; repeating it is harmless.
pub(super) fn rollback(plan: &Plan, run: &mut RunState, asked: RollbackAsked, out: &mut Out) {
    match run.place() {
        Place::RolledBack => return out.note("already rolled back"),
        Place::RollingBack if run.rollback_asked.is_some() => {
            return barrier::hurry_rollback(plan, run, asked, out);
        }
        Place::RollbackBlocked => {}
        Place::RollingBack => {
            run.rolled_back_from.get_or_insert(Place::ServingTarget);
        }
        place => run.rolled_back_from = Some(place),
    }
    stop_rehearsal(run, out);
    run.held = None;
    run.panicked = None;
    run.approvals.clear();
    out.emit(
        "rollback_asked",
        vec![
            ("by", asked.by.clone()),
            ("reason", asked.reason.clone()),
            ("from", run.place().to_string()),
            ("accept_loss", asked.accept_loss.to_string()),
        ],
    );
    out.notify(true, format!("rollback asked by {}", asked.by));
    let by = asked.by.clone();
    if run.saga.is_some() {
        enter(run, Step::RollingBack, &by, out);
        run.rollback_asked = Some(asked);
        return barrier::redirect_to_rollback(plan, run, out);
    }
    if run.target_decides_something() {
        enter(run, Step::RollingBack, &by, out);
        run.rollback_asked = Some(asked);
        return barrier::rollback(plan, run, out);
    }
    rolled_back(run, &by, out);
}

/// The source decides everything.
pub(super) fn rolled_back(run: &mut RunState, by: &str, out: &mut Out) {
    run.reads_percent = 0;
    run.rollback_asked = None;
    enter(run, Step::RolledBack, by, out);
}

/// The way back is blocked; it is tried again by itself.
pub(super) fn blocked(run: &mut RunState, reason: &str, out: &mut Out) {
    let (first, most) = ROLLBACK_AGAIN_MS;
    let wait = first.saturating_mul(1 << run.retries.min(16)).min(most);
    run.retries = run.retries.saturating_add(1);
    let by = run.moved_by.clone();
    enter(run, Step::RollbackBlocked { reason: reason.to_owned() }, &by, out);
    run.retry_at_ms = Some(run.now_ms + wait);
    out.notify(true, format!("rollback blocked: {reason}; tried again in {} s", wait / 1_000));
}

/// Where to go after a rollback.
pub(super) fn go_again(run: &mut RunState, by: &str, out: &mut Out) {
    let step = match run.rolled_back_from {
        Some(place) if place.moves_data() => match run.backfilled && run.capture.is_some() {
            true => Step::Verifying,
            false => Step::Seeding,
        },
        Some(Place::Tap) => Step::Tap,
        Some(Place::Analyze) => Step::Analyze,
        Some(Place::Compare) => Step::Compare,
        Some(Place::Smoke) => Step::Smoke,
        Some(Place::Rehearsal) => Step::Rehearsal,
        _ => Step::Setup,
    };
    run.rolled_back_from = None;
    enter(run, step, by, out);
}

/// What happens by itself once nothing is missing.
pub(super) fn flow(plan: &Plan, run: &mut RunState, out: &mut Out) {
    let free = run.held.is_none() && run.panicked.is_none() && run.saga.is_none();
    if !free {
        return;
    }
    let by = run.moved_by.clone();
    match run.place() {
        Place::Seeding if needs(plan, run).is_empty() => enter(run, Step::Verifying, &by, out),
        Place::Reads if plan.auto_advance && run.incident_hold.is_none() => {
            let further = matches!(ahead(plan, run), Some(Step::Reads { .. }));
            if further && needs(plan, run).is_empty() {
                advance(plan, run, &by, out);
            }
        }
        _ => {}
    }
}

/// Evidence turned stale or failed: the gates bound to it are closed again.
pub(super) fn reopen(
    plan: &Plan,
    run: &mut RunState,
    kinds: &[crate::evidence::EvidenceKind],
    out: &mut Out,
) {
    for kind in kinds {
        out.emit("evidence_stale", vec![("kind", kind.to_string())]);
    }
    for gate in void(plan, run, kinds) {
        out.emit("approvals_void", vec![("gate", gate.to_string())]);
        out.notify(true, format!("approvals of gate {gate} are void: their evidence changed"));
    }
}

/// The side that decides by default.
pub(super) const fn home(run: &RunState) -> Side {
    run.authority.default
}
