//! What is known about a text and each statement in it.

use std::ops::Range;

use super::kind::Kind;
use super::name::Name;
use super::reason::Reason;
use super::state::SessionState;

/// What is known about a text that a client sends in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// The statements in order. Empty for an empty text, and for one that was not understood.
    pub statements: Vec<Statement>,
    /// All of them together: the gravest access, the union of what they touch, and the first
    /// reason against each promise.
    pub whole: Verdict,
    /// libpg_query's fingerprint: equal for statements that differ in constants only. 0 if the
    /// text was not understood or holds no statement.
    pub fingerprint: u64,
}

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Where it stands in the text, in bytes, without its semicolon.
    pub range: Range<usize>,
    /// What is known about it.
    pub verdict: Verdict,
}

/// What a statement does, needs and leaves behind. Where something is not known, the verdict is
/// the one that cannot do harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What kind of access it is.
    pub access: Access,
    /// Its command, for metrics: one of [`Kind::ALL`].
    pub kind: Kind,
    /// Relations it reads, as written; with a catalog also those behind views. Sorted.
    pub reads: Vec<Name>,
    /// Relations it writes, as written; with a catalog also those behind views and those that
    /// foreign keys cascade to. Sorted.
    pub writes: Vec<Name>,
    /// Functions it calls, as written; with a catalog also those inside views and policies.
    /// Sorted.
    pub functions: Vec<Name>,
    /// Whether it may run READ ONLY on the side that does not decide, as far as its text goes.
    pub follower: Result<(), Reason>,
    /// Whether the same data give the same effect and, apart from order, the same answer.
    pub deterministic: Result<(), Reason>,
    /// Whether a transaction that ran it can be prepared (PREPARE TRANSACTION).
    pub preparable: Result<(), Reason>,
    /// Why it is counted as one that may write, if it is.
    pub may_write: Option<Reason>,
    /// What it leaves in the session.
    pub leaves: SessionState,
    /// The settings it sets, resets or shows.
    pub settings: Vec<Setting>,
    /// The prepared statement it makes, runs or drops by name.
    pub named: Option<Named>,
    /// Its rows come in the order of a top-level ORDER BY (which need not be total).
    pub ordered: bool,
}

impl Verdict {
    /// Schemas named, each once.
    #[must_use]
    pub fn schemas(&self) -> Vec<&str> {
        let named = self.reads.iter().chain(&self.writes);
        let mut schemas: Vec<_> = named.filter_map(|name| name.schema.as_deref()).collect();
        schemas.sort_unstable();
        schemas.dedup();
        schemas
    }
}

/// What kind of access a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Reads and provably changes nothing.
    Read,
    /// Changes the session only, or shows it.
    Session,
    /// Begins, ends or sets up a transaction.
    Transaction(Transaction),
    /// Maintenance without a change of data: VACUUM, ANALYZE, CHECKPOINT, LOCK and the like.
    Utility,
    /// COPY. Out of what may write, it counts as [`Access::Write`].
    Copy(Copy),
    /// Changes data, or may.
    Write,
    /// Changes the schema, roles or databases.
    Ddl,
    /// May not run while a migration does.
    Refused,
}

/// COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Which way the rows go.
    pub direction: CopyDirection,
    /// The table; `None` for a query.
    pub table: Option<Name>,
}

/// Which way the rows of a COPY go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyDirection {
    /// FROM: into the table.
    In,
    /// TO: out of a table or query.
    Out,
}

/// What a statement does to the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transaction {
    /// BEGIN, START TRANSACTION.
    Begin(Modes),
    /// SET TRANSACTION.
    Set(Modes),
    /// COMMIT, END.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(Box<str>),
    /// RELEASE SAVEPOINT.
    Release(Box<str>),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(Box<str>),
    /// PREPARE TRANSACTION.
    Prepare(Box<str>),
    /// COMMIT PREPARED.
    CommitPrepared(Box<str>),
    /// ROLLBACK PREPARED.
    RollbackPrepared(Box<str>),
}

/// Modes of a transaction; `None` is what the session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    /// READ ONLY or READ WRITE.
    pub read_only: Option<bool>,
    /// ISOLATION LEVEL.
    pub isolation: Option<Isolation>,
    /// DEFERRABLE or NOT DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// An isolation level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The same as READ COMMITTED in PostgreSQL.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

/// A prepared statement of SQL, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// PREPARE: what each EXECUTE of it will do.
    Prepare {
        /// Its name.
        name: Box<str>,
        /// The verdict on its query.
        verdict: Box<Verdict>,
    },
    /// EXECUTE: its verdict is that of any statement; that of the PREPARE is the right one.
    Execute(Box<str>),
    /// DEALLOCATE one, or all.
    Deallocate(Option<Box<str>>),
}

/// A setting named by SET, RESET or SHOW.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in lower case, `all` for RESET ALL and SHOW ALL.
    pub name: Box<str>,
    /// What happens to it.
    pub change: Change,
}

/// What happens to a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// SET, until the session ends.
    Set,
    /// SET LOCAL, until the transaction ends.
    SetLocal,
    /// RESET, or SET … TO DEFAULT.
    Reset,
    /// SHOW.
    Show,
}
