use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::envelope::Waiting;

/// One of the two systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Where the workload lived.
    Source,
    /// Where it goes.
    Target,
}

impl Side {
    /// The wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// A phase of the guided workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A copy of the traffic is observed.
    PreTest,
    /// Traffic passes and is profiled.
    Analyze,
    /// Reads are mirrored and compared.
    Compare,
    /// Smoke tests and rehearsal.
    Test,
    /// Copy, follow, shift, cut over.
    Migrate,
    /// Authority returns to the source.
    Rollback,
    /// The target stays.
    Commit,
}

impl Phase {
    /// The wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreTest => "pre_test",
            Self::Analyze => "analyze",
            Self::Compare => "compare",
            Self::Test => "test",
            Self::Migrate => "migrate",
            Self::Rollback => "rollback",
            Self::Commit => "commit",
        }
    }
}

/// One line of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MigrationSummary {
    /// The migration's name, its id everywhere.
    pub id: String,
    /// Family name.
    pub family: String,
    /// `prod`, `staging`, …
    pub environment: String,
    /// The strategy.
    pub strategy: String,
    /// The phase; absent before a run was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The step in words.
    pub step: String,
    /// `running`, `held`, …
    pub state: String,
    /// Who decides about writes.
    pub authority: Side,
    /// Epoch of that answer.
    pub epoch: u64,
    /// Whether undo is ready.
    pub undo_ready: bool,
    /// Open divergences.
    pub divergence_open: u64,
    /// Records parked.
    pub parked: u64,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<Waiting>,
    /// When the present step began, RFC 3339.
    pub since: String,
    /// State version.
    pub state_version: u64,
}

/// One migration with what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MigrationDetail {
    /// Its line of the fleet.
    pub summary: MigrationSummary,
    /// Source and target.
    pub endpoints: Vec<Endpoint>,
    /// Its listeners.
    pub interlays: Vec<Interlay>,
    /// Digest of the config in force.
    pub config_digest: String,
    /// Who owns what: role to name.
    pub owners: std::collections::BTreeMap<String, String>,
    /// Its runs, newest first.
    pub runs: Vec<Run>,
}

/// A database system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    /// The migration it belongs to.
    pub migration: String,
    /// Which side.
    pub side: Side,
    /// Family name.
    pub family: String,
    /// `host:port`.
    pub address: String,
    /// TLS mode.
    pub tls: String,
    /// Whether it answers.
    pub reachable: bool,
    /// Product and version as it names itself; absent until probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Capabilities: name to whether it works.
    #[serde(default)]
    pub capabilities: std::collections::BTreeMap<String, bool>,
    /// Bytes in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Limit in bytes, 0 = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<u64>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interlay {
    /// The migration it belongs to.
    pub migration: String,
    /// Its name in the config.
    pub name: String,
    /// `host:port` it listens on.
    pub listen: String,
    /// Whether it accepts clients.
    pub listening: bool,
    /// Whether it is draining.
    pub draining: bool,
    /// Epoch of the table it serves.
    pub epoch: u64,
    /// The authority it serves, measured.
    pub authority: Side,
    /// Client connections now.
    pub connections: u64,
    /// Requests since start.
    pub requests: u64,
}

/// One execution of the guided workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The phase it is or was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Step in it.
    pub step: String,
    /// `running`, `finalized`, `abandoned`.
    pub outcome: String,
}

/// Who decides, for scripts and for the bypass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorityLine {
    /// The migration.
    pub migration: String,
    /// The authority.
    pub authority: Side,
    /// `host:port` of it: what applications would connect to without Exodus.
    pub address: String,
    /// Epoch of the answer.
    pub epoch: u64,
    /// Whether writes are frozen.
    pub frozen: bool,
    /// Interlays that serve this epoch.
    pub measured_by: crate::status::Measured,
}

/// Whether the server can serve traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Every interlay listens and the store works.
    pub ready: bool,
    /// What is missing.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// `assessment` or `final`.
    pub kind: String,
    /// When it was made, RFC 3339.
    pub at: String,
    /// Sections by title, in order.
    pub sections: Vec<(String, serde_json::Value)>,
}
