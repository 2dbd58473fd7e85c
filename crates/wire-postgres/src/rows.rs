//! Results: their columns, their rows, the parameters a statement takes.

use crate::error::MessageError;
use crate::read::{Items, Reader};

/// RowDescription.
#[derive(Debug, Clone, Copy)]
pub struct RowDescription<'a>(Items<'a>);

/// One column of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Table it comes from, 0 when it is computed.
    pub table: u32,
    /// Number of the column in that table, 0 when it is computed.
    pub attribute: i16,
    /// OID of its type.
    pub type_oid: u32,
    /// Bytes of the type: -1 for variable length, -2 for a C string.
    pub type_len: i16,
    /// Modifier of the type, -1 for none.
    pub type_mod: i32,
    /// How it is sent: 0 text, 1 binary. 0 while a statement is only described.
    pub format: i16,
}

impl<'a> Column<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(Self {
            name: reader.string()?,
            table: reader.u32()?,
            attribute: reader.i16()?,
            type_oid: reader.u32()?,
            type_len: reader.i16()?,
            type_mod: reader.i32()?,
            format: reader.i16()?,
        })
    }
}

impl<'a> RowDescription<'a> {
    /// Reads the content of a RowDescription.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let count = usize::from(reader.u16()?);
        let items = Items::check(&mut reader, count, Column::read)?;
        reader.end()?;
        Ok(Self(items))
    }

    /// The columns in order.
    pub fn columns(&self) -> impl Iterator<Item = Column<'a>> + use<'a> {
        let mut items = self.0;
        std::iter::from_fn(move || items.next(Column::read))
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

/// DataRow.
#[derive(Debug, Clone, Copy)]
pub struct DataRow<'a>(Items<'a>);

impl<'a> DataRow<'a> {
    /// Reads the content of a DataRow.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let count = usize::from(reader.u16()?);
        let items = Items::check(&mut reader, count, Reader::nullable)?;
        reader.end()?;
        Ok(Self(items))
    }

    /// The values in order, `None` for NULL.
    pub fn values(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut items = self.0;
        std::iter::from_fn(move || items.next(Reader::nullable))
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

/// ParameterDescription.
#[derive(Debug, Clone, Copy)]
pub struct ParameterDescription<'a>(Items<'a>);

impl<'a> ParameterDescription<'a> {
    /// Reads the content of a ParameterDescription.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let count = usize::from(reader.u16()?);
        let items = Items::check(&mut reader, count, Reader::u32)?;
        reader.end()?;
        Ok(Self(items))
    }

    /// OIDs of the parameters' types.
    pub fn types(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut items = self.0;
        std::iter::from_fn(move || items.next(Reader::u32))
    }
}

/// FunctionCallResponse: the result, `None` for NULL.
///
/// # Errors
/// When it is none.
pub fn function_result(body: &[u8]) -> Result<Option<&[u8]>, MessageError> {
    let mut reader = Reader::new(body);
    let value = reader.nullable()?;
    reader.end()?;
    Ok(value)
}
