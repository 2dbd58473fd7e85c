//! What a statement means: its tree and the catalog in, a verdict out. Pure.
//!
//! A verdict starts as the best there is, and everything found takes promises away; the first
//! reason is kept. What is not known takes all of them.

mod command;
mod functions;
mod keys;
mod query;
mod relations;
mod rewrite;
mod schema;
mod session;
mod transaction;

use std::collections::HashSet;

use pg_query::NodeEnum;

use super::catalog::Catalog;
use super::kind::Kind;
use super::name::Name;
use super::reason::Reason;
use super::state::SessionState;
use super::verdict::{Access, Verdict};

/// The verdict on one statement.
pub(super) fn statement(node: &NodeEnum, catalog: Option<&Catalog>) -> Verdict {
    let mut judge = Judge::new(Kind::of(node), catalog);
    judge.command(node);
    judge.done()
}

/// The verdict on what nobody understood.
pub(super) fn unknown(reason: Reason) -> Verdict {
    let mut judge = Judge::new(Kind::Unknown, None);
    judge.anything(reason);
    judge.verdict.access = Access::Write;
    judge.done()
}

/// The verdict on an empty text: nothing happens.
pub(super) fn nothing() -> Verdict {
    Judge::new(Kind::Empty, None).done()
}

/// How a relation is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Touch {
    Read,
    /// Rows are added, nothing else.
    Insert,
    Change,
}

/// A verdict in the making.
struct Judge<'c> {
    catalog: Option<&'c Catalog>,
    verdict: Verdict,
    /// What was looked into: nothing twice, and nothing within itself.
    seen_relations: HashSet<(u32, Touch)>,
    seen_types: HashSet<u32>,
    seen_bodies: HashSet<Name>,
    /// Views within views.
    depth: usize,
}

impl<'c> Judge<'c> {
    fn new(kind: Kind, catalog: Option<&'c Catalog>) -> Self {
        let verdict = Verdict {
            access: Access::Read,
            kind,
            reads: Vec::new(),
            writes: Vec::new(),
            functions: Vec::new(),
            follower: Ok(()),
            deterministic: Ok(()),
            preparable: Ok(()),
            may_write: None,
            leaves: SessionState::NONE,
            settings: Vec::new(),
            named: None,
            ordered: false,
        };
        Self {
            catalog,
            verdict,
            seen_relations: HashSet::new(),
            seen_types: HashSet::new(),
            seen_bodies: HashSet::new(),
            depth: 0,
        }
    }

    fn done(mut self) -> Verdict {
        for names in
            [&mut self.verdict.reads, &mut self.verdict.writes, &mut self.verdict.functions]
        {
            sort(names);
        }
        self.verdict
    }

    /// A read, unless something was found that may write.
    fn settle(&mut self) {
        self.verdict.access = match self.verdict.may_write {
            Some(_) => Access::Write,
            None => Access::Read,
        };
    }

    /// May change the database.
    fn may_write(&mut self, reason: Reason) {
        self.verdict.may_write.get_or_insert(reason);
        self.not_on_follower(reason);
    }

    fn not_on_follower(&mut self, reason: Reason) {
        take(&mut self.verdict.follower, reason);
    }

    fn not_deterministic(&mut self, reason: Reason) {
        take(&mut self.verdict.deterministic, reason);
    }

    fn not_preparable(&mut self, reason: Reason) {
        take(&mut self.verdict.preparable, reason);
    }

    /// Means something else on another server, or at another time.
    fn local(&mut self, reason: Reason) {
        self.not_on_follower(reason);
        self.not_deterministic(reason);
    }

    /// May do anything.
    fn anything(&mut self, reason: Reason) {
        self.may_write(reason);
        self.not_deterministic(reason);
        self.not_preparable(reason);
        self.verdict.leaves |= SessionState::UNKNOWN;
    }

    /// Belongs to the side that decides, and is no statement about rows.
    fn belongs(&mut self, access: Access, reason: Reason) {
        self.verdict.access = access;
        self.local(reason);
    }
}

fn take(promise: &mut Result<(), Reason>, reason: Reason) {
    if promise.is_ok() {
        *promise = Err(reason);
    }
}

/// Sorted, each once.
fn sort(names: &mut Vec<Name>) {
    names.sort_unstable();
    names.dedup();
}
