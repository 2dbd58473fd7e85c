//! What a database's catalog holds that decides what a statement does: one snapshot, immutable.
//!
//! Loading: a connection runs [`Catalog::BEGIN`], each of [`Catalog::QUERIES`] and
//! [`Catalog::END`], and hands the rows, as text and in the order of the queries, to
//! [`Catalog::from_rows`]. All queries of one snapshot thereby see the same instant. They are
//! qualified throughout, so that no object of the database can pose as one of PostgreSQL's.

mod fetch;
mod load;
mod lookup;
mod model;
mod queries;
mod quiet;
#[cfg(test)]
mod tests;

pub use load::{CatalogError, Row};
pub(super) use lookup::{is_system, is_temporary};
pub use model::{Catalog, TypeInfo, TypeKind, Volatility};
pub(super) use model::{Function, Relation, RelationKind};
pub use queries::CatalogQuery;
