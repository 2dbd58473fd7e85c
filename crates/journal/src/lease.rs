//! What a copier takes from the journal and gives back.

use std::time::{Duration, Instant};

use model::Key;

use crate::entry::{Cause, Lane};
use crate::proof::Proof;

/// How much is outstanding, by what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Keys with at least one write in flight.
    pub in_flight: usize,
    /// Dirty keys that somebody wrote (leased ones included).
    pub live: usize,
    /// Dirty keys that a scan offered (leased ones included).
    pub bulk: usize,
    /// Keys that could not be moved and wait for an operator.
    pub parked: usize,
}

impl Depth {
    /// Nothing is in flight and nothing is dirty. Parked keys are not counted: they are a
    /// decision, not work.
    #[must_use]
    pub const fn drained(&self) -> bool {
        self.in_flight == 0 && self.live == 0 && self.bulk == 0
    }
}

/// A key in the hands of one copier.
#[derive(Debug, Clone)]
pub struct Leased {
    /// Which key.
    pub key: Key,
    /// Its generation when it was taken.
    pub generation: u64,
    /// The queue it was taken from.
    pub lane: Lane,
    /// Why it was dirty.
    pub cause: Cause,
    /// How often copying it failed before.
    pub attempts: u32,
    /// How often it moved while it was copied, since it was last equal.
    pub moves: u32,
}

/// How a copier's work on a key ended.
#[derive(Debug, Clone)]
pub enum Finished {
    /// The secondary has the state the authority had after the lease.
    Equal,
    /// The same, and more: what the secondary has is what the authority had at that instant.
    Proved(Proof),
    /// It changed while it was copied.
    Moved,
    /// Nothing was done with it.
    Returned,
    /// It failed; try again after this delay.
    Later(Duration),
    /// It cannot be moved: keep it apart until an operator decides.
    Park {
        /// The `EXO-` code.
        code: &'static str,
        /// What was said, values masked.
        reason: String,
    },
}

/// The code of a key that an operator set aside. It stays parked whatever names it, until it is
/// taken back: whoever set it aside did so because it keeps coming.
pub const ASIDE: &str = "EXO-ENG-013";

/// A dirty key, as it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Which key.
    pub key: Key,
    /// Since when the secondary lacks its state.
    pub since: Instant,
    /// The queue it waits in.
    pub lane: Lane,
    /// Why it is dirty.
    pub cause: Cause,
    /// How often copying it failed.
    pub attempts: u32,
    /// How often it moved while it was copied.
    pub moves: u32,
    /// Whether a copier holds it right now.
    pub leased: bool,
}

/// A key that could not be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The `EXO-` code.
    pub code: &'static str,
    /// What was said, values masked.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}
