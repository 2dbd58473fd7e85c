mod aside;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use model::{Key, KeyHash};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use xxhash_rust::xxh3::xxh3_64;

use crate::chunk::Chunk;
use crate::entry::{Cause, Lane, Mark, Woken};
use crate::lease::{Depth, Finished, Leased};
use crate::markers::{Markers, bucket_of};
use crate::proof::Seen;
use crate::shard::Shard;
use crate::ticket::{Outcome, Settlement, Ticket};
use crate::watch::{Changed, Waiting, Watchers};

/// Shards of the key map. A power of two well above the number of cores.
const SHARDS: usize = 64;

/// The hash that decides a key's shard, copier and marker bucket.
#[must_use]
pub fn key_hash(key: &Key) -> KeyHash {
    hash_of(key.as_bytes())
}

/// The same of a part of a key.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> KeyHash {
    KeyHash(xxh3_64(bytes))
}

/// Every key that is not known to be equal on both sides.
pub struct Journal {
    shards: Box<[Mutex<Shard>]>,
    /// One bell per copier; copier `p` serves the shards with `shard % copiers == p`.
    bells: Box<[Notify]>,
    /// One per copier, for work that somebody waits for.
    hurry: Box<[Notify]>,
    /// Who waits for a copy.
    waiting: AtomicUsize,
    /// Copiers with keys of settled writes that were not rung for yet, a bit each.
    settled: AtomicU64,
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
            hurry: (0..copiers).map(|_| Notify::new()).collect(),
            waiting: AtomicUsize::new(0),
            settled: AtomicU64::new(0),
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

    /// Ends a write's flight. `now` is an instant after its reply was received and before it is
    /// acted on. An unknown outcome may still run later on a connection that is not dead: prove
    /// that first.
    pub fn settle(&self, ticket: Ticket, outcome: Outcome, now: Instant) -> Settlement {
        let settlement = self.settle_one_of_many(ticket, outcome, now);
        self.settled_many();
        settlement
    }

    /// The same for one of several: copiers hear of them by [`Journal::settled_many`], so that
    /// they find all of them and not only the first.
    pub fn settle_one_of_many(
        &self,
        mut ticket: Ticket,
        outcome: Outcome,
        now: Instant,
    ) -> Settlement {
        ticket.journal = None;
        let keys = std::mem::take(&mut ticket.keys);
        self.settle_parts(keys, ticket.anything, outcome, now)
    }

    /// Tells copiers of what was settled.
    pub fn settled_many(&self) {
        if self.settled.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut parts = self.settled.swap(0, Ordering::AcqRel);
        while parts != 0 {
            self.bells[parts.trailing_zeros() as usize].notify_one();
            parts &= parts - 1;
        }
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
        // Some writes are seen by no fence: only a copy that begins after the mark covers it.
        let mark = Mark { since: now, lane: Lane::Live, cause: Cause::OwnWrite, seen: None };
        for key in keys {
            let (index, shard) = self.shard_of(&key);
            let mut shard = shard.lock();
            let touched = touched && !shard.proved(&key, mark);
            let generation = touched.then(|| shard.mark(&key, mark, None));
            shard.landed(&key);
            drop(shard);
            if let Some(generation) = generation {
                self.settled.fetch_or(1 << (index % self.bells.len()), Ordering::AcqRel);
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
        let mark = Mark { since: now, lane, cause, seen: None };
        for key in keys {
            if lane == Lane::Live {
                self.markers.demand(bucket_of(key_hash(&key)));
            }
            let (index, shard) = self.shard_of(&key);
            shard.lock().mark(&key, mark, chunk);
            self.ring(index);
        }
    }

    /// Marks keys that the authority's feed reports as changed, each with an instant after its
    /// report was received, by the table of `epoch`. What a copy already proved to be on the
    /// secondary is not copied again.
    pub fn reported(
        &self,
        keys: impl IntoIterator<Item = (Key, Instant)>,
        epoch: u64,
        now: Instant,
    ) {
        for (key, at) in keys {
            let seen = Some(Seen { at, epoch });
            let mark = Mark { since: now, lane: Lane::Live, cause: Cause::Feed, seen };
            let hash = key_hash(&key);
            let index = hash.0 as usize % SHARDS;
            let mut shard = self.shards[index].lock();
            if shard.proved(&key, mark) {
                continue;
            }
            self.markers.demand(bucket_of(hash));
            shard.mark(&key, mark, None);
            drop(shard);
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

    /// Whether copier `part` may let its work wait for more: nobody waits for a copy or for the
    /// journal, nothing is offered in bulk, and fewer than `enough` live keys are queued. Since
    /// when the oldest of them is dirty.
    #[must_use]
    pub fn at_leisure(&self, part: usize, enough: usize) -> Option<Instant> {
        if self.waiting.load(Ordering::SeqCst) > 0 || self.watchers.any() {
            return None;
        }
        let (mut queued, mut oldest) = (0, None::<Instant>);
        for index in (part..SHARDS).step_by(self.bells.len()) {
            let mut shard = self.shards[index].lock();
            let (live, bulk) = shard.places();
            queued += live;
            if bulk > 0 || queued >= enough {
                return None;
            }
            if live > 0 {
                oldest = oldest.into_iter().chain(shard.oldest()).min();
            }
        }
        oldest
    }

    /// Waits until somebody waits for something of copier `part`.
    pub async fn hurry(&self, part: usize) {
        self.hurry[part].notified().await;
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
        self.end(leased, how, now, &mut Woken::default());
        self.watchers.tell();
    }

    /// Ends the leases of a batch; whoever waits for one of them is told after the last.
    pub fn finish_all(&self, batch: Vec<(Leased, Finished)>, now: Instant) {
        let mut woken = Woken::default();
        for (leased, how) in batch {
            self.end(&leased, how, now, &mut woken);
        }
        self.watchers.tell();
    }

    fn end(&self, leased: &Leased, how: Finished, now: Instant, woken: &mut Woken) {
        if matches!(how, Finished::Park { .. }) {
            // So that a restart looks at it again.
            self.markers.demand(bucket_of(key_hash(&leased.key)));
        }
        let (index, shard) = self.shard_of(&leased.key);
        let queued = shard.lock().finish(leased, how, now, woken);
        if queued {
            self.ring(index);
        }
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

    /// Whether the secondary has everything a settled write changed.
    #[must_use]
    pub fn is_copied(&self, settlement: &Settlement) -> bool {
        settlement.keys.iter().all(|(key, generation)| {
            let shard = self.shard_of(key).1.lock();
            let entry = shard.entries.get(key);
            entry.is_none_or(|entry| entry.dirty.is_none() || entry.copied >= *generation)
        })
    }

    /// Waits until the secondary has everything a settled write changed, or the key was parked.
    /// Returns at once for what is equal already. The caller bounds it.
    pub async fn copied(&self, settlement: Settlement) {
        let mut waits = Vec::with_capacity(settlement.keys.len());
        let _waiting = Waiting::new(&self.waiting);
        for (key, generation) in settlement.keys {
            let (index, shard) = self.shard_of(&key);
            let mut shard = shard.lock();
            if let Some(entry) = shard.entries.get_mut(&key)
                && entry.dirty.is_some()
                && entry.copied < generation
            {
                let (sender, receiver) = oneshot::channel();
                entry.waiters.retain(|(_, waiter)| !waiter.is_closed());
                entry.waiters.push((generation, sender));
                waits.push(receiver);
                drop(shard);
                self.hurry[index % self.bells.len()].notify_one();
            }
        }
        for wait in waits {
            let _ = wait.await;
        }
    }

    /// Resolves once something settled or finished after this call (not after the await): take
    /// it, look at [`Journal::depth`], then await it.
    pub fn changed(&self) -> Changed<'_> {
        let changed = self.watchers.watch();
        for hurry in &self.hurry {
            hurry.notify_one();
        }
        changed
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
}
