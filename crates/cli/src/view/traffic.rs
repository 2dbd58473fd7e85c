//! Routing, comparing and profiling.

use std::io;

use api::{Analysis, CommandShare, CompareReport, Traffic};

use super::{facts, plain};
use crate::output::Format;
use crate::table::Table;
use crate::term::Io;
use crate::text::{count, micros, millis};

pub(crate) fn traffic(io: &mut Io<'_>, format: Format, t: &Traffic) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, t);
    }
    let observed = t
        .reads
        .observed_percent
        .map_or_else(|| "nothing observed".to_owned(), |p| format!("{p:.1} % observed"));
    facts(
        io,
        &[
            (
                "writes",
                format!(
                    "{} decides, epoch {}, {}",
                    t.writes.authority.as_str(),
                    t.writes.epoch,
                    t.writes.policy
                ),
            ),
            (
                "reads",
                format!(
                    "{} % asked of target, {observed}, mode {}",
                    t.reads.asked_percent, t.reads.mode
                ),
            ),
            ("compared", format!("{} % of reads", t.compare_percent)),
        ],
    )?;
    let mut table = Table::new(&["pinned", "to"], "no pin");
    for pin in &t.pins {
        table.row([pin.attribute.clone(), pin.side.as_str().to_owned()]);
    }
    table.write(io, format)
}

pub(crate) fn compare(io: &mut Io<'_>, format: Format, c: &CompareReport) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, c);
    }
    let equal = c
        .consistency_percent
        .map_or_else(|| "no sample yet".to_owned(), |p| format!("{p:.3} % equal"));
    let different = match c.only_other_failed {
        0 => count(c.different),
        n => format!("{}, {} of them errors only one side gave", count(c.different), count(n)),
    };
    facts(
        io,
        &[
            ("result", equal),
            ("compared", count(c.compared)),
            ("equal", count(c.equal)),
            ("different", different),
            ("not there yet", count(c.not_there_yet)),
            ("skipped", count(c.skipped)),
            ("proves", c.proves.clone()),
        ],
    )?;
    let mut table = Table::new(&["cause", "count", "samples"], "no difference");
    for cause in &c.causes {
        table.row([cause.cause.clone(), count(cause.count), cause.samples.join("  ")]);
    }
    table.write(io, format)
}

pub(crate) fn analysis(io: &mut Io<'_>, format: Format, a: &Analysis) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, a);
    }
    let mut lines = vec![
        ("state", a.state.clone()),
        ("observed", millis(a.observed_s * 1000)),
        (
            "requests",
            format!("{} ({} reads, {} writes)", count(a.requests), count(a.reads), count(a.writes)),
        ),
        (
            "new kinds",
            format!("{:.1} per minute; near zero means representative", a.new_fingerprints_per_min),
        ),
    ];
    lines.extend(
        a.overhead_us
            .map(|(p50, p99)| ("added", format!("p50 {} p99 {}", micros(p50), micros(p99)))),
    );
    if let Some(r) = &a.recommendation {
        lines.push(("advice", format!("{}, {}, {} sizing", r.strategy, r.write_policy, r.sizing)));
        lines.extend(r.reasons.iter().map(|why| ("", why.clone())));
    }
    facts(io, &lines)?;
    shares(&["command", "count", "errors", "note"], "no request seen", &a.commands)
        .write(io, format)?;
    shares(&["risky", "count", "errors", "why"], "nothing risky seen", &a.risky).write(io, format)
}

fn shares(heads: &[&'static str], empty: &'static str, all: &[CommandShare]) -> Table {
    let mut table = Table::new(heads, empty);
    for c in all {
        table.row([
            c.name.clone(),
            count(c.count),
            count(c.errors),
            c.note.clone().unwrap_or_default(),
        ]);
    }
    table
}
