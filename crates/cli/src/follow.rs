//! Verbs that start something and stay with it until it is over: rollback, preflight, verify.

use std::time::{Duration, Instant};

use api::{Check, Evidence, Status, Verb, VerbRequest, VerifyState};
use serde_json::json;

use crate::act::{self, with};
use crate::args::{Act, Confirm, RollbackArgs, Scope};
use crate::ctx::{Ctx, path_of};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::lists;
use crate::term::Io;
use crate::text::{clean, cut};
use crate::view;
use crate::wait::summary;

const LOOK: Duration = Duration::from_millis(250);
/// How long a rollback is followed; it goes on by itself after that.
const ROLLBACK: Duration = Duration::from_secs(120);
/// How long a preflight may take.
const PREFLIGHT: Duration = Duration::from_secs(180);
/// How long a cutover is followed; it ends by its own budget long before.
const FLIP: Duration = Duration::from_secs(120);
/// The step in which authority moves.
const BARRIER: &str = "cutting_over";
/// Without a terminal, how often a line is printed.
const QUIET: Duration = Duration::from_secs(10);

/// Progress on stderr: one line that changes on a terminal, a line every ten seconds elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    said: Option<Instant>,
    open: bool,
}

impl Progress {
    pub(crate) fn show(&mut self, io: &mut Io<'_>, text: &str) {
        if io.err_tty {
            let text = cut(text, io.width.saturating_sub(1));
            // A closed stderr is nobody to tell.
            let _ = write!(io.err, "\r\x1b[K{text}");
            let _ = io.err.flush();
            self.open = true;
        } else if self.said.is_none_or(|at| at.elapsed() >= QUIET) {
            self.said = Some(Instant::now());
            io.say(text);
        }
    }

    /// Clears the changing line.
    pub(crate) fn end(&mut self, io: &mut Io<'_>) {
        if std::mem::take(&mut self.open) {
            let _ = write!(io.err, "\r\x1b[K");
            let _ = io.err.flush();
        }
    }
}

/// Acts at once, then stays with it until the source decides everything again.
pub(crate) fn rollback(ctx: &mut Ctx<'_, '_>, args: RollbackArgs) -> Outcome {
    let scope = match args.scope {
        Scope::All => "all",
        Scope::Reads => "reads",
        Scope::Step => "step",
    };
    let act = Act { reason: args.reason, dry_run: args.dry_run };
    let mut request = with(act, []);
    if args.scope != Scope::All {
        request.args.insert("scope".to_owned(), json!(scope));
    }
    let migration = ctx.migration()?;
    let sent = act::send(ctx, Verb::Rollback, &request)?;
    act::show(ctx, Verb::Rollback, &request, &sent)?;
    if args.no_wait || !sent.outcome.applied || args.scope != Scope::All {
        return Ok(Exit::Done);
    }
    let began = Instant::now();
    let mut progress = Progress::default();
    while began.elapsed() < ROLLBACK {
        match ctx.status(&migration) {
            Ok((_, status)) => match status.phase.step.as_str() {
                "rolled_back" | "abandoned" => {
                    progress.end(ctx.io);
                    ctx.io.say("rolled back: the source decides every read and write");
                    next(ctx, &status);
                    return Ok(Exit::Done);
                }
                "rollback_blocked" => {
                    progress.end(ctx.io);
                    return Err(blocked(status.phase.cause.as_deref()));
                }
                "rolling_back" => progress.show(ctx.io, &summary(&status)),
                // The run had nothing to roll back, or it was already over.
                _ if status.phase.phase.is_none() => return Ok(Exit::Done),
                _ => progress.show(ctx.io, &summary(&status)),
            },
            Err(failure) if failure.exit == Exit::Unreachable => {
                progress
                    .show(ctx.io, "the server does not answer; the rollback is stored and goes on");
            }
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(LOOK);
    }
    progress.end(ctx.io);
    Err(Failure::new("EXO-CLI-008", Exit::TimedOut, "the rollback is not through yet")
        .impact("it is stored and goes on by itself")
        .fix("exodus wait --for step=rolled_back"))
}

/// Advances; where that begins a barrier, stays with it until it is through or undone.
pub(crate) fn advance(ctx: &mut Ctx<'_, '_>, confirm: Confirm) -> Outcome {
    let request = confirm.into();
    let migration = ctx.migration()?;
    let sent = act::send(ctx, Verb::Advance, &request)?;
    let from = sent.before.as_ref().and_then(|s| s.events.last()).map_or(0, |e| e.id);
    let outcome = &sent.outcome;
    let (_, mut status) = ctx.status(&migration)?;
    let barrier = status.phase.step == BARRIER
        || status.events.iter().any(|e| e.id > from && e.kind.starts_with("flip_"));
    if !outcome.applied || !barrier || ctx.format.document().is_some() {
        act::show(ctx, Verb::Advance, &request, &sent)?;
        return Ok(Exit::Done);
    }
    view::outcome::write(ctx.io, ctx.format, outcome)?;
    let began = Instant::now();
    let mut progress = Progress::default();
    while status.phase.step == BARRIER && began.elapsed() < FLIP {
        progress.show(ctx.io, &summary(&status));
        std::thread::sleep(LOOK);
        match ctx.status(&migration) {
            Ok((_, now)) => status = now,
            Err(failure) if failure.exit == Exit::Unreachable => {}
            Err(failure) => return Err(failure),
        }
    }
    progress.end(ctx.io);
    for event in status.events.iter().filter(|e| e.id > from && e.kind.starts_with("flip_")) {
        ctx.io.say(&clean(&event.message));
    }
    ctx.io.say(&summary(&status));
    next(ctx, &status);
    match status.phase.step.as_str() {
        BARRIER => Ok(Exit::TimedOut),
        // It undid itself: what was asked for is not true.
        "ready_to_cutover" => Ok(Exit::Refused),
        _ => Ok(Exit::Done),
    }
}

/// Rehearses; stays with it until its evidence is there.
pub(crate) fn rehearsal(ctx: &mut Ctx<'_, '_>, request: VerbRequest) -> Outcome {
    let migration = ctx.migration()?;
    let path = path_of(&migration, "evidence");
    let look = |ctx: &Ctx<'_, '_>| -> Result<Option<Evidence>, Failure> {
        let all: Vec<Evidence> = ctx.typed(&ctx.client.get(&path)?)?;
        Ok(all.into_iter().find(|e| e.kind == "rehearsal"))
    };
    let before = look(ctx)?.map(|e| e.at);
    let sent = act::send(ctx, Verb::Rehearse, &request)?;
    if !sent.outcome.applied {
        act::show(ctx, Verb::Rehearse, &request, &sent)?;
        return Ok(Exit::Done);
    }
    let began = Instant::now();
    let mut progress = Progress::default();
    while began.elapsed() < PREFLIGHT {
        if let Some(evidence) = look(ctx)?.filter(|e| Some(&e.at) != before.as_ref()) {
            progress.end(ctx.io);
            match ctx.format.document() {
                Some(document) => document.write(ctx.io, &json!(evidence))?,
                None => {
                    let word = if evidence.passed { "passed" } else { "NOT PASSED" };
                    writeln!(ctx.io.out, "rehearsal {word}: {}", clean(&evidence.summary))?;
                }
            }
            return Ok(if evidence.passed { Exit::Done } else { Exit::Open });
        }
        progress.show(ctx.io, "rehearsing: the barrier goes there and back on scratch records");
        std::thread::sleep(LOOK);
    }
    progress.end(ctx.io);
    Err(Failure::new("EXO-CLI-008", Exit::TimedOut, "the rehearsal is not through yet")
        .impact("it goes on by itself")
        .fix("exodus status"))
}

fn next(ctx: &mut Ctx<'_, '_>, status: &Status) {
    if let Some(next) = status.next_steps.first() {
        ctx.io.say(&format!("next: {}    # {}", clean(&next.command), clean(&next.why)));
    }
}

fn blocked(cause: Option<&str>) -> Failure {
    let what = format!("the rollback is blocked: {}", cause.unwrap_or("no cause was given"));
    Failure::new("EXO-CLI-012", Exit::Refused, what)
        .impact("the side that decides keeps deciding; it is tried again by itself")
        .fix("exodus status")
}

/// Runs the checks and waits until their result is there.
pub(crate) fn preflight(ctx: &mut Ctx<'_, '_>) -> Result<(), Failure> {
    let migration = ctx.migration()?;
    let path = path_of(&migration, "checks");
    let newest = |ctx: &Ctx<'_, '_>| -> Result<Option<String>, Failure> {
        let all: Vec<Check> = ctx.typed(&ctx.client.get(&path)?)?;
        Ok(all.into_iter().map(|c| c.at).max())
    };
    let before = newest(ctx)?;
    let sent = act::send(ctx, Verb::PreflightRun, &Default::default())?;
    if sent.outcome.result.is_some() {
        return Ok(());
    }
    let began = Instant::now();
    let mut progress = Progress::default();
    while began.elapsed() < PREFLIGHT {
        if newest(ctx)? != before {
            progress.end(ctx.io);
            return Ok(());
        }
        progress.show(ctx.io, "checking both sides");
        std::thread::sleep(LOOK);
    }
    progress.end(ctx.io);
    Err(Failure::new("EXO-CLI-008", Exit::TimedOut, "the checks are not through yet")
        .impact("they go on by themselves")
        .fix("exodus preflight show"))
}

/// Starts a verification and stays with it until it finished.
pub(crate) fn verify(ctx: &mut Ctx<'_, '_>, suspects: bool, no_wait: bool, act: Act) -> Outcome {
    let migration = ctx.migration()?;
    let path = path_of(&migration, "verify");
    let before: VerifyState = ctx.typed(&ctx.client.get(&path)?)?;
    let scope = suspects.then(|| ("scope", json!("suspects")));
    let request = with(act, scope);
    match act::send(ctx, Verb::VerifyRun, &request) {
        Ok(sent) if no_wait || !sent.outcome.applied => {
            act::show(ctx, Verb::VerifyRun, &request, &sent)?;
            return Ok(Exit::Done);
        }
        Ok(_) => {}
        // One that Exodus began by itself is as good as ours.
        Err(_) if before.state == "running" && !no_wait => {
            ctx.io.say("a verification is under way already; staying with it");
        }
        Err(failure) => return Err(failure),
    }
    let mut progress = Progress::default();
    loop {
        match ctx.client.get(&path) {
            Ok(value) => {
                let state: VerifyState = ctx.typed(&value)?;
                if state.last_finished != before.last_finished && state.state != "running" {
                    progress.end(ctx.io);
                    return lists::verify(ctx);
                }
                let total = state.total.max(1);
                let percent = (state.compared * 100 / total).min(99);
                progress.show(
                    ctx.io,
                    &format!(
                        "verify {}: {percent} %, {} different",
                        state.state, state.differences
                    ),
                );
            }
            Err(failure) if failure.exit == Exit::Unreachable => {
                progress.show(ctx.io, "the server does not answer; still waiting");
            }
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(LOOK);
    }
}
