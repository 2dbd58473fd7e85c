//! Copies, follows, rechecks, verifies and repairs: makes the secondary equal to the authority.
//!
//! Constraints: knows no family, no workflow and no store; sees keys, records, opaque frontiers,
//! the journal, and the routing table it is given. One copier per key at a time (the journal's
//! lease); what it copies is what the record *is now* on the authority of the table's epoch.
//! Every clock is tokio's, so that tests can pause it.
//!
//! Layout: `parts` and `progress` are what it is given, `status` what it says, `engine` the door.
//! `decide` holds the pure rules; `copier`, `feed`, `backfill`, `recheck`, `marks`, `verify` and
//! `sampler` are loops around them.

mod engine;
mod error;
mod parts;
mod progress;
mod status;

pub use engine::{Engine, Hold, RepairPlan, RepairScope, VerifyScope};
pub use error::EngineError;
pub use parts::{Config, DIVERGENCES_MAX, EXISTING_MAX, Filter, KeyFilter, PARKED_MAX, Parts};
pub use progress::{Durable, Fill, MemoryProgress, Progress, ProgressError, SideFacts, Verified};
pub use status::{
    BackfillStatus, BreakerState, Drained, FeedState, InStep, NotDrained, RecheckStatus,
    SideStatus, Status, Throttle, Totals, Undo, VerifyStatus, WorkState,
};
