//! Connections given up with a command unanswered (law 2).
//!
//! Such a command may still run, after its successors. So the server-side id is kept here until
//! the connection is proved dead, and no new connection of ours is used before that.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Ids of abandoned connections of one endpoint.
///
/// Bounded by what can be given up between two successful connects: one entry per connection
/// that was open.
#[derive(Debug, Default)]
pub(crate) struct Abandoned(Mutex<BTreeSet<i64>>);

impl Abandoned {
    pub(crate) fn note(&self, id: i64) {
        self.0.lock().insert(id);
    }

    pub(crate) fn all(&self) -> Vec<i64> {
        self.0.lock().iter().copied().collect()
    }

    pub(crate) fn settled(&self, ids: &[i64]) {
        let mut open = self.0.lock();
        for id in ids {
            open.remove(id);
        }
    }
}
