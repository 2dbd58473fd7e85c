//! Live numbers: rates, latencies as the client saw them, errors by kind, the longest pause.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// What an operation was, for the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reads only.
    Read,
    /// May write.
    Write,
    /// Waits on purpose; its latency says nothing.
    Blocking,
}

/// Numbers of a run or of a window of it. Latencies are from the start of the attempt to its
/// reply, reconnecting included.
#[derive(Debug, Clone)]
pub struct Stats {
    /// The time they cover.
    pub elapsed: Duration,
    /// Reads answered.
    pub reads: u64,
    /// Writes acknowledged.
    pub writes: u64,
    /// Blocking calls answered.
    pub blocking: u64,
    /// Definite errors and attempts that could not be sent.
    pub no: u64,
    /// Broken or timed-out attempts.
    pub unknown: u64,
    /// Transactions that lost against a WATCH: no error, counted apart.
    pub conflicts: u64,
    /// Connections made after the first of each client.
    pub reconnects: u64,
    /// Messages published and acknowledged.
    pub published: u64,
    /// Messages received by subscribers.
    pub received: u64,
    /// Reads that did not show a write another client had been acknowledged before they began.
    pub stale_reads: u64,
    /// Errors by text, `no` and `unknown` alike.
    pub errors: BTreeMap<String, u64>,
    /// Longest time without any acknowledged write among all clients.
    pub write_gap_max: Duration,
    read: Histogram<u64>,
    write: Histogram<u64>,
    since: Instant,
    last_write: Instant,
}

const ERROR_KINDS_MAX: usize = 200;

impl Stats {
    fn new() -> Self {
        // One microsecond to ten minutes, two digits: 20 kB each.
        let histogram =
            || Histogram::new_with_bounds(1, 600_000_000, 2).expect("bounds are constants");
        let now = Instant::now();
        Self {
            elapsed: Duration::ZERO,
            reads: 0,
            writes: 0,
            blocking: 0,
            no: 0,
            unknown: 0,
            conflicts: 0,
            reconnects: 0,
            published: 0,
            received: 0,
            stale_reads: 0,
            errors: BTreeMap::new(),
            write_gap_max: Duration::ZERO,
            read: histogram(),
            write: histogram(),
            since: now,
            last_write: now,
        }
    }

    /// Answered operations per second.
    #[must_use]
    pub fn ops_per_second(&self) -> f64 {
        (self.reads + self.writes + self.blocking) as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    /// Latency of reads at a quantile, 0.0 to 1.0.
    #[must_use]
    pub fn read_latency(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.read.value_at_quantile(quantile))
    }

    /// Latency of acknowledged writes at a quantile, 0.0 to 1.0.
    #[must_use]
    pub fn write_latency(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.write.value_at_quantile(quantile))
    }

    /// The longest an acknowledged write took.
    #[must_use]
    pub fn write_latency_max(&self) -> Duration {
        if self.write.is_empty() { Duration::ZERO } else { self.write_latency(1.0) }
    }

    fn answered(&mut self, class: Class, began: Instant, now: Instant) {
        let micros = u64::try_from((now - began).as_micros()).unwrap_or(u64::MAX);
        match class {
            Class::Read => {
                self.reads += 1;
                self.read.saturating_record(micros);
            }
            Class::Write => {
                self.writes += 1;
                self.write.saturating_record(micros);
                self.write_gap_max = self.write_gap_max.max(now - self.last_write);
                self.last_write = now;
            }
            Class::Blocking => self.blocking += 1,
        }
    }

    fn error(&mut self, text: &str) {
        if let Some(count) = self.errors.get_mut(text) {
            *count += 1;
        } else if self.errors.len() < ERROR_KINDS_MAX {
            self.errors.insert(text.to_owned(), 1);
        } else {
            *self.errors.entry("other".to_owned()).or_default() += 1;
        }
    }
}

/// Shared by all clients: the whole run, and the window since it was last taken.
pub(crate) struct Board {
    inner: Mutex<(Stats, Stats)>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new((Stats::new(), Stats::new())) }
    }

    /// One lock per operation, held for two histogram updates.
    fn both(&self, change: impl Fn(&mut Stats)) {
        let mut inner = self.inner.lock();
        change(&mut inner.0);
        change(&mut inner.1);
    }

    pub(crate) fn answered(&self, class: Class, began: Instant) {
        let now = Instant::now();
        self.both(|s| s.answered(class, began, now));
    }

    pub(crate) fn no(&self, text: &str) {
        self.both(|s| {
            s.no += 1;
            s.error(text);
        });
    }

    pub(crate) fn unknown(&self, text: &str) {
        self.both(|s| {
            s.unknown += 1;
            s.error(text);
        });
    }

    pub(crate) fn count(&self, change: impl Fn(&mut Stats)) {
        self.both(change);
    }

    /// A pause on purpose is no gap.
    pub(crate) fn resumed(&self) {
        let now = Instant::now();
        self.both(|s| s.last_write = now);
    }

    pub(crate) fn total(&self) -> Stats {
        Self::read(&self.inner.lock().0)
    }

    /// The window so far; begins a new one.
    pub(crate) fn take_window(&self) -> Stats {
        let mut inner = self.inner.lock();
        let taken = Self::read(&inner.1);
        let last_write = inner.1.last_write;
        inner.1 = Stats::new();
        // A gap that is still open belongs to the new window too.
        inner.1.last_write = last_write;
        taken
    }

    fn read(stats: &Stats) -> Stats {
        let mut stats = stats.clone();
        stats.elapsed = stats.since.elapsed();
        stats.write_gap_max = stats.write_gap_max.max(stats.last_write.elapsed());
        stats
    }
}
