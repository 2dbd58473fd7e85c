//! What is in doubt here: transactions between their PREPARE and their end.
//!
//! A place is taken before anything is prepared and given back when nothing is any more, so there
//! are never more prepared transactions than the servers have room for, not even while one of them
//! is away. A coordinator whose future is dropped leaves its place taken: whoever recovers gives
//! it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Gid;

struct Entry {
    since: Instant,
    left: bool,
    _place: OwnedSemaphorePermit,
}

/// All transactions of one node that are in doubt. Cheap to clone.
#[derive(Clone)]
pub struct Doubt {
    places: Arc<Semaphore>,
    open: Arc<Mutex<BTreeMap<Gid, Entry>>>,
}

/// How much is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauge {
    /// Transactions that are prepared, or may be.
    pub count: usize,
    /// Those of them that nobody here works on any more.
    pub left: usize,
    /// Age of the oldest.
    pub oldest: Option<Duration>,
}

impl Doubt {
    /// Room for so many.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), open: Arc::default() }
    }

    /// Room below what both servers allow. Some is left to others: operators, other nodes.
    #[must_use]
    pub fn below(max_prepared: [usize; 2], nodes: usize) -> Self {
        let least = max_prepared.into_iter().min().unwrap_or(0);
        let share = least.saturating_sub(1) / nodes.max(1);
        Self::new(share)
    }

    /// Waits for a place, at most so long. `None` is a NO: nothing was prepared.
    pub async fn enter(&self, gid: Gid, patience: Duration) -> Option<InDoubt> {
        let place = self.places.clone().acquire_owned();
        let place = tokio::time::timeout(patience, place).await.ok()?.ok()?;
        let entry = Entry { since: Instant::now(), left: false, _place: place };
        self.open.lock().insert(gid.clone(), entry);
        Some(InDoubt { doubt: self.clone(), gid, over: false })
    }

    /// How much is in doubt now.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        let open = self.open.lock();
        let left = open.values().filter(|entry| entry.left).count();
        let oldest = open.values().map(|entry| entry.since.elapsed()).max();
        Gauge { count: open.len(), left, oldest }
    }

    /// What a recoverer has to end for this node.
    #[must_use]
    pub fn left(&self) -> BTreeSet<Gid> {
        let open = self.open.lock();
        open.iter().filter(|(_, entry)| entry.left).map(|(gid, _)| gid.clone()).collect()
    }

    /// A clean recovery has ended what was left when it began.
    pub fn ended(&self, left: &BTreeSet<Gid>) {
        self.open.lock().retain(|gid, entry| !(entry.left && left.contains(gid)));
    }
}

/// One transaction's place.
pub struct InDoubt {
    doubt: Doubt,
    gid: Gid,
    over: bool,
}

impl InDoubt {
    /// The transaction's name.
    #[must_use]
    pub fn gid(&self) -> &Gid {
        &self.gid
    }

    /// Nothing of it is prepared any more.
    pub fn over(mut self) {
        self.over = true;
    }
}

impl Drop for InDoubt {
    fn drop(&mut self) {
        let mut open = self.doubt.open.lock();
        if self.over {
            open.remove(&self.gid);
        } else if let Some(entry) = open.get_mut(&self.gid) {
            entry.left = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gid(number: u64) -> Gid {
        format!("exo:orders:7:b:s-t:1:{number}").parse().unwrap()
    }

    #[tokio::test]
    async fn a_place_is_taken_until_nothing_is_prepared() {
        let doubt = Doubt::below([3, 8], 1);
        let now = Duration::ZERO;
        let first = doubt.enter(gid(1), now).await.unwrap();
        let second = doubt.enter(gid(2), now).await.unwrap();
        assert!(doubt.enter(gid(3), now).await.is_none());
        drop(first);
        assert!(doubt.enter(gid(3), now).await.is_none());
        let left = doubt.left();
        assert_eq!(left, BTreeSet::from([gid(1)]));
        let gauge = doubt.gauge();
        assert_eq!((gauge.count, gauge.left), (2, 1));
        assert!(gauge.oldest.is_some());
        doubt.ended(&left);
        second.over();
        assert_eq!(doubt.gauge(), Gauge::default());
        assert!(doubt.enter(gid(3), now).await.is_some());
    }

    #[tokio::test]
    async fn servers_without_room_have_no_place() {
        let doubt = Doubt::below([0, 8], 1);
        assert!(doubt.enter(gid(1), Duration::ZERO).await.is_none());
    }
}
