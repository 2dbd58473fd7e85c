//! `status` and `status -w`.
//!
//! The watch is driven by the server's events and looks at least every two seconds besides. What
//! is shown always says how old it is: when the server stops answering, the page stays and its
//! age grows.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use api::Status;
use serde_json::Value;

use crate::ctx::Ctx;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::http::Client;
use crate::lists::status_path;
use crate::text::{cut, millis};
use crate::view;
use crate::wait::summary;

/// Looked at least this often, because numbers move without events.
const POLL: Duration = Duration::from_secs(2);
/// Not looked more often than this, however many events come.
const PACE: Duration = Duration::from_millis(300);
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

fn watch(ctx: &mut Ctx<'_, '_>, migration: &str) -> Outcome {
    let (sender, events) = sync_channel::<()>(1);
    let client = ctx.client.clone();
    let newest = ctx.status(migration)?.1.events.last().map_or(0, |e| e.id).to_string();
    let thread = std::thread::Builder::new().name("events".to_owned());
    thread.spawn(move || listen(&client, newest, &sender))?;
    let mut screen = Screen::default();
    loop {
        match ctx.status(migration) {
            Ok((value, status)) => screen.fresh(ctx, value, status)?,
            Err(failure) if failure.exit == Exit::Unreachable => screen.lost(ctx, failure)?,
            Err(failure) => return Err(failure),
        }
        let looked = Instant::now();
        std::thread::sleep(PACE);
        while looked.elapsed() < POLL {
            match events.recv_timeout(Duration::from_millis(500)) {
                Ok(()) => break,
                Err(RecvTimeoutError::Timeout) => screen.age(ctx)?,
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
            }
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

    fn lost(&mut self, ctx: &mut Ctx<'_, '_>, failure: Failure) -> Result<(), Failure> {
        self.lost = true;
        if self.shown.is_none() {
            return Err(failure);
        }
        self.draw(ctx)
    }

    fn age(&mut self, ctx: &mut Ctx<'_, '_>) -> Result<(), Failure> {
        self.draw(ctx)
    }

    fn draw(&mut self, ctx: &mut Ctx<'_, '_>) -> Result<(), Failure> {
        let Some((status, at)) = &self.shown else { return Ok(()) };
        if ctx.format.document().is_some() {
            return Ok(());
        }
        let age = at.elapsed();
        if ctx.io.out_tty {
            let paint = ctx.io.paint();
            let note = note(age, self.lost);
            let note = if self.lost || age >= STALE { paint.warn(&note) } else { paint.dim(&note) };
            let page = view::status::text(status, ctx.io.width.max(60), paint, (ctx.io.now)());
            let lines = note.lines().chain(page.lines()).map(|l| format!("{l}\x1b[K\n"));
            let frame: String = lines.collect();
            write!(ctx.io.out, "\x1b[H{frame}\x1b[J")?;
            ctx.io.out.flush()?;
            return Ok(());
        }
        // A growing age alone is no news.
        let news = if self.lost { "lost".to_owned() } else { summary(status) };
        let due = |(said, at): &(String, Instant)| *said != news || at.elapsed() >= QUIET;
        if self.line.as_ref().is_none_or(due) {
            let time = (ctx.io.now)().strftime("%H:%M:%S").to_string();
            let text = if self.lost { note(age, true) } else { news.clone() };
            writeln!(ctx.io.out, "{time} {}", cut(&text, 400))?;
            ctx.io.out.flush()?;
            self.line = Some((news, Instant::now()));
        }
        Ok(())
    }
}

fn note(age: Duration, lost: bool) -> String {
    let age = millis(age.as_millis() as u64 / 1000 * 1000);
    if lost {
        format!(
            "STALE: the server does not answer; this is {age} old. Applications are not affected by that."
        )
    } else {
        format!("live · {age} old · Ctrl-C ends the watching, nothing else")
    }
}
