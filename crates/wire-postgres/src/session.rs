//! What a server says of the session itself.

use crate::error::MessageError;
use crate::read::Reader;
use crate::startup::key;

/// BackendKeyData: what a cancel request has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyData<'a> {
    /// The server's process.
    pub pid: u32,
    /// The secret: 4 bytes, in protocol 3.2 up to 256.
    pub key: &'a [u8],
}

impl<'a> KeyData<'a> {
    /// Reads the content of a BackendKeyData.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        Ok(Self { pid: reader.u32()?, key: key(reader.rest())? })
    }
}

/// ParameterStatus: a reported setting has this value now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// Name of the setting.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads the content of a ParameterStatus.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let read = Self { name: reader.string()?, value: reader.string()? };
        reader.end()?;
        Ok(read)
    }
}

/// Where the session's transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// There is none.
    Idle,
    /// It is open.
    Open,
    /// It failed and only waits for its end.
    Failed,
}

impl Transaction {
    /// Reads the content of a ReadyForQuery.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let status = match reader.u8()? {
            b'I' => Self::Idle,
            b'T' => Self::Open,
            b'E' => Self::Failed,
            other => {
                let value = u32::from(other);
                return Err(MessageError::Code { what: "transaction status", value });
            }
        };
        reader.end()?;
        Ok(status)
    }

    /// Its letter on the wire.
    #[must_use]
    pub fn letter(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

/// NotificationResponse: somebody said NOTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification<'a> {
    /// Process of the session that said it.
    pub pid: u32,
    /// The channel.
    pub channel: &'a [u8],
    /// The payload, empty when there was none.
    pub payload: &'a [u8],
}

impl<'a> Notification<'a> {
    /// Reads the content of a NotificationResponse.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let (pid, channel, payload) = (reader.u32()?, reader.string()?, reader.string()?);
        reader.end()?;
        Ok(Self { pid, channel, payload })
    }
}
