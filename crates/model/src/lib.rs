//! The nouns every other crate speaks in.
//!
//! Constraints: no IO, no async, no clock, no serialisation. A type lives here when two crates
//! that may not see each other have to agree on it. Wire names are the snake_case words of the
//! specification; each `as_str`/`from_str` pair is the single place where a name is spelt.

mod access;
mod divergence;
mod key;
mod names;
mod phase;
mod policy;
mod position;
mod side;

pub use access::{Access, Touch, Touches};
pub use divergence::{Divergence, DivergenceClass, DivergenceState, Failure};
pub use key::{Dataset, Key, KeyHash, Tenant};
pub use names::UnknownName;
pub use phase::{Phase, Strategy};
pub use policy::{ConflictPolicy, ReadMode, WritePolicy};
pub use position::{Digest, Effect, Frontier, Image, Position, Record};
pub use side::{Epoch, Side};
