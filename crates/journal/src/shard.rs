use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use model::Key;

use crate::chunk::Chunk;
use crate::entry::{Cause, Entry, Lane};
use crate::journal::{Depth, Finished, Leased, Parked};

/// One shard of the key map; its lock is held by the caller.
#[derive(Default)]
pub(crate) struct Shard {
    pub(crate) entries: HashMap<Key, Entry>,
    pub(crate) live: VecDeque<Key>,
    pub(crate) bulk: VecDeque<Key>,
    pub(crate) delayed: BTreeMap<(Instant, u64), Key>,
    pub(crate) delays: u64,
    /// First-dirty order of live keys; the front may be outdated and is dropped lazily.
    pub(crate) order: VecDeque<(Instant, Key)>,
    pub(crate) parked: BTreeMap<Key, Parked>,
    pub(crate) depth: Depth,
}

impl Shard {
    pub(crate) fn mark(
        &mut self,
        key: &Key,
        lane: Lane,
        cause: Cause,
        chunk: Option<&Arc<Chunk>>,
        now: Instant,
    ) -> u64 {
        self.unpark(key);
        let entry = self.entries.entry(key.clone()).or_insert_with(Entry::clean);
        let before = entry.dirty.as_ref().map(|d| d.lane);
        let queue = entry.mark(lane, cause, now);
        let after = entry.dirty.as_ref().map(|d| d.lane);
        if let (Some(chunk), Some(dirty)) = (chunk, entry.dirty.as_mut()) {
            dirty.chunks.push(Arc::clone(chunk));
        }
        let generation = entry.generation;
        if before != after {
            self.count(before, after);
            if after == Some(Lane::Live) {
                self.order.push_back((now, key.clone()));
            }
        }
        match queue {
            Some(Lane::Live) => self.live.push_back(key.clone()),
            Some(Lane::Bulk) => self.bulk.push_back(key.clone()),
            None => {}
        }
        generation
    }

    pub(crate) fn count(&mut self, before: Option<Lane>, after: Option<Lane>) {
        match before {
            Some(Lane::Live) => self.depth.live -= 1,
            Some(Lane::Bulk) => self.depth.bulk -= 1,
            None => {}
        }
        match after {
            Some(Lane::Live) => self.depth.live += 1,
            Some(Lane::Bulk) => self.depth.bulk += 1,
            None => {}
        }
    }

    pub(crate) fn landed(&mut self, key: &Key) {
        if let Slot::Occupied(mut slot) = self.entries.entry(key.clone()) {
            let entry = slot.get_mut();
            entry.in_flight = entry.in_flight.saturating_sub(1);
            if entry.in_flight == 0 {
                self.depth.in_flight -= 1;
            }
            if entry.forgettable() {
                slot.remove();
            }
        }
    }

    pub(crate) fn lease(&mut self, lane: Lane, max: usize, now: Instant, out: &mut Vec<Leased>) {
        self.promote_delayed(now);
        while out.len() < max {
            let queue = if lane == Lane::Live { &mut self.live } else { &mut self.bulk };
            let Some(key) = queue.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let generation = entry.generation;
            // A key promoted to the live queue leaves its old place behind; skip that.
            let Some(dirty) = entry.dirty.as_mut().filter(|d| d.queued && d.lane == lane) else {
                continue;
            };
            dirty.queued = false;
            out.push(Leased { key, generation, cause: dirty.cause, attempts: dirty.attempts });
            entry.leased = Some(generation);
        }
    }

    pub(crate) fn promote_delayed(&mut self, now: Instant) {
        while let Some(slot) = self.delayed.first_entry() {
            if slot.key().0 > now {
                return;
            }
            let key = slot.remove();
            if let Some(entry) = self.entries.get_mut(&key)
                && entry.leased.is_none()
                && let Some(dirty) = entry.dirty.as_mut()
                && !dirty.queued
            {
                dirty.queued = true;
                match dirty.lane {
                    Lane::Live => self.live.push_back(key),
                    Lane::Bulk => self.bulk.push_back(key),
                }
            }
        }
    }

    /// Returns whether the key went back to a queue.
    pub(crate) fn finish(&mut self, leased: &Leased, how: Finished, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&leased.key) else { return false };
        if entry.leased.take().is_none() {
            return false;
        }
        let untouched = entry.generation == leased.generation;
        let Some(dirty) = entry.dirty.as_mut() else { return false };
        let mut requeue = false;
        match how {
            Finished::Equal => {
                entry.copied = leased.generation;
                entry.wake(leased.generation);
                if untouched {
                    self.clean(&leased.key);
                } else {
                    requeue = true;
                }
            }
            Finished::Moved => requeue = true,
            Finished::Later(_, reason) if !untouched => {
                dirty.last_error = Some(reason);
                requeue = true;
            }
            Finished::Later(delay, reason) => {
                dirty.attempts += 1;
                dirty.last_error = Some(reason);
                self.delays += 1;
                self.delayed.insert((now + delay, self.delays), leased.key.clone());
                return true;
            }
            Finished::Park { .. } if !untouched => requeue = true,
            Finished::Park { code, reason } => {
                let attempts = dirty.attempts + 1;
                let parked = Parked { code, reason, attempts };
                entry.parked = true;
                self.clean(&leased.key);
                if self.parked.insert(leased.key.clone(), parked).is_none() {
                    self.depth.parked += 1;
                }
            }
        }
        if requeue
            && let Some(dirty) = self.entries.get_mut(&leased.key).and_then(|e| e.dirty.as_mut())
        {
            dirty.queued = true;
            match dirty.lane {
                Lane::Live => self.live.push_back(leased.key.clone()),
                Lane::Bulk => self.bulk.push_back(leased.key.clone()),
            }
        }
        requeue
    }

    /// Ends a key's dirtiness: counts it down in its chunks, tells every waiter.
    pub(crate) fn clean(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(dirty) = entry.dirty.take() else { return };
        entry.wake(u64::MAX);
        let forget = entry.forgettable();
        for chunk in &dirty.chunks {
            chunk.one_done();
        }
        if forget {
            self.entries.remove(key);
        }
        self.count(Some(dirty.lane), None);
    }

    pub(crate) fn unpark(&mut self, key: &Key) -> Option<Parked> {
        if self.parked.is_empty() {
            return None;
        }
        let parked = self.parked.remove(key)?;
        self.depth.parked -= 1;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.parked = false;
            if entry.forgettable() {
                self.entries.remove(key);
            }
        }
        Some(parked)
    }

    pub(crate) fn oldest(&mut self) -> Option<Instant> {
        while let Some((since, key)) = self.order.front() {
            let current = self.entries.get(key).and_then(|e| e.dirty.as_ref());
            if current.is_some_and(|d| d.lane == Lane::Live && d.since == *since) {
                return Some(*since);
            }
            self.order.pop_front();
        }
        None
    }
}
