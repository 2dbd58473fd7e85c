//! The command line as types. Verbs of the day are flat; everything else hangs under a noun.
//!
//! There is no cancel, abort, stop or delete for a run, on purpose.

mod data;
mod run;
mod setup;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use data::{BackfillVerb, DiffVerb, Keys, QueueVerb, VerifyVerb};
pub use run::{
    Act, Confirm, DrillVerb, EventsArgs, GateAct, PinSide, RehearseVerb, RollbackArgs, Scope,
    StatusArgs, TenantVerb, ThrottleVerb, TrafficSet, TrafficVerb, WaitArgs,
};
pub use setup::{
    ApprovalsVerb, AuditVerb, CompareVerb, EndpointVerb, Environment, IncidentVerb, InitArgs,
    InterlayVerb, MigrationVerb, PreflightVerb, ReportKind, TokenVerb, WaiveArgs,
};

use crate::output::Format;

/// Options every verb takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Address of the server
    #[arg(long, global = true, env = "EXODUS_SERVER", hide_env_values = true, value_name = "URL")]
    pub server: Option<String>,
    /// Access token; else the file admin.token in the state folder
    #[arg(long, global = true, env = "EXODUS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The server's state folder, to find its token on the same machine
    #[arg(
        long,
        global = true,
        env = "EXODUS_STATE_DIR",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub state_dir: Option<PathBuf>,
    /// Which migration; not needed while there is only one
    #[arg(
        short,
        long,
        global = true,
        env = "EXODUS_MIGRATION",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub migration: Option<String>,
    /// Form of the answer
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, hide_default_value = true, value_name = "FORM")]
    pub output: Format,
}

/// Every verb of the client.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Write a commented configuration after testing the connections
    Init(InitArgs),
    /// Check a configuration without a server
    Validate {
        /// The configuration
        file: PathBuf,
    },
    /// Print the JSON Schema of the configuration
    Schema,
    /// Migrations: create from a configuration, list, show
    #[command(subcommand)]
    Migration(MigrationVerb),
    /// The two database systems: what they can do, how they are
    #[command(subcommand)]
    Endpoint(EndpointVerb),
    /// The listeners applications connect to
    #[command(subcommand)]
    Interlay(InterlayVerb),
    /// Checks that must hold before a step
    #[command(subcommand)]
    Preflight(PreflightVerb),
    /// Who decides, can it be undone, what is it waiting for
    Status(StatusArgs),
    /// The command to type next, and why
    Next,
    /// Wait until something is true
    Wait(WaitArgs),
    /// Start a run of the guided workflow
    Start(Act),
    /// Go to the next step
    Advance(Confirm),
    /// Stay at this step; data keeps flowing
    Hold(Act),
    /// Let go of a hold
    Release(Act),
    /// Go back one step
    StepBack(Confirm),
    /// Try the failed or rolled-back step again
    Retry(Act),
    /// Approve a gate
    Approve(GateAct),
    /// Reject a gate; needs a reason
    Reject(GateAct),
    /// Gates and who approved them
    #[command(subcommand)]
    Approvals(ApprovalsVerb),
    /// How reads and writes are routed
    #[command(subcommand)]
    Traffic(TrafficVerb),
    /// Who decides, tenant by tenant
    #[command(subcommand)]
    Tenant(TenantVerb),
    /// The load that copying and verifying may put on the databases
    #[command(subcommand)]
    Throttle(ThrottleVerb),
    /// The copy of what was there before
    #[command(subcommand)]
    Backfill(BackfillVerb),
    /// Prove that both sides are the same
    #[command(subcommand)]
    Verify(VerifyVerb),
    /// Records on which the sides differ
    #[command(subcommand)]
    Diff(DiffVerb),
    /// Changes that still have to reach the other side
    #[command(subcommand)]
    Queue(QueueVerb),
    /// Try something out before it matters
    #[command(subcommand)]
    Drill(DrillVerb),
    /// Rehearse on scratch data, with the real barrier
    #[command(subcommand)]
    Rehearse(RehearseVerb),
    /// Give all reads and writes back to the source. Acts at once
    Rollback(RollbackArgs),
    /// Decide that the target stays; starts the warm-source window
    Commit(Confirm),
    /// End the warm-source window; from here undo is a new migration
    Finalize(Confirm),
    /// End a rolled-back run
    Abandon(Confirm),
    /// Pass everything through to who decides now, and nothing else. Acts at once
    Panic(Act),
    /// Remove what Exodus put on the databases, and only that
    Cleanup(Confirm),
    /// Hold every automatic decision while people look
    #[command(subcommand)]
    Incident(IncidentVerb),
    /// What happened, in order
    Events(EventsArgs),
    /// What an error code means and how to fix it
    Explain {
        /// EXO-…; without it, every code
        code: Option<String>,
    },
    /// Who did what
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Access tokens of the server
    #[command(subcommand)]
    Token(TokenVerb),
    /// Ask both sides the same reads and compare the answers
    #[command(subcommand)]
    Compare(CompareVerb),
    /// Show what a changed configuration would change
    Plan {
        /// The configuration
        file: PathBuf,
    },
    /// Apply a changed configuration, as `plan` showed it
    Apply {
        /// The configuration
        file: PathBuf,
        /// The digest that `plan` printed
        #[arg(long, value_name = "DIGEST")]
        digest: String,
        /// How it is done and recorded
        #[command(flatten)]
        act: Act,
    },
    /// A report, as a document
    Report {
        /// Which
        kind: ReportKind,
    },
    /// Steps, commands, owners and triggers of this migration
    Runbook,
    /// Everything an incident review needs, as one file
    Bundle {
        /// Where to write it
        file: PathBuf,
    },
    /// Who this token is
    Whoami,
    /// Completions for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}
