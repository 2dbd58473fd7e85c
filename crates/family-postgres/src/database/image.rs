//! What a row was, as bytes for the other side of the same family.
//!
//! Layout: a version byte; how many equal rows there were; how many columns; for each column its
//! name and its value as text, both with a length in front, `-1` for NULL. Numbers are big-endian.

use std::sync::Arc;

use family::{PortError, Trouble};

use crate::error::code;

const VERSION: u8 = 1;

/// A row, or several equal ones of a table without identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowImage {
    /// How many there are; one where the table has an identity.
    pub(crate) count: u64,
    /// Values by column.
    pub(crate) values: Vec<(String, Option<Vec<u8>>)>,
}

impl RowImage {
    pub(crate) fn encode(&self) -> Arc<[u8]> {
        let mut out = vec![VERSION];
        out.extend(self.count.to_be_bytes());
        put_len(&mut out, Some(self.values.len()));
        for (name, value) in &self.values {
            put_len(&mut out, Some(name.len()));
            out.extend(name.as_bytes());
            put_len(&mut out, value.as_ref().map(Vec::len));
            out.extend(value.as_deref().unwrap_or_default());
        }
        out.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PortError> {
        Self::read(bytes).ok_or_else(|| {
            let why = "an image was made by another version of this program";
            PortError::new(Trouble::Rejected, code::IMAGE, why)
        })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let (count, after) = rest.split_first_chunk()?;
        rest = after;
        let columns = take_len(&mut rest)??;
        let mut values = Vec::new();
        for _ in 0..columns {
            let len = take_len(&mut rest)??;
            let name = String::from_utf8(take(&mut rest, len)?.to_vec()).ok()?;
            let value = match take_len(&mut rest)? {
                Some(len) => Some(take(&mut rest, len)?.to_vec()),
                None => None,
            };
            values.push((name, value));
        }
        rest.is_empty().then(|| Self { count: u64::from_be_bytes(*count), values })
    }
}

/// A length; a value of a server is never as long as the greatest one, which says NULL.
fn put_len(out: &mut Vec<u8>, len: Option<usize>) {
    let len = len.map_or(u32::MAX, |len| u32::try_from(len).unwrap_or(u32::MAX));
    out.extend(len.to_be_bytes());
}

fn take_len(rest: &mut &[u8]) -> Option<Option<usize>> {
    let (len, after) = rest.split_first_chunk()?;
    *rest = after;
    let len = u32::from_be_bytes(*len);
    Some((len != u32::MAX).then_some(len as usize))
}

fn take<'b>(rest: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (front, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(front)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_whole_or_not_at_all() {
        let values =
            vec![("a".into(), Some(b"1".to_vec())), ("ö".into(), None), ("".into(), Some(vec![]))];
        let image = RowImage { count: 3, values };
        let bytes = image.encode();
        assert_eq!(RowImage::decode(&bytes).unwrap(), image);
        for len in 0..bytes.len() {
            assert!(RowImage::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(RowImage::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}
