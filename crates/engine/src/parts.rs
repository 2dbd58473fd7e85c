//! What an engine is made of, and its bounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use family::{Database, Family};
use journal::{Horizon, Journal};
use model::{ConflictPolicy, Dataset, Key};
use routing::RoutingTable;

use crate::progress::Progress;

/// Largest number of records on the target before our first copy that a conflict policy other
/// than `overwrite` is kept for: 8 bytes of memory each.
pub const EXISTING_MAX: usize = 4_000_000;
/// Largest list of parked records that is stored and shown.
pub const PARKED_MAX: usize = 10_000;
/// Largest number of divergences kept in memory. More are counted, and found by the next verify.
pub const DIVERGENCES_MAX: usize = 100_000;

/// Everything an engine works with.
pub struct Parts {
    /// Names keys, tells tenants and datasets.
    pub family: Arc<dyn Family>,
    /// Where the workload lived when the migration began.
    pub source: Arc<dyn Database>,
    /// Where it is going.
    pub target: Arc<dyn Database>,
    /// Who decides now. The engine only reads it.
    pub table: Arc<ArcSwap<RoutingTable>>,
    /// What may differ. Built with the markers that are durable.
    pub journal: Arc<Journal>,
    /// How far each side's log is on the other, of a family that is followed by its
    /// transactions. Shared with interlays.
    pub horizon: Arc<Horizon>,
    /// What outlives the process.
    pub progress: Arc<dyn Progress>,
    /// Bounds and choices.
    pub config: Config,
}

/// Bounds and choices. `Default` is what an operator gets without saying anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Names what is ours on the servers: the migration's id.
    pub run: String,
    /// The family's own options.
    pub options: BTreeMap<String, String>,
    /// Parts of history copied at a time, where whole transactions are followed.
    pub fills: usize,
    /// The rule that partitions keys into tenants; `None` when the migration does not.
    pub tenant_rule: Option<String>,
    /// What happens to records that exist on the target before our first copy.
    pub conflict: ConflictPolicy,
    /// Largest number of records in one copy batch (1..=128). A fence may cost the authority the
    /// square of it.
    pub batch_max: usize,
    /// Keys asked of one scan call.
    pub scan_chunk: usize,
    /// Keys of backfill and recheck that may be outstanding in the journal at once.
    pub bulk_outstanding_max: usize,
    /// Records per second of the bulk lane; `None` is unbounded.
    pub bulk_rate_max: Option<u32>,
    /// Records per second that verify reads per side; `None` is unbounded.
    pub verify_rate_max: Option<u32>,
    /// The bulk lane slows down while the round trip of a side stays above this.
    pub ping_p99_max: Duration,
    /// The bulk lane stops above this many live dirty keys.
    pub live_depth_max: usize,
    /// The secondary is in step only while the oldest live change is younger than this.
    pub in_step_lag_max: Duration,
    /// First and largest delay between attempts.
    pub backoff: (Duration, Duration),
    /// No call of a port may take longer.
    pub call_timeout: Duration,
    /// Without an open feed on the authority nothing is said to be in step, for writes that
    /// bypass every interlay would not be seen.
    pub feed_required: bool,
    /// Attempts before a record that a server rejects is parked.
    pub reject_attempts: u32,
    /// No progress for this long, with work outstanding, is named a stall.
    pub stall_after: Duration,
    /// How long verify waits between its rounds for keys in motion to settle.
    pub verify_pause: Duration,
    /// How long a bucket has to be quiet before its marker is cleared.
    pub marker_quiet: Duration,
    /// How often rates, pings and stalls are sampled.
    pub sample_every: Duration,
    /// A planted mistake.
    #[cfg(feature = "zoo")]
    pub bug: Option<crate::zoo::Bug>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            run: String::new(),
            options: BTreeMap::new(),
            fills: 4,
            tenant_rule: None,
            conflict: ConflictPolicy::Fail,
            batch_max: 64,
            scan_chunk: 1_024,
            bulk_outstanding_max: 16_384,
            bulk_rate_max: None,
            verify_rate_max: None,
            ping_p99_max: Duration::from_millis(50),
            live_depth_max: 20_000,
            in_step_lag_max: Duration::from_secs(2),
            backoff: (Duration::from_millis(20), Duration::from_secs(5)),
            call_timeout: Duration::from_secs(30),
            feed_required: true,
            reject_attempts: 3,
            stall_after: Duration::from_secs(60),
            verify_pause: Duration::from_millis(500),
            marker_quiet: Duration::from_secs(10),
            sample_every: Duration::from_secs(1),
            #[cfg(feature = "zoo")]
            bug: None,
        }
    }
}

/// Says whether a key is moved.
pub type KeyFilter = Arc<dyn Fn(&Key) -> bool + Send + Sync>;

/// Which keys a migration moves. Applies to copying live changes, backfill, and verify alike.
#[derive(Clone, Default)]
pub struct Filter {
    /// Only these datasets; `None` is every one.
    pub datasets: Option<Vec<Dataset>>,
    /// Only keys this says yes to; `None` is every one.
    pub keys: Option<KeyFilter>,
}

impl Filter {
    /// Whether a dataset is moved.
    #[must_use]
    pub fn wants_dataset(&self, dataset: &Dataset) -> bool {
        self.datasets.as_ref().is_none_or(|only| only.contains(dataset))
    }

    /// Whether a key is moved.
    #[must_use]
    pub fn wants(&self, family: &dyn Family, key: &Key) -> bool {
        self.keys.as_ref().is_none_or(|keep| keep(key))
            && (self.datasets.is_none() || self.wants_dataset(&family.dataset_of(key)))
    }

    /// Whether everything is moved.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.datasets.is_none() && self.keys.is_none()
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter")
            .field("datasets", &self.datasets)
            .field("keys", &self.keys.is_some())
            .finish()
    }
}
