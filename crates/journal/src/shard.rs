//! One shard of the key map, under one lock: its entries, its queues, its counts.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use model::Key;

use crate::chunk::Chunk;
use crate::entry::{Entry, Lane, Mark};
use crate::lease::{Depth, Finished, Leased, Parked};

#[derive(Default)]
pub(crate) struct Shard {
    pub(crate) entries: HashMap<Key, Entry>,
    /// Grows with every mark in this shard.
    generation: u64,
    live: VecDeque<Key>,
    bulk: VecDeque<Key>,
    pub(crate) delayed: BTreeMap<(Instant, u64), Key>,
    delays: u64,
    /// First-dirty order of live keys. Outdated places are dropped lazily, and all at once when
    /// they outnumber the live keys.
    order: VecDeque<(Instant, Key)>,
    pub(crate) parked: BTreeMap<Key, Parked>,
    pub(crate) depth: Depth,
}

impl Shard {
    pub(crate) fn took_off(&mut self, key: &Key) {
        let generation = self.generation;
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry::clean(generation));
        if entry.in_flight == 0 {
            self.depth.in_flight += 1;
        }
        entry.in_flight += 1;
    }

    pub(crate) fn landed(&mut self, key: &Key) {
        if let Slot::Occupied(mut slot) = self.entries.entry(key.clone()) {
            let entry = slot.get_mut();
            if entry.in_flight == 1 {
                self.depth.in_flight -= 1;
            }
            entry.in_flight = entry.in_flight.saturating_sub(1);
            if entry.forgettable() {
                slot.remove();
            }
        }
    }

    /// Marks a key dirty and returns its generation.
    pub(crate) fn mark(&mut self, key: &Key, mark: Mark, chunk: Option<&Arc<Chunk>>) -> u64 {
        self.unpark(key);
        let before_any = self.generation;
        self.generation += 1;
        let generation = self.generation;
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry::clean(before_any));
        let before = entry.dirty.as_ref().map(|d| d.mark.lane);
        let queue = entry.mark(mark, generation);
        let mut after = None;
        if let Some(dirty) = entry.dirty.as_mut() {
            after = Some(dirty.mark.lane);
            if let Some(chunk) = chunk {
                dirty.chunks.push((generation, Arc::clone(chunk)));
            }
            if dirty.mark.lane == Lane::Live {
                // Overtaken: its marker is wanted, so a scan need not wait for a hot key.
                dirty.settle_chunks(u64::MAX);
            }
        }
        self.recount(key, before, after, mark.since);
        match queue {
            Some(Lane::Live) => self.live.push_back(key.clone()),
            Some(Lane::Bulk) => self.bulk.push_back(key.clone()),
            None => {}
        }
        generation
    }

    fn recount(&mut self, key: &Key, before: Option<Lane>, after: Option<Lane>, since: Instant) {
        if before == after {
            return;
        }
        match before {
            Some(Lane::Live) => self.depth.live -= 1,
            Some(Lane::Bulk) => self.depth.bulk -= 1,
            None => {}
        }
        match after {
            Some(Lane::Live) => {
                self.depth.live += 1;
                self.aged(key, since);
            }
            Some(Lane::Bulk) => self.depth.bulk += 1,
            None => {}
        }
    }

    fn aged(&mut self, key: &Key, since: Instant) {
        if self.order.len() > 2 * self.depth.live + 64 {
            let entries = &self.entries;
            self.order.retain(|(since, key)| current(entries, key, *since));
        }
        self.order.push_back((since, key.clone()));
    }

    pub(crate) fn lease(&mut self, lane: Lane, max: usize, now: Instant, out: &mut Vec<Leased>) {
        self.promote_delayed(now);
        let goal = out.len() + max;
        while out.len() < goal {
            let queue = if lane == Lane::Live { &mut self.live } else { &mut self.bulk };
            let Some(key) = queue.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let generation = entry.generation;
            // A key promoted to the live queue leaves its old place behind; skip that.
            let Some(dirty) = entry.dirty.as_mut().filter(|d| d.queued && d.mark.lane == lane)
            else {
                continue;
            };
            dirty.queued = false;
            dirty.again = None;
            entry.leased = Some(generation);
            let Mark { cause, lane, .. } = dirty.mark;
            let (attempts, moves) = (dirty.attempts, dirty.moves);
            out.push(Leased { key, generation, lane, cause, attempts, moves });
        }
    }

    fn promote_delayed(&mut self, now: Instant) {
        while let Some(slot) = self.delayed.first_entry() {
            if slot.key().0 > now {
                return;
            }
            let key = slot.remove();
            if let Some(entry) = self.entries.get(&key)
                && entry.leased.is_none()
                && entry.dirty.as_ref().is_some_and(|d| !d.queued)
            {
                self.requeue(&key);
            }
        }
    }

    fn requeue(&mut self, key: &Key) {
        if let Some(dirty) = self.entries.get_mut(key).and_then(|e| e.dirty.as_mut()) {
            dirty.queued = true;
            match dirty.mark.lane {
                Lane::Live => self.live.push_back(key.clone()),
                Lane::Bulk => self.bulk.push_back(key.clone()),
            }
        }
    }

    pub(crate) fn reclaim(&mut self) {
        let orphans = self.entries.iter().filter(|(_, e)| e.leased.is_some());
        let orphans: Vec<Key> = orphans.map(|(key, _)| key.clone()).collect();
        for key in orphans {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.leased = None;
            }
            self.requeue(&key);
        }
    }

    /// Returns whether the key went back to a queue, now or later.
    pub(crate) fn finish(&mut self, leased: &Leased, how: Finished, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&leased.key) else { return false };
        if entry.leased != Some(leased.generation) {
            return false;
        }
        entry.leased = None;
        let untouched = entry.generation == leased.generation;
        let Some(dirty) = entry.dirty.as_mut() else { return false };
        match how {
            Finished::Equal => {
                entry.copied = leased.generation;
                let again = dirty.again.take();
                dirty.settle_chunks(leased.generation);
                entry.wake(leased.generation);
                match again {
                    None => {
                        self.clean(&leased.key);
                        return false;
                    }
                    Some(again) => self.restart(&leased.key, again),
                }
            }
            Finished::Moved => dirty.moves = dirty.moves.saturating_add(1),
            Finished::Returned => {}
            Finished::Later(..) if !untouched => dirty.attempts = dirty.attempts.saturating_add(1),
            Finished::Later(delay) => {
                dirty.attempts = dirty.attempts.saturating_add(1);
                self.delays += 1;
                self.delayed.insert((now + delay, self.delays), leased.key.clone());
                return true;
            }
            Finished::Park { .. } if !untouched => {}
            Finished::Park { code, reason } => {
                let parked = Parked { code, reason, attempts: dirty.attempts + 1 };
                entry.parked = true;
                self.clean(&leased.key);
                if self.parked.insert(leased.key.clone(), parked).is_none() {
                    self.depth.parked += 1;
                }
                return false;
            }
        }
        self.requeue(&leased.key);
        true
    }

    /// A copy succeeded, but the key was marked again meanwhile: only that is left.
    fn restart(&mut self, key: &Key, again: Mark) {
        let Some(dirty) = self.entries.get_mut(key).and_then(|e| e.dirty.as_mut()) else { return };
        let before = dirty.mark;
        dirty.mark = again;
        dirty.attempts = 0;
        dirty.moves = 0;
        if before.lane == Lane::Live && again.lane == Lane::Live {
            self.aged(key, again.since);
        }
        self.recount(key, Some(before.lane), Some(again.lane), again.since);
    }

    /// Ends a key's dirtiness: counts it down in its chunks, tells every waiter.
    fn clean(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(mut dirty) = entry.dirty.take() else { return };
        entry.wake(u64::MAX);
        let forget = entry.forgettable();
        dirty.settle_chunks(u64::MAX);
        if forget {
            self.entries.remove(key);
        }
        match dirty.mark.lane {
            Lane::Live => self.depth.live -= 1,
            Lane::Bulk => self.depth.bulk -= 1,
        }
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
            if current(&self.entries, key, *since) {
                return Some(*since);
            }
            self.order.pop_front();
        }
        None
    }
}

fn current(entries: &HashMap<Key, Entry>, key: &Key, since: Instant) -> bool {
    entries
        .get(key)
        .and_then(|e| e.dirty.as_ref())
        .is_some_and(|d| d.mark.lane == Lane::Live && d.mark.since == since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Cause;

    #[test]
    fn the_age_list_stays_small_behind_a_key_that_never_becomes_clean() {
        let mut shard = Shard::default();
        let start = Instant::now();
        let mark = |at| Mark { since: at, lane: Lane::Live, cause: Cause::OwnWrite };
        shard.mark(&Key::new(b"poison"), mark(start), None);
        let mut out = Vec::new();
        shard.lease(Lane::Live, 1, start, &mut out);
        for i in 0..10_000u64 {
            let at = start + std::time::Duration::from_micros(i);
            shard.mark(&Key::new(b"other"), mark(at), None);
            out.clear();
            shard.lease(Lane::Live, 1, at, &mut out);
            shard.finish(&out[0], Finished::Equal, at);
        }
        assert!(shard.order.len() < 100, "{} places", shard.order.len());
        assert_eq!(shard.oldest(), Some(start));
    }
}
