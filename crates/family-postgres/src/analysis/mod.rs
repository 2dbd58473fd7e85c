//! What a statement does.
//!
//! Constraints: synchronous, no IO, no clock, never a panic, whatever the bytes are. A mistake
//! must be harmless: what is not known counts as a write that may do anything, and a read that
//! is called safe for the other side still runs READ ONLY there.
//!
//! Layout: `text` calls the parser, `uses` collects what a query names, `catalog` is what the
//! database says about these names, `builtin` what is believed of PostgreSQL's own, `judge` puts
//! them together, `analyzer` is the door and `cache` its memory.
//!
//! Names without a schema mean every object of that name, because only the session knows its
//! `search_path`: a table is read as the view that hides it would be, and a function is as
//! volatile as the worst that could answer to its name.

mod analyzer;
mod builtin;
mod cache;
mod catalog;
mod judge;
mod kind;
mod name;
mod reason;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod uses;
mod verdict;

pub use analyzer::{Analyzer, analyze};
pub use catalog::{Catalog, CatalogError, CatalogQuery, Row, TypeInfo, TypeKind, Volatility};
pub use kind::Kind;
pub use name::Name;
pub use reason::Reason;
pub use state::SessionState;
pub use text::Backslash;
pub use verdict::{
    Access, Analysis, Change, Copy, CopyDirection, Isolation, Modes, Named, Setting, Statement,
    Transaction, Verdict,
};
