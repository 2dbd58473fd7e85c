//! Rows as `pgoutput` writes them.

use crate::error::MessageError;
use crate::read::{Items, Reader};

/// A row: values in the order of the relation's attributes.
#[derive(Debug, Clone, Copy)]
pub struct Tuple<'a>(Items<'a>);

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// NULL; in a key also a column that is no part of it.
    Null,
    /// A large value that did not change and was not read.
    Unchanged,
    /// As text.
    Text(&'a [u8]),
    /// As the type's binary form.
    Binary(&'a [u8]),
}

impl<'a> Value<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(match reader.u8()? {
            b'n' => Self::Null,
            b'u' => Self::Unchanged,
            b't' => Self::Text(reader.counted()?),
            b'b' => Self::Binary(reader.counted()?),
            other => {
                let value = u32::from(other);
                return Err(MessageError::Code { what: "kind of value", value });
            }
        })
    }
}

impl<'a> Tuple<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let count = usize::from(reader.u16()?);
        Items::check(reader, count, Value::read).map(Self)
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut items = self.0;
        std::iter::from_fn(move || items.next(Value::read))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.left
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a row was before.
#[derive(Debug, Clone, Copy)]
pub enum OldRow<'a> {
    /// Its replica identity; other columns are NULL.
    Key(Tuple<'a>),
    /// The whole row: the relation has REPLICA IDENTITY FULL.
    Full(Tuple<'a>),
}

impl<'a> OldRow<'a> {
    pub(super) fn read_if_any(reader: &mut Reader<'a>) -> Result<Option<Self>, MessageError> {
        let mut ahead = *reader;
        let old = match ahead.u8()? {
            b'K' => Self::Key(Tuple::read(&mut ahead)?),
            b'O' => Self::Full(Tuple::read(&mut ahead)?),
            _ => return Ok(None),
        };
        *reader = ahead;
        Ok(Some(old))
    }

    /// Its values.
    #[must_use]
    pub fn tuple(&self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => *tuple,
        }
    }
}

/// A new row follows.
pub(super) fn expect_new(reader: &mut Reader<'_>) -> Result<(), MessageError> {
    match reader.u8()? {
        b'N' => Ok(()),
        other => Err(MessageError::Code { what: "kind of row", value: u32::from(other) }),
    }
}
