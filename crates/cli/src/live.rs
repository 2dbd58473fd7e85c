//! `events`: the durable log, followed with resume. A dropped stream is taken up again after
//! the last event seen, so nothing is missed and nothing is shown twice.

use std::time::Duration;

use api::{Event, Page};

use crate::args::EventsArgs;
use crate::ctx::{Ctx, encode};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::sse::Step;
use crate::term::Io;
use crate::view;

const RETRY: Duration = Duration::from_secs(1);
/// Most events one request asks for.
const PAGE: usize = 1000;

pub(crate) fn run(ctx: &mut Ctx<'_, '_>, args: &EventsArgs) -> Outcome {
    let mut query = String::new();
    if ctx.named() {
        query.push_str(&format!("&migration={}", encode(&ctx.migration()?)));
    }
    if let Some(kind) = &args.kind {
        query.push_str(&format!("&kind={}", encode(kind)));
    }
    let mut last = history(ctx, args, &query)?;
    if !args.follow {
        return Ok(Exit::Done);
    }
    let path = format!("/api/v1/events?{}", query.trim_start_matches('&'));
    loop {
        let client = ctx.client.clone();
        let mut broken = None;
        let id = last.unwrap_or(0).to_string();
        let ended = client.stream(&path, Some(&id), &mut |step| {
            let Step::Event(event) = step else { return true };
            match serde_json::from_str::<Event>(&event.data) {
                Ok(event) => {
                    last = Some(event.id);
                    broken = write(ctx.io, ctx.format, &event).err();
                    broken.is_none()
                }
                // An event of a newer server: not ours to show, and not ours to die of.
                Err(_) => true,
            }
        });
        if let Some(error) = broken {
            return Err(error.into());
        }
        match ended {
            Err(failure) if failure.exit != Exit::Unreachable => return Err(failure),
            _ => ctx.io.say("the stream ended; resuming after the last event"),
        }
        std::thread::sleep(RETRY);
    }
}

/// Shows what is there already and returns the number of the newest event.
fn history(ctx: &mut Ctx<'_, '_>, args: &EventsArgs, query: &str) -> Result<Option<u64>, Failure> {
    let mut last = args.after;
    let path = match args.after {
        Some(after) => format!("/api/v1/events?after={after}&limit={PAGE}{query}"),
        None => format!("/api/v1/events?limit={}&from=now{query}", args.last.clamp(1, PAGE)),
    };
    let page: Page<Event> = ctx.typed(&ctx.client.get(&path)?)?;
    for event in &page.items {
        last = Some(event.id);
        write(ctx.io, ctx.format, event)?;
    }
    Ok(last)
}

fn write(io: &mut Io<'_>, format: crate::Format, event: &Event) -> std::io::Result<()> {
    match format.document() {
        Some(_) => {
            let line = serde_json::to_string(event).map_err(std::io::Error::other)?;
            writeln!(io.out, "{line}")?;
        }
        None if format == crate::Format::Plain => {
            let cells = [&event.at, &event.severity, &event.kind, &event.message];
            let cells = cells.map(|c| crate::text::clean(c)).join("\t");
            writeln!(io.out, "{}\t{cells}", event.id)?;
        }
        None => {
            let width = if io.out_tty { io.width } else { usize::MAX };
            let line = view::events::line(event, io.paint(), (io.now)(), width);
            writeln!(io.out, "{line}")?;
        }
    }
    io.out.flush()
}
