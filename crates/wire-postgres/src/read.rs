//! A bounded reader over the content of one message.

use memchr::memchr;

use crate::error::MessageError;

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], MessageError> {
        let (front, rest) = self.0.split_at_checked(len).ok_or(MessageError::Short)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let (front, rest) = self.0.split_first_chunk().ok_or(MessageError::Short)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, MessageError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, MessageError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, MessageError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, MessageError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A string without its NUL.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], MessageError> {
        let end = memchr(0, self.0).ok_or(MessageError::String)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(text)
    }

    /// A length of 32 bits and as many bytes.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], MessageError> {
        let len = self.i32()?;
        self.bytes(usize::try_from(len).map_err(|_| MessageError::Count("length"))?)
    }

    /// The same, where -1 stands for NULL.
    pub(crate) fn nullable(&mut self) -> Result<Option<&'a [u8]>, MessageError> {
        match self.i32()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| MessageError::Count("length"))?;
                self.bytes(len).map(Some)
            }
        }
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), MessageError> {
        if self.0.is_empty() { Ok(()) } else { Err(MessageError::Trailing) }
    }
}

/// Reads `count` items that were checked when their message was parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Items<'a> {
    pub(crate) left: usize,
    pub(crate) reader: Reader<'a>,
}

impl<'a> Items<'a> {
    /// Splits `count` items off `reader`, each read once by `one`.
    pub(crate) fn check<T>(
        reader: &mut Reader<'a>,
        count: usize,
        mut one: impl FnMut(&mut Reader<'a>) -> Result<T, MessageError>,
    ) -> Result<Self, MessageError> {
        let items = Self { left: count, reader: *reader };
        for _ in 0..count {
            one(reader)?;
        }
        Ok(items)
    }

    pub(crate) fn next<T>(
        &mut self,
        one: impl FnOnce(&mut Reader<'a>) -> Result<T, MessageError>,
    ) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        one(&mut self.reader).ok()
    }
}
