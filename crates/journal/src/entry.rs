//! The life of one key. Pure: no lock, no clock.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::chunk::Chunk;

/// Why a key is dirty. Decides whether its absence on the authority is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A scan named it (backfill, recheck, verify suspect).
    Scan,
    /// A feed named it.
    Feed,
    /// A write through an interlay touched it: an absence is explained.
    OwnWrite,
}

/// Which queue a dirty key waits in. Live always goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody wrote it.
    Live,
    /// A backfill, recheck or repair wants it looked at.
    Bulk,
}

pub(crate) struct Entry {
    /// Writes sent to the authority whose reply has not been seen.
    pub(crate) in_flight: u32,
    /// Grows with every change of this key; a copy taken at generation g settles waiters ≤ g.
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

pub(crate) struct Dirty {
    pub(crate) since: Instant,
    pub(crate) lane: Lane,
    pub(crate) cause: Cause,
    pub(crate) attempts: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// Whether the key stands in a ready queue right now.
    pub(crate) queued: bool,
}

impl Entry {
    pub(crate) const fn clean() -> Self {
        Self {
            in_flight: 0,
            generation: 0,
            copied: 0,
            parked: false,
            dirty: None,
            leased: None,
            waiters: Vec::new(),
        }
    }

    /// Nothing to remember: the entry can be dropped from the map.
    pub(crate) fn forgettable(&self) -> bool {
        !self.parked && self.in_flight == 0 && self.dirty.is_none() && self.leased.is_none()
    }

    /// Marks it dirty. Returns the lane whose queue it must be pushed to, if any.
    pub(crate) fn mark(&mut self, lane: Lane, cause: Cause, now: Instant) -> Option<Lane> {
        self.generation += 1;
        let dirty = self.dirty.get_or_insert_with(|| Dirty {
            since: now,
            lane,
            cause,
            attempts: 0,
            last_error: None,
            chunks: Vec::new(),
            queued: false,
        });
        let promoted = lane == Lane::Live && dirty.lane == Lane::Bulk;
        if promoted {
            dirty.lane = Lane::Live;
            dirty.since = now;
        }
        dirty.cause = dirty.cause.max(cause);
        if self.leased.is_some() || (dirty.queued && !promoted) {
            return None;
        }
        dirty.queued = true;
        Some(dirty.lane)
    }

    pub(crate) fn wake(&mut self, up_to: u64) {
        let mut i = 0;
        while i < self.waiters.len() {
            if self.waiters[i].0 <= up_to {
                let (_, waiter) = self.waiters.swap_remove(i);
                let _ = waiter.send(());
            } else {
                i += 1;
            }
        }
    }
}
