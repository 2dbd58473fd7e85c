//! Rewriting encodings that a server does not know into ones it does.
//!
//! RDB version 11 (Redis 7.2, Valkey 7.2 and later) brought two: sets as listpacks (20) and
//! streams whose consumers carry an active time (21). Redis 7.0 knows neither, and a reverse
//! path to it meets both constantly, so they are rewritten in place of being rebuilt element by
//! element: 20 into a plain set (2), 21 into the stream form before it (19), which loses the
//! consumers' active time and nothing else.
//!
//! Stream layout: <https://github.com/redis/redis/blob/7.2/src/rdb.c#L1093>.

use super::payload::{LOWERED_VERSION, Stamp, body, kind, seal, stamp};
use super::rdb::{Cursor, listpack, put_length, put_string};

/// The payload in an older encoding; `None` where there is none, or the bytes are not what their
/// type byte says.
pub(crate) fn older(payload: &[u8]) -> Option<Vec<u8>> {
    let Stamp { kind, .. } = stamp(payload)?;
    let value = body(payload)?.get(1..)?;
    let rewritten = match kind {
        kind::SET_LISTPACK => set(value)?,
        kind::STREAM_LISTPACKS_3 => stream(value)?,
        _ => return None,
    };
    Some(seal(rewritten, LOWERED_VERSION))
}

fn set(value: &[u8]) -> Option<Vec<u8>> {
    let mut at = Cursor::new(value);
    let members = listpack(&at.string()?)?;
    if !at.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(value.len() + 16);
    out.push(kind::SET);
    put_length(&mut out, members.len() as u64);
    for member in &members {
        put_string(&mut out, member);
    }
    Some(out)
}

/// Bytes of a stream id, of a time, in the fixed-width parts.
const ID: usize = 16;
const TIME: usize = 8;

fn stream(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len() + 1);
    out.push(kind::STREAM_LISTPACKS_2);
    let mut copied = 0;
    let mut at = Cursor::new(value);
    for _ in 0..at.length()? {
        at.skip_string()?;
        at.skip_string()?;
    }
    // Length, last id, first id, largest deleted id, entries ever added.
    for _ in 0..8 {
        at.length()?;
    }
    for _ in 0..at.length()? {
        at.skip_string()?;
        // Last delivered id, entries read.
        for _ in 0..3 {
            at.length()?;
        }
        for _ in 0..at.length()? {
            at.take(ID + TIME)?;
            at.length()?;
        }
        for _ in 0..at.length()? {
            at.skip_string()?;
            at.take(TIME)?;
            let before = value.len() - at.left();
            out.extend_from_slice(value.get(copied..before)?);
            // The active time, which the older form lacks.
            at.take(TIME)?;
            copied = value.len() - at.left();
            for _ in 0..at.length()? {
                at.take(ID)?;
            }
        }
    }
    if !at.is_empty() {
        return None;
    }
    out.extend_from_slice(value.get(copied..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listpack_set_becomes_a_plain_one() {
        // Listpack of "a", 5, -7 (13 bit), 1000000 (24 bit).
        let entries: &[u8] =
            &[0x81, b'a', 2, 0x05, 1, 0xdf, 0xf9, 2, 0xf2, 0x40, 0x42, 0x0f, 4, 0xff];
        let mut pack = u32::try_from(6 + entries.len()).unwrap().to_le_bytes().to_vec();
        pack.extend_from_slice(&[4, 0]);
        pack.extend_from_slice(entries);
        let mut body = vec![kind::SET_LISTPACK];
        put_string(&mut body, &pack);
        let out = older(&seal(body, 11)).unwrap();
        let mut expect = vec![kind::SET, 4];
        for member in ["a", "5", "-7", "1000000"] {
            put_string(&mut expect, member.as_bytes());
        }
        assert_eq!(out, seal(expect, LOWERED_VERSION));
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(older(&seal(vec![0, 1, b'v'], 11)), None);
        assert_eq!(older(&seal(vec![kind::SET_LISTPACK, 3, 1, 2, 3], 11)), None);
        assert_eq!(older(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(kind in 20u8..=21, rest: Vec<u8>) {
            let mut body = vec![kind];
            body.extend_from_slice(&rest);
            let _ = older(&seal(body, 11));
        }
    }
}
