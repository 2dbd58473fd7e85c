use std::collections::BTreeSet;

use model::{Side, Tenant};
use routing::{Authority, moving};

use super::{Out, moves};
use crate::action::Action;
use crate::evidence::{EvidenceKind, spoil};
use crate::place::Step;
use crate::plan::Plan;
use crate::run::{ATTEMPTS_KEPT, Attempt, RollbackAsked, RunState, Saga};
use crate::saga::{FlipAction, FlipInput, FlipKind, FlipState, FlipStep, FlipTerms, Flipped, flip};

/// What a barrier of a run is made for.
struct Errand {
    kind: FlipKind,
    to: Side,
    next: Authority,
    lands: Step,
    falls: Step,
    accept_loss: bool,
}

pub(super) fn cutover(plan: &Plan, run: &mut RunState, by: &str, out: &mut Out) {
    let errand = Errand {
        kind: FlipKind::Cutover,
        to: Side::Target,
        next: Authority::whole(Side::Target),
        lands: Step::ServingTarget,
        falls: Step::ReadyToCutover,
        accept_loss: false,
    };
    begin(plan, run, errand, by, out);
}

/// Moves tenants to a side; the others stay where they are.
pub(super) fn move_tenants(
    plan: &Plan,
    run: &mut RunState,
    tenants: &BTreeSet<Tenant>,
    to: Side,
    by: &str,
    out: &mut Out,
) {
    let errand = Errand {
        kind: FlipKind::TenantFlip,
        to,
        next: moving(&run.authority, tenants, to),
        lands: Step::Tenants,
        falls: Step::Tenants,
        accept_loss: false,
    };
    begin(plan, run, errand, by, out);
}

/// Everything to the source, as `run.rollback_asked` says.
pub(super) fn rollback(plan: &Plan, run: &mut RunState, out: &mut Out) {
    let Some(asked) = run.rollback_asked.clone() else { return };
    let reason = String::new();
    let errand = Errand {
        kind: FlipKind::Rollback,
        to: Side::Source,
        next: Authority::whole(Side::Source),
        lands: Step::RolledBack,
        falls: Step::RollbackBlocked { reason },
        accept_loss: asked.accept_loss,
    };
    begin(plan, run, errand, &asked.by, out);
}

/// Authority to the source, but only one step back.
pub(super) fn back_one_step(plan: &Plan, run: &mut RunState, by: &str, out: &mut Out) {
    let errand = Errand {
        kind: FlipKind::Rollback,
        to: Side::Source,
        next: Authority::whole(Side::Source),
        lands: Step::ReadyToCutover,
        falls: Step::ServingTarget,
        accept_loss: false,
    };
    begin(plan, run, errand, by, out);
}

fn begin(plan: &Plan, run: &mut RunState, errand: Errand, by: &str, out: &mut Out) {
    run.attempts += 1;
    let from = errand.to.other();
    let whole = errand.kind != FlipKind::TenantFlip;
    let terms = FlipTerms {
        kind: errand.kind,
        from,
        to: errand.to,
        attempt: run.attempts,
        budget_ms: match errand.kind {
            FlipKind::Rollback => plan.rollback_budget_ms,
            _ => plan.pause_budget_ms,
        },
        txn_deadline_ms: plan.txn_deadline_ms,
        fence: whole && plan.can_fence.contains(&from),
        lift_new: run.fences.contains(&errand.to),
        accept_loss: errand.accept_loss,
    };
    let live = run.nodes.keys().cloned().collect();
    let begun = FlipState::begin(terms, run.epoch, live, run.now_ms);
    let saga = Saga {
        flip: begun.state.clone(),
        next: errand.next,
        lands: errand.lands,
        falls: errand.falls,
        by: by.to_owned(),
    };
    out.flips.push(Action::BeginSaga(saga.clone()));
    out.emit(
        "flip_began",
        vec![
            ("attempt", run.attempts.to_string()),
            ("kind", errand.kind.to_string()),
            ("to", errand.to.to_string()),
            ("by", by.to_owned()),
        ],
    );
    run.saga = Some(saga);
    absorb(plan, run, begun, out);
}

/// The barrier under way hears something.
pub(super) fn hear(plan: &Plan, run: &mut RunState, input: &FlipInput, out: &mut Out) {
    let Some(saga) = &run.saga else { return };
    let moved = flip(&saga.flip, input, run.now_ms);
    if moved.state == saga.flip && moved.actions.is_empty() {
        return;
    }
    absorb(plan, run, moved, out);
    caught_up(plan, run, out);
}

/// Tells a barrier that waits for it that the other side is in step.
pub(super) fn caught_up(plan: &Plan, run: &mut RunState, out: &mut Out) {
    let waits = run.saga.as_ref().is_some_and(|saga| saga.flip.step == FlipStep::CatchUp);
    if waits && run.following.in_step {
        hear(plan, run, &FlipInput::InStep, out);
    }
}

/// An answer to a barrier that is over. A fence it set after all, or may have set, is remembered,
/// so that it is lifted from a side that decides.
pub(super) fn heard_late(run: &mut RunState, attempt: u64, input: &FlipInput) {
    let maybe_set = matches!(input, FlipInput::Fenced | FlipInput::FenceFailed { .. });
    let Some(past) = run.history.iter().find(|a| a.number == attempt && maybe_set) else { return };
    let from = match past.kind {
        FlipKind::Cutover => Side::Source,
        FlipKind::Rollback => Side::Target,
        FlipKind::TenantFlip | FlipKind::Rehearsal => return,
    };
    if !past.moved {
        run.fences.insert(from);
    }
}

/// The controller was restarted in the middle of a barrier.
pub(super) fn resume(plan: &Plan, run: &mut RunState, out: &mut Out) {
    let Some(saga) = run.saga.clone() else { return };
    out.flips.push(Action::ResumeSaga(saga));
    let live = run.nodes.keys().cloned().collect();
    hear(plan, run, &FlipInput::Resumed { live }, out);
}

pub(super) fn undo(plan: &Plan, run: &mut RunState, why: &str, out: &mut Out) {
    hear(plan, run, &FlipInput::Undo { why: why.to_owned() }, out);
}

/// Whether the barrier under way, if any, can still be undone.
pub(super) fn undoable(run: &RunState) -> bool {
    run.saga.as_ref().is_some_and(|saga| !saga.flip.moved() && saga.flip.step != FlipStep::Undoing)
}

/// A rollback was asked for while a barrier is under way: towards the target it is undone, or
/// finished and then turned round; towards the source it only has to go further.
pub(super) fn redirect_to_rollback(plan: &Plan, run: &mut RunState, out: &mut Out) {
    let whole_way = run.saga.as_mut().filter(|saga| saga.flip.terms.kind == FlipKind::Rollback);
    let Some(saga) = whole_way else {
        return undo(plan, run, "a rollback was asked for", out);
    };
    saga.lands = Step::RolledBack;
    saga.falls = Step::RollbackBlocked { reason: String::new() };
    out.durable = true;
    if run.rollback_asked.as_ref().is_some_and(|asked| asked.accept_loss) {
        hear(plan, run, &FlipInput::AcceptLoss, out);
    }
}

/// A rollback was asked for again while it is under way.
pub(super) fn hurry_rollback(plan: &Plan, run: &mut RunState, asked: RollbackAsked, out: &mut Out) {
    let Some(first) = &mut run.rollback_asked else { return };
    if first.reason.is_empty() {
        first.reason = asked.reason;
    }
    if !asked.accept_loss || first.accept_loss {
        return out.note("the rollback is already under way");
    }
    first.accept_loss = true;
    out.durable = true;
    if run.saga.as_ref().is_some_and(|saga| saga.flip.terms.kind == FlipKind::Rollback) {
        hear(plan, run, &FlipInput::AcceptLoss, out);
    }
}

fn absorb(plan: &Plan, run: &mut RunState, moved: Flipped, out: &mut Out) {
    let Some(saga) = &mut run.saga else { return };
    saga.flip = moved.state;
    out.durable |= moved.durable;
    let saga = saga.clone();
    let flip = &saga.flip;
    run.epoch = run.epoch.max(flip.epoch);
    if flip.terms.fence {
        set(&mut run.fences, flip.terms.from, flip.fenced);
    }
    if flip.lifted {
        run.fences.remove(&flip.terms.to);
    }
    if flip.moved() && run.authority != saga.next {
        authority_moved(run, &saga, out);
    }
    let (attempt, epoch) = (flip.terms.attempt, run.epoch);
    let work = moved.actions.into_iter().filter(|a| {
        // Tables follow from the state; a feed nobody needs is a worker that is stopped.
        !matches!(a, FlipAction::Publish { .. } | FlipAction::CloseFeed { .. })
    });
    if !flip.over() {
        out.flips.extend(work.map(|action| Action::Flip { attempt, epoch, action }));
    } else {
        ended(plan, run, out);
    }
}

fn set(fences: &mut BTreeSet<Side>, side: Side, present: bool) {
    if present {
        fences.insert(side);
    } else {
        fences.remove(&side);
    }
}

fn authority_moved(run: &mut RunState, saga: &Saga, out: &mut Out) {
    run.authority = saga.next.clone();
    run.authority_since_ms = run.now_ms;
    run.reads_percent = match saga.flip.terms.kind {
        FlipKind::Cutover => 100,
        FlipKind::Rollback if saga.lands == Step::RolledBack => 0,
        _ => run.reads_percent,
    };
    if saga.flip.at_risk > 0 {
        run.verified = false;
        run.following.in_step = false;
    }
    out.emit(
        "authority_moved",
        vec![
            ("to", saga.flip.terms.to.to_string()),
            ("epoch", saga.flip.epoch.to_string()),
            ("kind", saga.flip.terms.kind.to_string()),
            ("at_risk", saga.flip.at_risk.to_string()),
        ],
    );
}

fn ended(plan: &Plan, run: &mut RunState, out: &mut Out) {
    let Some(saga) = run.saga.take() else { return };
    record(run, &saga, out);
    let reason = saga.flip.reason.clone().unwrap_or_default();
    let rolling = saga.flip.terms.kind == FlipKind::Rollback;
    if saga.flip.step == FlipStep::Done {
        if saga.flip.terms.kind != FlipKind::TenantFlip {
            let stale = spoil(run, [EvidenceKind::Verify], "authority moved since");
            moves::reopen(plan, run, &stale, out);
        }
        if !(rolling && saga.lands == Step::RolledBack) && run.rollback_asked.is_some() {
            return rollback(plan, run, out);
        }
        return land(run, &saga, saga.lands.clone(), out);
    }
    if run.rollback_asked.is_some() && !rolling {
        return match run.target_decides_something() {
            true => rollback(plan, run, out),
            false => {
                let by = run.rollback_asked.take().map_or(saga.by, |asked| asked.by);
                moves::rolled_back(run, &by, out);
            }
        };
    }
    match saga.falls {
        Step::RollbackBlocked { .. } => moves::blocked(run, &reason, out),
        ref step => {
            out.notify(true, format!("{} undone: {reason}", saga.flip.terms.kind));
            land(run, &saga, step.clone(), out);
        }
    }
}

fn land(run: &mut RunState, saga: &Saga, step: Step, out: &mut Out) {
    match step {
        Step::RolledBack => moves::rolled_back(run, &saga.by, out),
        step => moves::enter(run, step, &saga.by, out),
    }
}

fn record(run: &mut RunState, saga: &Saga, out: &mut Out) {
    let flip = &saga.flip;
    let moved = flip.step == FlipStep::Done;
    let attempt = Attempt {
        number: flip.terms.attempt,
        kind: flip.terms.kind,
        began_ms: flip.began_ms,
        moved,
        pause_ms: flip.pause_ms(run.now_ms),
        txn_wait_ms: flip.txn_wait_ms,
        took_ms: run.now_ms.saturating_sub(flip.began_ms),
        reason: flip.reason.clone(),
    };
    out.emit(
        if moved { "flip_done" } else { "flip_undone" },
        vec![
            ("attempt", attempt.number.to_string()),
            ("kind", attempt.kind.to_string()),
            ("pause_ms", attempt.pause_ms.to_string()),
            ("txn_wait_ms", attempt.txn_wait_ms.to_string()),
            ("reason", attempt.reason.clone().unwrap_or_default()),
        ],
    );
    run.history.push_back(attempt);
    while run.history.len() > ATTEMPTS_KEPT {
        run.history.pop_front();
    }
}
