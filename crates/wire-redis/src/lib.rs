//! RESP2 and RESP3: bytes to messages and back. Sans-IO.
//!
//! Constraints: no runtime, no crate of ours, no panic on any input, every length checked and
//! every limit a named constant.
//!
//! Layout: `value` and `encode` are the client side, for connections that our own workers open:
//! replies as owned values, commands as bytes.

pub mod encode;
mod value;

pub use value::{BULK_BYTES_MAX, DEPTH_MAX, Decoder, ITEMS_MAX, LINE_BYTES_MAX, Value, ValueError};
