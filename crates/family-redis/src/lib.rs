//! Redis, Valkey and compatible systems.
//!
//! Constraints: sees no other family, no engine, no proxy; keeps no progress. What differs
//! between servers is found by trying, never concluded from a name or a version.
//!
//! Layout: `family` opens sides and reads identities; `database` is one side as workers use it;
//! `conn` one connection; `image` what a record was, as bytes; `digest` whether two records are
//! equal; `compare` and `canary` what has to be checked with both sides at hand; `tap` listens
//! to live traffic for a while; `session` is the hot path, `commands` what it knows of each
//! command.

mod canary;
mod clients;
mod commands;
mod compare;
mod conn;
mod database;
mod digest;
mod error;
mod family;
mod image;
mod info;
pub mod key;
mod pairing;
mod session;
pub mod tap;
pub mod tls;
mod traits;

pub use crate::database::WORKER_RULES;
pub use crate::family::RedisFamily;
pub use crate::session::{Identity, RedisProtocol, RedisSession, RedisUpstream};
