//! What one shard counts. Behind a lock that only the shard and a rare snapshot take.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use model::Side;
use parking_lot::Mutex;

use crate::stats::{ClassStats, ProfileReport, StatsSnapshot, histogram};

/// Distinct request shapes remembered per shard.
const FINGERPRINTS_MAX: usize = 4096;

/// Samples of differences kept per shard.
pub(crate) const SAMPLES_MAX: usize = 32;

pub(crate) struct ShardCounters {
    /// Counters and gauges in their final form; `epoch` and `degraded` are filled in by readers.
    pub(crate) numbers: StatsSnapshot,
    classes: Vec<ClassCounter>,
    fingerprints: HashMap<u64, Instant>,
}

#[derive(Default)]
struct ClassCounter {
    count: u64,
    errors: u64,
    clients: u64,
    bytes_in: u64,
    bytes_out: u64,
    latency: Option<Histogram<u64>>,
}

impl ShardCounters {
    pub(crate) fn new(classes: usize) -> Self {
        Self {
            numbers: StatsSnapshot::default(),
            classes: (0..classes).map(|_| ClassCounter::default()).collect(),
            fingerprints: HashMap::new(),
        }
    }

    pub(crate) fn side(&mut self, side: Side) -> &mut crate::stats::SideStats {
        &mut self.numbers.sides[side.index()]
    }

    /// A request of this kind went out.
    pub(crate) fn asked(&mut self, class: u16, bytes: usize, first_of_client: bool) {
        if let Some(class) = self.classes.get_mut(usize::from(class)) {
            class.count += 1;
            class.bytes_in += bytes as u64;
            class.clients += u64::from(first_of_client);
        }
    }

    /// Its reply came back.
    pub(crate) fn answered(
        &mut self,
        class: u16,
        upstream: Duration,
        request: Duration,
        error: bool,
    ) {
        let us = micros(upstream);
        let latency = &mut self.numbers.latency;
        latency.request.saturating_record(micros(request));
        latency.overhead.saturating_record(micros(request.saturating_sub(upstream)));
        self.numbers.latency.upstream.saturating_record(us);
        if let Some(class) = self.classes.get_mut(usize::from(class)) {
            class.errors += u64::from(error);
            class.latency.get_or_insert_with(histogram).saturating_record(us);
        }
    }

    pub(crate) fn seen(&mut self, fingerprint: u64, now: Instant) {
        if self.fingerprints.len() < FINGERPRINTS_MAX {
            self.fingerprints.entry(fingerprint).or_insert(now);
        }
    }

    pub(crate) fn add_to(&self, out: &mut StatsSnapshot) {
        out.absorb(&self.numbers);
    }

    pub(crate) fn profile(
        shards: &[Mutex<Self>],
        names: &[&'static str],
        over: Duration,
    ) -> ProfileReport {
        let mut classes: Vec<ClassStats> = names
            .iter()
            .map(|class| ClassStats {
                class,
                count: 0,
                errors: 0,
                clients: 0,
                bytes_in: 0,
                bytes_out: 0,
                latency: histogram(),
            })
            .collect();
        let mut first_seen: HashMap<u64, Instant> = HashMap::new();
        for shard in shards {
            let shard = shard.lock();
            for (all, one) in classes.iter_mut().zip(&shard.classes) {
                all.count += one.count;
                all.errors += one.errors;
                all.clients += one.clients;
                all.bytes_in += one.bytes_in;
                all.bytes_out += one.bytes_out;
                if let Some(latency) = &one.latency {
                    // Both have the same constant bounds.
                    let _ = all.latency.add(latency);
                }
            }
            for (shape, at) in &shard.fingerprints {
                first_seen.entry(*shape).and_modify(|t| *t = (*t).min(*at)).or_insert(*at);
            }
        }
        classes.retain(|c| c.count > 0);
        classes.sort_by_key(|c| std::cmp::Reverse(c.count));
        let minute = Duration::from_secs(60);
        ProfileReport {
            over,
            classes,
            fingerprints: first_seen.len(),
            fingerprints_last_minute: first_seen.values().filter(|t| t.elapsed() < minute).count(),
        }
    }
}

/// Whole microseconds, at least one so that nothing is too fast to be counted.
pub(crate) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1)
}

impl StatsSnapshot {
    /// Adds another shard's numbers.
    fn absorb(&mut self, other: &Self) {
        self.connections += other.connections;
        self.connections_total += other.connections_total;
        self.connections_refused += other.connections_refused;
        self.pinned += other.pinned;
        self.upstream_connections += other.upstream_connections;
        self.buffered_bytes += other.buffered_bytes;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.requests.reads += other.requests.reads;
        self.requests.writes += other.requests.writes;
        self.requests.other += other.requests.other;
        self.requests.local += other.requests.local;
        for (all, one) in self.sides.iter_mut().zip(&other.sides) {
            all.reads_routed += one.reads_routed;
            all.reads_served += one.reads_served;
            all.writes_served += one.writes_served;
            all.errors += one.errors;
            all.failures += one.failures;
            all.healthy |= one.healthy;
        }
        self.errors.server += other.errors.server;
        self.errors.unreachable += other.errors.unreachable;
        self.errors.held_too_long += other.errors.held_too_long;
        self.errors.refused += other.errors.refused;
        self.errors.malformed += other.errors.malformed;
        self.errors.lost += other.errors.lost;
        self.errors.slow_clients += other.errors.slow_clients;
        self.errors.overloaded += other.errors.overloaded;
        // All shards use the same constant bounds, so adding cannot fail.
        let _ = self.latency.request.add(&other.latency.request);
        let _ = self.latency.upstream.add(&other.latency.upstream);
        let _ = self.latency.overhead.add(&other.latency.overhead);
        self.holds += other.holds;
        self.held_now += other.held_now;
        self.hold_max = self.hold_max.max(other.hold_max);
        self.writes_in_flight += other.writes_in_flight;
        self.secondary_waits += other.secondary_waits;
        self.secondary_timeouts += other.secondary_timeouts;
        self.reads_retried += other.reads_retried;
        self.compare.equal += other.compare.equal;
        self.compare.different += other.compare.different;
        self.compare.secondary_errors += other.compare.secondary_errors;
        self.compare.missing += other.compare.missing;
        self.compare.skipped += other.compare.skipped;
        self.compare.samples.extend(other.compare.samples.iter().cloned());
        self.compare.samples.truncate(SAMPLES_MAX);
    }
}
