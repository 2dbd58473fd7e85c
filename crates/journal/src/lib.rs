//! What may have changed: every key with a write in flight, or not yet equal on the secondary.
//!
//! Constraints: memory only on the hot path, one short lock per key; never blocks, never reads a
//! clock (instants are arguments), knows no family and no direction. Durability is the coarse
//! marker map ([`Markers`]): a bucket's bit is durable before its first write is sent, so after
//! an unclean stop the set buckets name every key that could differ.
//!
//! Layout: `entry` is the life of one key, `hash` how keys are hashed, `journal` the sharded map, `shard` one
//! shard and its lanes, `ticket` what a write holds between request and reply, `proof` what a
//! finished copy covers, `chunk` a batch of a backfill waiting for its keys, `markers` the
//! durable side. `horizon` is what takes the place of all that where whole transactions are applied:
//! how far the log of each side is on the other.
//!
//! Life of a key: absent (clean) → in flight (`begin`) → dirty (`settle`, or a feed's `stale`) →
//! leased (one copier) → clean, or dirty again when it moved meanwhile, or parked. A parked key that
//! is named again is dirty again, unless an operator set it aside.

mod chunk;
mod entry;
mod hash;
mod horizon;
mod journal;
mod lease;
mod markers;
mod proof;
mod shard;
mod ticket;
mod watch;

pub use chunk::Chunk;
pub use entry::{Cause, Lane};
pub use horizon::Horizon;
pub use journal::{Journal, hash_of, key_hash};
pub use lease::{ASIDE, Depth, Finished, Leased, Parked, Queued};
pub use markers::{BUCKETS, Bucket, Markers, bucket_of};
pub use proof::Proof;
pub use ticket::{Outcome, Settlement, Ticket};
pub use watch::Changed;
