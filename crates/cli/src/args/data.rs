//! Arguments about data: copying, verifying, differences, the queue.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::text::parse_duration;

use super::run::Act;

/// `backfill`.
#[derive(Debug, Clone, Subcommand)]
pub enum BackfillVerb {
    /// Progress, rate, what slows it
    Show,
    /// Rest; live changes keep flowing
    Pause(Act),
    /// Go on
    Resume(Act),
}

/// `verify`.
#[derive(Debug, Clone, Subcommand)]
pub enum VerifyVerb {
    /// Compare both sides now
    Run {
        /// Only records suspected to differ
        #[arg(long)]
        suspects: bool,
        /// Return at once instead of waiting for the result
        #[arg(long)]
        no_wait: bool,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
    /// The last result and its age
    Show,
    /// Rest
    Pause(Act),
    /// Go on
    Resume(Act),
}

/// Which records an action is about.
#[derive(Debug, Clone, Args)]
pub struct Keys {
    /// Ids as the list shows them
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    pub ids: Vec<String>,
    /// All of them
    #[arg(long)]
    pub all: bool,
    /// Do it, where the verb only narrates otherwise
    #[arg(short, long)]
    pub yes: bool,
    /// How it is done and recorded
    #[command(flatten)]
    pub act: Act,
}

/// `diff`.
#[derive(Debug, Clone, Subcommand)]
pub enum DiffVerb {
    /// Open differences, and those that are ignored for a time
    List {
        /// Closed ones too
        #[arg(long)]
        all: bool,
    },
    /// One difference, both sides
    Show {
        /// Its id
        id: String,
    },
    /// Write the authority's current state to the other side
    Repair(Keys),
    /// Let it be, with a reason
    Accept(Keys),
    /// Show it but do not count it for a while, with a reason; it counts again if it changes
    Ignore {
        /// Which, and how it is recorded
        #[command(flatten)]
        keys: Keys,
        /// How long (1h, 7d)
        #[arg(long, value_parser = parse_duration, default_value = "1d", value_name = "TIME")]
        expires: Duration,
    },
    /// Look again
    Recheck(Keys),
    /// Every open difference, one per line
    Export,
}

/// `queue`.
#[derive(Debug, Clone, Subcommand)]
pub enum QueueVerb {
    /// Depth, oldest age, parked
    Show,
    /// What waits: parked records first, then the oldest queued ones, with what to do
    #[command(visible_alias = "list")]
    Peek {
        /// Only these: parked, queued
        #[arg(long, value_parser = ["parked", "queued"])]
        state: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u16,
        /// Go on behind the last page: what it printed
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Try parked records again
    Retry(Keys),
    /// Set queued records aside, with a reason; others flow on
    Park(Keys),
    /// Give parked records up; needs a reason
    Drop(Keys),
    /// Every parked record, one per line
    Export,
}
