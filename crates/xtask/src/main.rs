//! Repository tasks: `cargo xtask tidy` holds the rules of the house, `cargo xtask suite` plays
//! what is too long for every change, `cargo xtask bench` measures Exodus beside its peers.

mod bench;
mod docs;
mod suites;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the rules that rustc and clippy cannot: layers, error pages, documents, leftovers.
    Tidy {
        /// Only list the rules.
        #[arg(long)]
        list: bool,
    },
    /// Write the parts of documents that are made from sources.
    Docs,
    /// Play a long suite; `scripts/test` plays a sample of each.
    Suite {
        #[command(subcommand)]
        suite: suites::Suite,
    },
    /// Measure Exodus beside its peers on this machine.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// Requests and copying against direct, nutcracker and haproxy.
    Redis(bench::Options),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Tidy { list: true } => {
            tidy::list();
            Ok(true)
        }
        Task::Tidy { list: false } => tidy::run(&root()),
        Task::Docs => docs::write(&root()).map(|()| true),
        Task::Suite { suite } => suites::run(&root(), &suite),
        Task::Bench { what: Bench::Redis(options) } => {
            bench::redis(&root(), &options).map(|()| true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The repository's root: two levels above this crate.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
