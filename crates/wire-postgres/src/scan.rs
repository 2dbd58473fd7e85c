//! What both directions have in common: a message is a type byte, a length word and its content.

use crate::error::FrameError;
use crate::limits::LENGTH_MIN;

/// Bytes of type and length word.
pub const HEAD_BYTES: usize = 5;

/// Type and size of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its type byte; [`crate::tags::STARTUP`] for packets that have none.
    pub tag: u8,
    /// All its bytes on the wire, head included.
    pub len: usize,
}

/// What is at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// Not enough to know anything.
    More,
    /// The head of a message that is not all there: wait for it, or take what is there.
    Begun(Head),
    /// A whole message.
    Whole(Head),
    /// More of a message whose front was taken.
    Rest {
        /// Its type byte.
        tag: u8,
        /// How many bytes of the input are part of it.
        bytes: usize,
        /// Whether it ends there.
        done: bool,
    },
}

/// Greatest length word per type byte; 0 for types that may not occur.
pub(crate) type Lengths = [u32; 256];

/// Adds types to a table.
pub(crate) const fn with(mut table: Lengths, tags: &[u8], max: u32) -> Lengths {
    let mut at = 0;
    while at < tags.len() {
        table[tags[at] as usize] = max;
        at += 1;
    }
    table
}

/// Where the stream stands between calls: enough to take a message in parts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The message at the front, once its head was seen.
    head: Option<Head>,
    /// Bytes still to come of a message whose front was taken, and its type.
    left: usize,
    tag: u8,
}

impl Cursor {
    /// The rest of a message that was taken in part, if there is one.
    #[inline]
    pub(crate) fn rest(&self, input: &[u8]) -> Option<Scanned> {
        if self.left == 0 {
            return None;
        }
        if input.is_empty() {
            return Some(Scanned::More);
        }
        let bytes = self.left.min(input.len());
        Some(Scanned::Rest { tag: self.tag, bytes, done: bytes == self.left })
    }

    /// A typed message at the front of the input.
    #[inline]
    pub(crate) fn typed(
        &mut self,
        input: &[u8],
        lengths: &Lengths,
        unknown: fn(u8) -> FrameError,
    ) -> Result<Scanned, FrameError> {
        let Some(&tag) = input.first() else { return Ok(Scanned::More) };
        // As a server does: the type first, so that garbage is not taken for a length.
        let max = lengths[tag as usize];
        if max == 0 {
            return Err(unknown(tag));
        }
        let Some(&word) = input[1..].first_chunk() else { return Ok(Scanned::More) };
        let length = u32::from_be_bytes(word);
        if length < LENGTH_MIN || length > max {
            return Err(FrameError::Length { tag, length });
        }
        Ok(self.found(input, Head { tag, len: length as usize + 1 }))
    }

    /// Remembers what is at the front.
    #[inline]
    pub(crate) fn found(&mut self, input: &[u8], head: Head) -> Scanned {
        self.head = Some(head);
        if input.len() < head.len { Scanned::Begun(head) } else { Scanned::Whole(head) }
    }

    /// The first `bytes` of the input were taken; never more than the message has.
    #[inline]
    pub(crate) fn taken(&mut self, bytes: usize) {
        if self.left > 0 {
            self.left = self.left.saturating_sub(bytes);
        } else if let Some(head) = self.head
            && bytes > 0
        {
            self.head = None;
            self.left = head.len.saturating_sub(bytes);
            self.tag = head.tag;
        }
    }

    /// Whether no message is taken in part.
    pub(crate) fn between(&self) -> bool {
        self.left == 0
    }
}

/// Splits a whole typed message into type and content. `None` when it is no such message.
#[must_use]
#[inline]
pub fn split(message: &[u8]) -> Option<(u8, &[u8])> {
    let (head, body) = message.split_first_chunk::<HEAD_BYTES>()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    (length as usize == body.len() + 4).then_some((head[0], body))
}
