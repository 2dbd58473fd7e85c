//! Verbs that start something and stay with it until it is over: rollback, preflight, verify.

use std::time::{Duration, Instant};

use api::{Check, Verb, VerifyState};
use serde_json::json;

use crate::act::{self, with};
use crate::args::{Act, RollbackArgs, Scope};
use crate::ctx::{Ctx, path_of};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::lists;
use crate::term::Io;
use crate::text::cut;
use crate::wait::summary;

const LOOK: Duration = Duration::from_millis(250);
/// How long a rollback is followed; it goes on by itself after that.
const ROLLBACK: Duration = Duration::from_secs(120);
/// How long a preflight may take.
const PREFLIGHT: Duration = Duration::from_secs(180);
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
    let (value, outcome) = act::send(ctx, Verb::Rollback, &request)?;
    act::show(ctx, Verb::Rollback, &request, &value, &outcome)?;
    if args.no_wait || !outcome.applied || args.scope != Scope::All {
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
    let (_, outcome) = act::send(ctx, Verb::PreflightRun, &Default::default())?;
    if outcome.result.is_some() {
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
    let (value, outcome) = act::send(ctx, Verb::VerifyRun, &request)?;
    if no_wait || !outcome.applied {
        act::show(ctx, Verb::VerifyRun, &request, &value, &outcome)?;
        return Ok(Exit::Done);
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
