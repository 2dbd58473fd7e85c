//! How fast the bulk lane may go. Decided once a sample; spent by every copier.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::status::Throttle;

/// The bulk lane never falls below this many records per second for latency alone.
const FLOOR: f64 = 50.0;
/// Seconds of unused allowance that may be spent at once.
const BURST_SECONDS: f64 = 0.1;

pub(crate) struct Throttler {
    state: Mutex<State>,
}

struct State {
    /// What the operator allows.
    max: Option<f64>,
    /// What latency allows.
    adapted: Option<f64>,
    /// Stopped altogether.
    stopped: bool,
    tokens: f64,
    last: Instant,
    reason: &'static str,
    detail: String,
}

/// What is measured once a sample.
pub(crate) struct Sample {
    /// What a round trip to source and target takes now, in microseconds.
    pub(crate) ping_us: [Option<u64>; 2],
    pub(crate) ping_max: Duration,
    pub(crate) live_depth: usize,
    pub(crate) live_depth_max: usize,
    /// Bulk records per second since the last sample.
    pub(crate) bulk_rate: f64,
}

impl Throttler {
    pub(crate) fn new(max: Option<u32>) -> Self {
        let this = Self {
            state: Mutex::new(State {
                max: None,
                adapted: None,
                stopped: false,
                tokens: 0.0,
                last: Instant::now(),
                reason: "none",
                detail: "nothing limits the bulk lane".into(),
            }),
        };
        this.set_max(max);
        this
    }

    pub(crate) fn set_max(&self, max: Option<u32>) {
        let mut state = self.state.lock();
        state.max = max.map(f64::from);
        if state.reason == "none" || state.reason == "rate" {
            state.name_rate();
        }
    }

    /// How many bulk records may be taken now, at most `wanted`.
    pub(crate) fn permits(&self, wanted: usize, now: Instant) -> usize {
        let mut state = self.state.lock();
        if state.stopped {
            return 0;
        }
        let Some(rate) = state.rate() else { return wanted };
        let earned = now.saturating_duration_since(state.last).as_secs_f64() * rate;
        state.last = now;
        state.tokens = (state.tokens + earned).min((rate * BURST_SECONDS).max(1.0));
        wanted.min(state.tokens as usize)
    }

    pub(crate) fn spend(&self, taken: usize) {
        self.state.lock().tokens -= taken as f64;
    }

    /// Whether the bulk lane has to wait before it may take more.
    pub(crate) fn limits(&self) -> bool {
        let state = self.state.lock();
        state.stopped || state.rate().is_some()
    }

    pub(crate) fn adapt(&self, sample: &Sample) {
        let mut state = self.state.lock();
        state.stopped = sample.live_depth > sample.live_depth_max;
        let ping_max = sample.ping_max.as_micros() as u64;
        let slow = |i: usize| sample.ping_us[i].filter(|us| *us > ping_max);
        if let Some((name, us)) = slow(0)
            .map(|us| ("source_latency", us))
            .or_else(|| slow(1).map(|us| ("target_latency", us)))
        {
            let base = state.adapted.unwrap_or_else(|| sample.bulk_rate.max(FLOOR * 2.0));
            let rate = (base / 2.0).max(FLOOR);
            state.adapted = Some(rate);
            state.reason = name;
            state.detail =
                format!("a ping takes {us} us, above {ping_max} us: {rate:.0} records/s");
        } else if let Some(rate) = state.adapted {
            let faster = rate * 1.25;
            // Once the allowance is well above what is used, it limits nothing.
            let idle = faster > 4.0 * sample.bulk_rate.max(FLOOR * 4.0);
            state.adapted = (!idle).then_some(faster);
            state.detail = format!("latency is back: {faster:.0} records/s and rising");
        }
        if state.stopped {
            state.reason = "live_depth";
            state.detail = format!(
                "{} live keys wait, more than {}: the bulk lane waits for them",
                sample.live_depth, sample.live_depth_max
            );
        } else if state.adapted.is_none() {
            state.name_rate();
        }
    }

    pub(crate) fn status(&self) -> Throttle {
        let state = self.state.lock();
        let rate = if state.stopped { Some(0.0) } else { state.rate() };
        Throttle { reason: state.reason, detail: state.detail.clone(), rate }
    }
}

impl State {
    fn rate(&self) -> Option<f64> {
        match (self.max, self.adapted) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn name_rate(&mut self) {
        (self.reason, self.detail) = match self.max {
            Some(max) => ("rate", format!("configured to at most {max:.0} records/s")),
            None => ("none", "nothing limits the bulk lane".into()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(us: u64, live: usize, bulk_rate: f64) -> Sample {
        Sample {
            ping_us: [Some(us), Some(1)],
            ping_max: Duration::from_millis(50),
            live_depth: live,
            live_depth_max: 100,
            bulk_rate,
        }
    }

    #[test]
    fn a_configured_rate_is_kept() {
        let throttle = Throttler::new(Some(1_000));
        let start = Instant::now();
        let mut passed = 0;
        for ms in 0..1_000 {
            let now = start + Duration::from_millis(ms);
            let n = throttle.permits(128, now);
            throttle.spend(n);
            passed += n;
        }
        assert!((900..=1_101).contains(&passed), "{passed} in a second");
    }

    #[test]
    fn latency_slows_it_down_and_lets_it_recover() {
        let throttle = Throttler::new(None);
        throttle.adapt(&sample(60_000, 0, 10_000.0));
        assert_eq!(throttle.status().reason, "source_latency");
        assert_eq!(throttle.status().rate, Some(5_000.0));
        for _ in 0..40 {
            throttle.adapt(&sample(1_000, 0, 5_000.0));
        }
        assert_eq!(throttle.status().reason, "none");
        assert_eq!(throttle.status().rate, None);
    }

    #[test]
    fn live_debt_stops_it() {
        let throttle = Throttler::new(None);
        throttle.adapt(&sample(1, 101, 0.0));
        assert_eq!(throttle.permits(9, Instant::now()), 0);
        assert_eq!(throttle.status().reason, "live_depth");
        throttle.adapt(&sample(1, 100, 0.0));
        assert_eq!(throttle.permits(9, Instant::now()), 9);
        assert_eq!(throttle.status().reason, "none");
    }
}
