//! The life of one key. Pure: no lock, no clock.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::chunk::Chunk;
use crate::proof::Seen;

/// Why a key is dirty. Decides whether its absence on the authority is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A scan named it (backfill, verify suspect).
    Scan,
    /// A feed named it, or an unclean marker covers it.
    Feed,
    /// A write through an interlay touched it, or an operator decided: an absence is explained.
    OwnWrite,
}

/// Which queue a dirty key waits in. Live always goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A backfill, recheck or repair wants it looked at.
    Bulk,
    /// Somebody wrote it.
    Live,
}

pub(crate) struct Entry {
    /// Writes sent to the authority whose reply has not been seen.
    pub(crate) in_flight: u32,
    /// Grows with every change of this key; a copy taken at generation g settles waiters ≤ g.
    /// Unique within a shard, so that it means the same after the entry was forgotten.
    pub(crate) generation: u64,
    /// The generation that the secondary is known to have.
    pub(crate) copied: u64,
    /// An operator has to decide about it; the secondary may not have it.
    pub(crate) parked: bool,
    pub(crate) dirty: Option<Dirty>,
    /// Generation at which a copier holds it.
    pub(crate) leased: Option<u64>,
    pub(crate) waiters: Vec<(u64, oneshot::Sender<()>)>,
}

/// Waiters to be told once no lock is held, and all of a batch together: a waiter that finds its
/// neighbours ready goes on with all of them at once.
#[derive(Default)]
pub(crate) struct Woken(Vec<oneshot::Sender<()>>);

impl Drop for Woken {
    fn drop(&mut self) {
        for waiter in self.0.drain(..) {
            // One that has gone away does not mind.
            let _ = waiter.send(());
        }
    }
}

/// What one mark, or several merged, ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) since: Instant,
    pub(crate) lane: Lane,
    pub(crate) cause: Cause,
    /// When the authority had made the change at the latest. `None`: only a copy that begins
    /// after the mark covers it.
    pub(crate) seen: Option<Seen>,
}

pub(crate) struct Dirty {
    /// Everything asked for since it was last equal.
    pub(crate) mark: Mark,
    /// The part of it that came after the lease: what is left if the copy succeeds.
    pub(crate) again: Option<Mark>,
    pub(crate) attempts: u32,
    pub(crate) moves: u32,
    /// The number of its last delay: an earlier one that was overtaken means nothing.
    pub(crate) delay: u64,
    pub(crate) chunks: Vec<(u64, Arc<Chunk>)>,
    /// Whether the key stands in a ready queue right now.
    pub(crate) queued: bool,
}

impl Mark {
    /// Live wins over bulk, and its age counts from the first live mark.
    fn merge(self, later: Self) -> Self {
        let promoted = matches!((self.lane, later.lane), (Lane::Bulk, Lane::Live));
        Self {
            since: if promoted { later.since } else { self.since },
            lane: if promoted { later.lane } else { self.lane },
            cause: if (later.cause as u8) > (self.cause as u8) { later.cause } else { self.cause },
            seen: match (self.seen, later.seen) {
                (Some(one), Some(other)) => one.merge(other),
                _ => None,
            },
        }
    }
}

impl Entry {
    /// A key that is equal on both sides; `generation` is the shard's latest.
    pub(crate) const fn clean(generation: u64) -> Self {
        Self {
            in_flight: 0,
            generation,
            copied: generation,
            parked: false,
            dirty: None,
            leased: None,
            waiters: Vec::new(),
        }
    }

    /// Nothing to remember: the entry can be dropped from the map.
    pub(crate) const fn forgettable(&self) -> bool {
        !self.parked && self.in_flight == 0 && self.dirty.is_none() && self.leased.is_none()
    }

    /// Marks it dirty. Returns the lane whose queue it must be pushed to, if any.
    pub(crate) fn mark(&mut self, mark: Mark, generation: u64) -> Option<Lane> {
        self.generation = generation;
        let Some(dirty) = &mut self.dirty else {
            self.dirty = Some(Dirty {
                mark,
                again: None,
                attempts: 0,
                moves: 0,
                delay: 0,
                chunks: Vec::new(),
                queued: true,
            });
            return Some(mark.lane);
        };
        let promoted = mark.lane > dirty.mark.lane;
        dirty.mark = dirty.mark.merge(mark);
        if self.leased.is_some() {
            dirty.again = Some(dirty.again.map_or(mark, |again| again.merge(mark)));
            return None;
        }
        if dirty.queued && !promoted {
            return None;
        }
        dirty.queued = true;
        Some(dirty.mark.lane)
    }

    /// Takes out whoever waits for a generation up to this one.
    pub(crate) fn wake(&mut self, up_to: u64, woken: &mut Woken) {
        let ready = self.waiters.extract_if(.., |(generation, _)| *generation <= up_to);
        woken.0.extend(ready.map(|(_, waiter)| waiter));
    }
}

impl Dirty {
    /// Counts down the chunks that asked at or before a generation.
    pub(crate) fn settle_chunks(&mut self, up_to: u64) {
        self.chunks.retain(|(asked, chunk)| {
            if *asked <= up_to {
                chunk.one_done();
            }
            *asked > up_to
        });
    }
}
