//! What an operator may do now: the workflow's own answer for its verbs, and the API's table for
//! the rest.

use workflow::{RunState, VerbKind, effect, next, why_not};

use super::Look;

/// The workflow's name of an API verb, where it has one.
pub(crate) const fn kind(verb: api::Verb) -> Option<VerbKind> {
    use api::Verb as A;
    Some(match verb {
        A::Advance => VerbKind::Advance,
        A::Hold => VerbKind::Hold,
        A::Release => VerbKind::Release,
        A::StepBack => VerbKind::StepBack,
        A::Retry => VerbKind::Retry,
        A::Rollback => VerbKind::Rollback,
        A::Panic => VerbKind::Panic,
        A::Commit => VerbKind::Commit,
        A::Finalize => VerbKind::Finalize,
        A::Abandon => VerbKind::Abandon,
        A::Approve => VerbKind::Approve,
        A::Reject => VerbKind::Reject,
        A::Revoke => VerbKind::Revoke,
        A::Rehearse => VerbKind::Rehearse,
        A::TrafficSet => VerbKind::SetTraffic,
        A::IncidentHold => VerbKind::IncidentHold,
        A::IncidentRelease => VerbKind::IncidentRelease,
        A::Cleanup => VerbKind::Cleanup,
        _ => return None,
    })
}

/// A verb as the command line spells it.
pub(crate) fn spelt(verb: api::Verb) -> String {
    use api::Verb as A;
    match verb {
        A::PreflightRun => "preflight run",
        A::PreflightWaive => "preflight waive CODE",
        A::Rehearse => "rehearse rollback",
        A::SmokeRun => "drill smoke",
        A::TrafficSet => "traffic set PERCENT",
        A::TrafficPin => "traffic pin NAME SIDE",
        A::TrafficUnpin => "traffic unpin NAME",
        A::TenantMove => "tenant move TENANT",
        A::TenantReturn => "tenant return TENANT",
        A::BackfillPause => "backfill pause",
        A::BackfillResume => "backfill resume",
        A::VerifyRun => "verify run",
        A::VerifyPause => "verify pause",
        A::VerifyResume => "verify resume",
        A::DiffRepair => "diff repair",
        A::DiffAccept => "diff accept",
        A::DiffIgnore => "diff ignore",
        A::DiffRecheck => "diff recheck",
        A::QueueRetry => "queue retry",
        A::QueuePark => "queue park",
        A::QueueDrop => "queue drop",
        A::ThrottleSet => "throttle set",
        A::CompareSet => "compare set",
        A::ConfigApply => "apply FILE",
        A::IncidentHold => "incident hold",
        A::IncidentRelease => "incident release",
        A::InterlayDrain => "interlay drain",
        A::Revoke => "approvals revoke GATE",
        A::Approve => "approve GATE",
        A::Reject => "reject GATE",
        other => return other.as_str().replace('_', "-"),
    }
    .to_owned()
}

/// Every verb with whether it would be carried out now.
pub(crate) fn allowed_actions(look: &Look) -> Vec<api::AllowedAction> {
    api::Verb::ALL.iter().map(|verb| allowed(look, *verb)).collect()
}

fn allowed(look: &Look, verb: api::Verb) -> api::AllowedAction {
    let (why_not, blast_radius) = match (&look.run, kind(verb)) {
        (Some(run), Some(kind)) => {
            let refused = why_not(&look.plan, run, kind).map(|r| r.why);
            (refused, effect(&look.plan, run, kind))
        }
        (run, _) => (elsewhere(look, run.as_ref(), verb), verb.info().blast_radius.to_owned()),
    };
    api::AllowedAction {
        verb: verb.as_str().to_owned(),
        allowed: why_not.is_none(),
        why_not,
        blast_radius,
        command: format!("exodus {}", spelt(verb)),
    }
}

/// Verbs the workflow does not know.
fn elsewhere(look: &Look, run: Option<&RunState>, verb: api::Verb) -> Option<String> {
    use api::Verb as A;
    let needs_engine = || match &look.engine {
        Some(_) => None,
        None => Some("source and target are not both connected yet".to_owned()),
    };
    match (verb, run) {
        (A::Start, None) => None,
        (A::Start, Some(run)) if run.place().is_final() => None,
        (A::Start, Some(run)) => Some(format!("{} is not over", run.run)),
        (A::PreflightRun | A::ConfigApply | A::InterlayDrain, _) => None,
        (_, None) => Some("no run was started".to_owned()),
        (
            A::BackfillPause
            | A::BackfillResume
            | A::VerifyRun
            | A::VerifyPause
            | A::VerifyResume
            | A::DiffRepair
            | A::DiffAccept
            | A::DiffIgnore
            | A::DiffRecheck
            | A::QueuePark
            | A::QueueRetry
            | A::QueueDrop
            | A::ThrottleSet,
            Some(_),
        ) => needs_engine(),
        (A::TenantMove | A::TenantReturn, _) if look.plan.batches.is_empty() => {
            Some("the strategy does not move tenants".to_owned())
        }
        _ => None,
    }
}

/// The commands that most likely come next.
pub(crate) fn next_steps(look: &Look) -> Vec<api::NextStep> {
    let Some(run) = &look.run else {
        return vec![api::NextStep {
            command: "exodus start".to_owned(),
            why: "no run was started".to_owned(),
        }];
    };
    if look.cleaned.is_some() {
        let waits = super::waiting(look);
        let left = waits.and_then(|w| Some(api::NextStep { command: w.command?, why: w.what }));
        return left.into_iter().collect();
    }
    let one = next(&look.plan, run);
    let mut steps = vec![api::NextStep { command: one.command, why: one.effect }];
    if let Some(waits) = super::waiting(look)
        && super::parked_in_the_way(look, run).is_some()
        && let Some(command) = waits.command
    {
        steps[0] = api::NextStep { command, why: waits.what };
    }
    let back = VerbKind::Rollback;
    if run.target_decides_something() && why_not(&look.plan, run, back).is_none() {
        steps.push(api::NextStep {
            command: workflow::command(run, "rollback"),
            why: effect(&look.plan, run, back),
        });
    }
    steps
}
