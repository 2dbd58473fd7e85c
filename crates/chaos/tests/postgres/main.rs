//! PostgreSQL's rooms against real clusters.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod equality;
mod load;
mod servers;
