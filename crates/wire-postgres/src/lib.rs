//! PostgreSQL frontend/backend protocol 3.0 and 3.2: bytes to messages and back. Sans-IO.
//!
//! Constraints: no runtime, no crate of ours, no panic on any input, every length checked and
//! every limit a named constant with its source ([`limits`]). Strings are bytes: their encoding
//! is the session's. Written after the documentation and the sources of PostgreSQL 12 to 18
//! (<https://www.postgresql.org/docs/18/protocol.html>).
//!
//! Layout, from the wire inwards:
//!
//! - `scan*`: where a message begins and ends, in both directions, without copying it. A scanner
//!   looks at heads only, so that a DataRow of a gigabyte passes in parts through a small buffer.
//!   It refuses what makes a server or libpq lose step, and nothing else.
//! - Views: what a message says, borrowed from its bytes. [`split`] gives type and content; the
//!   view of that type checks the content whole, so that its iterators cannot fail. [`startup`],
//!   [`auth`], [`session`], [`notice`], [`query`], [`rows`], [`command_tag`], [`copy`]; inside COPY data
//!   [`replication`], inside that [`logical`].
//! - [`encode`]: messages that Exodus sends itself, as client or as server. A string that
//!   contains NUL or a message that is too long is refused, and nothing of it is appended.
//!
//! Three kinds of errors ([`error`]): the stream is lost ([`FrameError`]), a content is wrong and
//! the stream is in step ([`MessageError`]), a value cannot be written ([`EncodeError`]). The
//! texts of the first two are a server's own, where it has one.
//!
//! Proof: `tests/scan.rs` and `tests/round_trip.rs` hold the laws over random input,
//! `fuzz/wire-postgres` looks for worse, `tests/live` compares with what a real server and
//! another client say to each other.

pub mod auth;
pub mod command_tag;
pub mod copy;
pub mod encode;
pub mod error;
pub mod limits;
pub mod logical;
mod lsn;
pub mod notice;
pub mod query;
mod read;
pub mod replication;
pub mod rows;
mod scan;
mod scan_backend;
mod scan_frontend;
pub mod session;
pub mod startup;
pub mod tags;

pub use error::{EncodeError, FrameError, MessageError};
pub use lsn::{Lsn, LsnError, Micros};
pub use scan::{HEAD_BYTES, Head, Scanned, split};
pub use scan_backend::{BackendPhase, BackendScanner};
pub use scan_frontend::{FrontendPhase, FrontendScanner};
