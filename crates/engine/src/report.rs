//! Draining, being in step, and the status snapshot.

use std::sync::Arc;
use std::time::Duration;

use model::Side;
use routing::Freeze;
use tokio::time::Instant;

use crate::engine::{Engine, Hold};
use crate::sampler::{likely_cause, stalled};
use crate::status::{Drained, InStep, NotDrained, Status, Undo};

/// How often a drain looks again if no change wakes it.
const LOOK: Duration = Duration::from_millis(20);
/// Parked records in a status.
const PARKED_SHOWN: usize = 100;

impl Engine {
    /// While writes are frozen an unexplained change of the secondary counts as work, too: nobody
    /// may be given authority over records that somebody else wrote.
    fn is_drained(&self) -> bool {
        let journal = &self.parts.journal;
        journal.depth().drained()
            && !journal.anything_pending()
            && !journal.uncertain()
            && self.recheck.is_idle()
            && !(self.frozen() && self.verify.suspects() > 0)
    }

    /// Whether a barrier holds writes back.
    pub(crate) fn frozen(&self) -> bool {
        self.parts.table.load().freeze == Freeze::Writes
    }

    pub(crate) async fn drained(&self, deadline: Duration) -> Result<Drained, NotDrained> {
        if self.streams.is_some() {
            return self.stream_drained(deadline).await;
        }
        let began = Instant::now();
        loop {
            let changed = self.parts.journal.changed();
            if self.is_drained() {
                let parked = self.parts.journal.depth().parked;
                return Ok(Drained { took: began.elapsed(), parked });
            }
            let left = deadline.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(self.not_drained());
            }
            let _ = tokio::time::timeout(left.min(LOOK), changed).await;
        }
    }

    pub(crate) async fn drained_and_held(
        self: &Arc<Self>,
        deadline: Duration,
    ) -> Result<(Drained, Hold), NotDrained> {
        if self.streams.is_some() {
            return self.stream_held(deadline).await;
        }
        let began = Instant::now();
        loop {
            let drained = self.drained(deadline.saturating_sub(began.elapsed())).await?;
            let left = deadline.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
            let gate = Arc::clone(&self.gate).write_owned();
            let Ok(gate) = tokio::time::timeout(left, gate).await else {
                return Err(self.not_drained());
            };
            // Something may have come between the look and the gate.
            if self.is_drained() {
                let drained = Drained { took: began.elapsed(), ..drained };
                return Ok((drained, Hold::new(gate, Arc::clone(self))));
            }
        }
    }

    fn not_drained(&self) -> NotDrained {
        let journal = &self.parts.journal;
        let depth = journal.depth();
        NotDrained {
            live: depth.live,
            bulk: depth.bulk,
            in_flight: depth.in_flight,
            parked: depth.parked,
            unnamed: journal.anything_pending(),
            oldest: self.oldest_age(),
            cause: if self.recheck.is_idle() {
                likely_cause(self)
            } else {
                format!("records are being looked at again: {}", self.recheck.status().note)
            },
        }
    }

    fn oldest_age(&self) -> Option<Duration> {
        if self.streams.is_some() {
            return self.log_age();
        }
        let oldest = self.parts.journal.oldest()?;
        Some(Instant::now().saturating_duration_since(Instant::from_std(oldest)))
    }

    pub(crate) fn step(&self) -> InStep {
        if self.streams.is_some() {
            return self.stream_step();
        }
        let mut reasons = Vec::new();
        let mut against = |word, why: String| reasons.push((word, why));
        let journal = &self.parts.journal;
        let depth = journal.depth();
        if !self.is_ready() {
            against("starting", "old connections are being removed, or a side is down".into());
        }
        for side in [Side::Source, Side::Target] {
            let state = self.side(side);
            if !state.is_well() {
                let error = state.status().last_error.unwrap_or_default();
                against("side_down", format!("the {side} fails: {error}"));
            }
            if self.decides(side) && self.parts.config.feed_required && !state.feed.is_open() {
                against("no_feed", format!("the {side} decides, and its feed is not open"));
            }
        }
        if !self.backfill.is_done() {
            against("backfill", "history is not copied".into());
        }
        if journal.uncertain() || !self.recheck.is_idle() {
            against("recheck", self.recheck.status().note);
        }
        if journal.anything_pending() {
            against("unnamed_writes", "a write that names no keys awaits a feed fence".into());
        }
        if depth.bulk > 0 {
            against("bulk", format!("{} offered records are not copied", depth.bulk));
        }
        if depth.parked > 0 {
            against("parked", format!("{} records wait for a decision", depth.parked));
        }
        if let Some(age) = self.oldest_age().filter(|age| *age > self.parts.config.in_step_lag_max)
        {
            against("lag", format!("the oldest change is {} ms old", age.as_millis()));
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

    fn undo(&self) -> Undo {
        if self.streams.is_some() {
            return self.undo_of_log();
        }
        let depth = self.parts.journal.depth();
        let behind = depth.live + depth.in_flight;
        let rate = self.meter.read().copied_per_second;
        let drain_ms = match behind {
            0 => Some(0),
            _ if rate >= 1.0 => Some((behind as f64 * 1_000.0 / rate).ceil() as u64),
            _ => None,
        };
        let transient = ["lag", "unnamed_writes", "suspects"];
        let ready = self.step().reasons.iter().all(|(word, _)| transient.contains(word));
        Undo { writes_at_risk: behind as u64, drain_ms, ready }
    }

    pub(crate) fn snapshot(&self) -> Status {
        let measured = self.meter.read();
        Status {
            epoch: self.parts.table.load().epoch,
            lag_ms: self.oldest_age().map_or(0, |age| age.as_millis() as u64),
            depth: self.parts.journal.depth(),
            in_step: self.step(),
            copied_per_second: measured.copied_per_second,
            totals: self.totals.read(),
            sides: [Side::Source, Side::Target].map(|side| self.side(side).status()),
            last_progress_ms: measured.progressed.elapsed().as_millis() as u64,
            stalled: stalled(self),
            throttle: self.throttle.status(),
            backfill: self.backfill.status(),
            recheck: self.recheck.status(),
            verify: self.verify.status(self.ledger.open()),
            divergences: self.ledger.counts(),
            divergences_dropped: self.ledger.dropped(),
            parked: self.parts.journal.parked(PARKED_SHOWN),
            undo: self.undo(),
            log: self.log_status(),
            store_error: self.store_error(),
        }
    }
}
