//! Real servers, seeded data, a load that keeps a ledger, checkers, and faults.
//!
//! Constraints: depends on no crate of ours, so that a mistake in the product cannot hide in the
//! code that judges it; talks to servers only through a foreign client. Everything is blocking
//! and on threads; everything random comes from a seed. Every checker has a test in which it
//! fails.
//!
//! Layout: `servers` and `node` start processes, `dataset` seeds, `load` drives and records,
//! `checkers` judge the record, `equality` compares two servers, `faults` breaks connections and
//! `nemesis` scripts it all. Those are for Redis and its relatives; `postgres` has the same rooms
//! for PostgreSQL.

pub mod checkers;
pub mod conn;
pub mod dataset;
pub mod equality;
pub mod faults;
pub mod load;
pub mod nemesis;
pub mod node;
pub mod postgres;
pub mod process;
pub mod rng;
pub mod servers;
pub mod value;
pub mod wait;
