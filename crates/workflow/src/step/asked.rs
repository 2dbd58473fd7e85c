use model::Side;

use super::{Out, barrier, gates, moves, traffic};
use crate::action::{Action, Refused};
use crate::event::{By, Verb, VerbKind};
use crate::evidence::{EvidenceKind, Waiver};
use crate::place::{Place, Step};
use crate::plan::Plan;
use crate::run::{Held, Outcome, RollbackAsked, RunState};
use crate::verbs::{refused, why_not};

/// Carries a verb out, or refuses it and changes nothing.
pub(super) fn asked(
    plan: &Plan,
    run: &mut RunState,
    by: &By,
    verb: &Verb,
    out: &mut Out,
) -> Result<(), Refused> {
    if let Some(no) = why_not(plan, run, verb.kind()) {
        return Err(no);
    }
    reasoned(by, verb.kind())?;
    match verb {
        Verb::Advance => moves::advance(plan, run, &by.who, out),
        Verb::StepBack => moves::step_back(plan, run, &by.who, &by.reason, out),
        Verb::Retry => retry(plan, run, by, out),
        Verb::Hold => hold(plan, run, by, out),
        Verb::Release => {
            run.held = None;
            run.panicked = None;
            out.emit("released", vec![("by", by.who.clone())]);
        }
        Verb::Rollback { accept_loss } => {
            let asked = RollbackAsked {
                by: by.who.clone(),
                reason: by.reason.clone(),
                accept_loss: *accept_loss,
            };
            moves::rollback(plan, run, asked, out);
        }
        Verb::Panic => panic(plan, run, by, out),
        Verb::Commit { typed } => commit(run, by, typed, out)?,
        Verb::Finalize => over(run, by, Step::Finalized, Outcome::Finalized, out),
        Verb::Abandon => over(run, by, Step::Abandoned, Outcome::Abandoned, out),
        Verb::Approve { gate, digest } => {
            gates::approve(plan, run, by, *gate, digest.as_deref(), out)?;
        }
        Verb::Reject { gate } => gates::reject(plan, run, by, *gate, out)?,
        Verb::Revoke { gate } => gates::revoke(run, by, *gate, out)?,
        Verb::Waive { kind, expires_ms } => waive(plan, run, by, *kind, *expires_ms, out)?,
        Verb::Rehearse => {
            run.rehearsing_since_ms = Some(run.now_ms);
            out.actions.push(Action::BeginRehearsal { epoch: run.epoch });
            out.emit("rehearsal_began", vec![("by", by.who.clone())]);
        }
        Verb::SetTraffic { mode, reads_percent, forced } => {
            traffic::set(run, by, *mode, *reads_percent, *forced, out)?;
        }
        Verb::Pin { attribute, side } => traffic::pin(run, by, attribute, *side, out),
        Verb::TenantMove { tenants } => {
            traffic::known_tenants(plan, run, verb.kind(), tenants, Side::Source)?;
            barrier::move_tenants(plan, run, tenants, Side::Target, &by.who, out);
        }
        Verb::TenantReturn { tenants } => {
            traffic::known_tenants(plan, run, verb.kind(), tenants, Side::Target)?;
            barrier::move_tenants(plan, run, tenants, Side::Source, &by.who, out);
        }
        Verb::IncidentHold => {
            let held = held(run, by);
            run.incident_hold.get_or_insert(held);
            out.emit("incident_held", vec![("by", by.who.clone()), ("why", by.reason.clone())]);
        }
        Verb::IncidentRelease => {
            run.incident_hold = None;
            out.emit("incident_released", vec![("by", by.who.clone())]);
        }
        Verb::Cleanup => out.actions.push(Action::Cleanup { epoch: run.epoch }),
    }
    Ok(())
}

fn reasoned(by: &By, verb: VerbKind) -> Result<(), Refused> {
    use VerbKind as V;
    let asked_for = matches!(verb, V::Commit | V::Finalize | V::Waive | V::Reject | V::Revoke);
    if asked_for && by.reason.trim().is_empty() {
        let mut no = refused(verb, "EXO-RUN-009", format!("{verb} needs a reason"));
        no.instead = vec!["repeat it with --reason".to_owned()];
        return Err(no);
    }
    Ok(())
}

fn held(run: &RunState, by: &By) -> Held {
    Held { by: by.who.clone(), reason: by.reason.clone(), since_ms: run.now_ms }
}

fn hold(plan: &Plan, run: &mut RunState, by: &By, out: &mut Out) {
    let held = held(run, by);
    run.held.get_or_insert(held);
    out.emit("held", vec![("by", by.who.clone()), ("why", by.reason.clone())]);
    if barrier::undoable(run) && !goes_home(run) {
        barrier::undo(plan, run, "held by an operator", out);
    }
}

/// A barrier towards the source is never stopped by a hold.
fn goes_home(run: &RunState) -> bool {
    run.saga.as_ref().is_some_and(|saga| saga.flip.terms.to == Side::Source)
}

fn panic(plan: &Plan, run: &mut RunState, by: &By, out: &mut Out) {
    let held = held(run, by);
    let first = run.panicked.is_none();
    run.panicked.get_or_insert(held);
    if first {
        moves::stop_rehearsal(run, out);
        let authority = moves::home(run).to_string();
        out.emit("panicked", vec![("by", by.who.clone()), ("authority", authority)]);
        out.notify(true, format!("panic by {}: passing through to the authority", by.who));
    }
    if barrier::undoable(run) && !goes_home(run) {
        barrier::undo(plan, run, "panic", out);
    }
}

fn retry(plan: &Plan, run: &mut RunState, by: &By, out: &mut Out) {
    match run.place() {
        Place::RolledBack => moves::go_again(run, &by.who, out),
        Place::RollbackBlocked => {
            let asked = run.rollback_asked.take().unwrap_or_else(|| RollbackAsked {
                by: by.who.clone(),
                reason: by.reason.clone(),
                accept_loss: false,
            });
            moves::rollback(plan, run, asked, out);
        }
        _ => {
            run.failure = None;
            run.retry_at_ms = None;
            out.emit("step_retried", vec![("by", by.who.clone())]);
        }
    }
}

fn commit(run: &mut RunState, by: &By, typed: &str, out: &mut Out) -> Result<(), Refused> {
    if typed != run.migration {
        let why = format!("type the migration's name, {}, to commit", run.migration);
        return Err(refused(VerbKind::Commit, "EXO-RUN-009", why));
    }
    moves::enter(run, Step::WarmSource, &by.who, out);
    out.notify(false, format!("committed by {}: {}", by.who, by.reason));
    Ok(())
}

fn over(run: &mut RunState, by: &By, step: Step, outcome: Outcome, out: &mut Out) {
    run.outcome = Some(outcome);
    run.reads_percent = 0;
    run.held = None;
    run.panicked = None;
    moves::enter(run, step, &by.who, out);
    out.notify(false, format!("{outcome} by {}: {}", by.who, by.reason));
}

fn waive(
    plan: &Plan,
    run: &mut RunState,
    by: &By,
    kind: EvidenceKind,
    expires_ms: u64,
    out: &mut Out,
) -> Result<(), Refused> {
    let no = |why: String| Err(refused(VerbKind::Waive, "EXO-RUN-014", why));
    if !kind.waivable() {
        return no(format!("{kind} evidence can never be waived"));
    }
    if expires_ms <= run.now_ms {
        return no("a waiver needs an expiry that lies ahead".to_owned());
    }
    let (reason, author) = (by.reason.clone(), by.who.clone());
    out.emit(
        "waived",
        vec![("kind", kind.to_string()), ("by", author.clone()), ("why", reason.clone())],
    );
    run.waivers.insert(kind, Waiver { reason, author, expires_ms });
    // What people agreed to did not include going on without it.
    moves::reopen(plan, run, &[kind], out);
    Ok(())
}
