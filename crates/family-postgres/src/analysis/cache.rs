//! Verdicts by text: bounded, shared by all sessions.
//!
//! A text has one place, a set of eight entries behind a lock of its own; the least recently
//! used of them gives way. Two texts are the same only if all their bytes are.

use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::verdict::Analysis;

#[cfg(test)]
mod tests;

/// Entries that share a place.
const WAYS: usize = 8;

pub(super) struct Cache {
    sets: Box<[Mutex<Set>]>,
}

#[derive(Default)]
struct Set {
    entries: Vec<Entry>,
    /// Grows with every use.
    clock: u64,
}

struct Entry {
    hash: u64,
    /// Of the catalog that was judged with.
    generation: u64,
    used: u64,
    text: Box<[u8]>,
    analysis: Arc<Analysis>,
}

/// Where a text belongs.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Cache {
    /// Holds at least `capacity` entries in all, in places that fill up independently.
    pub(super) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    pub(super) fn place(text: &[u8]) -> Place {
        Place(xxh3_64(text))
    }

    pub(super) fn get(&self, place: Place, text: &[u8], generation: u64) -> Option<Arc<Analysis>> {
        let mut set = self.set(place).lock();
        set.clock += 1;
        let clock = set.clock;
        let entry = set.entries.iter_mut().find(|entry| entry.is(place, text))?;
        if entry.generation != generation {
            return None;
        }
        entry.used = clock;
        Some(Arc::clone(&entry.analysis))
    }

    pub(super) fn put(&self, place: Place, text: &[u8], generation: u64, analysis: &Arc<Analysis>) {
        let mut set = self.set(place).lock();
        set.clock += 1;
        let entry = Entry {
            hash: place.0,
            generation,
            used: set.clock,
            text: text.into(),
            analysis: Arc::clone(analysis),
        };
        let same = set.entries.iter().position(|old| old.is(place, text));
        let oldest = || set.entries.iter().enumerate().min_by_key(|(_, old)| old.used);
        match same {
            // Whoever judged with the newer catalog wins.
            Some(at) if set.entries[at].generation > generation => {}
            Some(at) => set.entries[at] = entry,
            None if set.entries.len() < WAYS => set.entries.push(entry),
            None => {
                if let Some((at, _)) = oldest() {
                    set.entries[at] = entry;
                }
            }
        }
    }

    fn set(&self, place: Place) -> &Mutex<Set> {
        // The number of sets is a power of two.
        let mask = self.sets.len() - 1;
        &self.sets[usize::try_from(place.0 >> 32).unwrap_or(0) & mask]
    }
}

impl Entry {
    fn is(&self, place: Place, text: &[u8]) -> bool {
        self.hash == place.0 && *self.text == *text
    }
}
