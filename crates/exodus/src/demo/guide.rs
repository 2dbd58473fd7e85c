//! From step to step: what the status says is needed is done, as its own next commands say, until
//! the wanted step is reached.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use api::{Side, Status, VerbRequest};
use serde_json::{Map, Value, json};

use super::config::NAME;
use super::door::{Answer, Door};
use super::say;
use super::stop;

/// How often the status is read while waiting.
const LOOK: Duration = Duration::from_millis(100);
/// How long a need may stay before the same verb is asked for again.
const AGAIN: Duration = Duration::from_secs(5);
/// A wait that lasts this long is told.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// A step that takes longer than this is stuck.
pub const STUCK: Duration = Duration::from_secs(180);

/// Takes a run through its steps.
pub struct Guide {
    door: Door,
    asked: BTreeMap<String, Instant>,
    shown: String,
    /// What is waited for, since when, and whether that was told.
    waits: (String, Instant, bool),
}

impl Guide {
    /// A guide of whatever run is there.
    #[must_use]
    pub fn new(door: Door) -> Self {
        Self {
            door,
            asked: BTreeMap::new(),
            shown: String::new(),
            waits: (String::new(), Instant::now(), false),
        }
    }

    /// Does a verb and says so; a refusal is an error.
    pub fn act(&mut self, verb: &str, args: Map<String, Value>) -> Result<()> {
        say::command(&spelt(verb, &args));
        match self.door.verb(verb, &request(verb, args))? {
            Answer::Done(outcome) => {
                say::detail(&outcome.message);
                Ok(())
            }
            Answer::Refused(problem) => {
                bail!("EXO-DEM-003: {verb} was refused: {problem}; fix: {}", problem.fix)
            }
        }
    }

    /// Does a verb as soon as it is allowed, and until then what the status says is needed.
    pub fn decide(&mut self, verb: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            interrupted()?;
            let status = self.door.status()?;
            if allowed(&status, verb) {
                return self.act(verb, Map::new());
            }
            if began.elapsed() > STUCK {
                bail!("EXO-DEM-003: {verb} is never allowed: {}", wanted(&status));
            }
            if !self.meet_needs(&status)? {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Goes on until this step is reached; every step on the way is shown.
    pub fn reach(&mut self, step: &str) -> Result<Status> {
        let mut since = Instant::now();
        loop {
            interrupted()?;
            let status = self.door.status()?;
            if self.show(&status) {
                since = Instant::now();
            }
            if status.phase.step == step {
                return Ok(status);
            }
            if stopped(&status) {
                bail!(
                    "EXO-DEM-003: on the way to {step} the run stopped at {} ({}): {}",
                    status.phase.step,
                    status.phase.state,
                    status.phase.cause.as_deref().unwrap_or("no cause given")
                );
            }
            if since.elapsed() > STUCK {
                bail!("EXO-DEM-003: stuck on the way to {step}: {}", wanted(&status));
            }
            if !self.forward(&status, step)? {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Waits, without doing anything, until the status satisfies the condition.
    pub fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        let began = Instant::now();
        loop {
            interrupted()?;
            let status = self.door.status()?;
            if holds(&status) {
                return Ok(status);
            }
            if began.elapsed() > limit {
                bail!("EXO-DEM-003: waited {} for {what}: {}", say::ms(limit), wanted(&status));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The number of the newest event.
    pub fn last_event(&self) -> Result<u64> {
        Ok(self.door.status()?.events.last().map_or(0, |e| e.id))
    }

    /// The pause that the server reports for the last move since that event, and the attempts.
    pub fn flips_after(&self, event: u64) -> Result<(Option<u64>, u64)> {
        let events = self.door.events_after(event)?;
        let flips = events.iter().filter(|e| e.kind.starts_with("flip_"));
        let flips: Vec<_> =
            flips.filter(|e| e.kind == "flip_done" || e.kind == "flip_undone").collect();
        let done = flips.iter().rev().find(|e| e.kind == "flip_done");
        let pause = done.and_then(|e| e.payload.get("pause_ms")).and_then(|v| match v {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        });
        Ok((pause, flips.len() as u64))
    }

    /// One move: `advance` if it is allowed, else what it needs. True if something was done.
    fn forward(&mut self, status: &Status, goal: &str) -> Result<bool> {
        if status.run.is_none() && allowed(status, "start") {
            self.act("start", Map::new())?;
            return Ok(true);
        }
        if allowed(status, "advance") {
            return self.try_verb(status, "advance", Map::new());
        }
        // The two decisions that nobody takes by accident.
        for (to, verb) in [("warm_source", "commit"), ("finalized", "finalize")] {
            if goal == to && allowed(status, verb) {
                return self.try_verb(status, verb, Map::new());
            }
        }
        self.meet_needs(status)
    }

    /// What the printed next commands ask for, each at most every few seconds.
    fn meet_needs(&mut self, status: &Status) -> Result<bool> {
        self.show_wait(status);
        let needs = status.waiting_on.iter().filter_map(|w| w.command.as_deref());
        let next = status.next_steps.iter().map(|n| n.command.as_str());
        for command in needs.chain(next) {
            let Some((verb, args)) = meaning(command) else { continue };
            if self.due(status, verb) {
                return self.try_verb(status, verb, args);
            }
        }
        Ok(false)
    }

    fn due(&self, status: &Status, verb: &str) -> bool {
        let key = format!("{}:{verb}", status.phase.step);
        self.asked.get(&key).is_none_or(|at| at.elapsed() > AGAIN)
    }

    /// A refusal here only means that something else is needed first.
    fn try_verb(&mut self, status: &Status, verb: &str, args: Map<String, Value>) -> Result<bool> {
        self.asked.insert(format!("{}:{verb}", status.phase.step), Instant::now());
        let words = spelt(verb, &args);
        match self.door.verb(verb, &request(verb, args))? {
            Answer::Done(outcome) => {
                say::command(&words);
                say::detail(&outcome.message);
                Ok(true)
            }
            Answer::Refused(_) => Ok(false),
        }
    }

    /// Prints what is waited for, once it has been for a moment and when it is another thing.
    fn show_wait(&mut self, status: &Status) {
        let waits = status.waiting_on.as_ref().map(|w| w.what.clone()).unwrap_or_default();
        // Counting down is not another thing.
        let kind: String = waits.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.waits.0 != kind {
            self.waits = (kind, Instant::now(), false);
        } else if !self.waits.2 && self.waits.1.elapsed() > TELL_AFTER && !waits.is_empty() {
            self.waits.2 = true;
            say::detail(format!("waiting: {waits}"));
        }
    }

    /// Prints the step when it is new; true if it was.
    pub fn show(&mut self, status: &Status) -> bool {
        let phase = status.phase.phase.map_or("-", |p| p.as_str());
        let place = format!("{phase} / {}", status.phase.title);
        if place == self.shown {
            return false;
        }
        self.shown = place;
        say::line(format!("{:<10} {}", phase, status.phase.title));
        true
    }
}

fn allowed(status: &Status, verb: &str) -> bool {
    status.allowed_actions.iter().any(|a| a.verb == verb && a.allowed)
}

fn interrupted() -> Result<()> {
    if stop::asked() {
        bail!("interrupted");
    }
    Ok(())
}

/// Whether nobody can go on from here without deciding.
fn stopped(status: &Status) -> bool {
    matches!(
        status.phase.step.as_str(),
        "rolled_back" | "rollback_blocked" | "abandoned" | "finalized"
    ) || matches!(status.phase.state.as_str(), "failed" | "panicked" | "held")
}

/// What the status waits for, in one line.
pub fn wanted(status: &Status) -> String {
    let waits =
        status.waiting_on.as_ref().map_or_else(|| "nothing named".to_owned(), |w| w.what.clone());
    format!(
        "at {} ({}), writes on {}, following {}, waiting for: {waits}",
        status.phase.step,
        status.phase.state,
        status.writes.authority.as_str(),
        status.writes.following
    )
}

/// Whether every interlay says this side decides, and nothing is frozen.
pub fn measured(status: &Status, side: Side) -> bool {
    let by = &status.writes.measured_by;
    status.writes.authority == side && !status.writes.frozen && by.of > 0 && by.agreeing == by.of
}

/// What a printed command asks of the API. Commands that only look are nothing to do.
fn meaning(command: &str) -> Option<(&'static str, Map<String, Value>)> {
    let words: Vec<&str> = command.split_whitespace().skip_while(|w| *w == "exodus").collect();
    let args = |value: Value| value.as_object().cloned().unwrap_or_default();
    Some(match words.as_slice() {
        ["start", ..] => ("start", Map::new()),
        ["advance", ..] => ("advance", Map::new()),
        ["retry", ..] => ("retry", Map::new()),
        ["approve", gate, ..] => ("approve", args(json!({ "gate": gate }))),
        ["rehearse", "rollback", ..] => ("rehearse", args(json!({ "what": "rollback" }))),
        ["verify", "run", ..] => ("verify_run", Map::new()),
        ["preflight", "run", ..] => ("preflight_run", Map::new()),
        ["drill", "smoke", ..] | ["smoke", "run", ..] => ("smoke_run", Map::new()),
        ["diff", "repair", ..] => ("diff_repair", args(json!({ "all": true }))),
        _ => return None,
    })
}

/// A verb with what it needs to be more than a dry run.
fn request(verb: &str, args: Map<String, Value>) -> VerbRequest {
    let info = api::Verb::parse(verb).map(api::Verb::info);
    VerbRequest {
        reason: info.is_some_and(|i| i.reason_required).then(|| "the demo's script".to_owned()),
        args,
        dry_run: false,
        yes: true,
        typed_name: info.is_some_and(|i| i.reason_required).then(|| NAME.to_owned()),
    }
}

/// The verb as it is typed.
fn spelt(verb: &str, args: &Map<String, Value>) -> String {
    let words = match verb {
        "verify_run" => "verify run".to_owned(),
        "preflight_run" => "preflight run".to_owned(),
        "smoke_run" => "drill smoke".to_owned(),
        "diff_repair" => "diff repair --all".to_owned(),
        "rehearse" => "rehearse".to_owned(),
        other => other.replace('_', "-"),
    };
    let tail: Vec<&str> = ["gate", "what"]
        .iter()
        .filter_map(|name| args.get(*name).and_then(Value::as_str))
        .collect();
    let narrates = api::Verb::parse(verb).is_some_and(|v| v.info().dangerous);
    let yes = if narrates { vec!["--yes"] } else { Vec::new() };
    [vec![words.as_str()], tail, yes, vec!["-m", NAME]].concat().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_commands_are_understood_and_looking_is_nothing_to_do() {
        let verb = |command| meaning(command).map(|(verb, _)| verb);
        assert_eq!(verb("exodus verify run demo"), Some("verify_run"));
        assert_eq!(verb("exodus rehearse rollback demo"), Some("rehearse"));
        assert_eq!(verb("exodus status -w demo"), None);
        let (verb, args) = meaning("exodus approve migrate demo").unwrap();
        assert_eq!((verb, args["gate"].as_str()), ("approve", Some("migrate")));
        assert_eq!(spelt(verb, &args), "approve migrate -m demo");
        assert_eq!(spelt("advance", &Map::new()), "advance --yes -m demo");
    }

    #[test]
    fn grave_verbs_carry_a_reason_and_the_typed_name() {
        assert_eq!(request("commit", Map::new()).typed_name.as_deref(), Some(NAME));
        assert!(request("advance", Map::new()).reason.is_none());
    }
}
