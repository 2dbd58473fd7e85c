//! Where the clients connect, and who has followed when that changed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::conn::Address;

/// The id of helpers that are no client.
pub(super) const NOBODY: u16 = u16::MAX;

/// The address of the present turn.
pub(super) struct Way {
    turn: AtomicU64,
    address: Mutex<Address>,
    arrived: Mutex<BTreeMap<u16, u64>>,
}

impl Way {
    pub(super) fn new(address: Address) -> Self {
        Self {
            turn: AtomicU64::new(0),
            address: Mutex::new(address),
            arrived: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// The turn and its address.
    pub(super) fn current(&self) -> (u64, Address) {
        let address = self.address.lock();
        (self.turn(), address.clone())
    }

    pub(super) fn redirect(&self, to: Address) -> u64 {
        let mut address = self.address.lock();
        *address = to;
        self.turn.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// A client is connected to the address of this turn.
    pub(super) fn arrived(&self, client: u16, turn: u64) {
        if client != NOBODY {
            self.arrived.lock().insert(client, turn);
        }
    }

    /// Whether every client that ever connected is connected to the address of this turn.
    pub(super) fn all_arrived(&self, turn: u64) -> bool {
        let arrived = self.arrived.lock();
        !arrived.is_empty() && arrived.values().all(|t| *t >= turn)
    }
}
