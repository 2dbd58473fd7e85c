//! What the engine needs to outlive the process. The composition root implements it on the store.
//!
//! Constraints: every method returns only once its effect is durable; calls are idempotent and
//! arrive in order from one process. Unclean markers reach the journal when it is built
//! (`Markers::new`), so they are written here and not read.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use family::Doubt;
use journal::{Bucket, Parked};
use model::{Dataset, Divergence, Frontier, Key, Side};
use parking_lot::Mutex;
use thiserror::Error;

/// The durable side of the engine.
#[async_trait]
pub trait Progress: Send + Sync + 'static {
    /// Everything stored so far, but for the markers.
    async fn load(&self) -> Result<Durable, ProgressError>;
    /// Sets marker bits. Writes to clean buckets wait for this: group it, answer fast.
    async fn set_markers(&self, buckets: &[Bucket]) -> Result<(), ProgressError>;
    /// Clears marker bits.
    async fn clear_markers(&self, buckets: &[Bucket]) -> Result<(), ProgressError>;
    /// Stores how far the backfill of a dataset has come.
    async fn save_fill(&self, dataset: &Dataset, fill: &Fill) -> Result<(), ProgressError>;
    /// Stores the hashes of records that were on the target before our first copy, replacing
    /// what was stored. At most [`crate::EXISTING_MAX`].
    async fn save_existing(&self, hashes: &[u64]) -> Result<(), ProgressError>;
    /// Inserts or replaces divergences by key.
    async fn save_divergences(&self, changed: &[Divergence]) -> Result<(), ProgressError>;
    /// Replaces the list of parked records, at most [`crate::PARKED_MAX`].
    async fn save_parked(&self, parked: &[(Key, Parked)]) -> Result<(), ProgressError>;
    /// Stores what is known of a side.
    async fn save_side(&self, side: Side, facts: &SideFacts) -> Result<(), ProgressError>;
    /// Stores the last finished verify.
    async fn save_verified(&self, verified: &Verified) -> Result<(), ProgressError>;
}

/// The store failed.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct ProgressError(pub String);

/// What a restart begins from.
#[derive(Debug, Clone, Default)]
pub struct Durable {
    /// How far each dataset was copied.
    pub fills: BTreeMap<Dataset, Fill>,
    /// See [`Progress::save_existing`]; `None` when no census was ever finished.
    pub existing: Option<Vec<u64>>,
    /// Every divergence that is not closed, and closed ones as the store keeps them.
    pub divergences: Vec<Divergence>,
    /// Records that were parked. They are looked at again after a restart. The code of a stored
    /// entry need not be resolved; the key is what matters.
    pub parked: Vec<Key>,
    /// What was known of each side, by [`Side::index`].
    pub sides: [SideFacts; 2],
    /// The last finished verify.
    pub verified: Option<Verified>,
}

/// How far the backfill of one dataset has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fill {
    /// Everything before this is copied, or covered by markers. `None` is the beginning.
    pub frontier: Option<Frontier>,
    /// Records offered and finished so far.
    pub records_done: u64,
    /// Estimate taken when the fill began.
    pub records_total: u64,
    /// Bytes estimate taken when the fill began; 0 = unknown.
    pub bytes_total: u64,
    /// Nothing is left.
    pub done: bool,
}

/// What is known of a side between restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideFacts {
    /// The server's incarnation when it was last used; empty when never.
    pub incarnation: String,
    /// Why absences on this side are not believed at present.
    pub doubt: Option<Doubt>,
}

/// The outcome of one verify.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Records compared (each key once, both sides).
    pub compared: u64,
    /// Records seen on the source and on the target; an empty side beside a full one is never
    /// clean.
    pub source_records: u64,
    /// See `source_records`.
    pub target_records: u64,
    /// Keys that stayed in motion through every round and were left to the journal.
    pub unsettled: u64,
    /// Divergences found and open at the end.
    pub open: u64,
    /// Whether everything in scope was looked at.
    pub finished: bool,
    /// Whether it finished, nothing is open, and the comparison was not vacuous.
    pub clean: bool,
    /// What was compared: `all`, `suspects`, or the dataset's name.
    pub scope: String,
    /// Unix time in milliseconds when it began: everything written before was in scope.
    pub watermark_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Keeps everything in memory. For tests and rehearsals: a "restart" of the engine that keeps the
/// same value behaves like a restart of the process that kept its disk.
#[derive(Default)]
pub struct MemoryProgress {
    state: Mutex<(Durable, std::collections::BTreeSet<Bucket>)>,
}

impl MemoryProgress {
    /// Nothing stored yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The marker bits that are set: what `Markers::new` is given after a restart.
    #[must_use]
    pub fn markers(&self) -> Vec<Bucket> {
        self.state.lock().1.iter().copied().collect()
    }
}

#[async_trait]
impl Progress for MemoryProgress {
    async fn load(&self) -> Result<Durable, ProgressError> {
        Ok(self.state.lock().0.clone())
    }

    async fn set_markers(&self, buckets: &[Bucket]) -> Result<(), ProgressError> {
        self.state.lock().1.extend(buckets);
        Ok(())
    }

    async fn clear_markers(&self, buckets: &[Bucket]) -> Result<(), ProgressError> {
        let mut state = self.state.lock();
        for bucket in buckets {
            state.1.remove(bucket);
        }
        Ok(())
    }

    async fn save_fill(&self, dataset: &Dataset, fill: &Fill) -> Result<(), ProgressError> {
        self.state.lock().0.fills.insert(dataset.clone(), fill.clone());
        Ok(())
    }

    async fn save_existing(&self, hashes: &[u64]) -> Result<(), ProgressError> {
        self.state.lock().0.existing = Some(hashes.to_vec());
        Ok(())
    }

    async fn save_divergences(&self, changed: &[Divergence]) -> Result<(), ProgressError> {
        let mut state = self.state.lock();
        for one in changed {
            state.0.divergences.retain(|d| d.key != one.key);
            state.0.divergences.push(one.clone());
        }
        Ok(())
    }

    async fn save_parked(&self, parked: &[(Key, Parked)]) -> Result<(), ProgressError> {
        self.state.lock().0.parked = parked.iter().map(|(key, _)| key.clone()).collect();
        Ok(())
    }

    async fn save_side(&self, side: Side, facts: &SideFacts) -> Result<(), ProgressError> {
        self.state.lock().0.sides[side.index()] = facts.clone();
        Ok(())
    }

    async fn save_verified(&self, verified: &Verified) -> Result<(), ProgressError> {
        self.state.lock().0.verified = Some(verified.clone());
        Ok(())
    }
}
