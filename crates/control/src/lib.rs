//! Runs workflows: load, step, store, act. HTTP, events, evidence.
//!
//! Constraints: names no family; decides nothing that `workflow` does not decide; stores a state
//! before it acts on it.
//!
//! Layout: `config` is the document, `desk` what every door may ask, `http` the door, `people` who
//! may.

mod clock;
pub mod config;
pub mod desk;
pub mod http;
pub mod people;

pub use clock::{Clock, SystemClock, rfc3339};
