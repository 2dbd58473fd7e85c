//! How far the log of each side is durable on the other, where whole transactions are applied.
//!
//! Two questions are asked of it. "Is this write on the other side?": the offset taken after the
//! write's reply lies at or below [`Horizon::applied`]. "May this session read there?": whatever
//! its authority told it was told before [`Horizon::settled_at`], so that reading on the other
//! side takes nothing back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::Side;
use tokio::sync::watch;

/// Shared by the engine, which moves it, and by interlays, which read it.
#[derive(Debug)]
pub struct Horizon {
    base: Instant,
    sides: [Log; 2],
}

#[derive(Debug)]
struct Log {
    applied: watch::Sender<u64>,
    /// Nanoseconds after `base`; 0 is never.
    settled: AtomicU64,
}

impl Horizon {
    /// Nothing is known to be applied.
    #[must_use]
    pub fn new(base: Instant) -> Self {
        let log = || Log { applied: watch::Sender::new(0), settled: AtomicU64::new(0) };
        Self { base, sides: [log(), log()] }
    }

    /// Everything of this side up to the offset is durable on the other. Never goes back.
    pub fn set_applied(&self, side: Side, upto: u64) {
        self.sides[side.index()].applied.send_if_modified(|known| {
            let news = upto > *known;
            *known = upto.max(*known);
            news
        });
    }

    /// How far this side's log is durable on the other.
    #[must_use]
    pub fn applied(&self, side: Side) -> u64 {
        *self.sides[side.index()].applied.borrow()
    }

    /// Waits until this side's log is durable on the other up to an offset.
    pub async fn reached(&self, side: Side, offset: u64) {
        let mut applied = self.sides[side.index()].applied.subscribe();
        // The sender lives in `self`: it cannot have gone.
        let _ = applied.wait_for(|applied| *applied >= offset).await;
    }

    /// Everything that this side had acknowledged at this instant is on the other.
    pub fn set_settled(&self, side: Side, at: Instant) {
        let nanos = u64::try_from(at.saturating_duration_since(self.base).as_nanos());
        self.sides[side.index()].settled.fetch_max(nanos.unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Whether everything that this side had acknowledged at this instant is on the other.
    #[must_use]
    pub fn is_settled(&self, side: Side, at: Instant) -> bool {
        let nanos = u64::try_from(at.saturating_duration_since(self.base).as_nanos());
        let settled = self.sides[side.index()].settled.load(Ordering::Acquire);
        settled > 0 && nanos.is_ok_and(|at| at <= settled)
    }

    /// How long ago the last instant was whose acknowledgements are known to be on the other side.
    #[must_use]
    pub fn behind(&self, side: Side, now: Instant) -> Duration {
        let settled = self.sides[side.index()].settled.load(Ordering::Acquire);
        match settled {
            0 => Duration::MAX,
            nanos => now.saturating_duration_since(self.base + Duration::from_nanos(nanos)),
        }
    }

    /// Forgets what is known of a side: its log is another one, or its other side was replaced.
    pub fn forget(&self, side: Side) {
        let log = &self.sides[side.index()];
        log.applied.send_replace(0);
        log.settled.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_offset_is_reached_when_it_is_applied_and_never_taken_back() {
        let horizon = Horizon::new(Instant::now());
        horizon.set_applied(Side::Source, 10);
        horizon.set_applied(Side::Source, 7);
        assert_eq!(horizon.applied(Side::Source), 10);
        assert_eq!(horizon.applied(Side::Target), 0);
        horizon.reached(Side::Source, 10).await;
        let late = tokio::time::timeout(Duration::ZERO, horizon.reached(Side::Source, 11)).await;
        assert!(late.is_err());
        let waiting = horizon.reached(Side::Source, 11);
        tokio::join!(waiting, async { horizon.set_applied(Side::Source, 12) });
    }

    #[test]
    fn nothing_is_settled_before_it_was_said() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let horizon = Horizon::new(base);
        assert!(!horizon.is_settled(Side::Source, base));
        assert_eq!(horizon.behind(Side::Source, at(9)), Duration::MAX);
        horizon.set_settled(Side::Source, at(5));
        assert_eq!(horizon.behind(Side::Source, at(9)), Duration::from_millis(4));
        horizon.set_settled(Side::Source, at(3));
        assert!(horizon.is_settled(Side::Source, at(5)));
        assert!(!horizon.is_settled(Side::Source, at(6)));
        assert!(!horizon.is_settled(Side::Target, base));
        horizon.forget(Side::Source);
        assert!(!horizon.is_settled(Side::Source, base));
    }
}
