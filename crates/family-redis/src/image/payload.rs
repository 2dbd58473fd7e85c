//! The frame of a `DUMP` payload: type byte, body, RDB version (2 bytes), CRC-64 (8 bytes).
//!
//! A server refuses a payload whose version is above its own although it may know every
//! encoding in it. Lowering the version and computing the checksum anew makes it acceptable;
//! that is done only for types whose layout has not changed since they were introduced.
//!
//! Frame: <https://github.com/redis/redis/blob/7.0/src/cluster.c#L5266> (`createDumpPayload`);
//! type numbers: <https://github.com/redis/redis/blob/7.0/src/rdb.h#L80>.

use super::crc64::crc64;

const FOOTER_BYTES: usize = 10;

/// Version written into a lowered payload: that of Redis 5 and 6, accepted by every server that
/// has the tracking feed.
pub(crate) const LOWERED_VERSION: u16 = 9;

/// What a payload says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    /// RDB version of the server that made it.
    pub(crate) version: u16,
    /// RDB type byte.
    pub(crate) kind: u8,
}

/// The RDB types by number that this crate speaks of.
pub(crate) mod kind {
    pub(crate) const STRING: u8 = 0;
    pub(crate) const SET: u8 = 2;
    pub(crate) const MODULE: u8 = 6;
    pub(crate) const MODULE_2: u8 = 7;
    pub(crate) const STREAM_LISTPACKS_2: u8 = 19;
    pub(crate) const SET_LISTPACK: u8 = 20;
    pub(crate) const STREAM_LISTPACKS_3: u8 = 21;
}

/// Reads the stamp; `None` when the bytes are too short for a payload.
pub(crate) fn stamp(payload: &[u8]) -> Option<Stamp> {
    let kind = *payload.first()?;
    let (body, footer) = payload.split_at_checked(payload.len().checked_sub(FOOTER_BYTES)?)?;
    if body.is_empty() {
        return None;
    }
    Some(Stamp { version: u16::from_le_bytes([footer[0], footer[1]]), kind })
}

/// Type byte and body, without the footer.
pub(crate) fn body(payload: &[u8]) -> Option<&[u8]> {
    stamp(payload)?;
    payload.get(..payload.len() - FOOTER_BYTES)
}

/// Appends version and checksum to a type byte and body.
pub(crate) fn seal(mut body: Vec<u8>, version: u16) -> Vec<u8> {
    body.extend_from_slice(&version.to_le_bytes());
    let crc = crc64(0, &body);
    body.extend_from_slice(&crc.to_le_bytes());
    body
}

/// The payload of a string of fewer than 16 KiB, as every server understands it.
pub(crate) fn of_text(text: &[u8]) -> Vec<u8> {
    debug_assert!(text.len() < 1 << 14, "two length bytes");
    let mut body = Vec::with_capacity(3 + text.len() + FOOTER_BYTES);
    body.push(kind::STRING);
    if text.len() < 1 << 6 {
        body.push(text.len() as u8);
    } else {
        body.extend_from_slice(&[0x40 | (text.len() >> 8) as u8, text.len() as u8]);
    }
    body.extend_from_slice(text);
    seal(body, LOWERED_VERSION)
}

/// The same payload claiming an older version; `None` for types not proved to have kept their
/// layout (22 means different things in Redis and Valkey, 6 and 7 belong to modules).
pub(crate) fn lowered(payload: &[u8]) -> Option<Vec<u8>> {
    let stamp = stamp(payload)?;
    if !matches!(stamp.kind, 0..=5 | 9..=21) {
        return None;
    }
    Some(seal(body(payload)?.to_vec(), LOWERED_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SET k v` on Redis 7.0.15, `DUMP k`.
    const DUMPED: &[u8] = b"\x00\x01v\x0a\x00\x91\x08\xce\xb2\x19\x38\x8a\xce";

    #[test]
    fn stamps() {
        assert_eq!(stamp(DUMPED), Some(Stamp { version: 10, kind: 0 }));
        assert_eq!(stamp(b"short"), None);
        assert_eq!(body(DUMPED), Some(b"\x00\x01v".as_slice()));
        assert_eq!(seal(b"\x00\x01v".to_vec(), 10), DUMPED);
    }

    #[test]
    fn a_string_is_framed_as_the_server_would() {
        assert_eq!(body(&of_text(b"v")), body(DUMPED));
        let long = of_text(&[b'x'; 300]);
        assert_eq!(long[..3], [0, 0x41, 0x2c]);
        assert_eq!(lowered(&long).as_deref(), Some(&long[..]), "the checksum is right");
    }

    #[test]
    fn lowering_keeps_the_body() {
        let low = lowered(DUMPED).unwrap();
        assert_eq!(stamp(&low), Some(Stamp { version: LOWERED_VERSION, kind: 0 }));
        assert_eq!(body(&low), body(DUMPED));
    }

    #[test]
    fn never_patched() {
        for kind in [6, 7, 22, 23, 24, 25, 200] {
            assert_eq!(lowered(&seal(vec![kind, 0], 12)), None, "{kind}");
        }
    }
}
