//! The workloads.

pub(super) mod bank;
pub(super) mod jobs;
pub(super) mod lists;
pub(super) mod own;
pub(super) mod reads;
pub(super) mod session;
pub(super) mod shop;
pub(crate) mod single;
pub(super) mod spaces;
