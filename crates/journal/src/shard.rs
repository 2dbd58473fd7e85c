//! One shard of the key map, under one lock: its entries, its queues, its counts.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use model::Key;

use crate::chunk::Chunk;
use crate::entry::{Entry, Lane, Mark, Woken};
use crate::hash::KeyMap;
use crate::lease::{ASIDE, Depth, Finished, Leased, Parked, Queued};
use crate::proof::{Proof, Proofs};

#[derive(Default)]
pub(crate) struct Shard {
    pub(crate) entries: KeyMap<Entry>,
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
    proofs: Proofs,
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

    /// Whether the secondary has this change already, by the proof of the key's last copy.
    pub(crate) fn proved(&self, key: &Key, mark: Mark) -> bool {
        mark.seen.is_some_and(|seen| self.proofs.cover(key, seen))
            && self.entries.get(key).is_none_or(|e| e.dirty.is_none() && e.leased.is_none())
    }

    /// Marks a key dirty and returns its generation.
    pub(crate) fn mark(&mut self, key: &Key, mark: Mark, chunk: Option<&Arc<Chunk>>) -> u64 {
        if self.is_aside(key) {
            return self.mark_aside(key, chunk);
        }
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

    pub(crate) fn is_aside(&self, key: &Key) -> bool {
        !self.parked.is_empty() && self.parked.get(key).is_some_and(|p| p.code == ASIDE)
    }

    /// A key that is set aside changed: nobody copies it, so nobody waits for it.
    fn mark_aside(&mut self, key: &Key, chunk: Option<&Arc<Chunk>>) -> u64 {
        self.generation += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.generation = self.generation;
        }
        if let Some(chunk) = chunk {
            chunk.one_done();
        }
        self.generation
    }

    /// Keeps a key apart until it is taken back. A copier that holds it ends its lease first: the
    /// entry stays leased, and is cleaned then.
    pub(crate) fn set_aside(&mut self, key: &Key, reason: &str) {
        let generation = self.generation;
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry::clean(generation));
        entry.parked = true;
        let attempts = entry.dirty.as_ref().map_or(0, |d| d.attempts);
        let held = entry.leased.is_some();
        let parked = Parked { code: ASIDE, reason: reason.to_owned(), attempts };
        if self.parked.insert(key.clone(), parked).is_none() {
            self.depth.parked += 1;
        }
        if !held {
            self.clean(key, &mut Woken::default());
        }
    }

    pub(crate) fn is_dirty(&self, key: &Key) -> bool {
        self.entries.get(key).is_some_and(|e| e.dirty.is_some())
    }

    /// Dirty keys after a place in the order of age and key, in no order.
    pub(crate) fn queued(&self, after: Option<&(Instant, Key)>, found: &mut dyn FnMut(Queued)) {
        for (key, entry) in &self.entries {
            let Some(dirty) = entry.dirty.as_ref().filter(|_| !entry.parked) else { continue };
            let since = dirty.mark.since;
            if after.is_some_and(|(at, last)| (since, key) <= (*at, last)) {
                continue;
            }
            found(Queued {
                key: key.clone(),
                since,
                lane: dirty.mark.lane,
                cause: dirty.mark.cause,
                attempts: dirty.attempts,
                moves: dirty.moves,
                leased: entry.leased.is_some(),
            });
        }
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
            let number = slot.key().1;
            let key = slot.remove();
            if let Some(entry) = self.entries.get(&key)
                && entry.leased.is_none()
                && entry.dirty.as_ref().is_some_and(|d| !d.queued && d.delay == number)
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
            if self.is_aside(&key) {
                self.clean(&key, &mut Woken::default());
                continue;
            }
            self.requeue(&key);
        }
    }

    /// Returns whether the key went back to a queue, now or later.
    pub(crate) fn finish(
        &mut self,
        leased: &Leased,
        how: Finished,
        now: Instant,
        woken: &mut Woken,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&leased.key) else { return false };
        if entry.leased != Some(leased.generation) {
            return false;
        }
        entry.leased = None;
        if self.is_aside(&leased.key) {
            self.clean(&leased.key, woken);
            return false;
        }
        let Some(entry) = self.entries.get_mut(&leased.key) else { return false };
        let untouched = entry.generation == leased.generation;
        let Some(dirty) = entry.dirty.as_mut() else { return false };
        match how {
            Finished::Equal => return self.equal(leased, None, woken),
            Finished::Proved(proof) => return self.equal(leased, Some(proof), woken),
            Finished::Moved => dirty.moves = dirty.moves.saturating_add(1),
            Finished::Returned => {}
            Finished::Later(..) if !untouched => dirty.attempts = dirty.attempts.saturating_add(1),
            Finished::Later(delay) => {
                dirty.attempts = dirty.attempts.saturating_add(1);
                self.delays += 1;
                dirty.delay = self.delays;
                self.delayed.insert((now + delay, self.delays), leased.key.clone());
                return true;
            }
            Finished::Park { .. } if !untouched => {}
            Finished::Park { code, reason } => {
                let parked = Parked { code, reason, attempts: dirty.attempts + 1 };
                entry.parked = true;
                self.clean(&leased.key, woken);
                if self.parked.insert(leased.key.clone(), parked).is_none() {
                    self.depth.parked += 1;
                }
                return false;
            }
        }
        self.requeue(&leased.key);
        true
    }

    /// A copy succeeded. Returns whether the key went back to a queue.
    fn equal(&mut self, leased: &Leased, proof: Option<Proof>, woken: &mut Woken) -> bool {
        let Some(entry) = self.entries.get_mut(&leased.key) else { return false };
        let Some(dirty) = entry.dirty.as_mut() else { return false };
        entry.copied = leased.generation;
        let again = dirty.again.take();
        let covered = |again: Mark| proof.zip(again.seen).is_some_and(|(p, seen)| p.covers(seen));
        match again.filter(|again| !covered(*again)) {
            None => {
                let live = dirty.mark.lane == Lane::Live;
                self.clean(&leased.key, woken);
                if let Some(proof) = proof.filter(|_| live) {
                    self.proofs.keep(&leased.key, proof);
                }
                false
            }
            Some(again) => {
                dirty.settle_chunks(leased.generation);
                entry.wake(leased.generation, woken);
                self.restart(&leased.key, again);
                self.requeue(&leased.key);
                true
            }
        }
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
    fn clean(&mut self, key: &Key, woken: &mut Woken) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(mut dirty) = entry.dirty.take() else { return };
        entry.wake(u64::MAX, woken);
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

    /// Places in the ready queues, live and bulk; a few may be outdated.
    pub(crate) fn places(&self) -> (usize, usize) {
        (self.live.len(), self.bulk.len())
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

fn current(entries: &KeyMap<Entry>, key: &Key, since: Instant) -> bool {
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
    fn a_delay_that_was_overtaken_does_not_shorten_the_next() {
        let (mut shard, now, key) = (Shard::default(), Instant::now(), Key::new(b"k"));
        let ms = std::time::Duration::from_millis;
        let mark = Mark { since: now, lane: Lane::Live, cause: Cause::OwnWrite, seen: None };
        let mut out = Vec::new();
        for delay in [8, 22] {
            shard.mark(&key, mark, None);
            out.clear();
            shard.lease(Lane::Live, 1, now, &mut out);
            shard.finish(&out[0], Finished::Later(ms(delay)), now, &mut Woken::default());
        }
        out.clear();
        shard.lease(Lane::Live, 1, now + ms(8), &mut out);
        assert!(out.is_empty());
        shard.lease(Lane::Live, 1, now + ms(22), &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn what_is_set_aside_stays_so_until_it_is_taken_back() {
        let (mut shard, now, key) = (Shard::default(), Instant::now(), Key::new(b"k"));
        let mark = Mark { since: now, lane: Lane::Live, cause: Cause::OwnWrite, seen: None };
        let (mut out, chunk) = (Vec::new(), Chunk::new(1));
        let generation = shard.mark(&key, mark, None);
        shard.set_aside(&key, "too hot");
        assert_eq!((shard.depth.live, shard.depth.parked), (0, 1));
        // A write or a scan that names it again changes nothing, and nobody waits for it.
        assert!(shard.mark(&key, mark, Some(&chunk)) > generation);
        assert_eq!(chunk.outstanding(), 0);
        shard.lease(Lane::Live, 9, now, &mut out);
        assert!(out.is_empty() && shard.is_aside(&key) && shard.entries.contains_key(&key));
        assert_eq!(shard.unpark(&key).map(|p| p.reason).as_deref(), Some("too hot"));
        assert!(!shard.entries.contains_key(&key));
        shard.mark(&key, mark, None);
        shard.lease(Lane::Live, 9, now, &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_key_in_the_hands_of_a_copier_is_set_aside_when_it_comes_back() {
        let (mut shard, now, key) = (Shard::default(), Instant::now(), Key::new(b"k"));
        let mark = Mark { since: now, lane: Lane::Live, cause: Cause::OwnWrite, seen: None };
        let mut out = Vec::new();
        shard.mark(&key, mark, None);
        shard.lease(Lane::Live, 1, now, &mut out);
        shard.set_aside(&key, "");
        shard.mark(&key, mark, None);
        assert_eq!(shard.depth.live, 1, "the copier is not robbed of its lease");
        assert!(!shard.finish(&out[0], Finished::Moved, now, &mut Woken::default()));
        assert_eq!((shard.depth.live, shard.depth.parked), (0, 1));
        // So does the lease of a copier that is gone.
        shard.unpark(&key);
        shard.mark(&key, mark, None);
        out.clear();
        shard.lease(Lane::Live, 1, now, &mut out);
        shard.set_aside(&key, "");
        shard.reclaim();
        assert_eq!((shard.depth.live, shard.depth.parked), (0, 1));
        // Taken back while a copier holds it: two copiers never hold one key.
        shard.unpark(&key);
        shard.mark(&key, mark, None);
        out.clear();
        shard.lease(Lane::Live, 1, now, &mut out);
        shard.set_aside(&key, "");
        shard.unpark(&key);
        shard.mark(&key, mark, None);
        let held = out.remove(0);
        shard.lease(Lane::Live, 1, now, &mut out);
        assert!(out.is_empty());
        assert!(
            shard.finish(&held, Finished::Equal, now, &mut Woken::default()),
            "what came meanwhile is copied again"
        );
        assert_eq!((shard.depth.live, shard.depth.parked), (1, 0));
    }

    #[test]
    fn the_age_list_stays_small_behind_a_key_that_never_becomes_clean() {
        let mut shard = Shard::default();
        let start = Instant::now();
        let mark = |at| Mark { since: at, lane: Lane::Live, cause: Cause::OwnWrite, seen: None };
        shard.mark(&Key::new(b"poison"), mark(start), None);
        let mut out = Vec::new();
        shard.lease(Lane::Live, 1, start, &mut out);
        for i in 0..10_000u64 {
            let at = start + std::time::Duration::from_micros(i);
            shard.mark(&Key::new(b"other"), mark(at), None);
            out.clear();
            shard.lease(Lane::Live, 1, at, &mut out);
            shard.finish(&out[0], Finished::Equal, at, &mut Woken::default());
        }
        assert!(shard.order.len() < 100, "{} places", shard.order.len());
        assert_eq!(shard.oldest(), Some(start));
    }
}
