use model::Dataset;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Checked and fine.
    Pass,
    /// Could not be checked; says why.
    NotRun,
    /// Worth knowing.
    Advice,
    /// May hurt; can be waived with a reason.
    Risk,
    /// Stops the step it is required for.
    Blocker,
}

/// One answer of a named check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The `EXO-` code; has an explain page.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The side it concerns, if one.
    pub side: Option<model::Side>,
    /// What was measured, in one sentence.
    pub evidence: String,
    /// What to do about it, as something that can be pasted where possible.
    pub remedy: String,
}

/// Something a server may or may not be able to do, found by trying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// Stable snake_case name, e.g. `tracking_feed`.
    pub name: &'static str,
    /// Whether it worked.
    pub present: bool,
    /// How that was found out.
    pub evidence: String,
}

/// Who a server is and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Product as it names itself, e.g. `redis`, `valkey`.
    pub product: String,
    /// Version as it names itself.
    pub version: String,
    /// Stable identity: equal for two addresses exactly when they reach the same system.
    pub identity: String,
    /// Changes when the dataset may have been replaced (restart, failover, full resync).
    pub incarnation: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Memory in bytes: used, and the limit (0 = none).
    pub memory_used: u64,
    /// See `memory_used`.
    pub memory_max: u64,
    /// Wall clock of the server minus ours, in milliseconds.
    pub clock_offset_ms: i64,
    /// Half the round trip the offset was measured with, in milliseconds.
    pub clock_error_ms: i64,
}

impl Probe {
    /// Whether a capability was found present.
    #[must_use]
    pub fn can(&self, name: &str) -> bool {
        self.capabilities.iter().any(|c| c.name == name && c.present)
    }
}

/// What there is to move, per dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Which dataset.
    pub dataset: Dataset,
    /// Number of records, an estimate.
    pub records: u64,
    /// Bytes, an estimate; 0 when the server does not tell.
    pub bytes: u64,
}
