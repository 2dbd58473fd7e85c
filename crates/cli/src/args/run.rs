//! Arguments of the verbs of the day.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::text::parse_duration;

/// `status`.
#[derive(Debug, Clone, Default, Args)]
pub struct StatusArgs {
    /// Keep showing it, refreshed by the server's events
    #[arg(short, long)]
    pub watch: bool,
}

/// A verb that acts at once.
#[derive(Debug, Clone, Default, Args)]
pub struct Act {
    /// Why; stored in the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what it would do, and how to undo it
    #[arg(long)]
    pub dry_run: bool,
}

/// A verb that says what it would do until it is confirmed.
#[derive(Debug, Clone, Default, Args)]
pub struct Confirm {
    /// Why; stored in the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what it would do, and how to undo it
    #[arg(long, conflicts_with_all = ["yes", "confirm"])]
    pub dry_run: bool,
    /// Do it
    #[arg(short, long)]
    pub yes: bool,
    /// The migration's name, typed out: what the final verbs want instead of --yes
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

/// `approve` and `reject`.
#[derive(Debug, Clone, Args)]
pub struct GateAct {
    /// The gate, as `status` and `next` name it; not needed while one is open
    pub gate: Option<String>,
    /// Why; stored in the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
}

/// `wait`.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// phase=NAME, step=NAME, in_step, drained, idle, authority=source|target, final
    #[arg(long = "for", value_name = "CONDITION")]
    pub condition: String,
    /// Give up after this long (30s, 5m, 2h); the run is unharmed
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub timeout: Option<Duration>,
}

/// `rollback`.
#[derive(Debug, Clone, Default, Args)]
pub struct RollbackArgs {
    /// Why; can also be added later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
    /// How much goes back
    #[arg(long, value_enum, default_value_t = Scope::All, hide_default_value = true)]
    pub scope: Scope,
    /// Return at once instead of following it to its end
    #[arg(long)]
    pub no_wait: bool,
}

/// How much a rollback takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Scope {
    /// All reads and writes
    #[default]
    All,
    /// Only reads
    Reads,
    /// Only the last step
    Step,
}

/// `traffic`.
#[derive(Debug, Clone, Subcommand)]
pub enum TrafficVerb {
    /// What is asked and what is observed
    Show,
    /// Move reads
    Set(TrafficSet),
    /// Pin the reads of a user or client name to a side
    Pin {
        /// User or client name
        attribute: String,
        /// source or target
        side: PinSide,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
    /// Remove a pin
    Unpin {
        /// User or client name
        attribute: String,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
    /// The workload: mix, clients, what is risky, what is recommended
    Profile,
}

/// A side, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PinSide {
    /// Where the workload lived
    Source,
    /// Where it goes
    Target,
}

/// `tenant`.
#[derive(Debug, Clone, Subcommand)]
pub enum TenantVerb {
    /// Who decides about which tenant
    List,
    /// Give a tenant to the target
    Move {
        /// The tenant
        tenant: String,
        /// How it is confirmed and recorded
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Give a tenant back to the source. Acts at once
    Return {
        /// The tenant
        tenant: String,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
}

/// `throttle`.
#[derive(Debug, Clone, Subcommand)]
pub enum ThrottleVerb {
    /// What bounds the background load now
    Show,
    /// Bound it
    Set {
        /// Records per second
        #[arg(long, value_name = "RATE")]
        records_per_s: u64,
        /// Go back to the configured value after this long
        #[arg(long, value_parser = parse_duration, value_name = "TIME")]
        ttl: Option<Duration>,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
}

/// `traffic set`.
#[derive(Debug, Clone, Args)]
pub struct TrafficSet {
    /// Percent of reading cohorts that read from the target
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100), value_name = "PERCENT")]
    pub reads: u8,
    /// More than 25 points up in one go (needs --reason)
    #[arg(long, requires = "reason")]
    pub force: bool,
    /// Why; stored in the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
}

/// `drill`.
#[derive(Debug, Clone, Subcommand)]
pub enum DrillVerb {
    /// The smoke commands of the configuration, through an interlay
    Smoke(Act),
}

/// `rehearse`.
#[derive(Debug, Clone, Subcommand)]
pub enum RehearseVerb {
    /// Authority there and back on a scratch keyspace, under load
    Rollback(Confirm),
    /// Narrate the cutover: each step, the sessions it hits, the estimated pause
    Cutover,
}

/// `events`.
#[derive(Debug, Clone, Default, Args)]
pub struct EventsArgs {
    /// Keep following
    #[arg(short, long)]
    pub follow: bool,
    /// Only events after this number
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<u64>,
    /// Only this type of event
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// How many of the last events to begin with
    #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
    pub last: usize,
}
