//! The door of this room: a text in, what is known about it out.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::cache::Cache;
use super::catalog::Catalog;
use super::kind::Kind;
use super::reason::Reason;
use super::text::Backslash;
use super::verdict::{Access, Analysis, Statement, Verdict};
use super::{judge, text};

/// Texts above this many bytes are judged each time instead of being kept: they carry their
/// values with them and hardly ever come twice.
const CACHED_MAX: usize = 16 * 1024;

/// Judges texts, and remembers. Shared by all sessions of one database; every method may be
/// called from any thread and none waits.
pub struct Analyzer {
    cache: Cache,
    catalog: ArcSwap<Dated>,
}

/// A catalog and which one it is.
struct Dated {
    generation: u64,
    catalog: Option<Arc<Catalog>>,
}

impl Analyzer {
    /// Remembers at least `capacity` texts (64 to 8,000,000) of at most 16 KiB each. Knows no
    /// catalog yet: every statement about a table counts as one that may do anything.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let catalog = ArcSwap::from_pointee(Dated { generation: 0, catalog: None });
        Self { cache: Cache::new(capacity.clamp(64, 8_000_000)), catalog }
    }

    /// Judges with this catalog from now on; what was remembered counts no more. `None` forgets
    /// the catalog, for the time in which it may be out of date.
    pub fn set_catalog(&self, catalog: Option<Arc<Catalog>>) {
        self.catalog.rcu(|now| Dated { generation: now.generation + 1, catalog: catalog.clone() });
    }

    /// The catalog that is judged with.
    #[must_use]
    pub fn catalog(&self) -> Option<Arc<Catalog>> {
        self.catalog.load().catalog.clone()
    }

    /// What is known about a text, as sent in a Query or Parse message, without its final zero.
    pub fn analyze(&self, sql: &[u8]) -> Arc<Analysis> {
        self.analyze_with(sql, Backslash::Literal)
    }

    /// The same for a session with this `standard_conforming_strings`. Where it matters, nothing
    /// is remembered: nobody should have it off.
    pub fn analyze_with(&self, sql: &[u8], backslash: Backslash) -> Arc<Analysis> {
        let dated = self.catalog.load();
        let judge = || Arc::new(analyze(sql, dated.catalog.as_deref(), backslash));
        let differs = backslash == Backslash::Escapes && memchr::memchr(b'\\', sql).is_some();
        if sql.len() > CACHED_MAX || differs {
            return judge();
        }
        let place = Cache::place(sql);
        if let Some(known) = self.cache.get(place, sql, dated.generation) {
            return known;
        }
        let analysis = judge();
        self.cache.put(place, sql, dated.generation, &analysis);
        analysis
    }
}

impl std::fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyzer").finish_non_exhaustive()
    }
}

/// Judges a text without remembering it.
#[must_use]
pub fn analyze(sql: &[u8], catalog: Option<&Catalog>, backslash: Backslash) -> Analysis {
    let parsed = match text::parse(sql, backslash) {
        Ok(parsed) => parsed,
        Err(reason) => return Analysis::unknown(reason),
    };
    let statements: Vec<_> = parsed
        .stmts
        .iter()
        .map(|raw| Statement {
            range: text::range(raw, sql),
            verdict: match raw.stmt.as_ref().and_then(|stmt| stmt.node.as_ref()) {
                Some(node) => judge::statement(node, catalog),
                None => judge::unknown(Reason::UnknownCommand),
            },
        })
        .collect();
    let fingerprint = if statements.is_empty() { 0 } else { text::fingerprint(sql, backslash) };
    Analysis { whole: fold(&statements), statements, fingerprint }
}

impl Analysis {
    /// What to believe of a text that nobody looked into: it may do anything.
    #[must_use]
    pub fn unknown(reason: Reason) -> Self {
        let whole = judge::unknown(reason);
        Self { statements: Vec::new(), whole, fingerprint: 0 }
    }
}

/// All statements of a text together.
fn fold(statements: &[Statement]) -> Verdict {
    let mut verdicts = statements.iter().map(|statement| &statement.verdict);
    let Some(mut whole) = verdicts.next().cloned() else { return judge::nothing() };
    for next in verdicts {
        if gravity(&next.access) > gravity(&whole.access) {
            whole.access = next.access.clone();
        }
        if next.kind != whole.kind {
            whole.kind = Kind::Several;
        }
        for (all, more) in [
            (&mut whole.reads, &next.reads),
            (&mut whole.writes, &next.writes),
            (&mut whole.functions, &next.functions),
        ] {
            all.extend_from_slice(more);
            all.sort_unstable();
            all.dedup();
        }
        whole.follower = whole.follower.and(next.follower);
        whole.deterministic = whole.deterministic.and(next.deterministic);
        whole.preparable = whole.preparable.and(next.preparable);
        whole.may_write = whole.may_write.or(next.may_write);
        whole.leaves |= next.leaves;
        whole.settings.extend_from_slice(&next.settings);
        // What has several answers has no one order and no one name.
        whole.named = None;
        whole.ordered = false;
    }
    whole
}

/// Which of two accesses describes both.
fn gravity(access: &Access) -> u8 {
    match access {
        Access::Read => 0,
        Access::Session => 1,
        Access::Transaction(_) => 2,
        Access::Utility => 3,
        Access::Copy(_) => 4,
        Access::Write => 5,
        Access::Ddl => 6,
        Access::Refused => 7,
    }
}
