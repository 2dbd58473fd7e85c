//! Measures Exodus beside its peers on this machine, in interleaved rounds.
//!
//! Constraints: every contender meets the same load in the same round, so that what the machine
//! does meanwhile hits all of them; what counts is the ratio to `direct` of the same round. Only
//! processes started here are ended, by their handle. The load is bounded by a request count.
//!
//! Layout: `process` starts and ends servers, `contender` knows each peer's configuration,
//! `exodus` ours, `load` drives `redis-benchmark`, `copy` measures backfill against its ceiling,
//! `stats` is the arithmetic, `report` writes the document.

mod contender;
mod copy;
mod exodus;
mod load;
mod process;
mod report;
mod resp;
mod stats;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use contender::Contender;
use load::Cell;
use stats::Table;

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Interleaved rounds; fewer than six are not written to the document.
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    /// Requests of one cell without pipeline; with pipeline it is six times that.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// Keys of the backfill measurement.
    #[arg(long, default_value_t = 200_000)]
    keys: u64,
    /// Only the peers, without Exodus; implies `--print`.
    #[arg(long)]
    peers_only: bool,
    /// Print the result instead of writing `docs/benchmarks.md`.
    #[arg(long)]
    print: bool,
}

const ROUNDS_MIN: usize = 6;

/// Runs everything and writes or prints the document.
pub(crate) fn redis(root: &Path, options: &Options) -> Result<()> {
    let work = tempfile::tempdir().context("a working directory")?;
    let mut contenders = Contender::peers(work.path())?;
    if !options.peers_only {
        contenders.extend(exodus::contenders(root, work.path())?);
    }
    let abouts: Vec<_> = contenders.iter().map(|c| (c.name.clone(), c.about.clone())).collect();
    let names: Vec<String> = contenders.iter().map(|c| c.name.clone()).collect();
    let load_before = report::load_average();
    let mut table = Table::new(&names);
    for contender in &mut contenders {
        load::warm_up(contender.port)?;
        contender.settle()?;
    }
    for round in 0..options.rounds {
        for cell in Cell::ALL {
            // Whoever runs first in a round differs, so that no contender always follows another.
            for at in stats::order(contenders.len(), round) {
                let contender = &mut contenders[at];
                let figures = load::run(contender.port, cell, options.requests)
                    .with_context(|| format!("{} in {cell}", contender.name))?;
                let drained = contender.settle()?;
                table.add(at, cell, figures, drained);
            }
        }
        eprintln!("bench: round {} of {}", round + 1, options.rounds);
    }
    drop(contenders);
    let ours = (!options.peers_only).then_some(root);
    let copies = copy::all(ours, work.path(), options.keys, options.rounds)?;
    let document = report::render(&report::Facts {
        options,
        table: &table,
        copies: &copies,
        abouts: &abouts,
        load_before,
        load_after: report::load_average(),
    });
    if options.print || options.peers_only {
        println!("{document}");
        return Ok(());
    }
    ensure!(options.rounds >= ROUNDS_MIN, "fewer than {ROUNDS_MIN} rounds; use --print");
    let path = root.join("docs/benchmarks.md");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let document = format!("{document}{}", report::judgement(&before));
    std::fs::write(path, document).context("docs/benchmarks.md")
}
