//! Who answers a request: an immutable table and a pure function over it.
//!
//! Constraints: no IO, no clock, no locks. A table is built whole, published whole and dropped
//! whole; the data plane never edits one. The proxy does not know which strategy made its table.
//!
//! Layout: `table` is the data, `route` the decision, `cohort` the stable hash that makes a
//! growing percentage only ever add cohorts, `strategy` the generators of tables.

mod cohort;
mod route;
mod strategy;
mod table;

pub use cohort::Cohort;
pub use route::{Facts, Refusal, Route, TenantSpan, route};
pub use strategy::{
    CANARY_STEPS, EVERY_REQUEST, Situation, generate, moving, serves_target, splits_reads,
};
pub use table::{Authority, Compare, Freeze, ReadRouting, RoutingTable};
