//! RESP2 and RESP3: bytes to messages and back. Sans-IO.
//!
//! Constraints: no runtime, no crate of ours, no panic on any input, every length checked and
//! every limit a named constant.
//!
//! Layout: `value` and `encode` are the client side, for connections that our own workers open:
//! replies as owned values, commands as bytes. `scan_*` is the forwarding side: where a message
//! begins and ends, without copying it; `limits` bounds it.

pub mod encode;
pub mod limits;
mod scan_inline;
mod scan_number;
mod scan_reply;
mod scan_request;
mod value;

pub use scan_inline::split_inline;
pub use scan_reply::{ReplyError, ReplyScanner};
pub use scan_request::{Arguments, Pending, RequestError, RequestScanner, Scanned};
pub use value::{BULK_BYTES_MAX, DEPTH_MAX, Decoder, ITEMS_MAX, LINE_BYTES_MAX, Value, ValueError};
