//! The same rooms for PostgreSQL: servers, data, a load with a ledger, checkers, equality.
//!
//! Constraints: as for the whole crate; servers are spoken to through `tokio-postgres` only, one
//! blocking connection per thread.
//!
//! Layout: `servers` starts clusters, `conn` is the blocking client, `schema` makes every hard
//! thing a database can hold, `load` drives and records, `checkers` judge, `equality` compares two
//! databases, `residue` pictures what was left on a server.

pub mod checkers;
pub mod conn;
pub mod equality;
pub mod load;
pub mod residue;
pub mod schema;
pub mod servers;
