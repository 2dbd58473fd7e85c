//! Where the run is, in words, and how far it came.

use model::Phase;
use workflow::{Place, RunState, table_for};

use super::{Look, phase};
use crate::clock::rfc3339;

const BAR: [Phase; 6] =
    [Phase::PreTest, Phase::Analyze, Phase::Compare, Phase::Test, Phase::Migrate, Phase::Commit];

pub(super) fn status(look: &Look) -> api::PhaseStatus {
    let Some(run) = &look.run else {
        return api::PhaseStatus {
            phase: None,
            step: "none".to_owned(),
            title: "no run was started".to_owned(),
            state: "waiting".to_owned(),
            since: rfc3339(look.now),
            bar: Vec::new(),
            soak_left_s: None,
            cause: None,
        };
    };
    let place = run.place();
    let soak_end = run.since_ms + look.plan.soak_ms;
    let soaks = matches!(place, Place::Reads | Place::ServingTarget) && soak_end > look.now;
    api::PhaseStatus {
        phase: Some(phase(place.phase())),
        step: place.as_str().to_owned(),
        title: title(look, run),
        state: state_of(run).to_owned(),
        since: rfc3339(run.since_ms),
        bar: bar(run),
        soak_left_s: soaks.then(|| (soak_end - look.now).div_ceil(1_000)),
        cause: cause(run),
    }
}

/// Every phase with how far the run came in it. After a rollback: what was reached, what was left,
/// and what never began.
fn bar(run: &RunState) -> Vec<api::PhaseMark> {
    let here = run.place().phase();
    let left = run.rolled_back_from.map(Place::phase);
    let state_of = |of: Phase| match () {
        () if run.place() == Place::Finalized => "done",
        () if of == here => "now",
        () if here != Phase::Rollback && of < here => "done",
        () if here == Phase::Rollback && left.is_some_and(|left| of < left) => "done",
        () if here == Phase::Rollback && left == Some(of) => "left",
        () => "todo",
    };
    let mark =
        |of: Phase, state: &str| api::PhaseMark { phase: phase(of), state: state.to_owned() };
    let mut bar: Vec<_> = BAR.into_iter().map(|of| mark(of, state_of(of))).collect();
    if here == Phase::Rollback {
        let at = BAR.into_iter().position(|of| left.is_none_or(|left| of > left));
        bar.insert(at.unwrap_or(BAR.len()), mark(Phase::Rollback, "now"));
    }
    bar
}

fn state_of(run: &RunState) -> &'static str {
    match run.place() {
        Place::Finalized => "finalized",
        Place::Abandoned => "abandoned",
        Place::RolledBack => "rolled_back",
        Place::RollbackBlocked => "failed",
        _ if run.panicked.is_some() => "panicked",
        _ if run.held.is_some() => "held",
        _ if run.failure.is_some() && run.retry_at_ms.is_none() => "failed",
        _ => "running",
    }
}

fn cause(run: &RunState) -> Option<String> {
    let held = run.panicked.as_ref().or(run.held.as_ref());
    let failed = run.failure.as_ref().map(|f| format!("[{}] {}", f.code, f.why));
    let rolled = run.rollback_asked.as_ref().filter(|a| !a.reason.is_empty());
    let last = run.history.back().and_then(|a| a.reason.clone());
    failed
        .or_else(|| held.map(|h| format!("{}: {}", h.by, h.reason)))
        .or_else(|| rolled.map(|r| format!("{}: {}", r.by, r.reason)))
        .or(last)
}

fn title(look: &Look, run: &RunState) -> String {
    let words = match run.place() {
        Place::Setup => "deployed; nothing is observed yet",
        Place::Tap => "a copy of the traffic is observed",
        Place::Analyze => "traffic passes and is profiled",
        Place::Compare => "reads are mirrored and compared",
        Place::Smoke => "smoke tests on the target",
        Place::Rehearsal => "rehearsing the rollback",
        Place::Seeding => "copying and catching up",
        Place::Verifying => "comparing record by record",
        Place::Tenants => "moving tenants",
        Place::ReadyToCutover => "ready for the authority to move",
        Place::CuttingOver => "the barrier is under way",
        Place::ServingTarget => "the target decides",
        Place::WarmSource => "committed; the source follows until the window ends",
        Place::Finalized => "finalized: the target is the only system",
        Place::RollingBack => "authority returns to the source",
        Place::RolledBack => "rolled back: the source decides",
        Place::RollbackBlocked => "the rollback is blocked",
        Place::Abandoned => "abandoned: the source stays",
        Place::Reads => {
            let percent = table_for(&look.plan, run).reads.percent;
            return format!("{percent} % of the reads on the target");
        }
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflow::Step;

    fn shown(step: Step, from: Option<Place>) -> String {
        let mut run = RunState::new("r", "m", "somebody", 0);
        run.step = step;
        run.rolled_back_from = from;
        let marks = bar(&run).into_iter().map(|m| format!("{}:{}", m.phase.as_str(), m.state));
        marks.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_bar_shows_what_was_reached() {
        assert_eq!(
            shown(Step::Compare, None),
            "pre_test:done analyze:done compare:now test:todo migrate:todo commit:todo"
        );
        assert_eq!(
            shown(Step::RolledBack, Some(Place::ServingTarget)),
            "pre_test:done analyze:done compare:done test:done migrate:left rollback:now \
             commit:todo"
        );
        assert_eq!(
            shown(Step::Abandoned, Some(Place::Analyze)),
            "pre_test:done analyze:left rollback:now compare:todo test:todo migrate:todo \
             commit:todo"
        );
        assert_eq!(
            shown(Step::RollingBack, Some(Place::WarmSource)),
            "pre_test:done analyze:done compare:done test:done migrate:done commit:left \
             rollback:now"
        );
        assert_eq!(
            shown(Step::Finalized, None),
            "pre_test:done analyze:done compare:done test:done migrate:done commit:done"
        );
    }
}
