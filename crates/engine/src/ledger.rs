//! The divergence ledger: what verify found and what became of it. Bounded; the store keeps more.

use std::collections::{BTreeMap, HashSet, VecDeque};

use model::{Divergence, DivergenceClass, DivergenceState, Key};
use parking_lot::Mutex;

use crate::parts::DIVERGENCES_MAX;

/// Closed divergences kept in memory.
const CLOSED: usize = 1_000;

#[derive(Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Suspected, confirmed, accepted and ignored.
    standing: BTreeMap<Key, Divergence>,
    closed: VecDeque<Divergence>,
    /// Written again by a repair and not compared since.
    repairing: HashSet<Key>,
    dropped: u64,
}

const fn is_open(state: DivergenceState) -> bool {
    matches!(state, DivergenceState::Suspected | DivergenceState::Confirmed)
}

impl Ledger {
    pub(crate) fn restore(&self, stored: &[Divergence]) {
        let mut state = self.state.lock();
        for one in stored {
            match one.state {
                DivergenceState::Repaired | DivergenceState::SelfHealed => {
                    state.close(one.clone());
                }
                _ => {
                    state.standing.insert(one.key.clone(), one.clone());
                }
            }
        }
    }

    /// A comparison found a difference. Returns what to store. An accepted one stays accepted, an
    /// ignored one ignored while it differs in the same way.
    pub(crate) fn found(&self, new: Divergence) -> Option<Divergence> {
        let mut state = self.state.lock();
        match state.standing.get(&new.key) {
            Some(known) if known.state == DivergenceState::Accepted => return None,
            Some(known) if known.state == DivergenceState::Ignored && known.class == new.class => {
                return None;
            }
            None if state.standing.len() >= DIVERGENCES_MAX => {
                state.dropped += 1;
                return None;
            }
            _ => state.standing.insert(new.key.clone(), new.clone()),
        };
        if new.state == DivergenceState::Confirmed {
            state.repairing.remove(&new.key);
        }
        Some(new)
    }

    /// A comparison found the record equal. Returns what to store, if it was in the ledger.
    pub(crate) fn equal(&self, key: &Key) -> Option<Divergence> {
        let mut state = self.state.lock();
        let mut closed = state.standing.remove(key)?;
        closed.state = if state.repairing.remove(key) {
            DivergenceState::Repaired
        } else {
            DivergenceState::SelfHealed
        };
        state.close(closed.clone());
        Some(closed)
    }

    pub(crate) fn accept(&self, key: &Key, reason: &str) -> Option<Divergence> {
        let mut state = self.state.lock();
        let known = state.standing.get_mut(key)?;
        known.state = DivergenceState::Accepted;
        known.likely_cause = Some(format!("accepted: {reason}"));
        Some(known.clone())
    }

    /// Looks away from an open divergence until it changes its class, or is looked at again.
    pub(crate) fn ignore(&self, key: &Key, reason: &str) -> Option<Divergence> {
        let mut state = self.state.lock();
        let known = state.standing.get_mut(key)?;
        known.state = DivergenceState::Ignored;
        known.likely_cause = Some(format!("ignored: {reason}"));
        Some(known.clone())
    }

    /// An ignored divergence counts again.
    pub(crate) fn regard(&self, key: &Key) -> Option<Divergence> {
        let mut state = self.state.lock();
        let known = state.standing.get_mut(key)?;
        if known.state != DivergenceState::Ignored {
            return None;
        }
        known.state = DivergenceState::Confirmed;
        known.likely_cause = None;
        Some(known.clone())
    }

    /// A repair has written these again: the next comparison says how that went.
    pub(crate) fn repairing(&self, keys: impl IntoIterator<Item = Key>) {
        self.state.lock().repairing.extend(keys);
    }

    /// Open divergences, and accepted ones, by key.
    pub(crate) fn standing_keys(&self) -> Vec<Key> {
        self.state.lock().standing.keys().cloned().collect()
    }

    pub(crate) fn open_keys(&self) -> Vec<Key> {
        let state = self.state.lock();
        let open = state.standing.values().filter(|d| is_open(d.state));
        open.map(|d| d.key.clone()).collect()
    }

    pub(crate) fn list(&self, wanted: Option<DivergenceState>, max: usize) -> Vec<Divergence> {
        let state = self.state.lock();
        let all = state.standing.values().chain(&state.closed);
        let mut list: Vec<_> =
            all.filter(|d| wanted.is_none_or(|w| w == d.state)).cloned().collect();
        list.sort_by(|a, b| a.key.cmp(&b.key));
        list.truncate(max);
        list
    }

    pub(crate) fn counts(&self) -> BTreeMap<(DivergenceClass, DivergenceState), u64> {
        let state = self.state.lock();
        let mut counts = BTreeMap::new();
        for one in state.standing.values().chain(&state.closed) {
            *counts.entry((one.class, one.state)).or_default() += 1;
        }
        counts
    }

    pub(crate) fn open(&self) -> u64 {
        self.state.lock().standing.values().filter(|d| is_open(d.state)).count() as u64
    }

    pub(crate) fn confirmed(&self) -> u64 {
        let state = self.state.lock();
        state.standing.values().filter(|d| d.state == DivergenceState::Confirmed).count() as u64
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }
}

impl State {
    fn close(&mut self, one: Divergence) {
        if self.closed.len() == CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divergence(key: &[u8], state: DivergenceState) -> Divergence {
        Divergence {
            key: Key::new(key),
            class: DivergenceClass::Value,
            state,
            source_summary: String::new(),
            target_summary: String::new(),
            likely_cause: None,
        }
    }

    #[test]
    fn only_a_comparison_closes_a_divergence() {
        let ledger = Ledger::default();
        let key = Key::new(b"a");
        ledger.found(divergence(b"a", DivergenceState::Confirmed));
        ledger.repairing([key.clone()]);
        assert_eq!(ledger.open(), 1, "the repair's own report closes nothing");
        let closed = ledger.equal(&key).expect("it was open");
        assert_eq!(closed.state, DivergenceState::Repaired);
        assert_eq!(ledger.open(), 0);
    }

    #[test]
    fn a_repair_that_did_not_help_is_forgotten() {
        let ledger = Ledger::default();
        ledger.found(divergence(b"a", DivergenceState::Confirmed));
        ledger.repairing([Key::new(b"a")]);
        ledger.found(divergence(b"a", DivergenceState::Confirmed));
        let closed = ledger.equal(&Key::new(b"a")).expect("it was open");
        assert_eq!(closed.state, DivergenceState::SelfHealed);
    }

    #[test]
    fn an_accepted_divergence_stays_accepted_while_it_differs() {
        let ledger = Ledger::default();
        ledger.found(divergence(b"a", DivergenceState::Confirmed));
        assert!(ledger.accept(&Key::new(b"a"), "known").is_some());
        assert!(ledger.found(divergence(b"a", DivergenceState::Confirmed)).is_none());
        assert_eq!((ledger.open(), ledger.confirmed()), (0, 0));
        assert_eq!(ledger.list(Some(DivergenceState::Accepted), 9).len(), 1);
    }

    #[test]
    fn an_ignored_divergence_comes_back_when_it_changes_or_is_regarded_again() {
        let ledger = Ledger::default();
        let key = Key::new(b"a");
        ledger.found(divergence(b"a", DivergenceState::Confirmed));
        assert!(ledger.ignore(&key, "a cache").is_some());
        assert!(ledger.found(divergence(b"a", DivergenceState::Confirmed)).is_none());
        assert_eq!((ledger.open(), ledger.confirmed()), (0, 0));
        assert_eq!(ledger.list(Some(DivergenceState::Ignored), 9).len(), 1);
        let other = Divergence {
            class: DivergenceClass::Type,
            ..divergence(b"a", DivergenceState::Confirmed)
        };
        assert!(ledger.found(other).is_some());
        assert_eq!((ledger.open(), ledger.regard(&key)), (1, None));
        ledger.ignore(&key, "again");
        assert_eq!(ledger.regard(&key).map(|d| d.state), Some(DivergenceState::Confirmed));
        assert_eq!(ledger.open(), 1);
    }

    #[test]
    fn it_is_bounded() {
        let ledger = Ledger::default();
        for i in 0..DIVERGENCES_MAX as u64 + 3 {
            ledger.found(divergence(&i.to_be_bytes(), DivergenceState::Confirmed));
        }
        assert_eq!(ledger.dropped(), 3);
        assert_eq!(ledger.open(), DIVERGENCES_MAX as u64);
    }
}
