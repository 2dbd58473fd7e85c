//! What a client asks: simple query, extended query, function call. Flush, Sync and Terminate
//! have no content: [`empty`].

use crate::error::MessageError;
use crate::read::{Items, Reader};

/// The text of a simple query, or the reason of a CopyFail.
///
/// # Errors
/// When it is no single string.
pub fn text(body: &[u8]) -> Result<&[u8], MessageError> {
    let mut reader = Reader::new(body);
    let text = reader.string()?;
    reader.end()?;
    Ok(text)
}

/// Checks that a message has no content, as Sync and Flush.
///
/// # Errors
/// When it has some.
pub fn empty(body: &[u8]) -> Result<(), MessageError> {
    Reader::new(body).end()
}

/// Parse: prepare a statement.
#[derive(Debug, Clone, Copy)]
pub struct ParseMessage<'a> {
    /// Name of the statement, empty for the unnamed one.
    pub statement: &'a [u8],
    /// Its text.
    pub query: &'a [u8],
    types: Items<'a>,
}

impl<'a> ParseMessage<'a> {
    /// Reads the content of a Parse.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let (statement, query) = (reader.string()?, reader.string()?);
        let count = usize::from(reader.u16()?);
        let types = Items::check(&mut reader, count, Reader::u32)?;
        reader.end()?;
        Ok(Self { statement, query, types })
    }

    /// OIDs of parameter types the client insists on; 0 leaves one to the server, and there may
    /// be fewer than parameters.
    pub fn types(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut items = self.types;
        std::iter::from_fn(move || items.next(Reader::u32))
    }
}

/// Formats of a list of values: none, one for all, or one each. 0 is text, 1 binary.
#[derive(Debug, Clone, Copy)]
pub struct Formats<'a>(Items<'a>);

impl<'a> Formats<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let count = usize::from(reader.u16()?);
        Items::check(reader, count, Reader::i16).map(Self)
    }

    /// As they were sent.
    pub fn codes(&self) -> impl Iterator<Item = i16> + use<'a> {
        let mut items = self.0;
        std::iter::from_fn(move || items.next(Reader::i16))
    }

    /// The format of the value at this place.
    #[must_use]
    pub fn of(&self, place: usize) -> i16 {
        match self.0.left {
            0 => 0,
            1 => self.codes().next().unwrap_or_default(),
            _ => self.codes().nth(place).unwrap_or_default(),
        }
    }

    /// How many were sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.left
    }

    /// Whether none was sent: all is text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bind: a statement and values become a portal.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// Name of the portal, empty for the unnamed one.
    pub portal: &'a [u8],
    /// Name of the statement, empty for the unnamed one.
    pub statement: &'a [u8],
    /// How the values are sent.
    pub value_formats: Formats<'a>,
    /// How the result is wanted.
    pub result_formats: Formats<'a>,
    values: Items<'a>,
}

impl<'a> Bind<'a> {
    /// Reads the content of a Bind.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let (portal, statement) = (reader.string()?, reader.string()?);
        let value_formats = Formats::read(&mut reader)?;
        let count = usize::from(reader.u16()?);
        let values = Items::check(&mut reader, count, Reader::nullable)?;
        let result_formats = Formats::read(&mut reader)?;
        reader.end()?;
        Ok(Self { portal, statement, value_formats, result_formats, values })
    }

    /// The values in order, `None` for NULL.
    pub fn values(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut items = self.values;
        std::iter::from_fn(move || items.next(Reader::nullable))
    }
}

/// What Describe and Close are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement of this name.
    Statement(&'a [u8]),
    /// A portal of this name.
    Portal(&'a [u8]),
}

impl<'a> Target<'a> {
    /// Reads the content of a Describe or a Close.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let kind = reader.u8()?;
        let name = reader.string()?;
        reader.end()?;
        match kind {
            b'S' => Ok(Self::Statement(name)),
            b'P' => Ok(Self::Portal(name)),
            other => Err(MessageError::Code { what: "kind of target", value: u32::from(other) }),
        }
    }
}

/// Execute: run a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    /// Name of the portal, empty for the unnamed one.
    pub portal: &'a [u8],
    /// Most rows to send before it is suspended; 0 or less for all.
    pub rows_max: i32,
}

impl<'a> Execute<'a> {
    /// Reads the content of an Execute.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let read = Self { portal: reader.string()?, rows_max: reader.i32()? };
        reader.end()?;
        Ok(read)
    }
}

/// FunctionCall.
#[derive(Debug, Clone, Copy)]
pub struct FunctionCall<'a> {
    /// OID of the function.
    pub function: u32,
    /// How the arguments are sent.
    pub argument_formats: Formats<'a>,
    /// How the result is wanted.
    pub result_format: i16,
    arguments: Items<'a>,
}

impl<'a> FunctionCall<'a> {
    /// Reads the content of a FunctionCall.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let function = reader.u32()?;
        let argument_formats = Formats::read(&mut reader)?;
        let count = usize::from(reader.u16()?);
        let arguments = Items::check(&mut reader, count, Reader::nullable)?;
        let result_format = reader.i16()?;
        reader.end()?;
        Ok(Self { function, argument_formats, result_format, arguments })
    }

    /// The arguments in order, `None` for NULL.
    pub fn arguments(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut items = self.arguments;
        std::iter::from_fn(move || items.next(Reader::nullable))
    }
}
