//! The audit log's hash chain: each entry's hash covers its fields and the hash before it, so that
//! changing, removing or inserting an entry breaks every hash after it.

use crate::change::{AuditEntry, NewAudit};

/// Whether the chain holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Entries that hold.
    pub entries: u64,
    /// The first that does not.
    pub broken_at: Option<u64>,
}

pub(crate) const FIRST: [u8; 32] = [0; 32];

/// Chains an entry.
pub(crate) fn chain(id: u64, entry: NewAudit, previous: [u8; 32]) -> AuditEntry {
    let hash = hash(id, &entry, &previous);
    AuditEntry { id, entry, previous, hash }
}

fn hash(id: u64, entry: &NewAudit, previous: &[u8; 32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(&id.to_be_bytes());
    hasher.update(&entry.at_ms.to_be_bytes());
    for field in [&entry.scope, &entry.actor, &entry.action, &entry.reason, &entry.payload] {
        hasher.update(&(field.len() as u64).to_be_bytes());
        hasher.update(field.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Walks a chain that is fed in order.
pub(crate) struct Walk {
    previous: [u8; 32],
    next: u64,
    broken_at: Option<u64>,
}

impl Walk {
    pub(crate) const fn new() -> Self {
        Self { previous: FIRST, next: 1, broken_at: None }
    }

    pub(crate) fn see(&mut self, entry: &AuditEntry) {
        if self.broken_at.is_some() {
            return;
        }
        let holds = entry.id == self.next
            && entry.previous == self.previous
            && entry.hash == hash(entry.id, &entry.entry, &self.previous);
        if holds {
            self.previous = entry.hash;
            self.next += 1;
        } else {
            self.broken_at = Some(entry.id);
        }
    }

    /// `expected` is how many entries there should be, where that is known from elsewhere.
    pub(crate) fn verdict(self, expected: u64) -> AuditVerdict {
        let entries = self.next - 1;
        let broken_at =
            self.broken_at.or_else(|| (entries != expected).then_some(entries.min(expected) + 1));
        AuditVerdict { entries, broken_at }
    }
}
