//! The status document: the one truth that CLI, dashboard and metrics show, in the order of the
//! six questions an operator asks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::envelope::{AllowedAction, NextStep, Waiting, Warning};
use crate::events::Event;
use crate::fleet::{Endpoint, Phase, Side};

/// Everything about one migration now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The migration's name.
    pub migration: String,
    /// The run, when one was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// `prod`, `staging`, …
    pub environment: String,
    /// Family name.
    pub family: String,
    /// The strategy.
    pub strategy: String,
    /// When this was made, RFC 3339.
    pub at: String,
    /// State version; goes into `If-Match`.
    pub state_version: u64,
    /// Whether the workers are up. False right after a start: everything below then comes from
    /// the stored state.
    pub live: bool,
    /// Who decides.
    pub writes: Writes,
    /// Who serves reads.
    pub reads: Reads,
    /// Whether one can go back, and at what cost.
    pub undo: Undo,
    /// Where the run is.
    pub phase: PhaseStatus,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<Waiting>,
    /// Every verb, allowed or not.
    #[serde(default)]
    pub allowed_actions: Vec<AllowedAction>,
    /// Best next commands.
    #[serde(default)]
    pub next_steps: Vec<NextStep>,
    /// Things that deserve attention.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Preflight in numbers.
    pub checks: ChecksSummary,
    /// How far the copy has come.
    pub data: DataStatus,
    /// Where the sides differ.
    pub divergence: DivergenceStatus,
    /// Whether production suffers.
    pub source: SourceHealth,
    /// The two servers, as they were last probed.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Changes not yet on the other side.
    pub queue: QueueStatus,
    /// Latency per side.
    pub latency: Vec<SideLatency>,
    /// The last events, newest last.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// Who decides about writes, measured on the data path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Writes {
    /// The authority.
    pub authority: Side,
    /// Epoch of that answer.
    pub epoch: u64,
    /// Write policy now.
    pub policy: String,
    /// Whether writes are frozen by a barrier right now.
    pub frozen: bool,
    /// Whether the other side follows: `no`, `backfilling`, `following`, `in_step`, `degraded`,
    /// `suspect`.
    pub following: String,
    /// Age of the oldest change the other side does not have.
    pub lag_ms: u64,
    /// Writes per second through the interlays.
    pub rate: f64,
    /// Tenants whose authority is the target while the rest is the source.
    #[serde(default)]
    pub tenants_moved: Vec<String>,
    /// What the interlays say.
    pub measured_by: Measured,
}

/// How many interlays were asked and agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Measured {
    /// Interlays that run the present epoch.
    pub agreeing: u32,
    /// Interlays there are.
    pub of: u32,
}

/// Who serves reads: asked and observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reads {
    /// Read mode in force; `authority` while the other side may not serve reads.
    pub mode: String,
    /// Percent of cohorts asked to read from the target.
    pub asked_percent: u8,
    /// Percent of reads of the last minute that the target answered; absent without reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_percent: Option<f64>,
    /// Sessions pinned to the authority.
    pub pinned_sessions: u64,
    /// Explicit pins.
    pub pins: u32,
    /// Whether the secondary may serve reads at all.
    pub secondary_ready: bool,
    /// Reads per second through the interlays.
    pub rate: f64,
}

/// The undo meter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Undo {
    /// Whether a rollback would work now without losing anything.
    pub ready: bool,
    /// Why not, or what it rests on.
    pub reason: String,
    /// Estimated time until the source serves everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_ms: Option<u64>,
    /// Acknowledged writes the source does not have yet.
    pub writes_at_risk: u64,
    /// The last rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rehearsal: Option<Rehearsal>,
    /// When the warm-source window ends, if one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ends: Option<String>,
}

/// A rollback rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rehearsal {
    /// When, RFC 3339.
    pub at: String,
    /// Whether it passed.
    pub passed: bool,
    /// Pause of the way there and of the way back.
    pub pause_ms: [u64; 2],
    /// Whether it is too old to count.
    pub stale: bool,
}

/// Where the run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhaseStatus {
    /// The phase; absent before a run was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Step within it, snake_case, e.g. `soak`.
    pub step: String,
    /// The step in words, e.g. `reads 25 % on target, soaking`.
    pub title: String,
    /// `running`, `held`, `waiting`, `failed`, `panicked`, `rolled_back`, `finalized`, …
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The phase bar.
    pub bar: Vec<PhaseMark>,
    /// Seconds the step still has to soak, where it soaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak_left_s: Option<u64>,
    /// Why the run failed or went back, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// One mark of the phase bar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhaseMark {
    /// The phase.
    pub phase: Phase,
    /// `done`, `now`, `todo`, `skipped`, `left` (reached, and left by the rollback).
    pub state: String,
}

/// Preflight in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChecksSummary {
    /// Fine.
    pub pass: u32,
    /// Worth knowing.
    pub advice: u32,
    /// May hurt.
    pub risk: u32,
    /// Stop the step they are required for.
    pub blocker: u32,
    /// Could not be checked.
    pub not_run: u32,
    /// Waived.
    pub waived: u32,
    /// Whether they are being run right now.
    #[serde(default)]
    pub running: bool,
    /// Age of the run of checks, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
}

/// How far the copy has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DataStatus {
    /// `idle`, `running`, `paused`, `throttled`, `stalled`, `done`.
    pub state: String,
    /// Records copied.
    pub records: u64,
    /// Records to copy, an honest estimate.
    pub total: u64,
    /// Never 100 before done.
    pub percent: f64,
    /// Records per second.
    pub rate: f64,
    /// Bytes copied.
    pub bytes: u64,
    /// Absent until it means something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<EtaRange>,
    /// What is being copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Records that existed on the target before, by what was decided.
    #[serde(default)]
    pub conflicts: u64,
    /// Records that could not be moved.
    #[serde(default)]
    pub failed: u64,
    /// Per dataset.
    #[serde(default)]
    pub datasets: Vec<crate::data::DatasetProgress>,
}

/// An estimate of the time left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EtaRange {
    /// If all goes well, seconds.
    pub low_s: u64,
    /// If it does not, seconds.
    pub high_s: u64,
}

/// Where the sides differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DivergenceStatus {
    /// Confirmed and neither repaired nor accepted.
    pub open: u64,
    /// Seen once.
    pub suspected: u64,
    /// Count by state.
    #[serde(default)]
    pub by_state: std::collections::BTreeMap<String, u64>,
    /// Count of open ones by class.
    #[serde(default)]
    pub by_class: std::collections::BTreeMap<String, u64>,
    /// When verify last finished, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verify: Option<String>,
    /// Verify: `idle`, `running`, `paused`, `done`.
    pub verify: String,
    /// Progress of the running verify, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_percent: Option<f64>,
    /// Equal share of compared reads, percent; absent without samples. Reads of records that the
    /// other side does not have yet are no samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency_percent: Option<f64>,
    /// Reads whose answers were compared.
    #[serde(default)]
    pub compared_reads: u64,
    /// Reads asked of both sides whose record the other side did not have yet.
    #[serde(default)]
    pub reads_not_there_yet: u64,
}

/// Whether production suffers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceHealth {
    /// Whether the source answers.
    pub reachable: bool,
    /// Whether the target answers.
    pub target_reachable: bool,
    /// What is wrong with the source, in a few words; absent while its work succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_trouble: Option<String>,
    /// What is wrong with the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_trouble: Option<String>,
    /// Round trip of our own ping to the source, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<f64>,
    /// Change of the source's p99, as clients see it through Exodus, since the analyze phase,
    /// percent; absent without enough requests, and once the target answers too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_change_percent: Option<f64>,
    /// Share of the full background rate granted now, percent.
    pub throttle_percent: f64,
    /// Why it is less than all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_reason: Option<String>,
    /// Errors clients saw in the last minute.
    pub client_errors_per_min: f64,
    /// Sessions on the source that do not come through an interlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_sessions: Option<u64>,
}

/// Changes not yet on the other side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueStatus {
    /// Records waiting.
    pub depth: u64,
    /// Of these offered by a scan, not by a write.
    pub bulk: u64,
    /// Writes in flight.
    pub in_flight: u64,
    /// Age of the oldest, milliseconds.
    pub oldest_ms: u64,
    /// Records that wait for an operator.
    pub parked: u64,
    /// Of a family that is followed by its log: how far that is. Absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogProgress>,
}

/// How far the log of the side that decides is on the other side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogProgress {
    /// Bytes of log that are not applied.
    pub behind_bytes: u64,
    /// Transactions applied since the process began.
    pub transactions: u64,
    /// Records changed by them.
    pub changes: u64,
    /// What each side keeps of its log until it is applied.
    pub kept: Vec<LogKept>,
}

/// Log that a server keeps for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogKept {
    /// `source` or `target`.
    pub side: String,
    /// Bytes.
    pub bytes: u64,
    /// Bytes after which the server gives up on us; absent where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Latency of one side, last minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SideLatency {
    /// `source`, `target`, or `added` for what Exodus adds.
    pub side: String,
    /// Microseconds.
    pub p50_us: u64,
    /// Microseconds.
    pub p99_us: u64,
    /// Microseconds.
    pub p999_us: u64,
    /// Requests measured.
    pub requests: u64,
}
