use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fleet::Side;

/// Read and write routing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Reads.
    pub reads: crate::status::Reads,
    /// Writes.
    pub writes: crate::status::Writes,
    /// Explicit pins.
    pub pins: Vec<Pin>,
    /// Percent of reads that are compared.
    pub compare_percent: f64,
}

/// Reads of one user or client name, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pin {
    /// User or client name.
    pub attribute: String,
    /// The side.
    pub side: Side,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its identifying text.
    pub tenant: String,
    /// Who decides about its records.
    pub authority: Side,
    /// Since when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// What comparing reads found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareReport {
    /// Requests compared.
    pub compared: u64,
    /// Equal ones.
    pub equal: u64,
    /// Different ones.
    pub different: u64,
    /// Of the different ones, only the other side gave an error.
    #[serde(default)]
    pub only_other_failed: u64,
    /// Reads of records that the other side does not have yet: neither equal nor different.
    #[serde(default)]
    pub not_there_yet: u64,
    /// Could not be compared.
    pub skipped: u64,
    /// Equal share, percent; absent without samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency_percent: Option<f64>,
    /// What this proves, and what it does not.
    #[serde(default)]
    pub proves: String,
    /// By cause.
    #[serde(default)]
    pub causes: Vec<CompareCause>,
}

/// One cause of differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompareCause {
    /// The cause, snake_case.
    pub cause: String,
    /// How often, extrapolated from the samples where there are more differences than samples.
    pub count: u64,
    /// A few masked samples.
    #[serde(default)]
    pub samples: Vec<String>,
}

/// The workload profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Analysis {
    /// `idle`, `running`, `done`.
    pub state: String,
    /// Seconds observed.
    pub observed_s: u64,
    /// Requests seen.
    pub requests: u64,
    /// Reads of them.
    pub reads: u64,
    /// Writes of them.
    pub writes: u64,
    /// By command fingerprint, most frequent first.
    #[serde(default)]
    pub commands: Vec<CommandShare>,
    /// By client.
    #[serde(default)]
    pub clients: Vec<ClientShare>,
    /// Usage that cannot be kept across sides or is risky, with counts.
    #[serde(default)]
    pub risky: Vec<CommandShare>,
    /// New fingerprints per minute; near zero means representative.
    pub new_fingerprints_per_min: f64,
    /// Microseconds that Exodus adds, p50 and p99.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead_us: Option<(u64, u64)>,
    /// What it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<Recommendation>,
}

/// Share of one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandShare {
    /// Fingerprint, never a key or value.
    pub name: String,
    /// How often.
    pub count: u64,
    /// Errors among them.
    pub errors: u64,
    /// Why it stands here, where it is a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Share of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientShare {
    /// User or client name, or driver.
    pub name: String,
    /// Connections.
    pub connections: u64,
    /// Requests.
    pub requests: u64,
}

/// A recommendation with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recommendation {
    /// Strategy.
    pub strategy: String,
    /// Write policy.
    pub write_policy: String,
    /// `memory`, `balanced`, `compute`.
    pub sizing: String,
    /// Why, with the inputs and the uncertainty.
    pub reasons: Vec<String>,
}
