//! What traffic did in the last minute: counters are differences of snapshots.

use std::collections::VecDeque;

use hdrhistogram::Histogram;
use proxy::StatsSnapshot;

use crate::interlays::Interlays;

/// Snapshots are this far apart.
const EVERY_MS: u64 = 5_000;
/// How many are kept: one minute.
const KEPT: usize = 13;

/// The snapshots of the last minute, all interlays added up.
#[derive(Default)]
pub(crate) struct Window {
    points: VecDeque<Point>,
}

#[derive(Clone)]
struct Point {
    at_ms: u64,
    sum: Sum,
}

/// Counters of all interlays.
#[derive(Clone)]
pub(crate) struct Sum {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) reads_served: [u64; 2],
    pub(crate) side_requests: [u64; 2],
    pub(crate) side_errors: [u64; 2],
    pub(crate) client_errors: u64,
    pub(crate) connections: u64,
    pub(crate) pinned: u64,
    pub(crate) degraded: bool,
    pub(crate) request: Histogram<u64>,
    pub(crate) upstream: Histogram<u64>,
    pub(crate) overhead: Histogram<u64>,
}

/// What a minute looked like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates {
    pub(crate) over_ms: u64,
    pub(crate) reads_per_s: f64,
    pub(crate) writes_per_s: f64,
    /// Share of reads that the target answered, percent.
    pub(crate) target_reads: Option<f64>,
    pub(crate) client_errors: u64,
    pub(crate) side_requests: [u64; 2],
    pub(crate) side_errors: [u64; 2],
}

impl Sum {
    fn of(stats: &[StatsSnapshot]) -> Self {
        let fresh = || Histogram::new_with_bounds(1, 60_000_000, 2).expect("constant bounds");
        let mut sum = Self {
            reads: 0,
            writes: 0,
            reads_served: [0; 2],
            side_requests: [0; 2],
            side_errors: [0; 2],
            client_errors: 0,
            connections: 0,
            pinned: 0,
            degraded: false,
            request: fresh(),
            upstream: fresh(),
            overhead: fresh(),
        };
        for one in stats {
            sum.reads += one.requests.reads;
            sum.writes += one.requests.writes;
            for side in 0..2 {
                let of = &one.sides[side];
                sum.reads_served[side] += of.reads_served;
                sum.side_requests[side] += of.reads_served + of.writes_served;
                sum.side_errors[side] += of.errors + of.failures;
            }
            let e = &one.errors;
            sum.client_errors += e.unreachable + e.held_too_long + e.lost + e.overloaded;
            sum.connections += one.connections as u64;
            sum.pinned += one.pinned as u64;
            sum.degraded |= one.degraded;
            // Equal bounds: adding cannot fail.
            let _ = sum.request.add(&one.latency.request);
            let _ = sum.upstream.add(&one.latency.upstream);
            let _ = sum.overhead.add(&one.latency.overhead);
        }
        sum
    }
}

impl Window {
    /// Takes a snapshot when one is due.
    pub(crate) fn look(&mut self, interlays: &Interlays, now_ms: u64) {
        if self.points.back().is_some_and(|p| now_ms < p.at_ms + EVERY_MS) {
            return;
        }
        let sum = Self::now(interlays);
        self.points.push_back(Point { at_ms: now_ms, sum });
        while self.points.len() > KEPT {
            self.points.pop_front();
        }
    }

    /// Counters now.
    pub(crate) fn now(interlays: &Interlays) -> Sum {
        let stats: Vec<_> = interlays.handles().iter().map(proxy::InterlayHandle::stats).collect();
        Sum::of(&stats)
    }

    /// Latencies of the last minute: request, upstream, added.
    pub(crate) fn latencies(&self, now: &Sum) -> [Histogram<u64>; 3] {
        let minus = |now: &Histogram<u64>, then: &Histogram<u64>| {
            let mut left = now.clone();
            match left.subtract(then) {
                Ok(()) => left,
                // A listener went away in between: all that is left.
                Err(_) => now.clone(),
            }
        };
        match self.points.front() {
            None => [now.request.clone(), now.upstream.clone(), now.overhead.clone()],
            Some(then) => [
                minus(&now.request, &then.sum.request),
                minus(&now.upstream, &then.sum.upstream),
                minus(&now.overhead, &then.sum.overhead),
            ],
        }
    }

    /// Rates since the oldest snapshot.
    pub(crate) fn rates(&self, now: &Sum, now_ms: u64) -> Rates {
        let Some(then) = self.points.front() else { return Rates::default() };
        let over_ms = now_ms.saturating_sub(then.at_ms);
        if over_ms == 0 {
            return Rates::default();
        }
        let old = &then.sum;
        let grown = |a: u64, b: u64| a.saturating_sub(b);
        let per_s = |a: u64, b: u64| grown(a, b) as f64 * 1_000.0 / over_ms as f64;
        let served: [u64; 2] =
            std::array::from_fn(|s| grown(now.reads_served[s], old.reads_served[s]));
        let all = served[0] + served[1];
        Rates {
            over_ms,
            reads_per_s: per_s(now.reads, old.reads),
            writes_per_s: per_s(now.writes, old.writes),
            target_reads: (all > 0).then(|| served[1] as f64 * 100.0 / all as f64),
            client_errors: grown(now.client_errors, old.client_errors),
            side_requests: std::array::from_fn(|s| {
                grown(now.side_requests[s], old.side_requests[s])
            }),
            side_errors: std::array::from_fn(|s| grown(now.side_errors[s], old.side_errors[s])),
        }
    }
}
