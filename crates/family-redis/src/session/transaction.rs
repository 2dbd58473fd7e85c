//! An open MULTI: what was queued, so that it can be noted, and carried over a switch.

use wire_redis::{RequestScanner, Scanned};

/// Bytes of queued requests kept. Beyond it the transaction still works where it is, but cannot
/// be carried over, and counts as touching anything.
const QUEUED_BYTES_MAX: usize = 4 << 20;

/// Requests queued since MULTI.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    queued: Vec<u8>,
    count: usize,
    overflown: bool,
    /// A request of it was refused by us: EXEC has to fail.
    pub(super) failed: bool,
    /// The database that a queued SELECT will switch to.
    pub(super) db: Option<u16>,
}

impl Transaction {
    pub(super) fn queue(&mut self, raw: &[u8]) {
        self.count += 1;
        if self.overflown || self.queued.len() + raw.len() > QUEUED_BYTES_MAX {
            self.overflow();
        } else {
            self.queued.extend_from_slice(raw);
        }
    }

    pub(super) fn overflow(&mut self) {
        self.overflown = true;
        self.queued = Vec::new();
    }

    pub(super) const fn overflown(&self) -> bool {
        self.overflown
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.queued
    }

    /// The queued requests, one by one.
    pub(super) fn requests(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.queued.as_slice();
        std::iter::from_fn(move || {
            let Ok(Scanned::Array(len)) = RequestScanner::new().scan(rest) else { return None };
            let (one, more) = rest.split_at(len);
            rest = more;
            Some(one)
        })
    }
}
