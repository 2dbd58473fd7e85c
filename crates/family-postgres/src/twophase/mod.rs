//! Two-phase commit across both sides: `TwoPhaseCommit` of the write policies.
//!
//! Constraints: the decision lives in the authority's database, never in ours, and absence of a
//! decision means abort. Whoever wants to abort a transaction that may be prepared writes the abort
//! record first: the decision's key is unique, so a slow coordinator and a recoverer cannot both
//! have their way. Nothing is taken for done because it is missing: the status of the recorded
//! transaction id says what became of it. No clock decides anything.
//!
//! Layout: `gid` names a prepared transaction, `decision` is the table and what is said to it,
//! `words` what servers are told and how their answers are heard, `coordinator` one transaction
//! from the client's COMMIT to its end, `recovery` what somebody else left behind. Both machines
//! are pure: `step(state, event) -> (state, actions)`. `site` is how the servers are reached,
//! `drive` and `recover` act on what the machines say, `doubt` counts what is prepared and makes
//! room, `credential` tells beforehand who may finish whose transactions.
//!
//! Life of a row of `exodus.decision`: written by the transaction that decides (a commit) or by
//! whoever fences (an abort), read by every recoverer, pruned when nothing of its name has been
//! prepared anywhere for longer than any recoverer's pass lasts.

pub mod coordinator;
mod credential;
pub mod decision;
mod doubt;
mod drive;
mod gid;
mod recover;
pub mod recovery;
mod site;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

pub use credential::{Credential, credentials};
pub use doubt::{Doubt, Gauge, InDoubt};
pub use drive::{Ending, Hands, Servers, commit, drive};
pub use gid::{GID_BYTES_MAX, Gid, Participants, WrongGid};
pub use recover::{in_doubt, prune, recover, sweep};
pub use site::{Heard, Leg, Session, Site, Sites};
pub use words::{Said, heard, words};

/// A database as one transaction sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Where the decision is written.
    Authority,
    /// The other side.
    Other,
}

impl Place {
    /// A dense index for two-element arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Which of the two ways a transaction is committed on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Only the other side prepares. The decision row is part of the authority's own transaction,
    /// so its commit is the decision and the authority never holds a prepared transaction.
    AuthorityLast,
    /// Both sides prepare; the decision row is a transaction of its own on the authority.
    Symmetric,
}

/// What becomes of a transaction, on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It is there.
    Commit,
    /// It never was.
    Abort,
}

/// Five letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// The transaction is rolled back and may be tried again.
    pub const ROLLED_BACK: Self = Self(*b"40000");
    /// Somebody else decided first; may be tried again.
    pub const FENCED: Self = Self(*b"40001");
    /// The server went away before anything could be decided.
    pub const LOST: Self = Self(*b"08006");
    /// Nobody knows yet.
    pub const UNKNOWN: Self = Self(*b"08007");
    /// A unique key is taken.
    pub const TAKEN: Self = Self(*b"23505");
    /// No prepared transaction of that name.
    pub const MISSING: Self = Self(*b"42704");
    /// We may not.
    pub const DENIED: Self = Self(*b"42501");
    /// No room for one more prepared transaction.
    pub const FULL: Self = Self(*b"53000");
    /// What a server says that says nothing.
    pub const INTERNAL: Self = Self(*b"XX000");

    /// Reads what a server says; what is not one counts as an internal error.
    #[must_use]
    pub fn read(text: &str) -> Self {
        text.as_bytes().try_into().map_or(Self::INTERNAL, Self)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Committed on both sides, or decided and certain to be.
    Ok,
    /// Applied on neither side, not now and not later.
    No(SqlState),
    /// It will end the same on both sides; nobody knows yet how. `08007`.
    Unknown,
}

/// How a server answered a step of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reply {
    /// As asked.
    Done,
    /// Success with the tag `ROLLBACK`: the transaction had failed before and is gone.
    RolledBack,
    /// The server said no; nothing of the step happened.
    Refused(SqlState),
    /// No answer: it may have happened or may still happen.
    Lost,
}

/// How a server answered `COMMIT PREPARED` or `ROLLBACK PREPARED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finished {
    /// As asked.
    Done,
    /// There is none of that name. Says nothing about what became of it.
    Missing,
    /// Not now: another session has it in hand, or the server is not to be had.
    Later,
    /// We may not.
    Refused(SqlState),
}

/// What a server says of a transaction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Committed.
    Committed,
    /// Rolled back, or lost in a crash.
    Aborted,
    /// Running, or prepared.
    Running,
    /// Too long ago.
    Forgotten,
}

/// What the authority has recorded of a gid, after a fence: one of the two always stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// The decision.
    pub verdict: Verdict,
    /// The authority's transaction that carries it, of a commit.
    pub xid: u64,
}
