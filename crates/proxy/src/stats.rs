//! Numbers of an interlay, as snapshots. Counters only grow; gauges say so.

use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;
use model::{Epoch, Side};

/// Everything an interlay counts.
#[derive(Debug, Clone, Default)]
pub struct StatsSnapshot {
    /// The table in force (gauge).
    pub epoch: Epoch,
    /// Clients connected (gauge).
    pub connections: usize,
    /// Clients ever accepted.
    pub connections_total: u64,
    /// Clients turned away by the connection limit.
    pub connections_refused: u64,
    /// Clients with a server connection of their own (gauge).
    pub pinned: usize,
    /// Server connections open, shared and own (gauge).
    pub upstream_connections: usize,
    /// Bytes kept for clients that cannot take or send more now (gauge).
    pub buffered_bytes: usize,
    /// Bytes from and to clients.
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
    /// Requests by what they may do.
    pub requests: Requests,
    /// Per side, indexed by [`Side::index`].
    pub sides: [SideStats; 2],
    /// Errors that clients saw.
    pub errors: Errors,
    /// Latencies in microseconds.
    pub latency: Latency,
    /// Requests that waited at a freeze, ever.
    pub holds: u64,
    /// Requests waiting now (gauge).
    pub held_now: usize,
    /// Longest wait at a freeze so far.
    pub hold_max: Duration,
    /// Writes on their way to the authority (gauge).
    pub writes_in_flight: usize,
    /// `both_required`: replies that waited for the secondary and got it in time.
    pub secondary_waits: u64,
    /// `both_required`: waits that ended at the timeout.
    pub secondary_timeouts: u64,
    /// `both_required`: the wait is being skipped because the secondary is behind (gauge).
    pub degraded: bool,
    /// Reads that the secondary failed and the authority answered instead.
    pub reads_retried: u64,
    /// Comparisons.
    pub compare: CompareCounts,
}

/// Requests by what they may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Proved reads.
    pub reads: u64,
    /// Anything that may write.
    pub writes: u64,
    /// Everything else.
    pub other: u64,
    /// Answered without a server.
    pub local: u64,
}

/// One side's share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SideStats {
    /// Reads that the table sent to this side.
    pub reads_routed: u64,
    /// Reads this side answered.
    pub reads_served: u64,
    /// Writes this side answered.
    pub writes_served: u64,
    /// Error replies of this side.
    pub errors: u64,
    /// Connections that could not be opened or broke.
    pub failures: u64,
    /// Whether its last connection attempt or reply succeeded (gauge).
    pub healthy: bool,
}

/// Errors that clients saw, by origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Errors {
    /// Passed on from a server.
    pub server: u64,
    /// No connection to the authority.
    pub unreachable: u64,
    /// Held longer than the limit.
    pub held_too_long: u64,
    /// Refused while a migration runs.
    pub refused: u64,
    /// Not the protocol.
    pub malformed: u64,
    /// Clients closed because a server connection broke with their request on it.
    pub lost: u64,
    /// Clients closed because they did not read.
    pub slow_clients: u64,
    /// Bounds on memory.
    pub overloaded: u64,
}

/// Latency distributions in microseconds.
#[derive(Debug, Clone)]
pub struct Latency {
    /// From the client's bytes read to the reply written.
    pub request: Histogram<u64>,
    /// From the request handed to the server connection to its reply read.
    pub upstream: Histogram<u64>,
    /// The difference: what this hop adds, holds and policy waits included.
    pub overhead: Histogram<u64>,
}

/// Largest latency that is told apart, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;

impl Default for Latency {
    fn default() -> Self {
        Self { request: histogram(), upstream: histogram(), overhead: histogram() }
    }
}

/// An empty latency histogram, two significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 2).expect("constant bounds are valid")
}

/// How comparisons ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompareCounts {
    /// Both sides said the same.
    pub equal: u64,
    /// They did not, though nothing was unsettled.
    pub different: u64,
    /// Of these, only the secondary gave an error.
    pub secondary_errors: u64,
    /// The secondary answered that it has no such record, while it was not copied and verified
    /// yet: neither agreement nor difference.
    pub missing: u64,
    /// Not compared: a key moved meanwhile, too large, too many pending, not comparable.
    pub skipped: u64,
    /// Masked samples of differences, a bounded reservoir.
    pub samples: Vec<DifferenceSample>,
}

/// One difference, values masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferenceSample {
    /// Kind of request.
    pub class: &'static str,
    /// The first key it touches, if any.
    pub key: Option<model::Key>,
    /// What the authority said.
    pub authority: String,
    /// What the other side said.
    pub secondary: String,
}

/// One client.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Our number for it, unique in this process.
    pub id: u64,
    /// Its address (from the PROXY header where there is one).
    pub address: SocketAddr,
    /// What its family knows about it.
    pub facts: family::SessionFacts,
    /// The kind of its last request.
    pub last: Option<&'static str>,
    /// Time since it connected.
    pub age: Duration,
    /// Time since its last request.
    pub idle: Duration,
    /// Unanswered requests.
    pub in_flight: usize,
    /// The side of its own server connection, if it has one.
    pub pinned: Option<Side>,
    /// Waiting at a freeze.
    pub held: bool,
}

/// What the workload is made of, since profiling was last reset.
#[derive(Debug, Clone, Default)]
pub struct ProfileReport {
    /// How long it has been watched.
    pub over: Duration,
    /// Kinds of requests seen, most frequent first.
    pub classes: Vec<ClassStats>,
    /// Distinct request shapes seen (kind, arity, key pattern), bounded.
    pub fingerprints: usize,
    /// Of these, how many were first seen in the last minute.
    pub fingerprints_last_minute: usize,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct ClassStats {
    /// Its name.
    pub class: &'static str,
    /// How often.
    pub count: u64,
    /// Error replies.
    pub errors: u64,
    /// Clients that used it.
    pub clients: u64,
    /// Bytes of requests and of replies.
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
    /// Latency at the server, microseconds.
    pub latency: Histogram<u64>,
}
