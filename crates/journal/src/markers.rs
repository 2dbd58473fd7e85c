//! The unclean-marker map: one bit per bucket of key hashes.
//!
//! A bit is `wanted` when a write is about to touch the bucket and `durable` once the marker
//! writer stored it. Writers wait for `durable` only for the first write of a clean bucket.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::KeyHash;
use tokio::sync::Notify;

/// Number of buckets. 16,384 bits are 2 KiB on disk, and a recheck after an unclean stop with one
/// hot bucket looks at 1/16,384 of the keys.
pub const BUCKETS: usize = 16_384;

/// One bucket of key hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(pub u16);

/// The bucket of a key. Stable across versions of the program: it is on disk.
#[must_use]
pub fn bucket_of(hash: KeyHash) -> Bucket {
    Bucket((hash.0 >> 50) as u16)
}

const WORDS: usize = BUCKETS / 64;

/// Which buckets may hold keys that differ, in memory and on disk.
pub struct Markers {
    wanted: Box<[AtomicU64]>,
    durable: Box<[AtomicU64]>,
    failed: AtomicBool,
    work: Notify,
    stored: Notify,
}

impl Markers {
    /// A map in which the given buckets are durable already.
    #[must_use]
    pub fn new(durable: impl IntoIterator<Item = Bucket>) -> Self {
        let zeroed = || (0..WORDS).map(|_| AtomicU64::new(0)).collect::<Box<[_]>>();
        let map = Self {
            wanted: zeroed(),
            durable: zeroed(),
            failed: AtomicBool::new(false),
            work: Notify::new(),
            stored: Notify::new(),
        };
        for bucket in durable {
            map.set(&map.wanted, bucket);
            map.set(&map.durable, bucket);
        }
        map
    }

    fn set(&self, words: &[AtomicU64], bucket: Bucket) -> bool {
        let mask = 1 << (bucket.0 % 64);
        words[usize::from(bucket.0) / 64].fetch_or(mask, Ordering::SeqCst) & mask != 0
    }

    /// Whether the bucket's bit is on disk. Otherwise asks the marker writer to store it.
    pub fn demand(&self, bucket: Bucket) -> bool {
        if self.is_durable(bucket) {
            return true;
        }
        if !self.set(&self.wanted, bucket) {
            self.work.notify_one();
        }
        false
    }

    /// Whether the bucket's bit is on disk.
    #[must_use]
    pub fn is_durable(&self, bucket: Bucket) -> bool {
        let word = self.durable[usize::from(bucket.0) / 64].load(Ordering::SeqCst);
        word & (1 << (bucket.0 % 64)) != 0
    }

    /// Waits until the bucket's bit is on disk; `false` when the store has failed for good.
    pub async fn durable(&self, bucket: Bucket) -> bool {
        loop {
            let stored = self.stored.notified();
            if self.is_durable(bucket) {
                return true;
            }
            if self.failed.load(Ordering::SeqCst) {
                return false;
            }
            // The bit may have been taken back since it was asked for.
            self.demand(bucket);
            stored.await;
        }
    }

    /// Waits until some bucket is wanted and not yet durable, then returns all such buckets.
    pub async fn next_wanted(&self) -> Vec<Bucket> {
        loop {
            let work = self.work.notified();
            let wanted = self.missing();
            if !wanted.is_empty() {
                return wanted;
            }
            work.await;
        }
    }

    fn missing(&self) -> Vec<Bucket> {
        let mut out = Vec::new();
        for (index, (w, d)) in self.wanted.iter().zip(self.durable.iter()).enumerate() {
            let mut bits = w.load(Ordering::SeqCst) & !d.load(Ordering::SeqCst);
            while bits != 0 {
                out.push(Bucket((index * 64) as u16 + bits.trailing_zeros() as u16));
                bits &= bits - 1;
            }
        }
        out
    }

    /// Says that these bits are on disk now.
    pub fn mark_durable(&self, buckets: &[Bucket]) {
        for &bucket in buckets {
            self.set(&self.durable, bucket);
        }
        self.stored.notify_waiters();
    }

    /// Says that the store cannot keep markers any more; waiters are told.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.stored.notify_waiters();
    }

    /// Asks for every bucket's bit; whether all are on disk.
    pub fn demand_all(&self) -> bool {
        if self.is_all_durable() {
            return true;
        }
        for word in &self.wanted {
            word.store(u64::MAX, Ordering::SeqCst);
        }
        self.work.notify_one();
        false
    }

    fn is_all_durable(&self) -> bool {
        self.durable.iter().all(|word| word.load(Ordering::SeqCst) == u64::MAX)
    }

    /// Waits until every bucket's bit is on disk; `false` when the store has failed for good.
    pub(crate) async fn all_durable(&self) -> bool {
        loop {
            let stored = self.stored.notified();
            if self.is_all_durable() {
                return true;
            }
            if self.failed.load(Ordering::SeqCst) {
                return false;
            }
            // A bit may have been taken back since it was asked for.
            self.demand_all();
            stored.await;
        }
    }

    /// Waits until every bit that is wanted now is on disk; `false` when the store has failed
    /// for good.
    pub async fn flushed(&self) -> bool {
        for bucket in self.missing() {
            if !self.durable(bucket).await {
                return false;
            }
        }
        !self.failed.load(Ordering::SeqCst)
    }

    /// Whether the store can keep no more markers.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Takes a bucket's bit back in memory. `wanted` goes first: a write that finds the bit not
    /// durable any more then sets `wanted` anew and wakes the marker writer.
    pub(crate) fn clear(&self, bucket: Bucket) {
        let mask = !(1 << (bucket.0 % 64));
        let word = usize::from(bucket.0) / 64;
        self.wanted[word].fetch_and(mask, Ordering::SeqCst);
        self.durable[word].fetch_and(mask, Ordering::SeqCst);
    }

    /// Every bucket whose bit is on disk.
    #[must_use]
    pub fn set_buckets(&self) -> Vec<Bucket> {
        (0..BUCKETS as u16).map(Bucket).filter(|b| self.is_durable(*b)).collect()
    }
}
