//! Where the clients connect, and who has followed when that changed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The id of helpers that are no client.
pub(crate) const NOBODY: u16 = u16::MAX;

/// The address of the present turn.
pub(crate) struct Way<A> {
    turn: AtomicU64,
    address: Mutex<A>,
    arrived: Mutex<BTreeMap<u16, u64>>,
}

impl<A: Clone> Way<A> {
    pub(crate) fn new(address: A) -> Self {
        Self {
            turn: AtomicU64::new(0),
            address: Mutex::new(address),
            arrived: Mutex::new(BTreeMap::new()),
        }
    }

    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// The turn and its address.
    pub(crate) fn current(&self) -> (u64, A) {
        let address = self.address.lock();
        (self.turn(), address.clone())
    }

    pub(crate) fn redirect(&self, to: A) -> u64 {
        let mut address = self.address.lock();
        *address = to;
        self.turn.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// A client is connected to the address of this turn.
    pub(crate) fn arrived(&self, client: u16, turn: u64) {
        if client != NOBODY {
            self.arrived.lock().insert(client, turn);
        }
    }

    /// Whether every client that ever connected is connected to the address of this turn.
    pub(crate) fn all_arrived(&self, turn: u64) -> bool {
        let arrived = self.arrived.lock();
        !arrived.is_empty() && arrived.values().all(|t| *t >= turn)
    }
}
