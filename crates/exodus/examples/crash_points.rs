//! `exodus serve` with a store that can end or stop the process at a chosen commit.
//!
//! Constraints: only tests use it; the binary itself knows nothing of it. Whatever the product
//! makes durable passes through `Store::commit`, so that every persisted step is a point here,
//! without one line of the product saying so.
//!
//! A point is one line in `<state dir>/crash_at`: `MOMENT LABEL`, optionally followed by `+MS`.
//! `before` and `after` end the process as SIGKILL would, right before or right after (MS
//! milliseconds after) the commit; `hold` creates `<state dir>/held` and lets the commit wait
//! until `crash_at` is gone. A point works once: the line is removed when it strikes. Every label
//! that was committed stands in `<state dir>/trace`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use clap::{Parser, Subcommand};
use exodus::serve::{self, ServeArgs};
use serde_json::Value;
use store::{Batch, Change, Committed, Intercepted, Kind, OnCommit, Store, StoreError};

#[derive(Parser)]
struct Args {
    #[arg(long, global = true, default_value = ".exodus")]
    state_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(ServeArgs),
}

fn main() -> ExitCode {
    let Args { state_dir, command: Command::Serve(args) } = Args::parse();
    let dir = state_dir.clone();
    serve::run_on(&args, Some(state_dir), move |inner| Intercepted::new(inner, Points { dir }))
}

/// What makes commits the points.
struct Points {
    dir: PathBuf,
}

impl Points {
    /// Removes and returns the armed point if one of these labels is meant: (moment, delay).
    fn armed(&self, labels: &BTreeSet<String>, moments: &[&str]) -> Option<(String, Duration)> {
        let path = self.dir.join("crash_at");
        let line = fs::read_to_string(&path).ok()?;
        let mut words = line.split_whitespace();
        let (moment, label) = (words.next()?, words.next()?);
        if !labels.contains(label) || !moments.contains(&moment) {
            return None;
        }
        let delay = words.next().and_then(|w| w.strip_prefix('+')?.parse().ok()).unwrap_or(0);
        if moment != "hold" {
            fs::remove_file(&path).ok()?;
        }
        Some((moment.to_owned(), Duration::from_millis(delay)))
    }

    fn trace(&self, labels: &BTreeSet<String>) {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("trace"));
        let lines: String = labels.iter().map(|l| format!("{l}\n")).collect();
        if let Ok(mut file) = file {
            let _ = file.write_all(lines.as_bytes());
        }
    }
}

#[async_trait]
impl OnCommit for Points {
    async fn commit(&self, inner: &dyn Store, batch: Batch) -> Result<Committed, StoreError> {
        let labels: BTreeSet<String> = batch.changes.iter().filter_map(label).collect();
        self.trace(&labels);
        if let Some((moment, _)) = self.armed(&labels, &["before", "hold"]) {
            if moment == "before" {
                std::process::abort();
            }
            let _ = fs::write(self.dir.join("held"), "");
            while self.dir.join("crash_at").exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let committed = inner.commit(batch).await;
        if let Some((_, delay)) = self.armed(&labels, &["after"]) {
            if delay.is_zero() {
                std::process::abort();
            }
            std::thread::spawn(move || {
                std::thread::sleep(delay);
                std::process::abort();
            });
        }
        committed
    }
}

/// What a change is called. Events, audit entries and metrics have no name: they go along with
/// what they tell of, or matter to nobody.
fn label(change: &Change) -> Option<String> {
    Some(match change {
        Change::Put { kind: Kind::Run, body, .. } => run(body),
        Change::Put { kind: Kind::Fence, id, .. } => format!("fence_recorded:{id}"),
        Change::Delete { kind: Kind::Fence, id, .. } => format!("fence_forgotten:{id}"),
        Change::Put { kind: Kind::Frontier, body, .. } => {
            let fill: Value = serde_json::from_slice(body).unwrap_or_default();
            let done = fill["done"].as_bool().unwrap_or(false);
            if done { "frontier:done" } else { "frontier:on_the_way" }.to_owned()
        }
        Change::Put { kind, id, .. } if *kind == Kind::SideFacts => format!("side_facts:{id}"),
        Change::Put { kind, .. } => format!("put:{kind:?}").to_lowercase(),
        Change::Delete { kind, .. } | Change::Clear { kind, .. } => {
            format!("gone:{kind:?}").to_lowercase()
        }
        Change::SetMarkers { .. } => "markers:set".to_owned(),
        Change::ClearMarkers { .. } => "markers:cleared".to_owned(),
        Change::Event(_) | Change::Audit(_) | Change::Sample { .. } | Change::Expire { .. } => {
            return None;
        }
    })
}

/// `run:STEP`, and with a barrier under way `run:STEP:KIND:BARRIER_STEP`.
fn run(body: &[u8]) -> String {
    let run: Value = serde_json::from_slice(body).unwrap_or_default();
    let place = run["step"]["place"].as_str().unwrap_or("unknown");
    let flip = &run["saga"]["flip"];
    match (flip["kind"].as_str(), flip["step"].as_str()) {
        (Some(kind), Some(step)) => format!("run:{place}:{kind}:{step}"),
        _ => format!("run:{place}"),
    }
}
