//! What is told of the road of transactions.

use std::time::Duration;

use family::Retained;
use model::Side;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::status::{FeedState, InStep, LogStatus, Undo};

/// Of the log that a server keeps for us before it gives up on us, the part in percent above
/// which copying history waits: a copy makes the log grow by what it keeps back.
const SCARCE_PERCENT: u64 = 60;
/// Bytes of log taken for a transaction before any was measured.
const TRANSACTION_BYTES: u64 = 512;

/// Whether copying has to wait for the log's sake.
fn is_scarce(retained: Option<Retained>) -> bool {
    retained.is_some_and(|r| r.limit.is_some_and(|max| r.bytes > max / 100 * SCARCE_PERCENT))
}

impl Engine {
    pub(super) fn log_is_scarce(&self) -> bool {
        self.direction(self.deciding()).is_some_and(|d| is_scarce(d.known.lock().retained))
    }

    /// How long ago the last instant was whose acknowledgements are known to be on the other
    /// side; `None` when that was never.
    pub(crate) fn log_age(&self) -> Option<Duration> {
        let now = Instant::now().into_std();
        let behind = self.parts.horizon.behind(self.deciding(), now);
        (behind != Duration::MAX).then_some(behind)
    }

    pub(crate) fn log_status(&self) -> Option<LogStatus> {
        let side = self.deciding();
        let direction = self.direction(side)?;
        let retained =
            [Side::Source, Side::Target].map(|s| self.direction(s)?.known.lock().retained);
        let known = direction.known.lock();
        let applied = self.parts.horizon.applied(side);
        let (transactions, changes) = (known.transactions, known.changes);
        Some(LogStatus { head: known.head.max(applied), applied, transactions, changes, retained })
    }

    pub(crate) fn stream_step(&self) -> InStep {
        let mut reasons = Vec::new();
        let mut against = |word, why: String| reasons.push((word, why));
        if !self.is_ready() {
            against("starting", "old connections are being removed, or a side is down".into());
        }
        for side in [Side::Source, Side::Target] {
            let state = self.side(side);
            if !state.is_well() {
                let error = state.status().last_error.unwrap_or_default();
                against("side_down", format!("the {side} fails: {error}"));
            }
            if self.decides(side) && !state.feed.is_open() {
                let why = match state.feed.state() {
                    FeedState::Opening(error) if !error.is_empty() => error,
                    _ => "not opened yet".into(),
                };
                against("no_feed", format!("the {side} decides and is not followed: {why}"));
            }
        }
        if !self.backfill.is_done() {
            against("backfill", "history is not copied".into());
        }
        if let Some(direction) = self.direction(self.deciding()) {
            let known = direction.known.lock();
            if let Some(doubt) = known.lost {
                against(
                    "gap",
                    format!("changes are lost ({doubt:?}): history has to be copied anew"),
                );
            }
            for (dataset, why) in &known.stale {
                against("stale", format!("{dataset} has to be copied anew: {why}"));
            }
        }
        match self.log_age() {
            None => against("lag", "it is not known yet how far the log is applied".into()),
            Some(age) if age > self.parts.config.in_step_lag_max => {
                against(
                    "lag",
                    format!("what was acknowledged {} ms ago is the latest", age.as_millis()),
                );
            }
            Some(_) => {}
        }
        let suspects = self.verify.suspects();
        if suspects > 0 {
            against("suspects", format!("{suspects} unexplained changes are being audited"));
        }
        let open = self.ledger.confirmed();
        if open > 0 {
            against("divergence", format!("{open} confirmed divergences are open"));
        }
        InStep { reasons }
    }

    /// What an undo would mean: transactions are estimated from the bytes of log they take.
    pub(crate) fn undo_of_log(&self) -> Undo {
        let Some(log) = self.log_status() else { return Undo::default() };
        let behind = log.head.saturating_sub(log.applied);
        let rate = self.meter.read().copied_per_second;
        let writes_at_risk = behind.div_ceil(TRANSACTION_BYTES);
        let drain_ms = match writes_at_risk {
            0 => Some(0),
            behind if rate >= 1.0 => Some((behind as f64 * 1_000.0 / rate).ceil() as u64),
            _ => self.log_age().map(|age| age.as_millis() as u64),
        };
        let transient = ["lag", "suspects"];
        let ready = self.stream_step().reasons.iter().all(|(word, _)| transient.contains(word));
        Undo { writes_at_risk, drain_ms, ready }
    }

    /// What most likely holds the stream.
    pub(crate) fn stream_cause(&self) -> String {
        for side in [Side::Source, Side::Target] {
            if !self.side(side).is_well() {
                let error = self.side(side).status().last_error.unwrap_or_default();
                return format!("the {side} fails: {error}");
            }
        }
        let side = self.deciding();
        match self.side(side).feed.state() {
            FeedState::Opening(error) => format!("the {side} is not followed: {error}"),
            FeedState::Closed => format!("the {side} is not followed"),
            FeedState::Open => match self.log_status() {
                Some(log) if log.head > log.applied => {
                    format!("{} bytes of the {side}'s log are not applied", log.head - log.applied)
                }
                _ => "unexplained changes are being audited".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copying_waits_above_the_named_part_of_a_known_limit() {
        let kept = |bytes, limit| Some(Retained { bytes, limit });
        assert!(!is_scarce(None));
        assert!(!is_scarce(kept(u64::MAX, None)));
        assert!(!is_scarce(kept(600, Some(1_000))));
        assert!(is_scarce(kept(601, Some(1_000))));
    }
}
