//! The beginning of COPY. Its data has no form of its own, but for replication:
//! [`crate::replication`].

use crate::error::MessageError;
use crate::read::{Items, Reader};

/// CopyInResponse, CopyOutResponse or CopyBothResponse.
#[derive(Debug, Clone, Copy)]
pub struct CopyStart<'a> {
    /// Whether the data is binary, or lines of text.
    pub binary: bool,
    formats: Items<'a>,
}

impl<'a> CopyStart<'a> {
    /// Reads the content of one of the three.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let binary = match reader.u8()? {
            0 => false,
            1 => true,
            other => {
                return Err(MessageError::Code { what: "COPY format", value: u32::from(other) });
            }
        };
        let count = usize::from(reader.u16()?);
        let formats = Items::check(&mut reader, count, Reader::i16)?;
        reader.end()?;
        Ok(Self { binary, formats })
    }

    /// Formats of the columns: 0 text, 1 binary.
    pub fn formats(&self) -> impl Iterator<Item = i16> + use<'a> {
        let mut items = self.formats;
        std::iter::from_fn(move || items.next(Reader::i16))
    }
}
