//! One side as the engine meets it: breaker, doubt, recent copies, pings.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use family::{Doubt, PortError, Trouble};
use journal::hash_of;
use model::Side;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::decide::is_serious;
use crate::engine::Engine;
use crate::feed::FeedSlot;
use crate::progress::SideFacts;
use crate::status::{BreakerState, SideStatus};

/// Round trips kept for the p99.
const PINGS: usize = 64;
/// Round trips whose median says whether a side is slow now.
const PINGS_NOW: usize = 5;
/// Own copies remembered to tell an echo from somebody else's write.
const TOUCHED: usize = 200_000;
/// How long an own copy explains an echo.
const ECHO_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct SideState {
    health: Mutex<Health>,
    well: watch::Sender<bool>,
    doubt: Mutex<Option<Doubt>>,
    pub(crate) incarnation: Mutex<String>,
    pub(crate) feed: FeedSlot,
    pings: Mutex<VecDeque<u64>>,
    pub(crate) quarantined: AtomicU64,
    touched: Mutex<Touched>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    open_until: Option<Instant>,
    last_error: Option<String>,
    trouble: Option<Trouble>,
}

#[derive(Default)]
struct Touched {
    when: HashMap<u64, Instant>,
    order: VecDeque<(Instant, u64)>,
}

impl SideState {
    pub(crate) fn new() -> Self {
        Self {
            health: Mutex::default(),
            well: watch::Sender::new(true),
            doubt: Mutex::new(None),
            incarnation: Mutex::default(),
            feed: FeedSlot::default(),
            pings: Mutex::default(),
            quarantined: AtomicU64::new(0),
            touched: Mutex::default(),
        }
    }

    /// Opens the breaker. Only the medic closes it again, after a probe.
    pub(crate) fn failed(&self, error: &PortError, backoff: (Duration, Duration)) {
        let mut health = self.health.lock();
        // A burst of copiers failing on one broken server is one failure.
        if health.open_until.is_none() {
            let delay = backoff.0.saturating_mul(1 << health.failures.min(20)).min(backoff.1);
            health.failures = health.failures.saturating_add(1);
            health.open_until = Some(Instant::now() + delay);
        }
        health.last_error = Some(error.to_string());
        health.trouble = Some(error.trouble);
        drop(health);
        self.well.send_replace(false);
    }

    /// The medic's probe failed.
    pub(crate) fn still_failing(&self, error: &PortError, backoff: (Duration, Duration)) {
        let mut health = self.health.lock();
        let delay = backoff.0.saturating_mul(1 << health.failures.min(20)).min(backoff.1);
        health.failures = health.failures.saturating_add(1);
        health.open_until = Some(Instant::now() + delay);
        health.last_error = Some(error.to_string());
        health.trouble = Some(error.trouble);
    }

    /// The medic's probe succeeded. The count of failures stays until real work succeeds, so a
    /// server that answers probes and fails work is tried ever more slowly.
    pub(crate) fn recovered(&self) {
        self.health.lock().open_until = None;
        self.well.send_replace(true);
    }

    /// Work succeeded.
    pub(crate) fn worked(&self) {
        let mut health = self.health.lock();
        if health.open_until.is_none() && health.failures > 0 {
            health.failures = 0;
            health.last_error = None;
            health.trouble = None;
        }
    }

    pub(crate) fn open_until(&self) -> Option<Instant> {
        self.health.lock().open_until
    }

    pub(crate) fn is_well(&self) -> bool {
        *self.well.borrow()
    }

    /// Waits until the breaker is closed.
    pub(crate) async fn well(&self) {
        let mut well = self.well.subscribe();
        // The sender lives in `self`: it cannot have gone.
        let _ = well.wait_for(|well| *well).await;
    }

    /// Waits until the breaker is open.
    pub(crate) async fn ill(&self) {
        let mut well = self.well.subscribe();
        let _ = well.wait_for(|well| !*well).await;
    }

    pub(crate) fn doubt(&self) -> Option<Doubt> {
        *self.doubt.lock()
    }

    /// Records a doubt; a serious one is not replaced by a lesser one. `true` when it is news.
    pub(crate) fn doubted(&self, new: Doubt) -> bool {
        let mut doubt = self.doubt.lock();
        if is_serious(*doubt) || *doubt == Some(new) {
            return false;
        }
        *doubt = Some(new);
        true
    }

    pub(crate) fn set_doubt(&self, doubt: Option<Doubt>) {
        *self.doubt.lock() = doubt;
    }

    pub(crate) fn pinged(&self, took: Duration) {
        let mut pings = self.pings.lock();
        if pings.len() == PINGS {
            pings.pop_front();
        }
        pings.push_back(took.as_micros() as u64);
    }

    pub(crate) fn ping_p99_us(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.pings.lock().iter().copied().collect();
        sorted.sort_unstable();
        sorted.get((sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1))).copied()
    }

    /// The median of the last few round trips: one outlier, say behind a large key of our own,
    /// is not a slow side, while a p99 of few samples would remember it for minutes.
    pub(crate) fn ping_now_us(&self) -> Option<u64> {
        let mut recent: Vec<u64> =
            self.pings.lock().iter().rev().take(PINGS_NOW).copied().collect();
        recent.sort_unstable();
        recent.get(recent.len() / 2).copied()
    }

    /// Remembers that we are about to write what is reported so.
    pub(crate) fn touch<'a>(&self, reported: impl Iterator<Item = &'a [u8]>) {
        let now = Instant::now();
        let mut touched = self.touched.lock();
        for name in reported {
            let hash = hash_of(name).0;
            touched.when.insert(hash, now);
            touched.order.push_back((now, hash));
        }
        while touched.order.len() > TOUCHED {
            if let Some((at, hash)) = touched.order.pop_front()
                && touched.when.get(&hash) == Some(&at)
            {
                touched.when.remove(&hash);
            }
        }
    }

    /// Whether an own copy explains a feed entry that is reported so.
    pub(crate) fn explains(&self, reported: &[u8]) -> bool {
        let touched = self.touched.lock();
        touched.when.get(&hash_of(reported).0).is_some_and(|at| at.elapsed() < ECHO_WITHIN)
    }

    pub(crate) fn status(&self) -> SideStatus {
        let health = self.health.lock();
        let now = Instant::now();
        SideStatus {
            breaker: match health.open_until {
                None => BreakerState::Closed,
                Some(at) if at > now => BreakerState::Open(at - now),
                Some(_) => BreakerState::Probing,
            },
            last_error: health.last_error.clone(),
            trouble: health.trouble,
            failures: health.failures,
            ping_p99_us: self.ping_p99_us(),
            feed: self.feed.state(),
            doubt: self.doubt(),
            quarantined: self.quarantined.load(Ordering::Relaxed),
        }
    }
}

/// What is kept of a side across restarts.
impl Engine {
    pub(crate) fn facts(&self, side: Side) -> SideFacts {
        let state = self.side(side);
        SideFacts { incarnation: state.incarnation.lock().clone(), doubt: state.doubt() }
    }

    pub(crate) async fn save_side(&self, side: Side) {
        if let Err(error) = self.parts.progress.save_side(side, &self.facts(side)).await {
            self.store_failed(&error);
        }
    }

    /// As `save_side`, from where nothing can be awaited.
    pub(crate) fn remember_side(self: &Arc<Self>, side: Side) {
        let engine = Arc::clone(self);
        self.spawn(async move { engine.save_side(side).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_ping_is_no_slow_side_and_three_of_five_are() {
        let side = SideState::new();
        let ms = Duration::from_millis;
        assert_eq!(side.ping_now_us(), None);
        for took in [1, 1, 114, 1, 1] {
            side.pinged(ms(took));
        }
        assert_eq!(side.ping_now_us(), Some(1_000));
        assert_eq!(side.ping_p99_us(), Some(114_000));
        for took in [60, 60, 60] {
            side.pinged(ms(took));
        }
        assert_eq!(side.ping_now_us(), Some(60_000));
    }
}
