//! What a record was, as bytes that only this family reads.
//!
//! Layout of an image: one byte of form, the absolute expiry in Unix milliseconds (`i64` little
//! endian, -1 = none), one byte saying what the next four are (0 nothing, 1 idle seconds, 2 use
//! frequency), four bytes little endian, then the `DUMP` payload, or the bytes of a string that
//! was read as such, or nothing where the record is to be copied by elements because it is too
//! big for one message.
//!
//! `payload` reads and rewrites the footer of a payload, `transcode` rewrites encodings that
//! older servers do not know, `rdb` is the reading both need.

mod crc64;
pub(crate) mod payload;
mod rdb;
pub(crate) mod transcode;

use std::sync::Arc;

use model::Image;

const HEAD_BYTES: usize = 14;
const FORM_DUMP: u8 = 1;
const FORM_ELEMENTS: u8 = 2;
const FORM_TEXT: u8 = 3;

/// How recently or how often a key was used, where the server's eviction policy asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    Unknown,
    IdleSeconds(u32),
    Frequency(u8),
}

/// An image taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// Absolute, in Unix milliseconds; -1 for none.
    pub(crate) expiry_ms: i64,
    pub(crate) usage: Usage,
    pub(crate) body: Body<'a>,
}

/// How a record's value is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// A `DUMP` payload.
    Dump(&'a [u8]),
    /// A string's bytes.
    Text(&'a [u8]),
    /// Not at all: to be copied by elements.
    Elements,
}

impl<'a> Body<'a> {
    fn form(self) -> (u8, &'a [u8]) {
        match self {
            Self::Dump(payload) => (FORM_DUMP, payload),
            Self::Text(text) => (FORM_TEXT, text),
            Self::Elements => (FORM_ELEMENTS, &[]),
        }
    }
}

/// Packs an image.
pub(crate) fn encode(parts: Parts<'_>) -> Image {
    let (form, body) = parts.body.form();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.push(form);
    bytes.extend_from_slice(&parts.expiry_ms.to_le_bytes());
    let (tag, value) = match parts.usage {
        Usage::Unknown => (0, 0),
        Usage::IdleSeconds(seconds) => (1, seconds),
        Usage::Frequency(frequency) => (2, u32::from(frequency)),
    };
    bytes.push(tag);
    bytes.extend_from_slice(&value.to_le_bytes());
    bytes.extend_from_slice(body);
    Image::Present { bytes: Arc::from(bytes) }
}

/// Takes an image apart; `None` when this family did not make it.
pub(crate) fn decode(bytes: &[u8]) -> Option<Parts<'_>> {
    let (form, rest) = bytes.split_first()?;
    let (expiry, rest) = rest.split_first_chunk::<8>()?;
    let (tag, rest) = rest.split_first()?;
    let (value, rest) = rest.split_first_chunk::<4>()?;
    let value = u32::from_le_bytes(*value);
    let usage = match tag {
        0 => Usage::Unknown,
        1 => Usage::IdleSeconds(value),
        2 => Usage::Frequency(u8::try_from(value).ok()?),
        _ => return None,
    };
    let body = match *form {
        FORM_DUMP => Body::Dump(rest),
        FORM_TEXT => Body::Text(rest),
        FORM_ELEMENTS if rest.is_empty() => Body::Elements,
        _ => return None,
    };
    Some(Parts { expiry_ms: i64::from_le_bytes(*expiry), usage, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let check = |parts: Parts<'_>| {
            let Image::Present { bytes } = encode(parts) else { panic!("present") };
            assert_eq!(decode(&bytes), Some(parts));
        };
        check(Parts { expiry_ms: -1, usage: Usage::Unknown, body: Body::Dump(b"payload") });
        check(Parts { expiry_ms: 1 << 41, usage: Usage::Frequency(255), body: Body::Text(b"") });
        check(Parts { expiry_ms: 5, usage: Usage::IdleSeconds(9), body: Body::Elements });
        assert_eq!(decode(b""), None);
        assert_eq!(decode(&[9; 20]), None);
    }
}
