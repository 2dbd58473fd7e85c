//! What can be wrong with bytes from outside, and with values that are to become bytes.

use thiserror::Error;

/// SQLSTATE of a protocol violation.
pub const PROTOCOL_VIOLATION: &str = "08P01";

/// Why the stream cannot be cut into messages. The connection is useless then; a server answers
/// with FATAL, SQLSTATE [`PROTOCOL_VIOLATION`] and this text, and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A startup packet is too short or too long; its length word.
    #[error("invalid length of startup packet")]
    StartupLength(u32),
    /// TLS begins without having been asked for. Not a fault where direct TLS is spoken.
    #[error("TLS handshake instead of a startup packet")]
    DirectTls,
    /// This type does not exist, or not in this phase.
    #[error("invalid frontend message type {0}")]
    FrontendType(u8),
    /// This type does not exist, or not in this phase.
    #[error("invalid backend message type {0}")]
    BackendType(u8),
    /// The length word is less than its own size or more than this type may have.
    #[error("invalid message length")]
    Length {
        /// Type of the message.
        tag: u8,
        /// Its length word.
        length: u32,
    },
}

/// Why a message's content is not what its type promises. The stream itself is still in step; a
/// server answers with ERROR, SQLSTATE [`PROTOCOL_VIOLATION`] and this text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    /// It ends too early.
    #[error("insufficient data left in message")]
    Short,
    /// A string has no end.
    #[error("invalid string in message")]
    String,
    /// It goes on behind its end.
    #[error("invalid message format")]
    Trailing,
    /// A length or a count cannot be.
    #[error("invalid {0} in message")]
    Count(&'static str),
    /// A code that has no meaning.
    #[error("invalid {what} {value} in message")]
    Code {
        /// What the code says.
        what: &'static str,
        /// The code.
        value: u32,
    },
    /// A startup packet whose parameters do not end at its end.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    StartupLayout,
}

/// Why a value cannot be written. Nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A string contains NUL, which would end it early.
    #[error("a string of a message contains NUL")]
    Nul,
    /// The message would be longer than its type may be.
    #[error("the message is too long for its type")]
    TooLong,
    /// More items than a 16-bit count can say.
    #[error("too many items for one message")]
    TooMany,
    /// Something else that has no form on the wire.
    #[error("invalid {0}")]
    Value(&'static str),
}
