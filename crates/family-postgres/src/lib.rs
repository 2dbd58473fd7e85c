//! PostgreSQL and compatible systems.
//!
//! Constraints: knows no workflow, no routing decision, no other family, and not where progress
//! is kept by others. What the servers do was read in their sources and measured on PostgreSQL
//! 12 to 18.
//!
//! Layout: `conn` is our own connection to a server, `database` the cold ports (probe, checks,
//! inventory, scan, read, repair, fence), `follow` the road of whole transactions (slot, decoder,
//! applier, chunks), `schema` what is moved besides rows, `analysis` what a statement does,
//! `twophase` a commit on both sides and its recovery, `session` the hot path.

pub mod analysis;
mod assess;
#[allow(
    dead_code,
    unused_imports,
    reason = "what the cold ports and the follower do not ask yet they will"
)]
mod conn;
mod database;
mod error;
mod family;
mod follow;
mod key;
mod schema;
pub mod session;
mod sql;
pub mod tls;
pub mod twophase;

pub use crate::family::PostgresFamily;
pub use crate::follow::direction;

#[cfg(test)]
#[allow(dead_code, reason = "shared with the integration tests, each of which uses a part")]
#[path = "../tests/support/mod.rs"]
mod support;
