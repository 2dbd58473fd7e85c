//! The whole product through its binary, on real servers, under load, judged by `chaos`.
//!
//! Constraints: nothing here imports a crate of the product besides the demo's stage and guide,
//! which know only its public doors; one test at a time, because each has servers, a node and a
//! load of its own. `cargo xtask suite` plays the full matrices instead of a sample
//! (`EXODUS_LONG`, `EXODUS_ROUNDS`, `EXODUS_SEED`).
//!
//! Layout: `way` drives a run, `journey` is everything that runs and its judge, `points` arms the
//! points at which the node ends; `rig` is what a new user has; the tests
//! are in `flips`, `kill`, `faults`, `newcomer` and `records`.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod faults;
mod flips;
mod journey;
mod kill;
mod newcomer;
mod points;
mod records;
mod rig;
mod way;
