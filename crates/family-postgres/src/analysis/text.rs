//! From a text to the parser's tree: the only place that calls libpg_query.
//!
//! The parser is PostgreSQL's own, in C. It measures the stack it is called on and gives up
//! before it ends; what it hands over may be nested a hundred levels deep, so that everything
//! after it can recurse. Both are refusals here, never a crash.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_query::protobuf::{ParseResult, RawStmt};
use pg_query::{Error, FingerprintOptions, NodeEnum, ParserOptions};

use super::reason::Reason;
use super::uses::Uses;

/// Texts above this many bytes are not looked into: a parse takes about 10 ms per megabyte and
/// many times the memory of the text.
pub(super) const TEXT_MAX: usize = 256 * 1024;

/// What a backslash means in a plain string constant: the session's
/// `standard_conforming_strings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backslash {
    /// On: a backslash is a character.
    Literal,
    /// Off: a backslash escapes the next character.
    Escapes,
}

impl Backslash {
    fn options(self) -> ParserOptions {
        match self {
            Self::Literal => ParserOptions::DEFAULT,
            Self::Escapes => ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS,
        }
    }
}

/// The statements of a text, or why they cannot be told.
pub(super) fn parse(sql: &[u8], backslash: Backslash) -> Result<ParseResult, Reason> {
    if sql.len() > TEXT_MAX {
        return Err(Reason::TooLarge);
    }
    let sql = std::str::from_utf8(sql).map_err(|_| Reason::NotText)?;
    if sql.as_bytes().contains(&0) {
        return Err(Reason::NotText);
    }
    // The binding walks the tree for things of its own, with panics for shapes it does not
    // expect. They must not end a client's session.
    let parsed = catch_unwind(AssertUnwindSafe(|| pg_query::parse(sql, backslash.options())));
    match parsed {
        Ok(Ok(result)) => Ok(result.protobuf),
        Ok(Err(Error::Decode(_))) => Err(Reason::TooDeep),
        Ok(Err(Error::Parse(said))) if said.contains("stack depth") => Err(Reason::TooDeep),
        Ok(Err(_)) => Err(Reason::Unparsable),
        Err(_) => Err(Reason::UnknownConstruct),
    }
}

/// libpg_query's fingerprint of a text that [`parse`] took; 0 if it has none.
pub(super) fn fingerprint(sql: &[u8], backslash: Backslash) -> u64 {
    let Ok(sql) = std::str::from_utf8(sql) else { return 0 };
    pg_query::fingerprint(sql, backslash.options(), FingerprintOptions::RANGEVAR_PG17_COMPAT)
        .map_or(0, |fingerprint| fingerprint.value)
}

/// Where a statement stands in its text. The parser says 0 for "to the end".
pub(super) fn range(statement: &RawStmt, text: &[u8]) -> std::ops::Range<usize> {
    let start = usize::try_from(statement.stmt_location).unwrap_or(0).min(text.len());
    let length = match usize::try_from(statement.stmt_len) {
        Ok(0) | Err(_) => text.len() - start,
        Ok(length) => length.min(text.len() - start),
    };
    start..start + length
}

/// What a query of the catalog uses.
pub(super) fn uses_of_query(sql: &str) -> Uses {
    let Ok(parsed) = parse(sql.as_bytes(), Backslash::Literal) else { return Uses::unknown() };
    let [RawStmt { stmt: Some(node), .. }] = parsed.stmts.as_slice() else {
        return Uses::unknown();
    };
    match &node.node {
        Some(query @ NodeEnum::SelectStmt(_)) => Uses::of(query),
        _ => Uses::unknown(),
    }
}

/// What the body of a function in SQL uses that may only read: several queries.
pub(super) fn uses_of_body(sql: &str) -> Uses {
    let Ok(parsed) = parse(sql.as_bytes(), Backslash::Literal) else { return Uses::unknown() };
    let mut uses = Uses::default();
    for statement in &parsed.stmts {
        match statement.stmt.as_ref().and_then(|stmt| stmt.node.as_ref()) {
            Some(query @ NodeEnum::SelectStmt(_)) => uses.merge(Uses::of(query)),
            _ => uses.merge(Uses::unknown()),
        }
    }
    uses
}
