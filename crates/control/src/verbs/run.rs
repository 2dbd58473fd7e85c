//! Verbs that the workflow decides.

use std::time::Duration;

use api::{Effect, Problem, Verb};
use model::{ReadMode, Side, Tenant};
use workflow::{Gate, Place, Plan, RunState, Step, Verb as Want, ahead};

use super::{Asked, Done, Outcome, by, problem};
use crate::dto::from_text;
use crate::preflight;
use crate::runner::Asking;
use crate::status::Look;

/// How long an answer waits for the checks.
const CHECKS_WITHIN: Duration = Duration::from_secs(2);

/// Begins a run.
pub(super) async fn start(asked: &Asked<'_>) -> Outcome {
    let answer = asked.migration.runner.ask(by(asked), None, None).await;
    answer.map_err(|e| refused(&e))?;
    // What was found before there was a run is evidence in none. Whoever acts on this answer next
    // is to find a state that rests, unless a side takes its time.
    let checks = preflight::begin(&asked.migration.world);
    let through = tokio::time::timeout(CHECKS_WITHIN, checks).await.is_ok();
    asked.migration.runner.settled().await;
    Ok(Done::said(match through {
        true => "the run was started, and the checks ran",
        false => "the run was started; the checks are under way",
    }))
}

/// Everything the workflow has a verb for.
pub(super) async fn decided(asked: &Asked<'_>) -> Outcome {
    let want = want(asked)?;
    let runner = &asked.migration.runner;
    let version = asked.verb.info().if_match.then_some(asked.version).flatten();
    let answer = runner.ask(by(asked), Some(want), version).await.map_err(|e| refused(&e))?;
    let notes = answer.notes.join("; ");
    let message = if notes.is_empty() { words(asked).to_owned() } else { notes };
    let undo = undo_of(asked.verb).map(str::to_owned);
    Ok(Done { message, undo, result: None })
}

fn words(asked: &Asked<'_>) -> &'static str {
    match asked.verb {
        Verb::Advance => "decided; follow it with `exodus status --watch`",
        Verb::Rollback => "everything is going back to the source",
        Verb::Panic => "everything passes to the present authority",
        Verb::Hold => "held; data keeps flowing",
        _ => "done",
    }
}

/// The workflow's verb with its data.
fn want(asked: &Asked<'_>) -> Result<Want, Box<Problem>> {
    use Verb as V;
    let gate = || -> Result<Gate, Box<Problem>> {
        asked.word::<Gate>("gate")?.ok_or_else(|| problem("EXO-API-422", "`gate` is missing"))
    };
    Ok(match asked.verb {
        V::Advance => Want::Advance,
        V::Hold => Want::Hold,
        V::Release => Want::Release,
        V::StepBack => Want::StepBack,
        V::Retry => Want::Retry,
        V::Rollback => match asked.text("scope")?.as_deref() {
            None | Some("all") => Want::Rollback { accept_loss: asked.flag("accept_loss")? },
            Some("step") => Want::StepBack,
            Some("reads") => Want::SetTraffic { mode: None, reads_percent: 0, forced: false },
            Some(_) => return Err(problem("EXO-API-422", "`scope` is all, reads or step")),
        },
        V::Panic => Want::Panic,
        V::Commit => Want::Commit {
            typed: match (&asked.request.typed_name, asked.request.yes) {
                (Some(typed), _) => typed.clone(),
                (None, true) => asked.migration.world.id.clone(),
                (None, false) => String::new(),
            },
        },
        V::Finalize => Want::Finalize,
        V::Abandon => Want::Abandon,
        V::Approve => Want::Approve { gate: gate()?, digest: asked.text("digest")? },
        V::Reject => Want::Reject { gate: gate()? },
        V::Revoke => Want::Revoke { gate: gate()? },
        V::Rehearse => match asked.text("what")?.as_deref() {
            None | Some("rollback") => Want::Rehearse,
            Some("cutover") => {
                let detail = "a cutover is rehearsed by its dry run: `exodus advance --dry-run`";
                return Err(problem("EXO-API-501", detail));
            }
            Some(_) => return Err(problem("EXO-API-422", "`what` is rollback or cutover")),
        },
        V::TrafficSet => traffic(asked)?,
        V::TrafficPin | V::TrafficUnpin => Want::Pin {
            attribute: asked.need("attribute")?.into_bytes(),
            side: match asked.verb {
                V::TrafficPin => Some(
                    asked
                        .word::<Side>("side")?
                        .ok_or_else(|| problem("EXO-API-422", "`side` is source or target"))?,
                ),
                _ => None,
            },
        },
        V::TenantMove => Want::TenantMove { tenants: tenants(asked)? },
        V::TenantReturn => Want::TenantReturn { tenants: tenants(asked)? },
        V::IncidentHold => Want::IncidentHold,
        V::IncidentRelease => Want::IncidentRelease,
        V::Cleanup => Want::Cleanup,
        other => {
            return Err(problem("EXO-API-501", format!("`{}` is not built", other.as_str())));
        }
    })
}

fn tenants(asked: &Asked<'_>) -> Result<std::collections::BTreeSet<Tenant>, Box<Problem>> {
    let text = asked.need("tenant")?;
    let bytes = from_text(&text).unwrap_or_else(|| text.clone().into_bytes());
    Ok([Tenant::new(&bytes)].into())
}

fn traffic(asked: &Asked<'_>) -> Result<Want, Box<Problem>> {
    let mode = asked.word::<ReadMode>("mode")?;
    let percent = asked.number("percent")?;
    let reads_percent = match (mode, percent) {
        (_, Some(percent)) => u8::try_from(percent)
            .ok()
            .filter(|p| *p <= 100)
            .ok_or_else(|| problem("EXO-API-422", "`percent` lies between 0 and 100"))?,
        (Some(ReadMode::Target | ReadMode::PreferTarget), None) => 100,
        (Some(ReadMode::Source | ReadMode::Compare), None) => 0,
        (Some(ReadMode::Percent) | None, None) => {
            return Err(problem("EXO-API-422", "`percent` is missing"));
        }
    };
    let forced = asked.flag("force")?;
    if forced && asked.request.reason.as_deref().is_none_or(str::is_empty) {
        return Err(problem("EXO-API-504", "`force` needs a reason"));
    }
    Ok(Want::SetTraffic { mode, reads_percent, forced })
}

/// What a refusal of the loop is towards a client.
pub(super) fn refused(why: &Asking) -> Box<Problem> {
    Box::new(match why {
        Asking::NoRun => Problem::new("EXO-API-409", "no run was started").fix("exodus start"),
        Asking::Stale { expected, found } => {
            let detail = format!("the state is at version {found}, you looked at {expected}");
            Problem::new("EXO-API-412", detail).version(*found)
        }
        Asking::Refused(refused) => {
            let mut problem = Problem::new("EXO-API-409", refused.why.clone());
            problem.code = refused.code.to_owned();
            problem.kind = format!("urn:exodus:error:{}", refused.code);
            if let Some(instead) = refused.instead.first() {
                problem.fix.clone_from(instead);
            }
            problem.impact("nothing was changed")
        }
        Asking::Store(error) => return super::stored(error),
        Asking::Closed => Problem::new("EXO-API-503", "the server is stopping"),
    })
}

/// How a verb is taken back.
pub(super) const fn undo_of(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Advance | Verb::TrafficSet => Some("exodus step-back, or exodus rollback"),
        Verb::Hold | Verb::Panic => Some("exodus release"),
        Verb::Release => Some("exodus hold"),
        Verb::Rollback => Some("exodus retry"),
        Verb::Commit => Some("exodus rollback, until the window ends"),
        Verb::Approve => Some("exodus approvals revoke"),
        Verb::IncidentHold => Some("exodus incident release"),
        Verb::TenantMove => Some("exodus tenant return"),
        _ => None,
    }
}

/// What a verb touches at this place of the run, for its effect.
pub(super) fn touches(verb: Verb, plan: &Plan, run: Option<&RunState>) -> &'static str {
    let back = |run: &RunState| match () {
        () if run.target_decides_something() => "writes",
        () if run.reads_percent > 0 => "reads",
        () => "state",
    };
    match (verb, run) {
        (Verb::Advance | Verb::Retry, Some(run)) => match ahead(plan, run) {
            Some(Step::CuttingOver) => "writes",
            Some(Step::Tenants) if run.step == Step::Tenants => "writes",
            Some(Step::Reads { .. }) => "reads",
            Some(Step::Compare | Step::Smoke | Step::Seeding) => "target",
            Some(Step::Tap) => "source",
            _ => "state",
        },
        (Verb::Rollback | Verb::StepBack, Some(run)) => back(run),
        (Verb::TenantMove | Verb::TenantReturn, _) => "writes",
        (Verb::TrafficSet | Verb::TrafficPin | Verb::TrafficUnpin | Verb::Panic, _) => "reads",
        (Verb::DiffRepair | Verb::SmokeRun, _) => "target",
        (Verb::PreflightRun | Verb::VerifyRun, _) => "source",
        (Verb::Rehearse, _) => "scratch",
        (Verb::Cleanup, _) => "target",
        (Verb::InterlayDrain, _) => "clients",
        _ => "state",
    }
}

/// The barrier's steps with their estimates, where the verb leads through one.
pub(super) fn barrier(asked: &Asked<'_>, look: &Look) -> Option<Vec<Effect>> {
    let run = look.run.as_ref()?;
    let forward = asked.verb == Verb::Advance && run.place() == Place::ReadyToCutover;
    let back = matches!(asked.verb, Verb::Rollback) && run.target_decides_something();
    if !(forward || back) {
        return None;
    }
    let (from, to) = if forward { ("source", "target") } else { ("target", "source") };
    let drain = look.engine.as_ref().and_then(|e| e.undo.drain_ms);
    let connections = look.sum.connections;
    let budget = if forward { look.plan.pause_budget_ms } else { look.plan.rollback_budget_ms };
    let side = if forward { Side::Source } else { Side::Target };
    let fence = match look.plan.can_fence.contains(&side) {
        true => format!("fence the {from} at the database, reversibly, recorded first"),
        false => format!("the {from} cannot be fenced; its listeners alone keep writes out"),
    };
    let step = |what: String, touches: &str, estimated_ms: Option<u64>| Effect {
        what,
        touches: touches.to_owned(),
        estimated_ms,
    };
    Some(vec![
        step(format!("open the change feed of the {to}"), to, Some(10)),
        step(
            format!(
                "freeze writes of {connections} connections; open transactions get {} ms",
                look.plan.txn_deadline_ms
            ),
            "writes",
            Some(5),
        ),
        step(fence, from, Some(10)),
        step(format!("read the {from}'s feed to its end"), from, Some(5)),
        step(format!("copy what the {to} does not have yet"), to, drain),
        step(format!("store the next epoch: the {to} decides from here"), "state", Some(10)),
        step(format!("move sessions to the {to} and release writes"), "clients", Some(20)),
        step(format!("pause budget {budget} ms, else it undoes itself"), "writes", None),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Strategy;
    use workflow::Environment;

    #[test]
    fn only_what_moves_writes_says_so() {
        let plan = Plan::new(Environment::Dev, Strategy::Canary);
        let mut run = RunState::new("r", "m", "somebody", 0);
        let mut at = |step: Step, verb: Verb| {
            run.step = step;
            touches(verb, &plan, Some(&run))
        };
        assert_eq!(at(Step::Setup, Verb::Advance), "source");
        assert_eq!(at(Step::Tap, Verb::Advance), "state");
        assert_eq!(at(Step::Compare, Verb::Advance), "target");
        assert_eq!(at(Step::Verifying, Verb::Advance), "reads");
        assert_eq!(at(Step::ReadyToCutover, Verb::Advance), "writes");
        assert_eq!(at(Step::Compare, Verb::Rollback), "state");
        run.reads_percent = 5;
        assert_eq!(touches(Verb::Rollback, &plan, Some(&run)), "reads");
        run.authority = routing::Authority::whole(Side::Target);
        assert_eq!(touches(Verb::Rollback, &plan, Some(&run)), "writes");
    }
}
