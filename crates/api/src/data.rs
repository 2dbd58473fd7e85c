use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The copy of one dataset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetProgress {
    /// Its name, e.g. a database or a table.
    pub name: String,
    /// `waiting`, `running`, `done`, `failed`.
    pub state: String,
    /// Records copied.
    pub records: u64,
    /// Records to copy, an estimate.
    pub total: u64,
    /// Records verified.
    pub verified: u64,
    /// Records that could not be moved.
    pub failed: u64,
}

/// One record on which the sides differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Divergence {
    /// Stable id: the argument of `diff_*` verbs.
    pub id: String,
    /// The record as an operator would type it.
    pub key: String,
    /// Dataset.
    pub dataset: String,
    /// Class, e.g. `missing_on_target`.
    pub class: String,
    /// `suspected`, `confirmed`, `repaired`, `accepted`, `ignored`, `self_healed`.
    pub state: String,
    /// The source's side, masked.
    pub source: String,
    /// The target's side, masked.
    pub target: String,
    /// What most likely made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likely_cause: Option<String>,
    /// First seen, RFC 3339.
    pub first_seen: String,
    /// Last seen, RFC 3339.
    pub last_seen: String,
    /// Why it was accepted or ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A record that could not be moved or replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Stable id: the argument of `queue_*` verbs.
    pub id: String,
    /// The record as an operator would type it.
    pub key: String,
    /// Dataset.
    pub dataset: String,
    /// The `EXO-` code.
    pub code: String,
    /// What was said, masked.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was parked, RFC 3339.
    pub at: String,
}

/// The replay queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// In numbers.
    pub status: crate::status::QueueStatus,
    /// From where to where work is flowing, e.g. `source to target`.
    pub direction: String,
    /// Why it does not shrink, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
}

/// One record of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueEntry {
    /// Stable id: the argument of `queue_*` verbs.
    pub id: String,
    /// The record as an operator would type it.
    pub key: String,
    /// `queued`, `copying`, `parked`.
    pub state: String,
    /// Age in milliseconds.
    pub age_ms: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// What failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why it is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what_to_do: Option<String>,
}

/// The verifier.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyState {
    /// `idle`, `running`, `paused`, `done`.
    pub state: String,
    /// Records compared in this pass.
    pub compared: u64,
    /// Records to compare, an estimate.
    pub total: u64,
    /// Differences found in this pass.
    pub differences: u64,
    /// When the last pass finished, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_finished: Option<String>,
    /// Whether the last pass was clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_clean: Option<bool>,
}
