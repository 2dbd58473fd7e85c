//! Which verbs are valid where, and why one is refused.
//!
//! [`permitted`] is the closed table that the documentation shows; [`why_not`] adds what depends
//! on the run. `step` refuses exactly what `why_not` refuses, plus what the verb's own data gets
//! wrong. Rollback and panic are permitted in every state that is not final and never refused
//! there.

use crate::action::Refused;
use crate::event::VerbKind;
use crate::needs::{command, forward, needs};
use crate::place::Place;
use crate::plan::Plan;
use crate::run::RunState;
use crate::saga::FlipStep;

/// Whether a verb is valid at a place at all.
#[must_use]
pub const fn permitted(place: Place, verb: VerbKind) -> bool {
    use Place as P;
    use VerbKind as V;
    if place.is_final() {
        return matches!(verb, V::Cleanup | V::IncidentHold | V::IncidentRelease);
    }
    match verb {
        V::Rollback
        | V::Panic
        | V::Hold
        | V::Release
        | V::Approve
        | V::Reject
        | V::Revoke
        | V::Waive
        | V::IncidentHold
        | V::IncidentRelease => true,
        V::Cleanup => false,
        V::Advance => match forward(place) {
            Some(verb) => matches!(verb, V::Advance),
            None => false,
        },
        V::StepBack => {
            !matches!(place, P::Setup | P::RollingBack | P::RolledBack | P::RollbackBlocked)
        }
        V::Retry => !matches!(place, P::RollingBack | P::CuttingOver),
        V::Commit => matches!(place, P::ServingTarget),
        V::Finalize => matches!(place, P::WarmSource),
        V::Abandon => matches!(place, P::RolledBack),
        V::Rehearse => {
            matches!(place, P::Rehearsal | P::Verifying | P::Reads | P::Tenants | P::ReadyToCutover)
        }
        V::SetTraffic => {
            matches!(place, P::Reads | P::ReadyToCutover | P::ServingTarget | P::WarmSource)
        }
        V::Pin => place.moves_data(),
        V::TenantMove | V::TenantReturn => matches!(place, P::Tenants),
    }
}

/// Why a verb would be refused now; nothing when it would be carried out.
#[must_use]
pub fn why_not(plan: &Plan, run: &RunState, verb: VerbKind) -> Option<Refused> {
    use VerbKind as V;
    let place = run.place();
    if !permitted(place, verb) {
        return Some(misplaced(run, verb));
    }
    if place.is_final() || matches!(verb, V::Rollback | V::Panic) {
        return final_verbs(run, verb);
    }
    if let Some(saga) = &run.saga
        && !matches!(verb, V::Hold | V::StepBack)
        && moves_the_run(verb)
    {
        let step = saga.flip.step;
        let mut no = refused(verb, "EXO-RUN-008", format!("a barrier is under way ({step})"));
        no.instead = vec![command(run, "status -w"), command(run, "rollback")];
        return Some(no);
    }
    if let Some(no) = stopped(run, verb) {
        return Some(no);
    }
    match verb {
        V::StepBack => step_back(run),
        V::Release if run.held.is_none() && run.panicked.is_none() => {
            Some(refused(verb, "EXO-RUN-001", "nothing is held".to_owned()))
        }
        V::IncidentRelease if run.incident_hold.is_none() => {
            Some(refused(verb, "EXO-RUN-001", "no incident is held".to_owned()))
        }
        V::Retry if !matches!(place, Place::RolledBack | Place::RollbackBlocked) => run
            .failure
            .is_none()
            .then(|| refused(verb, "EXO-RUN-001", "nothing failed here".to_owned())),
        V::SetTraffic if !routing::splits_reads(plan.strategy) => {
            let why = format!("the {} strategy does not split reads", plan.strategy);
            let mut no = refused(verb, "EXO-RUN-013", why);
            no.instead = vec![command(run, "advance")];
            Some(no)
        }
        V::Approve | V::Reject | V::Revoke if plan.gates.is_empty() => {
            Some(refused(verb, "EXO-RUN-001", "the plan has no gates".to_owned()))
        }
        V::Rehearse if run.rehearsing_since_ms.is_some() => {
            Some(refused(verb, "EXO-RUN-008", "a rehearsal is under way".to_owned()))
        }
        V::TenantReturn if !run.target_decides_something() => {
            Some(refused(verb, "EXO-RUN-001", "no tenant is with the target".to_owned()))
        }
        V::TenantMove => unmet(plan, run, verb),
        _ if forward(place) == Some(verb) => unmet(plan, run, verb),
        _ => None,
    }
}

fn unmet(plan: &Plan, run: &RunState, verb: VerbKind) -> Option<Refused> {
    let missing = needs(plan, run);
    let first = missing.first()?;
    let why = missing.iter().map(|n| n.what.as_str()).collect::<Vec<_>>().join("; ");
    let mut no = refused(verb, first.code, why);
    no.instead = missing.iter().map(|n| n.command.clone()).collect();
    no.instead.dedup();
    Some(no)
}

fn stopped(run: &RunState, verb: VerbKind) -> Option<Refused> {
    use VerbKind as V;
    let forwards =
        matches!(verb, V::Advance | V::Commit | V::Finalize | V::SetTraffic | V::TenantMove);
    let held = run.panicked.as_ref().or(run.held.as_ref()).filter(|_| forwards)?;
    let what = if run.panicked.is_some() { "panicked" } else { "held" };
    let reason = if held.reason.is_empty() { "no reason given" } else { held.reason.as_str() };
    let mut no = refused(verb, "EXO-RUN-003", format!("{what} by {}: {reason}", held.by));
    no.instead = vec![command(run, "release"), command(run, "rollback")];
    Some(no)
}

fn step_back(run: &RunState) -> Option<Refused> {
    let saga = run.saga.as_ref()?;
    let undoable = !saga.flip.moved() && saga.flip.step != FlipStep::Undoing;
    if undoable && run.place() != Place::RollingBack {
        return None;
    }
    let why = "the barrier can no longer be undone; it is finished in a moment".to_owned();
    let mut no = refused(VerbKind::StepBack, "EXO-RUN-016", why);
    no.instead = vec![command(run, "rollback")];
    Some(no)
}

fn final_verbs(run: &RunState, verb: VerbKind) -> Option<Refused> {
    match verb {
        VerbKind::Cleanup if run.incident_hold.is_some() => {
            let why = "an incident is held open; nothing is removed".to_owned();
            let mut no = refused(verb, "EXO-RUN-011", why);
            no.instead = vec![command(run, "incident release")];
            Some(no)
        }
        VerbKind::IncidentRelease if run.incident_hold.is_none() => {
            Some(refused(verb, "EXO-RUN-001", "no incident is held".to_owned()))
        }
        _ => None,
    }
}

fn misplaced(run: &RunState, verb: VerbKind) -> Refused {
    let place = run.place();
    if place.is_final() {
        let mut no = refused(verb, "EXO-RUN-002", format!("the run is over ({place})"));
        no.instead = match place {
            Place::Finalized => vec!["exodus init --reverse".to_owned(), command(run, "cleanup")],
            _ => vec![command(run, "cleanup")],
        };
        return no;
    }
    let mut no = refused(verb, "EXO-RUN-001", format!("{verb} is not valid at step {place}"));
    no.instead = match (verb, forward(place)) {
        (VerbKind::Abandon | VerbKind::Cleanup, _) => vec![command(run, "rollback")],
        (_, Some(other)) => vec![command(run, &spelt(other))],
        (_, None) => vec![command(run, "status -w")],
    };
    no
}

/// Verbs that change the step, the authority or the traffic.
const fn moves_the_run(verb: VerbKind) -> bool {
    use VerbKind as V;
    matches!(
        verb,
        V::Advance
            | V::Retry
            | V::Commit
            | V::Finalize
            | V::Abandon
            | V::Rehearse
            | V::SetTraffic
            | V::TenantMove
            | V::TenantReturn
    )
}

/// A verb as the command line spells it.
#[must_use]
pub fn spelt(verb: VerbKind) -> String {
    match verb {
        VerbKind::SetTraffic => "traffic set".to_owned(),
        VerbKind::Pin => "traffic pin".to_owned(),
        VerbKind::TenantMove => "tenant move".to_owned(),
        VerbKind::TenantReturn => "tenant return".to_owned(),
        VerbKind::IncidentHold => "incident hold".to_owned(),
        VerbKind::IncidentRelease => "incident release".to_owned(),
        VerbKind::Rehearse => "rehearse rollback".to_owned(),
        VerbKind::Revoke => "approvals revoke".to_owned(),
        other => other.as_str().replace('_', "-"),
    }
}

pub(crate) const fn refused(verb: VerbKind, code: &'static str, why: String) -> Refused {
    Refused { code, verb: Some(verb), why, instead: Vec::new() }
}
