//! Which parts of one table were copied, by what snapshot, and what that means for a change.
//!
//! A change of a row is applied over the chunk that holds its key exactly when the chunk's
//! snapshot did not see its transaction. Three rules keep that true:
//!
//! - A chunk is on the shelf as [`State::Filling`] *before* its snapshot is taken; changes of its
//!   rows wait.
//! - A change whose key no chunk holds is dropped only once its transaction is visible at the
//!   followed side: whatever chunk is begun after that sees it.
//! - A chunk forgets its snapshot ([`Shelf::settle`]) once progress *durable on the other side*
//!   has passed an offset taken after the snapshot. All it saw had committed before that offset,
//!   so nothing it saw is told again. The offset is never used to judge a change.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use wire_postgres::Lsn;

use super::order::{KeyText, Order};
use super::snapshot::Snapshot;

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not in what was copied.
    Apply,
    /// It is.
    Skip,
    /// Its chunk is being copied.
    Wait,
    /// Nothing that was copied or is being copied holds its row.
    Absent,
    /// Only the server can order this key.
    Ask,
}

/// How a copied range stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being copied; what it will see is not known yet.
    Filling,
    /// Durable on the other side.
    Held(Arc<Seen>),
    /// Whatever comes is newer.
    Settled,
}

/// What a chunk saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// By this snapshot.
    pub(crate) snapshot: Snapshot,
    /// An offset behind all that it sees.
    pub(crate) upto: Lsn,
}

/// A range of keys: above `lower`, up to and with `upper`; `None` is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    /// Names it as long as it is on the shelf.
    pub(crate) id: u64,
    pub(crate) lower: Option<KeyText>,
    pub(crate) upper: Option<KeyText>,
    pub(crate) state: State,
}

/// All ranges of one table; no two have a key in common.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    order: Order,
    ranges: Vec<Range>,
    /// Single rows that were copied again, newer than their range.
    singles: HashMap<KeyText, Arc<Seen>>,
    /// Rises whenever a key may have come to another range.
    version: u64,
    next: u64,
}

/// Which rows a truncate removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Emptied {
    /// All that is there.
    All,
    /// None: it is in what was copied.
    Nothing,
    /// Those of these ranges.
    Ranges(Vec<(Option<KeyText>, Option<KeyText>)>),
    /// Not known before a chunk is copied.
    Wait,
}

impl Shelf {
    pub(crate) fn new(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Whether everything was copied and nothing is left to be judged.
    pub(crate) fn is_whole(&self) -> bool {
        let [only] = &self.ranges[..] else { return false };
        let open = only.lower.is_none() && only.upper.is_none();
        open && only.state == State::Settled && self.singles.is_empty()
    }

    /// Whether nothing of it is being copied or held.
    pub(crate) fn is_settled(&self) -> bool {
        self.singles.is_empty() && self.ranges.iter().all(|r| r.state == State::Settled)
    }

    /// Whether every key was copied.
    pub(crate) fn is_covered(&self) -> bool {
        let mut bound = None;
        for _ in 0..self.ranges.len() {
            let next = self.ranges.iter().find(|r| r.lower == bound && r.state != State::Filling);
            match next.map(|range| range.upper.clone()) {
                None => return false,
                Some(None) => return true,
                Some(upper) => bound = upper,
            }
        }
        false
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.ranges.iter().any(|range| range.state == State::Filling)
    }

    /// Puts a range there before its snapshot is taken. `None` when it is there already.
    pub(crate) fn begin(&mut self, lower: Option<KeyText>, upper: Option<KeyText>) -> Option<u64> {
        if self.ranges.iter().any(|range| range.lower == lower) {
            return None;
        }
        Some(self.put(lower, upper, State::Filling))
    }

    /// Puts a range there that an earlier process copied.
    pub(crate) fn restore(&mut self, lower: Option<KeyText>, upper: Option<KeyText>, seen: Seen) {
        self.put(lower, upper, State::Held(Arc::new(seen)));
    }

    fn put(&mut self, lower: Option<KeyText>, upper: Option<KeyText>, state: State) -> u64 {
        let id = self.next;
        self.next += 1;
        self.version += 1;
        let at = self.ranges.partition_point(|other| self.order.is_below(&other.lower, &lower));
        self.ranges.insert(at, Range { id, lower, upper, state });
        id
    }

    /// The range is durable on the other side.
    pub(crate) fn done(&mut self, id: u64, seen: Seen) {
        if let Some(range) = self.ranges.iter_mut().find(|range| range.id == id) {
            range.state = State::Held(Arc::new(seen));
        }
    }

    /// Nothing of the range is on the other side.
    pub(crate) fn failed(&mut self, id: u64) {
        self.ranges.retain(|range| range.id != id || range.state != State::Filling);
        self.version += 1;
    }

    /// A single row was copied again.
    pub(crate) fn refetched(&mut self, key: KeyText, seen: Seen) {
        self.singles.insert(key, Arc::new(seen));
    }

    /// Progress up to here is durable on the other side. Ranges that touch become one.
    pub(crate) fn settle(&mut self, upto: Lsn) {
        for range in &mut self.ranges {
            if matches!(&range.state, State::Held(seen) if seen.upto <= upto) {
                range.state = State::Settled;
            }
        }
        self.singles.retain(|_, seen| seen.upto > upto);
        let mut at = 0;
        while at < self.ranges.len() {
            let upper = self.ranges[at].upper.clone();
            let settled = self.ranges[at].state == State::Settled;
            let next = upper.is_some().then(|| {
                self.ranges.iter().position(|r| r.lower == upper && r.state == State::Settled)
            });
            match next.flatten().filter(|next| settled && *next != at) {
                Some(next) => {
                    let next = self.ranges.remove(next);
                    at = self.ranges.iter().position(|r| r.upper == upper).unwrap_or(0);
                    self.ranges[at].upper = next.upper;
                    self.version += 1;
                }
                None => at += 1,
            }
        }
    }

    /// What becomes of a change of the row with this key.
    pub(crate) fn judge(&self, key: &KeyText, xid: u32) -> Verdict {
        if let Some(verdict) = self.single(key, xid) {
            return verdict;
        }
        if let [only] = &self.ranges[..]
            && only.lower.is_none()
            && only.upper.is_none()
        {
            return only.verdict(xid);
        }
        if self.ranges.is_empty() {
            return Verdict::Absent;
        }
        if !self.order.is_known() {
            return Verdict::Ask;
        }
        let above = |range: &Range| match &range.lower {
            None => Some(true),
            Some(lower) => self.order.compare(lower, key).map(Ordering::is_lt),
        };
        let at = self.ranges.partition_point(|range| above(range).unwrap_or(false));
        let Some(range) = at.checked_sub(1).and_then(|at| self.ranges.get(at)) else {
            return Verdict::Absent;
        };
        let within = match &range.upper {
            None => Some(true),
            Some(upper) => self.order.compare(key, upper).map(Ordering::is_le),
        };
        match within {
            Some(true) => range.verdict(xid),
            Some(false) => Verdict::Absent,
            None => Verdict::Ask,
        }
    }

    /// The same for a key that the server has placed, while the version is what it was then.
    pub(crate) fn judge_placed(&self, key: &KeyText, place: Option<u64>, xid: u32) -> Verdict {
        if let Some(verdict) = self.single(key, xid) {
            return verdict;
        }
        let range = place.and_then(|id| self.ranges.iter().find(|range| range.id == id));
        range.map_or(Verdict::Absent, |range| range.verdict(xid))
    }

    fn single(&self, key: &KeyText, xid: u32) -> Option<Verdict> {
        if self.singles.is_empty() {
            return None;
        }
        let seen = self.singles.get(key)?.snapshot.sees(xid);
        Some(if seen { Verdict::Skip } else { Verdict::Apply })
    }

    /// Which rows a truncate of this transaction removes.
    pub(crate) fn emptied(&self, xid: u32) -> Emptied {
        let verdicts: Vec<_> = self.ranges.iter().map(|range| range.verdict(xid)).collect();
        if verdicts.contains(&Verdict::Wait) {
            return Emptied::Wait;
        }
        let newer = self.singles.values().any(|seen| seen.snapshot.sees(xid));
        if !newer && verdicts.iter().all(|verdict| *verdict == Verdict::Apply) {
            return Emptied::All;
        }
        let older = self.ranges.iter().zip(&verdicts).filter(|(_, v)| **v == Verdict::Apply);
        let older: Vec<_> = older.map(|(r, _)| (r.lower.clone(), r.upper.clone())).collect();
        if older.is_empty() { Emptied::Nothing } else { Emptied::Ranges(older) }
    }
}

impl Range {
    fn verdict(&self, xid: u32) -> Verdict {
        match &self.state {
            State::Filling => Verdict::Wait,
            State::Held(seen) if seen.snapshot.sees(xid) => Verdict::Skip,
            State::Held(_) | State::Settled => Verdict::Apply,
        }
    }
}

impl Order {
    /// Whether a lower bound stands before another; where only the server knows, the order of
    /// arrival is kept.
    fn is_below(&self, a: &Option<KeyText>, b: &Option<KeyText>) -> bool {
        match (a, b) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(a), Some(b)) => self.compare(a, b).is_none_or(Ordering::is_lt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::Rank;
    use super::*;

    fn key(n: i64) -> KeyText {
        vec![n.to_string()]
    }

    fn seen(snapshot: &str, upto: u64) -> Seen {
        Seen { snapshot: snapshot.parse().unwrap(), upto: Lsn(upto) }
    }

    fn shelf() -> Shelf {
        Shelf::new(Order(vec![Rank::Number]))
    }

    #[test]
    fn a_change_is_judged_by_the_chunk_that_holds_its_key() {
        let mut shelf = shelf();
        assert_eq!(shelf.judge(&key(5), 10), Verdict::Absent);
        let low = shelf.begin(None, Some(key(10))).unwrap();
        let high = shelf.begin(Some(key(20)), None).unwrap();
        assert_eq!(shelf.begin(None, Some(key(9))), None);
        assert_eq!(shelf.judge(&key(10), 10), Verdict::Wait);
        assert_eq!(shelf.judge(&key(11), 10), Verdict::Absent);
        assert_eq!(shelf.judge(&key(20), 10), Verdict::Absent);
        assert_eq!(shelf.judge(&key(21), 10), Verdict::Wait);
        shelf.done(low, seen("10:12:10", 100));
        shelf.failed(high);
        assert_eq!(shelf.judge(&key(10), 10), Verdict::Apply);
        assert_eq!(shelf.judge(&key(10), 11), Verdict::Skip);
        assert_eq!(shelf.judge(&key(10), 12), Verdict::Apply);
        assert_eq!(shelf.judge(&key(21), 10), Verdict::Absent);
    }

    #[test]
    fn a_chunk_settles_only_when_durable_progress_has_passed_it() {
        let mut shelf = shelf();
        let last = shelf.begin(Some(key(10)), None).unwrap();
        shelf.done(last, seen("10:12:", 90));
        let low = shelf.begin(None, Some(key(5))).unwrap();
        shelf.done(low, seen("10:12:", 100));
        let middle = shelf.begin(Some(key(5)), Some(key(10))).unwrap();
        shelf.done(middle, seen("10:12:", 110));
        shelf.settle(Lsn(99));
        assert_eq!(shelf.judge(&key(1), 11), Verdict::Skip);
        assert_eq!(shelf.judge(&key(11), 11), Verdict::Apply);
        shelf.settle(Lsn(100));
        assert_eq!(shelf.judge(&key(1), 11), Verdict::Apply);
        assert_eq!(shelf.judge(&key(6), 11), Verdict::Skip);
        assert!(!shelf.is_whole() && shelf.ranges().len() == 3);
        shelf.settle(Lsn(110));
        assert!(shelf.is_whole() && shelf.is_settled());
    }

    #[test]
    fn where_only_the_server_orders_ranges_become_one_all_the_same() {
        let mut shelf = Shelf::new(Order(vec![Rank::Asked]));
        let text = |t: &str| vec![t.to_owned()];
        for (lower, upper) in [(Some("m"), None), (None, Some("é")), (Some("é"), Some("m"))] {
            let id = shelf.begin(lower.map(text), upper.map(text)).unwrap();
            assert_eq!(shelf.judge(&text("k"), 11), Verdict::Ask);
            assert_eq!(shelf.judge_placed(&text("k"), Some(id), 11), Verdict::Wait);
            shelf.done(id, seen("10:12:", 100));
            assert_eq!(shelf.judge_placed(&text("k"), Some(id), 11), Verdict::Skip);
        }
        shelf.settle(Lsn(100));
        assert!(shelf.is_whole());
        assert_eq!(shelf.judge(&text("k"), 11), Verdict::Apply);
    }

    #[test]
    fn a_row_copied_again_is_judged_by_its_own_snapshot() {
        let mut shelf = shelf();
        shelf.restore(None, None, seen("10:10:", 50));
        shelf.refetched(key(7), seen("20:20:", 150));
        assert_eq!(shelf.judge(&key(7), 15), Verdict::Skip);
        assert_eq!(shelf.judge(&key(8), 15), Verdict::Apply);
        shelf.settle(Lsn(149));
        assert!(!shelf.is_whole());
        shelf.settle(Lsn(150));
        assert!(shelf.is_whole());
        assert_eq!(shelf.judge(&key(7), 21), Verdict::Apply);
    }

    #[test]
    fn a_truncate_empties_only_what_was_copied_before_it() {
        let mut shelf = shelf();
        assert_eq!(shelf.emptied(15), Emptied::All);
        shelf.restore(None, Some(key(5)), seen("10:10:", 50));
        assert_eq!(shelf.emptied(15), Emptied::All);
        shelf.restore(Some(key(5)), None, seen("20:20:", 60));
        assert_eq!(shelf.emptied(15), Emptied::Ranges(vec![(None, Some(key(5)))]));
        assert_eq!(shelf.emptied(9), Emptied::Nothing);
        shelf.begin(Some(key(9)), None).unwrap();
        assert_eq!(shelf.emptied(15), Emptied::Wait);
    }
}
