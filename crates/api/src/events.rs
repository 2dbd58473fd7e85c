use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One event of the durable log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number; only grows. The id of the SSE message.
    pub id: u64,
    /// When, RFC 3339 with milliseconds.
    pub at: String,
    /// The migration; absent for the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// Stable snake_case kind, e.g. `phase_entered`, `authority_moved`; the SSE event name.
    pub kind: String,
    /// `info`, `notice`, `warning`, `alarm`.
    pub severity: String,
    /// One sentence.
    pub message: String,
    /// Versioned details.
    #[serde(default)]
    pub payload: Value,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub id: u64,
    /// When, RFC 3339.
    pub at: String,
    /// The migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// Who: a token's name, or `exodus` for automatic decisions.
    pub actor: String,
    /// What: a verb or an automatic decision.
    pub action: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Details and numbers.
    pub payload: Value,
    /// Hash of the entry before it, hex.
    pub previous: String,
    /// Hash of this entry, hex.
    pub hash: String,
}

/// Whether the audit chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether every hash holds.
    pub intact: bool,
    /// Entries checked.
    pub entries: u64,
    /// The first entry that does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
}

/// Metrics history: one column per series, one row per sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Samples {
    /// Unix seconds of each row, 5 s apart.
    pub at: Vec<u64>,
    /// Values by series name; `null` where nothing was measured.
    pub series: std::collections::BTreeMap<String, Vec<Option<f64>>>,
}
