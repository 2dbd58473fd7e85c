//! What a comparison or a repair is asked to look at, and what a repair says.

use model::{Dataset, Key};

/// What to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyScope {
    /// Everything the filter moves.
    All,
    /// Open divergences and keys that looked suspicious since.
    Suspects,
    /// One dataset.
    Dataset(Dataset),
}

/// What to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairScope {
    /// These records, whatever the ledger says of them.
    Keys(Vec<Key>),
    /// Every open divergence.
    All,
}

/// What a repair did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairPlan {
    /// Each record.
    pub records: Vec<RepairStep>,
    /// How many of them are removals on the secondary.
    pub removals: usize,
    /// Whether it was done.
    pub done: bool,
}

/// One record of a repair, values masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairStep {
    /// Which record.
    pub key: Key,
    /// What the secondary has now, and loses.
    pub before: String,
    /// What the authority has, and the secondary gets.
    pub after: String,
}
