use crate::place::Place;
use crate::run::RunState;
use crate::saga::FlipKind;

/// What only the data plane knows about the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LagFacts {
    /// Whether the source answers.
    pub source_healthy: bool,
    /// Records the source does not have as they are on the target.
    pub pending: u64,
    /// How many records per second reach the source; 0 = not measured.
    pub drained_per_s: u64,
}

/// Whether, how fast and at what cost everything can go back to the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoMeter {
    /// Whether a rollback now would succeed without loss, as far as is known.
    pub ready: bool,
    /// Why, or why not.
    pub reason: String,
    /// How long it would take, in milliseconds; none = cannot be told.
    pub estimated_ms: Option<u64>,
    /// Records that would be lost if the target were lost now.
    pub writes_at_risk: u64,
    /// When the barrier was last rehearsed or last went back, milliseconds since the Unix epoch.
    pub last_rehearsal_ms: Option<u64>,
}

/// What a barrier takes when nothing was measured yet, in milliseconds.
const TYPICAL_BARRIER_MS: u64 = 300;

/// Reads the undo meter.
#[must_use]
pub fn undo(run: &RunState, lag: &LagFacts) -> UndoMeter {
    let rehearsed = run.evidence.get(&crate::evidence::EvidenceKind::Rehearsal).map(|e| e.at_ms);
    let went_back = run.history.iter().rev().find(|a| a.kind == FlipKind::Rollback && a.moved);
    let last_rehearsal_ms = rehearsed.max(went_back.map(|a| a.began_ms + a.took_ms));
    let meter = |ready, reason: &str, estimated_ms, writes_at_risk| UndoMeter {
        ready,
        reason: reason.to_owned(),
        estimated_ms,
        writes_at_risk,
        last_rehearsal_ms,
    };
    match run.place() {
        Place::Finalized => return meter(false, "the run is finalized", None, 0),
        Place::Abandoned | Place::RolledBack => {
            return meter(true, "the source decides everything", Some(0), 0);
        }
        _ => {}
    }
    if !run.target_decides_something() {
        return meter(true, "the source decides; reads return at once", Some(0), 0);
    }
    let drain = match (lag.pending, lag.drained_per_s) {
        (0, _) => Some(0),
        (_, 0) => None,
        (pending, rate) => Some(pending.saturating_mul(1_000) / rate),
    };
    let barrier =
        run.history.iter().rev().find(|a| a.moved).map_or(TYPICAL_BARRIER_MS, |a| a.took_ms);
    let estimated = drain.map(|ms| ms + barrier);
    if !lag.source_healthy {
        return meter(false, "the source does not answer", None, lag.pending);
    }
    if run.capture.is_none() {
        return meter(false, "changes are not captured", None, lag.pending);
    }
    if run.feeds_lost.contains(&model::Side::Target) {
        let why = "the target's feed is lost; changes that bypass Exodus may be missed";
        return meter(false, why, estimated, lag.pending);
    }
    if let crate::place::Step::RollbackBlocked { reason } = &run.step {
        return meter(false, &format!("blocked: {reason}"), estimated, lag.pending);
    }
    if !run.following.in_step {
        return meter(false, "the source is not in step yet", estimated, lag.pending);
    }
    meter(
        true,
        "the source is in step; authority returns through the barrier",
        estimated,
        lag.pending,
    )
}
