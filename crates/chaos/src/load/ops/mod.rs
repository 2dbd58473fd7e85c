//! The workloads. Each is one file: what it writes, what it enters into the ledger, and what a
//! reply alone can prove wrong.

pub(crate) mod append;
pub(crate) mod bank;
pub(super) mod churn;
pub(super) mod counters;
pub(crate) mod expiry;
pub(super) mod pipeline;
pub(super) mod reads;
pub(super) mod registers;
