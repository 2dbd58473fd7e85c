//! Copies, follows, rechecks, verifies and repairs: makes the secondary equal to the authority.
//!
//! Constraints: knows no family, no workflow and no store; sees keys, records, opaque frontiers,
//! the journal, and the routing table it is given. One copier per key at a time (the journal's
//! lease); what it copies is what the record *is now* on the authority of the table's epoch.
//! Every clock is tokio's, so that tests can pause it.
//!
//! Layout: `parts` and `progress` are what it is given, `status` and `report` what it says,
//! `engine` the door. `decide` and `throttle` hold the pure rules; `start`, `copier`, `feed`,
//! `backfill` (with `scan`), `recheck`, `marks`, `verify` (with `ledger`) and `sampler` are loops
//! around them; `side` is what is known of a side. `stream` is the other road: whole transactions,
//! applied by their family in the order in which they were committed.

mod backfill;
mod copier;
mod decide;
mod engine;
mod error;
mod feed;
mod ledger;
mod marks;
mod parts;
mod progress;
mod recheck;
mod report;
mod sampler;
mod scan;
mod scope;
mod side;
mod start;
mod status;
mod stream;
mod throttle;
mod verify;
mod zoo;

pub use engine::{Engine, Hold};
pub use error::EngineError;
pub use parts::{Config, DIVERGENCES_MAX, EXISTING_MAX, Filter, KeyFilter, PARKED_MAX, Parts};
pub use progress::{Durable, Fill, MemoryProgress, Progress, ProgressError, SideFacts, Verified};
pub use scope::{RepairPlan, RepairScope, RepairStep, VerifyScope};
pub use status::{
    BackfillStatus, BreakerState, Drained, FeedState, InStep, LogStatus, NotDrained, RecheckStatus,
    SideStatus, Status, Throttle, Totals, Undo, VerifyStatus, WorkState,
};
#[cfg(feature = "zoo")]
pub use zoo::Bug;
