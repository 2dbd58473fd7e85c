//! The operator's questions, answered from the state alone: what is it waiting for, what may I
//! do, what comes next.

use crate::event::VerbKind;
use crate::needs::{ahead, command, needs, next_batch, onward};
use crate::place::{Place, Step};
use crate::plan::Plan;
use crate::run::RunState;
use crate::saga::FlipStep;
use crate::verbs::{spelt, why_not};

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingOn {
    /// What, in one sentence.
    pub what: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Who can unblock it: roles, or `exodus` when it comes by itself.
    pub who: String,
    /// With which command.
    pub command: String,
}

/// A verb that would be carried out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The verb.
    pub verb: VerbKind,
    /// As a command line.
    pub command: String,
    /// What it would do, in one sentence.
    pub effect: String,
}

/// What the run waits for. Every state that is not final waits for something.
#[must_use]
pub fn waiting_on(plan: &Plan, run: &RunState) -> WaitingOn {
    let wait = |what: String, since_ms: u64, who: &str, words: &str| WaitingOn {
        what,
        since_ms,
        who: who.to_owned(),
        command: command(run, words),
    };
    if run.place().is_final() {
        return wait("nothing: the run is over".to_owned(), run.since_ms, "operator", "cleanup");
    }
    if let Some(saga) = &run.saga {
        let flip = &saga.flip;
        let mut what = format!("the {}: {}", flip.terms.kind, flip_words(flip.step));
        let silent: Vec<_> = flip.live.difference(&flip.acked).map(|n| n.0.as_str()).collect();
        if matches!(flip.step, FlipStep::AwaitQuiet | FlipStep::AwaitRehomed) {
            what = format!("{what} ({})", silent.join(", "));
        }
        if flip.step == FlipStep::CatchUp {
            let behind = &run.following;
            let (pending, oldest) = (behind.pending, behind.lag_ms);
            what = format!("{what} ({pending} records pending, oldest {oldest} ms)");
        }
        if let Some(reason) = &flip.reason {
            what = format!("{what}; {reason}");
        }
        return wait(what, flip.began_ms, "exodus", "status -w");
    }
    if let Step::RollbackBlocked { reason } = &run.step {
        let what = format!("the rollback is blocked: {reason}; it is tried again by itself");
        return wait(what, run.since_ms, "operator", "rollback");
    }
    let stopped = run.panicked.as_ref().map(|h| ("panic", h));
    if let Some((word, held)) = stopped.or(run.held.as_ref().map(|h| ("hold", h))) {
        let what = format!("{word} by {}: {}", held.by, held.reason);
        return wait(what, held.since_ms, "operator", "release");
    }
    // Ending a run asks for nothing that going on would ask for.
    let ends = onward(plan, run.place()) == Some(VerbKind::Abandon);
    if let Some(need) = needs(plan, run).into_iter().next().filter(|_| !ends) {
        let (who, command) = (need.who, need.command);
        return WaitingOn { what: need.what, since_ms: need.since_ms, who, command };
    }
    match onward(plan, run.place()) {
        Some(verb) => {
            let words = match verb {
                VerbKind::Commit => "commit --reason WHY".to_owned(),
                VerbKind::Finalize => "finalize --reason WHY".to_owned(),
                other => spelt(other),
            };
            let what = format!("a decision to go on: {}", effect(plan, run, verb));
            wait(what, run.since_ms, "operator", &words)
        }
        None => wait("it goes on by itself".to_owned(), run.since_ms, "exodus", "status -w"),
    }
}

const fn flip_words(step: FlipStep) -> &'static str {
    match step {
        FlipStep::LiftNew => "the fence of the side that will decide is being lifted",
        FlipStep::OpenFeed => "the feed of the side that will decide is being opened",
        FlipStep::CatchUp => "the side that will decide is getting in step; writes go on",
        FlipStep::AwaitQuiet => "writes are frozen; nodes finish what they have in flight",
        FlipStep::FenceOld => "the old authority is being fenced",
        FlipStep::FeedFence => "the old authority's feed is being read to its end",
        FlipStep::Drain => "the last changes are being copied",
        FlipStep::AwaitRehomed => "authority has moved; nodes move their sessions",
        FlipStep::Done => "done",
        FlipStep::Undoing => "it is being undone; a fence is being lifted",
        FlipStep::Undone => "undone",
    }
}

/// Every verb that would be carried out now, the one that leads forward first.
#[must_use]
pub fn allowed_actions(plan: &Plan, run: &RunState) -> Vec<Allowed> {
    let ahead = onward(plan, run.place());
    let others = VerbKind::ALL.iter().copied().filter(|v| Some(*v) != ahead);
    ahead
        .into_iter()
        .chain(others)
        .filter(|verb| why_not(plan, run, *verb).is_none())
        .map(|verb| Allowed {
            verb,
            command: command(run, &spelt(verb)),
            effect: effect(plan, run, verb),
        })
        .collect()
}

/// The next command: the verb that leads forward if it would be carried out, else what unblocks
/// the run.
#[must_use]
pub fn next(plan: &Plan, run: &RunState) -> Allowed {
    let verb = onward(plan, run.place());
    let possible = verb.filter(|v| why_not(plan, run, *v).is_none());
    let waiting = waiting_on(plan, run);
    match possible {
        Some(verb) => Allowed { verb, command: waiting.command, effect: effect(plan, run, verb) },
        None => Allowed {
            verb: verb.unwrap_or(VerbKind::Advance),
            command: waiting.command,
            effect: waiting.what,
        },
    }
}

/// What a verb would do here, in one sentence.
#[must_use]
pub fn effect(plan: &Plan, run: &RunState, verb: VerbKind) -> String {
    use VerbKind as V;
    let to_source = if run.target_decides_something() {
        "authority returns to the source through the barrier, after draining the reverse stream"
    } else {
        "all reads return to the source at once; the source already decides"
    };
    let text = match verb {
        V::Advance => return advance_effect(plan, run),
        V::Hold => "the run stays at this step; data keeps flowing",
        V::Release => "the hold or panic ends; the step's table is published again",
        V::StepBack => match run.place() {
            Place::ServingTarget => to_source,
            Place::Verifying => "the copy begins anew",
            _ => "the run goes to the step before",
        },
        V::Retry => match run.place() {
            Place::RolledBack => "the run goes forward again from where data is in step",
            _ => "what failed is started again",
        },
        V::Rollback => to_source,
        V::Panic => "reads and writes go to the authority only; comparing stops; capture stays on",
        V::Commit => "the target stays; the warm-source window begins",
        V::Finalize => "the source stops following; undo is then a new, reverse migration",
        V::Abandon => "the run ends on the source",
        V::Approve => "one approval is given, bound to the present evidence",
        V::Reject => "the gate is closed until the veto is revoked",
        V::Revoke => "one's own approval or veto is withdrawn",
        V::Waive => "the run may go on without one kind of evidence until the waiver expires",
        V::Rehearse => "the barrier goes there and back on a scratch keyspace",
        V::SetTraffic => "the share of reads served by the target changes at once",
        V::Pin => "reads of one client go to one side once data is verified",
        V::TenantMove => "tenants move to the target through the barrier",
        V::TenantReturn => "tenants return to the source through the barrier",
        V::IncidentHold => "cleanup and automatic decisions except rollback are blocked",
        V::IncidentRelease => "automatic decisions are allowed again",
        V::Cleanup => "Exodus' own objects are removed from both sides",
    };
    text.to_owned()
}

fn advance_effect(plan: &Plan, run: &RunState) -> String {
    match ahead(plan, run) {
        None => "nothing follows this step".to_owned(),
        Some(Step::Reads { index }) => {
            let percent = plan.canary_steps.get(index).copied().unwrap_or(100);
            format!("{percent} % of the cohorts read from the target")
        }
        Some(Step::Tenants) if run.step == Step::Tenants => {
            let batch = next_batch(plan, run).map_or("?", |b| b.name.as_str());
            format!("the tenants of batch {batch} move to the target through the barrier")
        }
        Some(Step::CuttingOver) => {
            let budget = plan.pause_budget_ms;
            format!("writes pause for at most {budget} ms while authority moves to the target")
        }
        Some(Step::Seeding) => "writes are noted and the data is copied to the target".to_owned(),
        Some(step) => format!("the run goes to {}", step.place()),
    }
}
