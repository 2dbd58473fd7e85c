//! The demo's command line.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

/// Shows a whole migration on this machine.
#[derive(Debug, Clone, Subcommand)]
pub enum DemoArgs {
    /// From redis-server to valkey-server, both started here
    Redis(Options),
    /// From PostgreSQL 15 to PostgreSQL 18, both started here
    Postgres(PgOptions),
}

/// A play without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Script {
    /// Every phase, with a rollback on the way; checks everything and says so by its exit code
    AllPhases,
}

/// What can be changed about every demo.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Play headless instead of handing over to you
    #[arg(long, value_enum)]
    pub script: Option<Script>,
    /// Clients of the load, besides its workers and listeners
    #[arg(long, default_value_t = 8)]
    pub clients: u16,
    /// How long each step is watched under load
    #[arg(long, default_value = "2s", value_parser = span)]
    pub duration: Duration,
    /// Decides the data, the load and the faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Port of dashboard and API; a free one if absent
    #[arg(long)]
    pub ui_port: Option<u16>,
    /// Harm done on the way: latency, kill_target, kill_node, corrupt=N; may be repeated
    #[arg(long)]
    pub chaos: Vec<Chaos>,
    /// One step of shared reads and no rehearsal, for tests that are about something else
    #[arg(long, hide = true)]
    pub brief: bool,
    /// Records copied per second, so that a short copy can be met on its way; unbounded if absent
    #[arg(long, hide = true)]
    pub copy_rate: Option<u32>,
    /// The program to run as the node; this one if absent
    #[arg(long, hide = true)]
    pub node_binary: Option<std::path::PathBuf>,
}

/// What can be changed about the demo of Redis.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Keys in the source before anything starts
    #[arg(long, default_value_t = 200_000)]
    pub keys: u64,
    /// Operations per second of the load
    #[arg(long, default_value_t = 1_500)]
    pub rate: u32,
    /// Also seed a 20 MB string, a hash of 200,000 fields, a sorted set of 100,000 members
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub big_keys: bool,
    /// What every demo has.
    #[command(flatten)]
    pub common: Common,
}

/// What can be changed about the demo of PostgreSQL.
#[derive(Debug, Clone, Args)]
pub struct PgOptions {
    /// Rows of the large table before anything starts
    #[arg(long, default_value_t = 2_000_000)]
    pub rows: u64,
    /// Operations per second of the load, transactions counted as one
    #[arg(long, default_value_t = 300)]
    pub ops: u32,
    /// Change the schema every few seconds while everybody works
    #[arg(long)]
    pub ddl: bool,
    /// What every demo has.
    #[command(flatten)]
    pub common: Common,
}

impl Common {
    /// Whether this harm was asked for.
    pub fn harms(&self, kind: &Chaos) -> bool {
        self.chaos.iter().any(|c| std::mem::discriminant(c) == std::mem::discriminant(kind))
    }

    /// Records to corrupt.
    pub fn corrupt(&self) -> Option<u64> {
        self.chaos.iter().find_map(|c| match c {
            Chaos::Corrupt(records) => Some(*records),
            _ => None,
        })
    }
}

/// Harm the demo can do to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chaos {
    /// Five milliseconds, and some jitter, on the way to the target.
    Latency,
    /// SIGKILL of the target while it follows.
    KillTarget,
    /// SIGKILL of the node, three times.
    KillNode,
    /// So many records changed on the target behind everybody's back.
    Corrupt(u64),
}

impl FromStr for Chaos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = "latency, kill_target, kill_node, corrupt=N";
        match (text.replace('-', "_").as_str(), text.split_once('=')) {
            ("latency", _) => Ok(Self::Latency),
            ("kill_target", _) => Ok(Self::KillTarget),
            ("kill_node", _) => Ok(Self::KillNode),
            (_, Some(("corrupt", records))) => records
                .parse()
                .ok()
                .filter(|records| *records > 0)
                .map(Self::Corrupt)
                .ok_or_else(|| format!("`{records}` is not a number of records")),
            _ => Err(format!("unknown harm `{text}`; there are {known}")),
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a time, e.g. 2s"))?;
    let factor = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("`{unit}` is not a unit of time: ms, s or m")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_harms_are_read_strictly() {
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        assert!(span("5 parsecs").is_err() && span("-1s").is_err());
        assert_eq!("kill-target".parse(), Ok(Chaos::KillTarget));
        assert_eq!("corrupt=12".parse(), Ok(Chaos::Corrupt(12)));
        assert!("corrupt=0".parse::<Chaos>().is_err() && "boom".parse::<Chaos>().is_err());
    }
}
