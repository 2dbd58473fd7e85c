//! PostgreSQL clients through an interlay, on real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[allow(dead_code, reason = "a family's own helper, of which this program uses a part")]
#[path = "../../../family-postgres/tests/support/mod.rs"]
mod support;

mod barrier;
mod door;
mod programs;
mod raw;
mod rig;
mod same;
