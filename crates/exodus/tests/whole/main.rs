//! Everything but the control plane, in one process on real servers: interlay, journal, engine
//! and family, the barrier done by hand, links that can fail in between.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod faults;
mod flips;
mod rig;
