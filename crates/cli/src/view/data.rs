//! The copy, the proof, the differences, the queue.

use std::io;

use api::{DataStatus, Divergence, Queue, QueueEntry, VerifyState};

use super::{facts, plain};
use crate::output::Format;
use crate::table::Table;
use crate::term::Io;
use crate::text::{bytes, clean, count, millis, plural, wrap};
use crate::view::status::ago;

pub(crate) fn backfill(io: &mut Io<'_>, format: Format, data: &DataStatus) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, data);
    }
    let eta = data
        .eta
        .map(|e| format!(", {} to {} left", millis(e.low_s * 1000), millis(e.high_s * 1000)));
    facts(
        io,
        &[
            ("state", data.state.clone()),
            (
                "copied",
                format!(
                    "{} of {} records, {}",
                    count(data.records),
                    count(data.total),
                    bytes(data.bytes)
                ),
            ),
            ("rate", format!("{} records/s{}", count(data.rate as u64), eta.unwrap_or_default())),
            ("conflicts", count(data.conflicts)),
            ("failed", count(data.failed)),
        ],
    )?;
    let mut table =
        Table::new(&["dataset", "state", "copied", "of", "verified", "failed"], "no dataset yet");
    for d in &data.datasets {
        let numbers = [d.records, d.total, d.verified, d.failed].map(count);
        table.row([d.name.clone(), d.state.clone()].into_iter().chain(numbers));
    }
    table.write(io, format)
}

pub(crate) fn verify(io: &mut Io<'_>, format: Format, state: &VerifyState) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, state);
    }
    let now = (io.now)();
    let last = match (&state.last_finished, state.last_clean) {
        (None, _) => "never finished".to_owned(),
        (Some(at), Some(true)) => format!("clean, {}", ago(at, now)),
        (Some(at), Some(false)) => format!("NOT CLEAN, {}", ago(at, now)),
        (Some(at), None) => ago(at, now),
    };
    let different = match (state.differences, state.last_clean) {
        (n, Some(true)) if n > 0 => {
            format!("{} at first sight, none when looked at again", count(n))
        }
        (n, _) => count(n),
    };
    facts(
        io,
        &[
            ("state", state.state.clone()),
            ("compared", format!("{} of {} records", count(state.compared), count(state.total))),
            ("different", different),
            ("last pass", last),
        ],
    )
}

pub(crate) fn divergences(io: &mut Io<'_>, format: Format, all: &[Divergence]) -> io::Result<()> {
    let mut table = Table::new(
        &["id", "state", "class", "key", "source", "target", "seen", "likely cause"],
        "no difference",
    );
    let now = (io.now)();
    for d in all {
        table.row([
            d.id.clone(),
            d.state.clone(),
            d.class.clone(),
            key(&d.dataset, &d.key),
            d.source.clone(),
            d.target.clone(),
            ago(&d.last_seen, now),
            d.likely_cause.clone().or_else(|| d.reason.clone()).unwrap_or_default(),
        ]);
    }
    table.write(io, format)
}

pub(crate) fn divergence(io: &mut Io<'_>, format: Format, d: &Divergence) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, d);
    }
    let now = (io.now)();
    let mut lines = vec![
        ("id", d.id.clone()),
        ("key", key(&d.dataset, &d.key)),
        ("class", d.class.clone()),
        ("state", d.state.clone()),
        ("source", d.source.clone()),
        ("target", d.target.clone()),
        ("first seen", ago(&d.first_seen, now)),
        ("last seen", ago(&d.last_seen, now)),
    ];
    lines.extend(d.likely_cause.iter().map(|c| ("cause", c.clone())));
    lines.extend(d.reason.iter().map(|r| ("reason", r.clone())));
    facts(io, &lines)
}

pub(crate) fn queue(io: &mut Io<'_>, format: Format, queue: &Queue) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, queue);
    }
    let s = &queue.status;
    let mut lines = vec![
        ("direction", queue.direction.clone()),
        ("waiting", format!("{} records, {} of them from the scan", count(s.depth), count(s.bulk))),
        ("oldest", millis(s.oldest_ms)),
        ("in flight", count(s.in_flight)),
        ("parked", count(s.parked)),
    ];
    lines.extend(queue.stalled.iter().map(|why| ("STALLED", why.clone())));
    facts(io, &lines)
}

pub(crate) fn entries(io: &mut Io<'_>, format: Format, all: &[QueueEntry]) -> io::Result<()> {
    if format == Format::Table && !all.is_empty() {
        return all.iter().try_for_each(|e| waiting(io, e));
    }
    let mut table = Table::new(
        &["id", "state", "key", "age", "attempts", "why", "what to do"],
        "nothing waits",
    );
    for e in all {
        table.row([
            e.id.clone(),
            e.state.clone(),
            e.key.clone(),
            millis(e.age_ms),
            e.attempts.to_string(),
            e.last_error.clone().or_else(|| e.cause.clone()).unwrap_or_default(),
            e.what_to_do.clone().unwrap_or_default(),
        ]);
    }
    table.write(io, format)
}

/// One record, never cut: its id is the argument of what can be done about it.
fn waiting(io: &mut Io<'_>, e: &QueueEntry) -> io::Result<()> {
    let (paint, width) = (io.paint(), io.width);
    let state = if e.state == "parked" { paint.warn("parked ") } else { format!("{:<7}", e.state) };
    let tries = plural(u64::from(e.attempts), "try", "tries");
    writeln!(io.out, "{state} {:>9} {tries:>8}  '{}'", millis(e.age_ms), clean(&e.id))?;
    let why = e.last_error.as_ref().or(e.cause.as_ref());
    for (name, text) in [("why", why), ("do", e.what_to_do.as_ref())] {
        let lines = text.map(|t| wrap(&clean(t), width.saturating_sub(13).max(40)));
        for (n, line) in lines.unwrap_or_default().iter().enumerate() {
            let name = if n == 0 { name } else { "" };
            writeln!(io.out, "        {} {line}", paint.dim(&format!("{name:<4}")))?;
        }
    }
    Ok(())
}

fn key(dataset: &str, key: &str) -> String {
    if dataset.is_empty() { key.to_owned() } else { format!("{dataset} {key}") }
}
