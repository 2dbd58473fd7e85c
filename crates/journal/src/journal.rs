use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use model::{Key, KeyHash};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use xxhash_rust::xxh3::xxh3_64;

use crate::chunk::Chunk;
use crate::entry::{Cause, Lane, Mark};
use crate::lease::{Depth, Finished, Leased, Parked, Queued};
use crate::markers::{Bucket, Markers, bucket_of};
use crate::shard::Shard;
use crate::ticket::{Outcome, Settlement, Ticket};
use crate::watch::{Changed, Watchers};

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
    /// Where each copier's next lease begins, so that a busy shard starves no other.
    turns: Box<[AtomicUsize]>,
    markers: Markers,
    /// Writes in flight that may touch records they do not name.
    anything_in_flight: AtomicU64,
    /// Settled writes of that kind, ever; and how many of them a feed fence has covered.
    anything_settled: AtomicU64,
    anything_fenced: AtomicU64,
    unnamed: Notify,
    /// Changes may have been missed and are being looked for: every key counts as unsettled.
    uncertain: AtomicBool,
    watchers: Watchers,
}

impl Journal {
    /// A journal for a fixed number of copiers (at least one). It begins uncertain when a bucket
    /// is marked: the last process did not end cleanly, and nobody has looked yet.
    #[must_use]
    pub fn new(copiers: usize, markers: Markers) -> Arc<Self> {
        let copiers = copiers.clamp(1, SHARDS);
        let unclean = !markers.set_buckets().is_empty();
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            bells: (0..copiers).map(|_| Notify::new()).collect(),
            turns: (0..copiers).map(|_| AtomicUsize::new(0)).collect(),
            markers,
            anything_in_flight: AtomicU64::new(0),
            anything_settled: AtomicU64::new(0),
            anything_fenced: AtomicU64::new(0),
            unnamed: Notify::new(),
            uncertain: AtomicBool::new(unclean),
            watchers: Watchers::default(),
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

    /// Notes a write before it is sent. Returns the ticket, and whether every marker it needs is
    /// durable already; if not, await [`Journal::marked`] before sending. A write that may touch
    /// `anything` needs all of them, for the lack of names.
    pub fn begin(self: &Arc<Self>, keys: Vec<Key>, anything: bool) -> (Ticket, bool) {
        let mut marked = true;
        // Entries come before markers: whoever clears a marker looks at the entries afterwards.
        for key in &keys {
            self.shard_of(key).1.lock().took_off(key);
            marked &= self.markers.demand(bucket_of(key_hash(key)));
        }
        if anything {
            self.anything_in_flight.fetch_add(1, Ordering::SeqCst);
            marked &= self.markers.demand_all();
        }
        (Ticket { keys, anything, journal: Some(Arc::clone(self)) }, marked)
    }

    /// Waits until the markers of a ticket's buckets are durable; `false` when the store can keep
    /// no more markers, in which case the write must not be sent as captured.
    pub async fn marked(&self, ticket: &Ticket) -> bool {
        if ticket.anything {
            return self.markers.all_durable().await;
        }
        for key in &ticket.keys {
            if !self.markers.durable(bucket_of(key_hash(key))).await {
                return false;
            }
        }
        true
    }

    /// Ends a write's flight. An unknown outcome may still run later on a connection that is not
    /// dead: prove that first.
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
        let touched = outcome != Outcome::Nothing;
        let mark = Mark { since: now, lane: Lane::Live, cause: Cause::OwnWrite };
        for key in keys {
            let (index, shard) = self.shard_of(&key);
            let mut shard = shard.lock();
            let generation = touched.then(|| shard.mark(&key, mark, None));
            shard.landed(&key);
            drop(shard);
            if let Some(generation) = generation {
                self.ring(index);
                settlement.keys.push((key, generation));
            }
        }
        if anything {
            if touched {
                self.anything_settled.fetch_add(1, Ordering::SeqCst);
            }
            self.anything_in_flight.fetch_sub(1, Ordering::SeqCst);
            self.unnamed.notify_one();
        }
        self.watchers.tell();
        settlement
    }

    /// Marks keys that a feed, scan or repair named. Keys a copier already has to look at are not
    /// queued twice. With a chunk, each key counts down once: when it next becomes equal or
    /// parked, or at once when it is live (its marker is wanted then; await
    /// [`Markers::flushed`] before relying on the chunk).
    pub fn stale(
        &self,
        keys: impl IntoIterator<Item = Key>,
        lane: Lane,
        cause: Cause,
        chunk: Option<&Arc<Chunk>>,
        now: Instant,
    ) {
        let mark = Mark { since: now, lane, cause };
        for key in keys {
            if lane == Lane::Live {
                self.markers.demand(bucket_of(key_hash(&key)));
            }
            let (index, shard) = self.shard_of(&key);
            shard.lock().mark(&key, mark, chunk);
            self.ring(index);
        }
    }

    /// Whether a read of this key must go to the authority: a write is in flight, or the
    /// secondary may not have its latest state.
    #[must_use]
    pub fn unsettled(&self, key: &Key) -> bool {
        self.uncertain()
            || self.anything_pending()
            || self.shard_of(key).1.lock().entries.contains_key(key)
    }

    /// Whether changes may have been missed: see [`Journal::set_uncertain`].
    #[must_use]
    pub fn uncertain(&self) -> bool {
        self.uncertain.load(Ordering::SeqCst)
    }

    /// While set, every key counts as unsettled: changes may have been missed (a feed gap, an
    /// unclean stop) and are being looked for.
    pub fn set_uncertain(&self, uncertain: bool) {
        self.uncertain.store(uncertain, Ordering::SeqCst);
        self.watchers.tell();
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
        self.watchers.tell();
    }

    /// Waits until an unnamed write has settled that no fence covers. For one waiter.
    pub async fn unnamed(&self) {
        loop {
            let settled = self.unnamed.notified();
            if self.anything_settled.load(Ordering::SeqCst)
                > self.anything_fenced.load(Ordering::SeqCst)
            {
                return;
            }
            settled.await;
        }
    }

    /// Takes keys for copier `part`: live ones first, in the order they became dirty, then bulk.
    pub fn lease(&self, part: usize, live: usize, bulk: usize, now: Instant) -> Vec<Leased> {
        let mut out = Vec::new();
        let step = self.bells.len();
        let mine = (SHARDS - part).div_ceil(step);
        let turn = self.turns[part].fetch_add(1, Ordering::Relaxed);
        for (lane, max) in [(Lane::Live, live), (Lane::Bulk, bulk)] {
            let goal = out.len() + max;
            for i in 0..mine {
                if out.len() >= goal {
                    break;
                }
                let index = part + ((turn + i) % mine) * step;
                let left = goal - out.len();
                self.shards[index].lock().lease(lane, left, now, &mut out);
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

    /// Ends a lease. One that was ended already is left alone.
    pub fn finish(&self, leased: &Leased, how: Finished, now: Instant) {
        if matches!(how, Finished::Park { .. }) {
            // So that a restart looks at it again.
            self.markers.demand(bucket_of(key_hash(&leased.key)));
        }
        let (index, shard) = self.shard_of(&leased.key);
        if shard.lock().finish(leased, how, now) {
            self.ring(index);
        }
        self.watchers.tell();
    }

    /// Gives back every lease nobody will finish: their copiers are gone, and what they sent is
    /// proved dead. Call before new copiers begin.
    pub fn reclaim(&self) {
        for (index, shard) in self.shards.iter().enumerate() {
            shard.lock().reclaim();
            self.ring(index);
        }
    }

    /// Whether this key alone is in flight, dirty or parked.
    #[must_use]
    pub fn is_busy(&self, key: &Key) -> bool {
        self.shard_of(key).1.lock().entries.contains_key(key)
    }

    /// Waits until the secondary has everything a settled write changed, or the key was parked.
    /// Returns at once for what is equal already. The caller bounds it.
    pub async fn copied(&self, settlement: Settlement) {
        let mut waits = Vec::with_capacity(settlement.keys.len());
        for (key, generation) in settlement.keys {
            let mut shard = self.shard_of(&key).1.lock();
            if let Some(entry) = shard.entries.get_mut(&key)
                && entry.dirty.is_some()
                && entry.copied < generation
            {
                let (sender, receiver) = oneshot::channel();
                entry.waiters.retain(|(_, waiter)| !waiter.is_closed());
                entry.waiters.push((generation, sender));
                waits.push(receiver);
            }
        }
        for wait in waits {
            let _ = wait.await;
        }
    }

    /// Resolves once something settled or finished after this call (not after the await): take
    /// it, look at [`Journal::depth`], then await it.
    pub fn changed(&self) -> Changed<'_> {
        self.watchers.watch()
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

    /// When the oldest change that the secondary does not have became known: the replication lag.
    /// A hot key's age begins anew with each successful copy.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.shards.iter().filter_map(|shard| shard.lock().oldest()).min()
    }

    /// Keys that could not be moved, in key order, at most `max`.
    #[must_use]
    pub fn parked(&self, max: usize) -> Vec<(Key, Parked)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().parked.iter().take(max).map(|(k, p)| (k.clone(), p.clone())));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.truncate(max);
        all
    }

    /// Dirty keys, the oldest first, at most `max`, from behind a place in that order.
    #[must_use]
    pub fn queued(&self, after: Option<&(Instant, Key)>, max: usize) -> Vec<Queued> {
        let place = |q: &Queued| (q.since, q.key.clone());
        let mut all: Vec<Queued> = Vec::new();
        for shard in &self.shards {
            shard.lock().queued(after, &mut |one| {
                all.push(one);
                // Amortised: the list never grows far beyond what is wanted.
                if all.len() > 4 * max.max(64) {
                    all.sort_by_cached_key(place);
                    all.truncate(max);
                }
            });
        }
        all.sort_by_cached_key(place);
        all.truncate(max);
        all
    }

    /// Sets a dirty key aside until [`Journal::unpark`]: it is parked with the code [`ASIDE`], and
    /// writes to it are noted but not copied. `false` when it is not dirty.
    pub fn set_aside(&self, key: &Key, reason: &str) -> bool {
        let (_, shard) = self.shard_of(key);
        let mut shard = shard.lock();
        let dirty = shard.is_dirty(key) && !shard.is_aside(key);
        if dirty {
            // So that a restart looks at it again.
            self.markers.demand(bucket_of(key_hash(key)));
            shard.set_aside(key, reason);
        }
        drop(shard);
        self.watchers.tell();
        dirty
    }

    /// Keeps a key aside that was set aside before a restart, dirty or not.
    pub fn keep_aside(&self, key: &Key, reason: &str) {
        self.markers.demand(bucket_of(key_hash(key)));
        self.shard_of(key).1.lock().set_aside(key, reason);
        self.watchers.tell();
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
            let mark = Mark { since: now, lane: Lane::Live, cause: Cause::OwnWrite };
            shard.mark(key, mark, None);
            drop(shard);
            self.ring(index);
        }
        true
    }

    /// Buckets in which nothing is outstanding, out of those given.
    #[must_use]
    pub fn quiet(&self, buckets: &[Bucket]) -> Vec<Bucket> {
        if self.anything_pending() || self.uncertain() {
            return Vec::new();
        }
        let mut busy = std::collections::HashSet::new();
        for shard in &self.shards {
            busy.extend(shard.lock().entries.keys().map(|k| bucket_of(key_hash(k))));
        }
        buckets.iter().copied().filter(|b| !busy.contains(b)).collect()
    }

    /// Takes back, in memory, the markers of those buckets in which nothing is outstanding, and
    /// returns them: clear them on disk before storing any marker again. A write that begins
    /// meanwhile either is seen here, or asks for its marker anew.
    pub fn clear_quiet(&self, buckets: &[Bucket]) -> Vec<Bucket> {
        let candidates = self.quiet(buckets);
        for &bucket in &candidates {
            self.markers.clear(bucket);
        }
        let quiet = self.quiet(&candidates);
        if quiet.len() < candidates.len() {
            let still: std::collections::HashSet<_> = quiet.iter().copied().collect();
            let busy: Vec<_> = candidates.into_iter().filter(|b| !still.contains(b)).collect();
            self.markers.mark_durable(&busy);
        }
        quiet
    }
}
