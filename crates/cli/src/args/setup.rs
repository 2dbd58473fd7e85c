//! Arguments of setting up, people and evidence.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::run::{Act, Confirm, GateAct};
use crate::text::parse_duration;

/// `init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Where to write it; stdout without it
    pub file: Option<PathBuf>,
    /// Name of the migration
    #[arg(long, default_value = "my-migration", value_name = "NAME")]
    pub name: String,
    /// How careful to be: dev asks for no owners and no approvals
    #[arg(long, value_enum, default_value_t = Environment::Prod, hide_default_value = true)]
    pub environment: Environment,
    /// Address of the source, host:port
    #[arg(long, value_name = "ADDRESS")]
    pub source: Option<String>,
    /// Address of the target, host:port
    #[arg(long, value_name = "ADDRESS")]
    pub target: Option<String>,
    /// Address the interlay listens on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Which family of databases
    #[arg(long, value_name = "FAMILY")]
    pub family: Option<String>,
    /// The way back, of an existing configuration: source and target change places
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "target"])]
    pub reverse: Option<PathBuf>,
    /// Do not try to connect
    #[arg(long)]
    pub no_test: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
}

/// How careful a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Environment {
    /// Owners, approvals and evidence are asked for
    #[default]
    Prod,
    /// Nothing is asked for that the configuration does not name
    Dev,
}

/// `migration`.
#[derive(Debug, Clone, Subcommand)]
pub enum MigrationVerb {
    /// Create one from a configuration
    Create {
        /// The configuration
        file: PathBuf,
        /// Only check it against the server
        #[arg(long)]
        dry_run: bool,
    },
    /// All of them
    List,
    /// One of them
    Show,
}

/// `endpoint`.
#[derive(Debug, Clone, Subcommand)]
pub enum EndpointVerb {
    /// Source and target
    List,
    /// Connect and probe what they can do
    Test,
}

/// `interlay`.
#[derive(Debug, Clone, Subcommand)]
pub enum InterlayVerb {
    /// Listeners and their clients
    List,
    /// Can this machine reach it? Run it where the applications run
    Probe {
        /// The interlay's address, host:port
        address: String,
    },
    /// Let clients finish and take no new ones
    Drain {
        /// Which; all of them without it
        interlay: Option<String>,
        /// How it is confirmed and recorded
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// `preflight`.
#[derive(Debug, Clone, Subcommand)]
pub enum PreflightVerb {
    /// Run every check now
    Run,
    /// The last result
    Show,
    /// Rollback and commit criteria, as judged now
    Criteria,
    /// Accept a risk for a while
    Waive(WaiveArgs),
}

/// `preflight waive`.
#[derive(Debug, Clone, Args)]
pub struct WaiveArgs {
    /// The check
    pub check: String,
    /// Why; stored in the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How long it holds (1h, 7d)
    #[arg(long, value_parser = parse_duration, default_value = "7d", value_name = "TIME")]
    pub expires: Duration,
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
}

/// `incident`.
#[derive(Debug, Clone, Subcommand)]
pub enum IncidentVerb {
    /// Hold every automatic decision except rollback
    Hold {
        /// Who owns the incident
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
    /// Let go
    Release(Act),
}

/// `approvals`.
#[derive(Debug, Clone, Subcommand)]
pub enum ApprovalsVerb {
    /// Gates, who may approve, what is missing
    List,
    /// Take one's own approval or rejection back
    Revoke(GateAct),
}

/// `report`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportKind {
    /// What the source's workload is, and what it needs
    Assessment,
    /// What happened
    Final,
}

/// `audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditVerb {
    /// Entries, oldest first
    Log,
    /// Check the chain of hashes
    Verify,
}

/// `token`.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenVerb {
    /// Names and roles; never the tokens themselves
    List,
    /// A new token, shown once
    Create {
        /// For whom
        name: String,
        /// What it may do
        #[arg(long, default_value = "observer", value_name = "ROLE")]
        role: String,
    },
    /// Take a token back
    Revoke {
        /// Its name or id
        name: String,
    },
}

/// `compare`.
#[derive(Debug, Clone, Subcommand)]
pub enum CompareVerb {
    /// Consistency, mismatches by cause, latencies
    Show,
    /// How many reads out of a hundred are compared
    Set {
        /// Percent of reads
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100), value_name = "PERCENT")]
        sample: u8,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
}
