use std::sync::Arc;

use crate::{Dataset, Key};

/// Where a feed stands. Opaque; comparable only by the family that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub Arc<[u8]>);

/// How far the copy of a dataset has come. Opaque; durable after the fill it describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier(pub Arc<[u8]>);

/// A record's content as its family encodes it for applying on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// The record exists with this content. `bytes` is only for the same family to read.
    Present {
        /// Encoded content, expiry included.
        bytes: Arc<[u8]>,
    },
    /// The record does not exist.
    Absent,
}

/// One record: identity plus the state it had when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which record.
    pub key: Key,
    /// What it was.
    pub image: Image,
}

/// What a feed says happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The record now has this content.
    Put(Record),
    /// The record is gone.
    Remove(Key),
    /// The record may have changed; fetch it.
    Stale(Key),
    /// Anything in the dataset may have changed.
    StaleAll(Dataset),
}

/// A content digest that is equal on both sides exactly when the record is, whatever the
/// servers' versions and storage encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);
