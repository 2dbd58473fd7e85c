//! What a finished copy proves, and which marks it therefore covers.
//!
//! A fence that held shows that a record did not change between its read and the confirmation.
//! A change that the feed reported before the confirmation was asked for is then part of what was
//! copied, whenever the report arrives: the mark says when the change was known, the proof when it
//! was asked for. Without this every write is copied twice, once for itself and once for the feed's
//! report of it. Only reports are covered: what a feed reports, a fence sees. A write of our own
//! may be of a kind that neither sees (acknowledgements of a consumer group).

use std::collections::VecDeque;
use std::time::Instant;

use model::Key;

use crate::hash::KeyMap;

/// Proofs kept per shard. A report that comes later than this many copies costs one copy more.
const KEPT_MAX: usize = 512;

/// The secondary had, at `at` or later, what the authority had then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Taken before the question was sent whether the record had moved.
    pub at: Instant,
    /// The routing table's, at the lease and after the confirmation: under another one another
    /// side may have been the authority.
    pub epoch: u64,
}

/// When a change on the authority was known to have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Taken after the bytes that tell of it were received.
    pub(crate) at: Instant,
    /// The table's by which the reporting side was the authority.
    pub(crate) epoch: u64,
}

impl Seen {
    /// What covers both; `None` when nothing can.
    pub(crate) fn merge(self, other: Self) -> Option<Self> {
        let same = self.epoch == other.epoch;
        same.then(|| Self { at: self.at.max(other.at), epoch: self.epoch })
    }
}

impl Proof {
    /// Whether a change was made before the proof was asked for. Equal instants do not tell.
    pub(crate) fn covers(self, seen: Seen) -> bool {
        seen.at < self.at && seen.epoch == self.epoch
    }
}

/// The latest proofs of keys that are clean again.
#[derive(Default)]
pub(crate) struct Proofs {
    by_key: KeyMap<Proof>,
    /// In the order they were kept; a key that was kept again has an outdated place as well.
    order: VecDeque<(Key, Instant)>,
}

impl Proofs {
    pub(crate) fn keep(&mut self, key: &Key, proof: Proof) {
        if self.order.len() >= KEPT_MAX
            && let Some((oldest, at)) = self.order.pop_front()
            && self.by_key.get(&oldest).is_some_and(|kept| kept.at == at)
        {
            self.by_key.remove(&oldest);
        }
        self.by_key.insert(key.clone(), proof);
        self.order.push_back((key.clone(), proof.at));
    }

    pub(crate) fn cover(&self, key: &Key, seen: Seen) -> bool {
        self.by_key.get(key).is_some_and(|proof| proof.covers(seen))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_was_known_before_the_question_is_covered() {
        let at = Instant::now();
        let (before, after) = (at - Duration::from_nanos(1), at + Duration::from_nanos(1));
        let proof = Proof { at, epoch: 7 };
        let check = |at, epoch, expect| assert_eq!(proof.covers(Seen { at, epoch }), expect);
        check(before, 7, true);
        check(before, 6, false);
        check(at, 7, false);
        check(after, 7, false);
    }

    #[test]
    fn marks_of_two_tables_are_covered_by_no_copy() {
        let at = Instant::now();
        let seen = |epoch| Seen { at, epoch };
        assert_eq!(seen(1).merge(seen(2)), None);
        assert_eq!(seen(2).merge(seen(2)), Some(seen(2)));
    }

    #[test]
    fn proofs_are_bounded_and_the_latest_is_kept() {
        let mut proofs = Proofs::default();
        let start = Instant::now();
        let at = |n: u64| start + Duration::from_micros(n);
        for n in 0..10_000 {
            proofs.keep(&Key::new(b"hot"), Proof { at: at(n), epoch: 0 });
            proofs.keep(&Key::new(&n.to_be_bytes()), Proof { at: at(n), epoch: 0 });
        }
        assert!(proofs.order.len() <= KEPT_MAX && proofs.by_key.len() <= KEPT_MAX);
        assert!(proofs.cover(&Key::new(b"hot"), Seen { at: at(9_998), epoch: 0 }));
        assert!(!proofs.cover(&Key::new(b"hot"), Seen { at: at(9_999), epoch: 0 }));
    }
}
