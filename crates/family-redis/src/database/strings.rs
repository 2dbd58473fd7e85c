//! Small strings are read as what they are: `GETRANGE` between two `PEXPIRETIME`, in the round
//! trip that sets the fence.
//!
//! Against `DUMP` this spares the server the compression and the checksum, us a round trip and
//! the question for the size: the range bounds the answer. It is a guess, for the server refuses
//! `GETRANGE` of another type and counts the refusal, so it is made only after a batch of
//! nothing but strings, and not again for a while after it was wrong.

use std::ops::Range;

use family::PortError;
use model::Image;
use wire_redis::Value;

use super::reader::{expiry, queue_expiry};
use crate::conn::Conn;
use crate::image::payload::kind;
use crate::image::{self, Body, Parts, Usage};
use crate::traits::{Eviction, Traits};

/// Strings of fewer bytes are read so.
const SMALL: Range<usize> = 1..16 * 1024;
/// Batches read the other way after a wrong guess.
const PENANCE: u8 = 32;

/// Whether the next batch is taken for one of strings.
#[derive(Debug, Default)]
pub(crate) struct Guess {
    strings: bool,
    penance: u8,
}

impl Guess {
    /// Whether to read the next batch as strings.
    pub(crate) fn strings(&self, traits: Traits) -> bool {
        // Hints about use are told by `OBJECT`, exact expiries by `PEXPIRETIME`.
        self.strings && traits.pexpiretime && traits.eviction == Eviction::Careless
    }

    /// A batch had `present` records, of which so many are small strings.
    pub(crate) fn learn(&mut self, present: usize, strings: usize) {
        if present == 0 {
            return;
        }
        if self.strings && strings < present {
            self.penance = PENANCE;
        }
        self.penance = self.penance.saturating_sub(1);
        self.strings = strings == present && self.penance == 0;
    }
}

/// Asks for one record.
pub(crate) fn queue(conn: &mut Conn, name: &[u8], traits: Traits) {
    queue_expiry(conn, name, traits);
    conn.queue(&[b"GETRANGE", name, b"0", b"16383"]);
    queue_expiry(conn, name, traits);
}

/// The reply to [`queue`]: what the record was at one instant. `None` when it is to be read the
/// other way: it is no string, or too big, or in motion, or an empty string, which a range does
/// not tell from no string.
pub(crate) async fn take(conn: &mut Conn, traits: Traits) -> Result<Option<Image>, PortError> {
    let before = expiry(conn, traits).await?;
    let value = conn.next().await?;
    let after = expiry(conn, traits).await?;
    Ok(match value {
        Value::Bulk(text) if SMALL.contains(&text.len()) && before == after && after != -2 => {
            let body = Body::Text(&text);
            Some(image::encode(Parts { expiry_ms: after, usage: Usage::Unknown, body }))
        }
        Value::Bulk(_) if after == -2 => Some(Image::Absent),
        Value::Bulk(_) | Value::Error(_) => None,
        _ => return Err(crate::error::unexpected("GETRANGE", conn.at())),
    })
}

/// How many records are present, and how many of them are small strings.
pub(crate) fn among(images: &[Option<Image>]) -> (usize, usize) {
    let (mut present, mut strings) = (0, 0);
    for image in images.iter().flatten() {
        let Image::Present { bytes } = image else { continue };
        present += 1;
        let string = image::decode(bytes).is_some_and(|parts| match parts.body {
            Body::Dump(payload) => {
                payload.first() == Some(&kind::STRING) && SMALL.contains(&payload.len())
            }
            Body::Text(_) => true,
            Body::Elements => false,
        });
        strings += usize::from(string);
    }
    (present, strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAITS: Traits =
        Traits { pexpiretime: true, memory_usage: true, eviction: Eviction::Careless };

    #[test]
    fn a_wrong_guess_is_not_repeated_soon() {
        let mut guess = Guess::default();
        assert!(!guess.strings(TRAITS));
        guess.learn(10, 10);
        assert!(guess.strings(TRAITS));
        assert!(!guess.strings(Traits { eviction: Eviction::Recency, ..TRAITS }));
        guess.learn(0, 0);
        assert!(guess.strings(TRAITS), "absent records say nothing");
        guess.learn(10, 9);
        for _ in 0..PENANCE - 2 {
            guess.learn(10, 10);
            assert!(!guess.strings(TRAITS));
        }
        guess.learn(10, 10);
        assert!(guess.strings(TRAITS));
    }
}
