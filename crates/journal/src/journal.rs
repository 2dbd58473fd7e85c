use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{Key, KeyHash};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use xxhash_rust::xxh3::xxh3_64;

use crate::chunk::Chunk;
use crate::entry::{Cause, Entry, Lane};
use crate::markers::{Markers, bucket_of};
use crate::shard::Shard;
use crate::ticket::{Outcome, Settlement, Ticket};

/// Shards of the key map. A power of two well above the number of cores.
const SHARDS: usize = 64;

/// The hash that decides a key's shard, copier and marker bucket.
#[must_use]
pub fn key_hash(key: &Key) -> KeyHash {
    KeyHash(xxh3_64(key.as_bytes()))
}

/// Every key that is not known to be equal on both sides.
pub struct Journal {
    shards: Box<[Mutex<Shard>]>,
    /// One bell per copier; copier `p` serves the shards with `shard % copiers == p`.
    bells: Box<[Notify]>,
    markers: Markers,
    /// Writes in flight that may touch records they do not name.
    anything_in_flight: AtomicU64,
    /// Settled writes of that kind, ever; and how many of them a feed fence has covered.
    anything_settled: AtomicU64,
    anything_fenced: AtomicU64,
    settled: Notify,
}

/// How much is outstanding, by what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Keys with at least one write in flight.
    pub in_flight: usize,
    /// Dirty keys that somebody wrote (leased ones included).
    pub live: usize,
    /// Dirty keys that a scan offered (leased ones included).
    pub bulk: usize,
    /// Keys that could not be moved and wait for an operator.
    pub parked: usize,
}

impl Depth {
    /// Nothing is in flight and nothing is dirty. Parked keys are not counted: they are a
    /// decision, not work.
    #[must_use]
    pub const fn drained(&self) -> bool {
        self.in_flight == 0 && self.live == 0 && self.bulk == 0
    }
}

/// A key in the hands of one copier.
#[derive(Debug, Clone)]
pub struct Leased {
    /// Which key.
    pub key: Key,
    /// Its generation when it was taken.
    pub generation: u64,
    /// Why it was dirty.
    pub cause: Cause,
    /// How often copying it failed before.
    pub attempts: u32,
}

/// How a copier's work on a key ended.
#[derive(Debug, Clone)]
pub enum Finished {
    /// The secondary has the state the authority had after the lease.
    Equal,
    /// It changed while it was copied.
    Moved,
    /// It failed; try again after this delay.
    Later(Duration, String),
    /// It cannot be moved: keep it apart until an operator decides.
    Park {
        /// The `EXO-` code.
        code: &'static str,
        /// What was said, values masked.
        reason: String,
    },
}

/// A key that could not be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The `EXO-` code.
    pub code: &'static str,
    /// What was said, values masked.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

impl Journal {
    /// A journal for a fixed number of copiers (at least one).
    #[must_use]
    pub fn new(copiers: usize, markers: Markers) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            bells: (0..copiers.clamp(1, SHARDS)).map(|_| Notify::new()).collect(),
            markers,
            anything_in_flight: AtomicU64::new(0),
            anything_settled: AtomicU64::new(0),
            anything_fenced: AtomicU64::new(0),
            settled: Notify::new(),
        })
    }

    /// The unclean-marker map.
    #[must_use]
    pub const fn markers(&self) -> &Markers {
        &self.markers
    }

    /// How many copiers the shards are dealt to.
    #[must_use]
    pub fn copiers(&self) -> usize {
        self.bells.len()
    }

    fn shard_of(&self, key: &Key) -> (usize, &Mutex<Shard>) {
        let index = (key_hash(key).0 as usize) % SHARDS;
        (index, &self.shards[index])
    }

    fn ring(&self, shard: usize) {
        self.bells[shard % self.bells.len()].notify_one();
    }

    /// Notes a write before it is sent. Returns the ticket, and whether every bucket's marker is
    /// durable already; if not, await [`Journal::marked`] before sending.
    pub fn begin(self: &Arc<Self>, keys: Vec<Key>, anything: bool) -> (Ticket, bool) {
        let mut marked = true;
        for key in &keys {
            let (_, shard) = self.shard_of(key);
            let mut shard = shard.lock();
            let shard = &mut *shard;
            let entry = shard.entries.entry(key.clone()).or_insert_with(Entry::clean);
            if entry.in_flight == 0 {
                shard.depth.in_flight += 1;
            }
            entry.in_flight += 1;
            marked &= self.markers.demand(bucket_of(key_hash(key)));
        }
        if anything {
            self.anything_in_flight.fetch_add(1, Ordering::SeqCst);
        }
        (Ticket { keys, anything, journal: Some(Arc::clone(self)) }, marked)
    }

    /// Waits until the markers of a ticket's buckets are durable; `false` when the store can keep
    /// no more markers, in which case the write must not be sent as captured.
    pub async fn marked(&self, ticket: &Ticket) -> bool {
        for key in &ticket.keys {
            if !self.markers.durable(bucket_of(key_hash(key))).await {
                return false;
            }
        }
        true
    }

    /// Ends a write's flight.
    pub fn settle(&self, mut ticket: Ticket, outcome: Outcome, now: Instant) -> Settlement {
        ticket.journal = None;
        let keys = std::mem::take(&mut ticket.keys);
        self.settle_parts(keys, ticket.anything, outcome, now)
    }

    pub(crate) fn settle_parts(
        &self,
        keys: Vec<Key>,
        anything: bool,
        outcome: Outcome,
        now: Instant,
    ) -> Settlement {
        let mut settlement = Settlement::default();
        for key in keys {
            let (index, shard) = self.shard_of(&key);
            let mut guard = shard.lock();
            let shard = &mut *guard;
            if outcome != Outcome::Nothing {
                let generation = shard.mark(&key, Lane::Live, Cause::OwnWrite, None, now);
                settlement.keys.push((key.clone(), generation));
            }
            shard.landed(&key);
            drop(guard);
            if outcome != Outcome::Nothing {
                self.ring(index);
            }
        }
        if anything {
            if outcome != Outcome::Nothing {
                self.anything_settled.fetch_add(1, Ordering::SeqCst);
            }
            self.anything_in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        self.settled.notify_waiters();
        settlement
    }

    /// Marks keys that a feed, scan or repair named. Keys a copier already has to look at are not
    /// queued twice. With a chunk, each key counts down once when it next becomes equal or parked.
    pub fn stale(
        &self,
        keys: impl IntoIterator<Item = Key>,
        lane: Lane,
        cause: Cause,
        chunk: Option<&Arc<Chunk>>,
        now: Instant,
    ) {
        for key in keys {
            let (index, shard) = self.shard_of(&key);
            shard.lock().mark(&key, lane, cause, chunk, now);
            self.ring(index);
        }
    }

    /// Whether a read of this key must go to the authority: a write is in flight, or the
    /// secondary may not have its latest state.
    #[must_use]
    pub fn unsettled(&self, key: &Key) -> bool {
        self.anything_pending() || self.shard_of(key).1.lock().entries.contains_key(key)
    }

    /// Whether a write that names no keys is in flight, or not yet covered by a feed fence.
    #[must_use]
    pub fn anything_pending(&self) -> bool {
        self.anything_in_flight.load(Ordering::SeqCst) > 0
            || self.anything_settled.load(Ordering::SeqCst)
                > self.anything_fenced.load(Ordering::SeqCst)
    }

    /// The number to pass to [`Journal::anything_fenced`] once a feed fence that was requested
    /// *after* this call has come back.
    #[must_use]
    pub fn anything_mark(&self) -> u64 {
        self.anything_settled.load(Ordering::SeqCst)
    }

    /// A feed fence covers the unnamed writes up to `mark`.
    pub fn anything_fenced(&self, mark: u64) {
        self.anything_fenced.fetch_max(mark, Ordering::SeqCst);
    }

    /// Takes up to `max` keys for copier `part`: live ones first, in the order they became dirty.
    pub fn lease(&self, part: usize, max: usize, now: Instant) -> Vec<Leased> {
        let mut out = Vec::new();
        for lane in [Lane::Live, Lane::Bulk] {
            for index in (part..SHARDS).step_by(self.bells.len()) {
                if out.len() >= max {
                    return out;
                }
                self.shards[index].lock().lease(lane, max, now, &mut out);
            }
        }
        out
    }

    /// Waits until copier `part` may have something to lease.
    pub async fn work(&self, part: usize) {
        self.bells[part].notified().await;
    }

    /// The earliest instant at which a delayed key of copier `part` may be tried again.
    #[must_use]
    pub fn next_delayed(&self, part: usize) -> Option<Instant> {
        (part..SHARDS)
            .step_by(self.bells.len())
            .filter_map(|i| self.shards[i].lock().delayed.keys().next().map(|(at, _)| *at))
            .min()
    }

    /// Ends a lease.
    pub fn finish(&self, leased: &Leased, how: Finished, now: Instant) {
        let (index, shard) = self.shard_of(&leased.key);
        if shard.lock().finish(leased, how, now) {
            self.ring(index);
        }
        self.settled.notify_waiters();
    }

    /// Waits until the secondary has everything a settled write changed. Returns at once for
    /// what is equal already. The caller bounds it.
    pub async fn copied(&self, settlement: Settlement) {
        let mut waits = Vec::with_capacity(settlement.keys.len());
        for (key, generation) in settlement.keys {
            let mut shard = self.shard_of(&key).1.lock();
            if let Some(entry) = shard.entries.get_mut(&key)
                && entry.dirty.is_some()
                && entry.copied < generation
            {
                let (sender, receiver) = oneshot::channel();
                entry.waiters.push((generation, sender));
                waits.push(receiver);
            }
        }
        for wait in waits {
            let _ = wait.await;
        }
    }

    /// Resolves whenever something settled or finished since the last look.
    pub async fn changed(&self) {
        self.settled.notified().await;
    }

    /// How much is outstanding.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.shards.iter().fold(Depth::default(), |sum, shard| {
            let depth = shard.lock().depth;
            Depth {
                in_flight: sum.in_flight + depth.in_flight,
                live: sum.live + depth.live,
                bulk: sum.bulk + depth.bulk,
                parked: sum.parked + depth.parked,
            }
        })
    }

    /// When the oldest live key that is still dirty became dirty: the replication lag.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.shards.iter().filter_map(|shard| shard.lock().oldest()).min()
    }

    /// Keys that could not be moved, in key order, at most `max`.
    #[must_use]
    pub fn parked(&self, max: usize) -> Vec<(Key, Parked)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().parked.iter().map(|(k, p)| (k.clone(), p.clone())));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.truncate(max);
        all
    }

    /// Takes a parked key off the list. With `retry` it is looked at again; without, it is
    /// dropped and both sides stay as they are (verify will name it). `false` if not parked.
    pub fn unpark(&self, key: &Key, retry: bool, now: Instant) -> bool {
        let (index, shard) = self.shard_of(key);
        let mut shard = shard.lock();
        if shard.unpark(key).is_none() {
            return false;
        }
        if retry {
            shard.mark(key, Lane::Live, Cause::OwnWrite, None, now);
            drop(shard);
            self.ring(index);
        }
        true
    }

    /// Buckets in which nothing is outstanding, out of those given.
    #[must_use]
    pub fn quiet(&self, buckets: &[crate::Bucket]) -> Vec<crate::Bucket> {
        let mut busy = std::collections::HashSet::new();
        for shard in &self.shards {
            busy.extend(shard.lock().entries.keys().map(|k| bucket_of(key_hash(k))));
        }
        buckets.iter().copied().filter(|b| !busy.contains(b)).collect()
    }
}
