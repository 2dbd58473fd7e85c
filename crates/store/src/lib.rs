//! Durable run state.
//!
//! Constraints: a change is answered only once it is durable; the changes of one [`Batch`] become
//! visible together or not at all; nothing here knows what the documents mean. Any failed commit
//! or sync poisons a store for the life of the process, because what reached the disk is then
//! unknown. Decisions can still be stored when data cannot: see [`Class`].
//!
//! Layout: `change` is what can be stored, `store` the trait, `sqlite` the embedded store (one
//! writer thread, group commit, readers beside it), `memory` the same without a disk for tests,
//! `audit` the hash chain.

mod audit;
mod change;
mod error;
mod intercepted;
mod memory;
mod sqlite;
mod store;

pub use audit::AuditVerdict;
pub use change::{
    AuditEntry, Batch, Change, Class, Committed, Doc, Event, EventQuery, Kind, NewAudit, NewEvent,
};
pub use error::StoreError;
pub use intercepted::{Intercepted, OnCommit};
pub use memory::MemoryStore;
pub use sqlite::{Options, SCHEMA_VERSION, SqliteStore};
pub use store::{Health, Store};
