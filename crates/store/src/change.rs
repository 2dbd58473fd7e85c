use crate::error::StoreError;

/// Largest document, in bytes.
pub(crate) const BODY_MAX: usize = 64 << 20;
/// Number of unclean-marker buckets; the same as the journal's.
pub(crate) const MARKER_BYTES: usize = 16_384 / 8;

macro_rules! kinds {
    ($($(#[$meta:meta])* $variant:ident = $number:literal),+ $(,)?) => {
        /// What a document is. The numbers are on disk and never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind { $($(#[$meta])* $variant = $number),+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}

kinds! {
    /// A migration: its config and digest.
    Migration = 1,
    /// A run: the workflow's state.
    Run = 2,
    /// How far the copy of a dataset has come.
    Frontier = 3,
    /// One record on which the sides differ.
    Divergence = 4,
    /// One record that could not be moved.
    Parked = 5,
    /// A fence, stored before it is set.
    Fence = 6,
    /// A dated piece of evidence, with its report.
    Evidence = 7,
    /// An API token, hashed.
    Token = 8,
    /// The answer to an idempotency key; its version is a unix time in seconds.
    Idempotency = 9,
    /// A server or migration setting.
    Setting = 10,
    /// What the engine knows of a side.
    SideFacts = 11,
    /// The outcome of a verify.
    Verified = 12,
    /// Hashes of records that were on the target before.
    Existing = 13,
    /// The answer of a preflight check.
    Check = 14,
    /// A waiver of a check.
    Waiver = 15,
    /// The workload profile.
    Profile = 16,
}

/// What may be refused first when space runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Epochs, authority, fences, runs, audit: stored as long as the reserve lasts.
    Decision,
    /// Everything that can be found again by comparing: refused first.
    Data,
}

/// Changes that become durable together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What is refused first.
    pub class: Class,
    /// In order.
    pub changes: Vec<Change>,
}

impl Batch {
    /// A decision.
    #[must_use]
    pub const fn decision(changes: Vec<Change>) -> Self {
        Self { class: Class::Decision, changes }
    }

    /// Data.
    #[must_use]
    pub const fn data(changes: Vec<Change>) -> Self {
        Self { class: Class::Data, changes }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let largest = self.changes.iter().map(|c| match c {
            Change::Put { body, .. } | Change::Sample { body, .. } => body.len(),
            Change::Event(e) => e.payload.len(),
            Change::Audit(a) => a.payload.len(),
            _ => 0,
        });
        match largest.max() {
            Some(size) if size > BODY_MAX => Err(StoreError::TooLarge(size)),
            _ => Ok(()),
        }
    }
}

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    /// Inserts or replaces a document.
    Put {
        /// What it is.
        kind: Kind,
        /// The migration it belongs to; empty for the server's own.
        scope: String,
        /// Its id within kind and scope.
        id: String,
        /// Its version, chosen by the caller.
        version: u64,
        /// The version it replaces (0 = it must not exist); `None` replaces whatever is there.
        expect: Option<u64>,
        /// Its content.
        body: Vec<u8>,
    },
    /// Removes a document; fine when it is not there.
    Delete {
        /// What it is.
        kind: Kind,
        /// Its scope.
        scope: String,
        /// Its id.
        id: String,
    },
    /// Removes every document of a kind in a scope.
    Clear {
        /// What they are.
        kind: Kind,
        /// Their scope.
        scope: String,
    },
    /// Removes every document of a kind, in any scope, whose version is below this.
    Expire {
        /// What they are.
        kind: Kind,
        /// The first version that stays.
        below: u64,
    },
    /// Appends to the event log, which numbers it.
    Event(NewEvent),
    /// Appends to the audit log, which chains it.
    Audit(NewAudit),
    /// Sets unclean-marker bits.
    SetMarkers {
        /// The migration.
        scope: String,
        /// Bucket numbers below 16,384.
        buckets: Vec<u16>,
    },
    /// Clears unclean-marker bits.
    ClearMarkers {
        /// The migration.
        scope: String,
        /// Bucket numbers below 16,384.
        buckets: Vec<u16>,
    },
    /// Stores a row of metrics history and drops those older than `keep_s`.
    Sample {
        /// The migration; empty for the server's own.
        scope: String,
        /// Unix time in seconds.
        at_s: u64,
        /// Its content.
        body: Vec<u8>,
        /// How long rows of this scope are kept, in seconds.
        keep_s: u64,
    },
}

impl Change {
    /// Puts a document whatever is there.
    #[must_use]
    pub fn put(kind: Kind, scope: &str, id: &str, body: Vec<u8>) -> Self {
        Self::Put {
            kind,
            scope: scope.to_owned(),
            id: id.to_owned(),
            version: 1,
            expect: None,
            body,
        }
    }

    /// Removes a document.
    #[must_use]
    pub fn delete(kind: Kind, scope: &str, id: &str) -> Self {
        Self::Delete { kind, scope: scope.to_owned(), id: id.to_owned() }
    }
}

/// An event to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The migration; empty for the server's own.
    pub scope: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Stable snake_case name.
    pub kind: String,
    /// JSON.
    pub payload: String,
}

/// An event as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number; only grows, and without reuse.
    pub id: u64,
    /// The rest.
    pub event: NewEvent,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only those of this migration.
    pub scope: Option<String>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those after this number.
    pub after: u64,
    /// At most this many.
    pub limit: usize,
    /// The newest ones rather than the oldest. They come in ascending order all the same.
    pub newest: bool,
}

/// An audit entry to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// The migration; empty for the server's own.
    pub scope: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// Why; empty when not given.
    pub reason: String,
    /// JSON.
    pub payload: String,
}

/// An audit entry as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub id: u64,
    /// The rest.
    pub entry: NewAudit,
    /// Hash of the entry before it.
    pub previous: [u8; 32],
    /// Hash of this entry and `previous`.
    pub hash: [u8; 32],
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    /// Its scope.
    pub scope: String,
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// Its content.
    pub body: Vec<u8>,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Numbers given to its events, in order.
    pub events: Vec<u64>,
    /// Numbers given to its audit entries, in order.
    pub audits: Vec<u64>,
}
