//! `wait --for CONDITION`: looks until it is true, cannot become true any more, or time is up.
//!
//! A server that is restarted meanwhile is waited for: the run survives it, so the wait does too.

use std::time::{Duration, Instant};

use api::{Side, Status};

use crate::args::WaitArgs;
use crate::ctx::Ctx;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::explain::nearest;
use crate::follow::Progress;
use crate::text::{clean, millis};

const LOOK: Duration = Duration::from_millis(400);

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Phase(String),
    Step(String),
    State(String),
    Authority(Side),
    InStep,
    Drained,
    Idle,
    Verified,
    Final,
}

const WORDS: &[&str] =
    &["phase=", "step=", "state=", "authority=", "in_step", "drained", "idle", "verified", "final"];
const PHASES: &[&str] =
    &["pre_test", "analyze", "compare", "test", "migrate", "rollback", "commit"];

impl std::str::FromStr for Condition {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let text = text.replace('-', "_");
        match text.split_once('=') {
            Some(("phase", name)) if PHASES.contains(&name) => Ok(Self::Phase(name.to_owned())),
            Some(("phase", name)) => Err(no_word("phase", name, PHASES)),
            Some(("step", name)) => Ok(Self::Step(name.to_owned())),
            Some(("state", name)) => Ok(Self::State(name.to_owned())),
            Some(("authority", "source")) => Ok(Self::Authority(Side::Source)),
            Some(("authority", "target")) => Ok(Self::Authority(Side::Target)),
            Some(("authority", name)) => Err(no_word("side", name, &["source", "target"])),
            None if text == "in_step" => Ok(Self::InStep),
            None if text == "drained" => Ok(Self::Drained),
            None if text == "idle" => Ok(Self::Idle),
            None if text == "verified" => Ok(Self::Verified),
            None if text == "final" => Ok(Self::Final),
            _ => Err(no_word("condition", &text, WORDS)),
        }
    }
}

fn no_word(what: &str, given: &str, words: &[&str]) -> Failure {
    let near = nearest(given, words.iter().copied()).unwrap_or(words[0]);
    Failure::usage(format!("`{}` is no {what}; there are {}", clean(given), words.join(", ")))
        .at("--for")
        .fix(format!("the nearest is {near}"))
}

/// Whether the condition holds.
pub(crate) fn holds(condition: &Condition, s: &Status) -> bool {
    match condition {
        Condition::Phase(name) => s.phase.phase.is_some_and(|p| p.as_str() == name),
        Condition::Step(name) => s.phase.step == *name,
        Condition::State(name) => s.phase.state == *name,
        Condition::Authority(side) => s.writes.authority == *side && !s.writes.frozen,
        Condition::InStep => s.writes.following == "in_step",
        Condition::Drained => s.queue.depth == 0 && s.queue.in_flight == 0,
        Condition::Idle => {
            s.waiting_on.as_ref().is_some_and(|w| matches!(w.kind.as_str(), "operator" | "gate"))
                || is_final(s)
        }
        Condition::Verified => {
            s.divergence.verify != "running" && s.divergence.last_verify.is_some()
        }
        Condition::Final => is_final(s),
    }
}

fn is_final(s: &Status) -> bool {
    ["finalized", "abandoned"].iter().any(|f| s.phase.state == *f || s.phase.step == *f)
}

/// Why the condition cannot become true any more, with the exit code that says so.
fn hopeless(condition: &Condition, s: &Status) -> Option<Exit> {
    let back =
        |name: &str| matches!(name, "rollback" | "rolled_back" | "rolling_back" | "abandoned");
    let wants_back = match condition {
        Condition::Phase(n) | Condition::Step(n) | Condition::State(n) => back(n),
        Condition::Authority(side) => *side == Side::Source,
        Condition::Idle | Condition::Final | Condition::Drained => true,
        Condition::InStep | Condition::Verified => false,
    };
    if !wants_back && s.phase.step == "rolled_back" {
        return Some(Exit::RolledBack);
    }
    is_final(s).then_some(Exit::Refused)
}

pub(crate) fn run(ctx: &mut Ctx<'_, '_>, args: &WaitArgs) -> Outcome {
    let condition: Condition = args.condition.parse()?;
    let began = Instant::now();
    let mut progress = Progress::default();
    let mut named = match ctx.migration() {
        // With a time limit, a server that is just being started is waited for, too.
        Err(failure) if failure.exit == Exit::Unreachable && args.timeout.is_some() => None,
        named => Some(named?),
    };
    loop {
        let looked = match &named {
            Some(migration) => ctx.status(migration),
            None => ctx.migration().and_then(|name| ctx.status(named.insert(name))),
        };
        match looked {
            Ok((value, status)) => {
                if holds(&condition, &status) {
                    progress.end(ctx.io);
                    if let Some(document) = ctx.format.document() {
                        document.write(ctx.io, &value)?;
                    }
                    return Ok(Exit::Done);
                }
                if let Some(exit) = hopeless(&condition, &status) {
                    progress.end(ctx.io);
                    return Err(over(&args.condition, &status, exit));
                }
                progress.show(ctx.io, &summary(&status));
            }
            Err(failure) if failure.exit == Exit::Unreachable => {
                progress.show(ctx.io, "the server does not answer; still waiting");
            }
            Err(failure) => return Err(failure),
        }
        if args.timeout.is_some_and(|limit| began.elapsed() >= limit) {
            progress.end(ctx.io);
            return Err(timed_out(&args.condition, began.elapsed()));
        }
        std::thread::sleep(LOOK);
    }
}

/// One line: where it is, and what it waits for.
pub(crate) fn summary(s: &Status) -> String {
    let phase = s.phase.phase.map_or("–", api::Phase::as_str);
    let mut line =
        format!("{phase}: {} · {} decides", clean(&s.phase.title), s.writes.authority.as_str());
    if s.data.state == "running" || s.data.state == "throttled" {
        line.push_str(&format!(" · copied {:.1} %", s.data.percent.min(99.9)));
    }
    if s.queue.depth > 0 {
        line.push_str(&format!(" · queue {}", s.queue.depth));
    }
    if let Some(waiting) = &s.waiting_on {
        line.push_str(&format!(" · waiting: {}", clean(&waiting.what)));
    }
    line
}

fn timed_out(condition: &str, after: Duration) -> Failure {
    let after = millis(after.as_millis() as u64);
    Failure::new(
        "EXO-CLI-008",
        Exit::TimedOut,
        format!("`{}` is not true after {after}", clean(condition)),
    )
    .impact("only the waiting ended; the run goes on")
    .fix("exodus next")
}

fn over(condition: &str, s: &Status, exit: Exit) -> Failure {
    let what = format!(
        "`{}` cannot become true any more: the run is at {}",
        clean(condition),
        clean(&s.phase.step)
    );
    Failure::new("EXO-CLI-011", exit, what)
        .impact("nothing was changed by waiting")
        .fix("exodus next")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_words_of_a_closed_set() {
        assert_eq!("in-step".parse(), Ok(Condition::InStep));
        assert_eq!("phase=migrate".parse(), Ok(Condition::Phase("migrate".into())));
        let refused = "phase=migrat".parse::<Condition>().map_err(|f| f.fix);
        assert_eq!(refused, Err(Some("the nearest is migrate".into())));
        assert!("done".parse::<Condition>().is_err());
    }
}
