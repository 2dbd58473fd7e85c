//! Errors and notices: fields by letter.

use crate::error::MessageError;
use crate::read::Reader;

/// Letters of the fields: `src/include/postgres_ext.h`.
pub mod field {
    /// Severity in the language of the server.
    pub const SEVERITY: u8 = b'S';
    /// Severity in English; not sent by servers before 9.6.
    pub const SEVERITY_PLAIN: u8 = b'V';
    /// SQLSTATE.
    pub const SQLSTATE: u8 = b'C';
    /// The message.
    pub const MESSAGE: u8 = b'M';
    /// More of it.
    pub const DETAIL: u8 = b'D';
    /// What to do.
    pub const HINT: u8 = b'H';
    /// Where in the statement, in characters from 1.
    pub const POSITION: u8 = b'P';
    /// Where in a statement the server made itself.
    pub const INTERNAL_POSITION: u8 = b'p';
    /// That statement.
    pub const INTERNAL_QUERY: u8 = b'q';
    /// Call stack of functions.
    pub const CONTEXT: u8 = b'W';
    /// Schema concerned.
    pub const SCHEMA: u8 = b's';
    /// Table concerned.
    pub const TABLE: u8 = b't';
    /// Column concerned.
    pub const COLUMN: u8 = b'c';
    /// Data type concerned.
    pub const DATA_TYPE: u8 = b'd';
    /// Constraint concerned.
    pub const CONSTRAINT: u8 = b'n';
    /// Source file of the server.
    pub const FILE: u8 = b'F';
    /// Its line.
    pub const LINE: u8 = b'L';
    /// Its function.
    pub const ROUTINE: u8 = b'R';
}

/// ErrorResponse or NoticeResponse.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    fields: &'a [u8],
}

impl<'a> Notice<'a> {
    /// Reads the content of an ErrorResponse or NoticeResponse.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        while reader.u8()? != 0 {
            reader.string()?;
        }
        reader.end()?;
        Ok(Self { fields: body })
    }

    /// Letters and values in the order of the server. A client passes over letters it does not
    /// know.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.fields);
        std::iter::from_fn(move || {
            let letter = reader.u8().ok().filter(|letter| *letter != 0)?;
            Some((letter, reader.string().ok()?))
        })
    }

    /// Value of a field, by its letter in [`field`].
    #[must_use]
    pub fn get(&self, letter: u8) -> Option<&'a [u8]> {
        self.fields().find(|(l, _)| *l == letter).map(|(_, value)| value)
    }

    /// SQLSTATE, empty when it has none.
    #[must_use]
    pub fn sqlstate(&self) -> &'a [u8] {
        self.get(field::SQLSTATE).unwrap_or_default()
    }

    /// The message, empty when it has none.
    #[must_use]
    pub fn message(&self) -> &'a [u8] {
        self.get(field::MESSAGE).unwrap_or_default()
    }

    /// Severity in English where the server says it (ERROR, FATAL, PANIC, WARNING, …).
    #[must_use]
    pub fn severity(&self) -> &'a [u8] {
        self.get(field::SEVERITY_PLAIN).or_else(|| self.get(field::SEVERITY)).unwrap_or_default()
    }

    /// Whether the connection ends with it.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        matches!(self.severity(), b"FATAL" | b"PANIC")
    }
}
