//! Writes what was measured, with everything needed to measure it again.

use std::fmt::Write;

use super::Options;
use super::copy::Copied;
use super::load::{Cell, shown};
use super::stats::{Spread, Table};

/// Everything the document is made of.
pub(crate) struct Facts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) table: &'a Table,
    pub(crate) copies: &'a [Copied],
    pub(crate) abouts: &'a [(String, String)],
    pub(crate) load_before: String,
    pub(crate) load_after: String,
}

/// The three load averages of the machine.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The document.
pub(crate) fn render(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    let rounds = facts.options.rounds;
    let lines = [
        "# Benchmarks".to_owned(),
        String::new(),
        "Written by `cargo xtask bench redis`. Server, proxy and load generator share the cores of"
            .to_owned(),
        "one machine, so every hop costs throughput; what counts is the ratio to `direct` of the"
            .to_owned(),
        "same round, and being ahead of peers that do less.".to_owned(),
        String::new(),
        "## Machine".to_owned(),
        String::new(),
        format!("- {}", machine()),
        format!(
            "- load average before {}, after {} (the measurement itself included)",
            facts.load_before, facts.load_after
        ),
    ];
    for line in lines {
        push(&mut out, &line);
    }
    for (name, about) in facts.abouts {
        push(&mut out, &format!("- {name}: {about}"));
    }
    push(&mut out, &format!("\n## Requests: {rounds} interleaved rounds\n"));
    push(&mut out, "Ratio to direct, median [least, most]; then requests per second and p99.\n");
    for cell in Cell::ALL {
        push(&mut out, &format!("### {cell}\n\n`{}`\n", shown(cell)));
        push(&mut out, "| | ratio | requests/s | p99 ms |\n|---|---|---|---|");
        for (at, name) in facts.table.names.iter().enumerate() {
            let row = format!(
                "| {name} | {} | {} | {} |",
                spread(facts.table.ratio(cell, at), 2),
                spread(facts.table.rate(cell, at), 0),
                spread(facts.table.p99_ms(cell, at), 2),
            );
            push(&mut out, &row);
        }
        push(&mut out, "");
    }
    push(
        &mut out,
        "Where a second side follows, the time until it has everything is part of the measured\n\
         time: its rate is requests / (time of the load + time of the drain).\n",
    );
    copies(&mut out, facts);
    out
}

/// What people wrote about the figures of an earlier run; it is kept, and theirs to renew.
pub(crate) fn judgement(before: &str) -> String {
    before.find(JUDGEMENT).map_or_else(String::new, |at| format!("\n{}", &before[at..]))
}

/// Begins what is written by hand.
const JUDGEMENT: &str = "## Against the goals";

fn copies(out: &mut String, facts: &Facts<'_>) {
    let keys = facts.options.keys;
    push(out, &format!("## Copy: {keys} keys of 64 bytes, no expiry\n"));
    push(out, "| | keys/s | of RESTORE alone |\n|---|---|---|");
    let ceiling = facts.copies.first().and_then(|c| c.rate).map(|r| r.median);
    for copy in facts.copies {
        let share = match (copy.rate, ceiling) {
            (Some(rate), Some(ceiling)) if ceiling > 0.0 => format!("{:.2}", rate.median / ceiling),
            _ => "–".to_owned(),
        };
        push(out, &format!("| {} | {} | {share} |", copy.name, spread(copy.rate, 0)));
    }
}

fn push(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

fn spread(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |s| format!("{:.digits$} [{:.digits$}, {:.digits$}]", s.median, s.least, s.most),
    )
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory, kernel) =
        (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/sys/kernel/osrelease"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|l| l.starts_with(name));
        line.and_then(|l| l.split_once(':')).map_or("unknown", |(_, v)| v.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (model, total) = (field(&cpu, "model name"), field(&memory, "MemTotal"));
    format!("{cores} cores of {model}, {total} memory, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_kept() {
        assert_eq!(
            judgement("# Benchmarks\n\n1\n\n## Against the goals\n\nx\n"),
            "\n## Against the goals\n\nx\n"
        );
        assert_eq!(judgement("# Benchmarks\n"), "");
    }

    #[test]
    fn a_missing_figure_is_a_dash_and_not_a_zero() {
        assert_eq!(spread(None, 2), "–");
        let known = Spread { median: 0.5, least: 0.25, most: 1.0 };
        assert_eq!(spread(Some(known), 2), "0.50 [0.25, 1.00]");
    }
}
