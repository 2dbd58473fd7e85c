//! Suites that are too long for every change. `scripts/test` plays a sample of each.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Subcommand;

/// Targets by their directory under `fuzz`.
const FUZZ_TARGETS: [(&str, &str); 4] = [
    ("wire-redis", "request"),
    ("wire-redis", "reply"),
    ("wire-postgres", "frontend"),
    ("wire-postgres", "backend"),
];
/// Watched steps of the demo, among which the time of a soak is divided.
const SOAK_STEPS: u64 = 12;

#[derive(Subcommand)]
pub(crate) enum Suite {
    /// SIGKILL of node, source and target before and after everything that is made durable.
    Kills {
        /// Decides the load.
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Cutovers, step-backs and rollbacks under load, both sides compared after each.
    Flips {
        /// How often authority goes there and back.
        #[arg(long, default_value_t = 21)]
        rounds: u32,
        /// Decides the load.
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// The whole demo, each step watched for long, with kills on the way.
    Soak {
        /// About how long it takes.
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// Decides data, load and faults.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Coverage-guided fuzzing of the codecs; needs `scripts/setup --fuzz`.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
}

/// Plays a suite; whether it held.
pub(crate) fn run(root: &Path, suite: &Suite) -> Result<bool> {
    match suite {
        Suite::Kills { seed } => e2e(root, "kill::", *seed, 1),
        Suite::Flips { rounds, seed } => e2e(root, "flips::", *seed, *rounds),
        Suite::Soak { minutes, seed } => soak(root, *minutes, *seed),
        Suite::Fuzz { seconds } => fuzz(root, *seconds),
    }
}

fn e2e(root: &Path, tests: &str, seed: u64, rounds: u32) -> Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--locked", "--package", "exodus", "--test", "e2e", "--", tests])
        .args(["--nocapture", "--test-threads=1"])
        .env("EXODUS_LONG", "1")
        .env("EXODUS_ROUNDS", rounds.to_string())
        .env("EXODUS_SEED", seed.to_string());
    held(root, &mut cargo)
}

fn soak(root: &Path, minutes: u64, seed: u64) -> Result<bool> {
    let step = (minutes * 60 / SOAK_STEPS).max(2);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["run", "--locked", "--release", "--package", "exodus", "--", "demo", "redis"])
        .args(["--script", "all-phases", "--chaos", "kill_node", "--chaos", "kill_target"])
        .args(["--duration", &format!("{step}s"), "--seed", &seed.to_string()]);
    held(root, &mut cargo)
}

fn fuzz(root: &Path, seconds: u64) -> Result<bool> {
    for (codec, target) in FUZZ_TARGETS {
        // What is found goes there; the seeds of the repository stay as they are.
        let found = root.join("target/fuzz").join(codec).join(target);
        std::fs::create_dir_all(&found)?;
        let mut cargo = Command::new("cargo");
        cargo.args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", target]).arg(found).args([
            &format!("corpus/{target}"),
            "--",
            &format!("-max_total_time={seconds}"),
        ]);
        if !held(&root.join("fuzz").join(codec), &mut cargo)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn held(dir: &Path, command: &mut Command) -> Result<bool> {
    let ended = command.current_dir(dir).status().with_context(|| format!("{command:?}"))?;
    Ok(ended.success())
}
