//! An in-memory family: for the simulator, and as proof that the ports are neutral.
//!
//! Constraints: deterministic but for the order in which the runtime polls; no clock but tokio's,
//! so that paused time works; nothing survives the value. Every port call can be made to fail,
//! hang, lose its answer, or leave behind an apply that runs later (a "zombie").
//!
//! Layout: `server` is one database system in memory, `faults` what may go wrong with its calls,
//! `log` its log of transactions, `ports` the family's cold ports over it, `follow` the other road, `puppet` a foreign client.

mod faults;
mod feed;
mod follow;
mod log;
mod ports;
mod puppet;
mod server;

pub use faults::{Call, Fault, Faults, Gate};
pub use ports::{FakeDatabase, FakeFamily};
pub use puppet::FakePuppet;
pub use server::{Server, Value, dataset_key};
