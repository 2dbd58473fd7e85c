//! `status` and `status -w`.
//!
//! The watch is driven by the server's events and looks at least every two seconds besides. What
//! is shown always says how old it is: when the server stops answering, the page stays and its
//! age grows.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use api::Status;
use serde_json::Value;

use crate::ctx::Ctx;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::http::Client;
use crate::lists::status_path;
use crate::text::{age, cut};
use crate::view;
use crate::wait::summary;

/// Looked at least this often, because numbers move without events.
const POLL: Duration = Duration::from_secs(2);
/// Not looked more often than this, however many events come.
const PACE: Duration = Duration::from_millis(300);
/// The age on the screen moves this often.
const REDRAW: Duration = Duration::from_millis(500);
/// Older than this, the page says so loudly.
const STALE: Duration = Duration::from_secs(6);
const RETRY: Duration = Duration::from_secs(1);
/// Without a terminal, a line at least this often.
const QUIET: Duration = Duration::from_secs(10);

pub(crate) fn run(ctx: &mut Ctx<'_, '_>, keep: bool) -> Outcome {
    if keep {
        let migration = ctx.migration()?;
        return watch(ctx, &migration);
    }
    if !ctx.named() {
        let all = ctx.migrations()?;
        if all.len() > 1 {
            let outcome = crate::lists::migrations(ctx);
            ctx.io.say("next: exodus status -m NAME");
            return outcome;
        }
    }
    let path = status_path(&ctx.migration()?);
    ctx.show::<Status>(&path, view::status::write)?;
    Ok(Exit::Done)
}

/// One look at the server.
type Look = Result<Value, Failure>;

/// Draws. Looking is another thread's work, so that a server that hangs cannot stop the age.
fn watch(ctx: &mut Ctx<'_, '_>, migration: &str) -> Outcome {
    let path = status_path(migration);
    let (value, status) = ctx.status(migration)?;
    let newest = status.events.last().map_or(0, |e| e.id).to_string();
    let (knock, knocks) = sync_channel::<()>(1);
    let (answer, looks) = sync_channel::<Look>(1);
    let (streaming, looking) = (ctx.client.clone(), ctx.client.clone());
    spawn("events", move || listen(&streaming, newest, &knock))?;
    spawn("looks", move || look(&looking, &path, &knocks, &answer))?;
    let mut screen = Screen::default();
    screen.fresh(ctx, value, status)?;
    loop {
        match looks.recv_timeout(REDRAW) {
            Ok(Ok(value)) => {
                let status = ctx.typed(&value)?;
                screen.fresh(ctx, value, status)?;
            }
            Ok(Err(failure)) if failure.exit == Exit::Unreachable => screen.lost(ctx)?,
            Ok(Err(failure)) => return Err(failure),
            Err(RecvTimeoutError::Timeout) => screen.draw(ctx)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Internal),
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(())
}

/// Looks when there is news, and every two seconds besides, until nobody wants to know.
fn look(client: &Client, path: &str, knocks: &Receiver<()>, answer: &SyncSender<Look>) {
    loop {
        std::thread::sleep(PACE);
        // A quiet stream and a broken one come to the same: it is time to look.
        let _ = knocks.recv_timeout(POLL - PACE);
        if answer.send(client.get(path)).is_err() {
            return;
        }
    }
}

/// Follows the stream for ever and knocks for every event; resumes after the last one.
fn listen(client: &Client, mut last: String, knock: &SyncSender<()>) {
    loop {
        let after = last.clone();
        // How a stream ended does not matter here: the page itself shows how old it is.
        let _ = client.stream("/api/v1/events", Some(&after), &mut |step| {
            if let crate::sse::Step::Event(event) = step {
                if let Some(id) = event.id {
                    last = id;
                }
                // A full channel means that a look is due already.
                let _ = knock.try_send(());
            }
            true
        });
        std::thread::sleep(RETRY);
    }
}

#[derive(Default)]
struct Screen {
    shown: Option<(Status, Instant)>,
    lost: bool,
    line: Option<(String, Instant)>,
}

impl Screen {
    fn fresh(
        &mut self,
        ctx: &mut Ctx<'_, '_>,
        value: Value,
        status: Status,
    ) -> Result<(), Failure> {
        self.lost = false;
        if let Some(document) = ctx.format.document() {
            let changed = self
                .shown
                .as_ref()
                .is_none_or(|(old, _)| old.state_version != status.state_version);
            let due = self.shown.as_ref().is_none_or(|(_, at)| at.elapsed() >= POLL);
            if changed || due {
                document.write(ctx.io, &value)?;
            }
        }
        self.shown = Some((status, Instant::now()));
        self.draw(ctx)
    }

    fn lost(&mut self, ctx: &mut Ctx<'_, '_>) -> Result<(), Failure> {
        self.lost = true;
        self.draw(ctx)
    }

    fn draw(&mut self, ctx: &mut Ctx<'_, '_>) -> Result<(), Failure> {
        let Some((status, at)) = &self.shown else { return Ok(()) };
        if ctx.format.document().is_some() {
            return Ok(());
        }
        let old = at.elapsed();
        let silent = self.lost || old >= STALE;
        if ctx.io.out_tty {
            let paint = ctx.io.paint();
            let note = note(old, silent);
            let note = if silent { paint.warn(&note) } else { paint.dim(&note) };
            let page = view::status::text(status, ctx.io.width.max(60), paint, (ctx.io.now)());
            let lines = note.lines().chain(page.lines()).map(|l| format!("{l}\x1b[K\n"));
            let frame: String = lines.collect();
            write!(ctx.io.out, "\x1b[H{frame}\x1b[J")?;
            ctx.io.out.flush()?;
            return Ok(());
        }
        // A growing age alone is no news.
        let news = if silent { "silent".to_owned() } else { summary(status) };
        let due = |(said, at): &(String, Instant)| *said != news || at.elapsed() >= QUIET;
        if self.line.as_ref().is_none_or(due) {
            let time = (ctx.io.now)().strftime("%H:%M:%S").to_string();
            let text = if silent { note(old, true) } else { news.clone() };
            writeln!(ctx.io.out, "{time} {}", cut(&text, 400))?;
            ctx.io.out.flush()?;
            self.line = Some((news, Instant::now()));
        }
        Ok(())
    }
}

fn note(at: Duration, silent: bool) -> String {
    let age = age(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
    if silent {
        format!("STALE: {age} old. The server does not answer; is it running?")
    } else {
        format!("live · {age} old · Ctrl-C ends the watching, nothing else")
    }
}
