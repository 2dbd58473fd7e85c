//! How a run is written down: versioned JSON, one document.
//!
//! Constraints: the workflow's types are not serialisable, on purpose; every field is written out
//! here, so that a change there is a compile error here and not a lost field. `v` is the format;
//! a newer one is refused, an older one is read by its own code.
//!
//! Layout: `run` the state, `flip` the barrier in it, `bytes` identities as text.

mod bytes;
mod flip;
mod run;

pub(crate) use bytes::{from_text, pasted, to_text};
pub(crate) use run::{decode, encode};
