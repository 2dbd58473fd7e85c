//! What each register's writer was acknowledged last, so that readers can tell a stale read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Registers per client.
pub(crate) const REGISTERS: u32 = 8;

const VERSION_BITS: u32 = 40;

/// One slot per client and register: generation above, acknowledged version below.
pub(crate) struct Versions {
    slots: Vec<AtomicU64>,
}

impl Versions {
    pub(crate) fn new(clients: u16) -> Self {
        Self { slots: (0..u32::from(clients) * REGISTERS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Generation and last acknowledged version.
    pub(crate) fn get(&self, client: u16, register: u32) -> (u32, u64) {
        let both = self.slot(client, register).load(Ordering::SeqCst);
        ((both >> VERSION_BITS) as u32, both & ((1 << VERSION_BITS) - 1))
    }

    /// The writer was acknowledged this version of this generation.
    pub(crate) fn set(&self, client: u16, register: u32, generation: u32, version: u64) {
        let both = (u64::from(generation) << VERSION_BITS) | version;
        self.slot(client, register).store(both, Ordering::SeqCst);
    }

    fn slot(&self, client: u16, register: u32) -> &AtomicU64 {
        &self.slots[(u32::from(client) * REGISTERS + register) as usize]
    }
}
