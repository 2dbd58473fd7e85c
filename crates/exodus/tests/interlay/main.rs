//! The data path on real servers: what a client sees through an interlay.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod barrier;
mod capture;
mod faults;
mod rig;
mod same;
mod sessions;
mod tls;
