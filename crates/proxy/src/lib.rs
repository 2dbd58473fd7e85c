//! Listener, upstream lanes, the request loop; generic over a family's hot path.
//!
//! Constraints: names no family; asks nobody anything on the request path. A routing table is
//! read as a whole and obeyed. Every buffer is bounded by a named limit.
//!
//! Layout: [`Interlay::bind`] starts the shards (one thread each, single-threaded inside, so that
//! the hot path takes no lock) and returns an [`InterlayHandle`], through which control publishes
//! tables, waits for quiet, moves sessions and reads numbers.

mod config;
mod counters;
mod endpoint;
mod error;
mod handle;
mod interlay;
mod proxy_header;
mod report;
mod shard;
mod shared;
mod stats;

pub use config::{Capture, InterlayConfig, Limits, ProxyProtocol, Upstreams};
pub use error::ProxyError;
pub use handle::InterlayHandle;
pub use interlay::Interlay;
pub use report::{DrainReport, QuietReport, RehomeReport};
pub use stats::{
    ClassStats, CompareCounts, ConnectionInfo, DifferenceSample, Errors, Latency, ProfileReport,
    Requests, SideStats, StatsSnapshot,
};
