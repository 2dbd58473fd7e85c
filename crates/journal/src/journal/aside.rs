//! What stands aside of copying: parked keys, and buckets in which nothing is outstanding. And the
//! list of what is queued, for whoever looks at it.

use std::time::Instant;

use model::Key;

use super::{Journal, key_hash};
use crate::entry::{Cause, Lane, Mark};
use crate::lease::{Parked, Queued};
use crate::markers::{Bucket, bucket_of};

impl Journal {
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
            let mark = Mark { since: now, lane: Lane::Live, cause: Cause::OwnWrite, seen: None };
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
