//! What a database family implements.
//!
//! Constraints: nothing here names a family; nothing here keeps progress, decides a route or
//! knows a phase. The engine drives the cold ports, the proxy the hot one.
//!
//! Layout: `database` is the cold path (scan, read, apply, feed, digest, fence), one dynamic
//! call per batch; `follow` its second road, for families that apply whole transactions; `assess` what a system can do and what is wrong with it; `error` how a
//! port fails; `session` the hot path, static and sans-IO; `conformance` the suite that judges a
//! family, for its tests.

mod assess;
pub mod conformance;
mod database;
mod error;
mod follow;
mod session;

pub use assess::{Capability, Finding, Inventory, Probe, Severity};
pub use database::{
    Applied, Chunk, Database, Doubt, EndpointSpec, Family, Feed, FeedEvent, FenceRecord, Moved,
    Reader, Span, SpanEnd, TlsMode, Verdict, Writer,
};
pub use error::{PortError, Trouble};
pub use follow::{
    ChangeStream, FillPart, Filled, Follow, FollowMode, FollowSpec, Offset, Retained, Road,
    StreamEvent,
};
pub use session::{
    After, ClientError, Expect, Frame, Greeting, Malformed, Next, Of, Offer, Opening, Place,
    Protocol, Refused, Replied, Request, Session, SessionFacts, Settles, Upstream,
};
