//! What the clients were told: one record per write, kept until the checkers have judged it.

use crate::load::ledger::Outcome;
pub use crate::load::ledger::Token;

/// Which workload a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A row with its own identity; `result` is the id and `amount` the random value that the
    /// database gave it.
    Insert,
    /// Counter `key` plus `amount`; `result` is the reply.
    Counter,
    /// `amount` from account `key` to account `other`; `result` is the transfer's id.
    Transfer,
    /// A job queued.
    JobPush,
    /// A job taken under SKIP LOCKED, by its token.
    JobTake,
    /// COPY of `amount` rows.
    Copy,
    /// Rows around a savepoint that was rolled back.
    Parts,
    /// A turn under the advisory lock `key`; `result` is its number.
    Turn,
    /// Rows `key` and `other` exchange unique values.
    Swap,
    /// A row in the table that grows by DDL.
    Grow,
}

/// One write.
pub type Record = crate::load::ledger::Record<Kind>;

/// A transaction that appends to lists and reads some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTransaction {
    /// Its identity.
    pub token: Token,
    /// Values appended: list and value, in order.
    pub appends: Vec<(u32, i64)>,
    /// Lists as they were read, own appends before the read included.
    pub reads: Vec<(u32, Vec<i64>)>,
    /// What the client was told.
    pub outcome: Outcome,
}

/// A table in which every row is written by one client only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owned {
    /// Rows whose key changes; held is `value` and the length of the untouched ballast.
    Moving,
    /// Parents; held is the number of children.
    Parent,
    /// Registers; held is the version.
    Register,
}

/// What a row written by one client only may hold at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The table.
    pub table: Owned,
    /// The row.
    pub id: i64,
    /// The possible states, absent as none; more than one only after an unknown outcome.
    pub allowed: Vec<Option<String>>,
}

/// A change of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddl {
    /// The statement.
    pub sql: String,
    /// A query that answers true where it was done.
    pub probe: String,
    /// What the client was told.
    pub outcome: Outcome,
}

/// Everything the clients were told.
#[derive(Debug, Clone, Default)]
pub struct PgLedger {
    /// All writes, each client's in its order.
    pub records: Vec<Record>,
    /// Transactions over lists.
    pub lists: Vec<ListTransaction>,
    /// What single-writer rows may hold.
    pub expectations: Vec<Expectation>,
    /// Changes of the schema, in order.
    pub ddl: Vec<Ddl>,
    /// What a client saw that it never may. At most a hundred are kept.
    pub session_violations: Vec<String>,
    /// Number of such observations.
    pub session_violations_seen: u64,
}

const VIOLATIONS_MAX: usize = 100;

impl PgLedger {
    /// The records of a kind, in order.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Vec<Record> {
        self.records.iter().filter(|r| r.kind == kind).copied().collect()
    }

    /// Number of records with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.records.iter().filter(|r| r.outcome == outcome).count() as u64
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.records.extend(other.records);
        self.lists.extend(other.lists);
        self.expectations.extend(other.expectations);
        self.ddl.extend(other.ddl);
        self.session_violations.extend(other.session_violations);
        self.session_violations_seen += other.session_violations_seen;
    }

    pub(super) fn violation(&mut self, what: String) {
        self.session_violations_seen += 1;
        if self.session_violations.len() < VIOLATIONS_MAX {
            self.session_violations.push(what);
        }
    }
}
