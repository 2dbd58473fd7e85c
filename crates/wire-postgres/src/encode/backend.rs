//! What a server says of session and errors.

use bytes::{BufMut, BytesMut};

use super::message;
use crate::error::EncodeError;
use crate::limits::{
    AUTH_REQUEST_LENGTH_MAX, CANCEL_KEY_MAX, CANCEL_KEY_MIN, REPLY_LONG_LENGTH_MAX,
    REPLY_SHORT_LENGTH_MAX,
};
use crate::notice::field;
use crate::session::Transaction;
use crate::startup::Version;
use crate::tags::backend as tag;

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    out.put_u8(tag::AUTHENTICATION);
    out.put_u32(8);
    out.put_u32(0);
}

/// AuthenticationMD5Password.
pub fn authentication_md5(out: &mut BytesMut, salt: [u8; 4]) {
    out.put_u8(tag::AUTHENTICATION);
    out.put_u32(12);
    out.put_u32(5);
    out.put_slice(&salt);
}

/// AuthenticationSASL with the mechanisms a client may choose from.
///
/// # Errors
/// When a name is empty, contains NUL, or there is too much.
pub fn authentication_sasl(out: &mut BytesMut, mechanisms: &[&[u8]]) -> Result<(), EncodeError> {
    message(out, tag::AUTHENTICATION, AUTH_REQUEST_LENGTH_MAX, |body| {
        body.0.put_u32(10);
        mechanisms.iter().try_for_each(|name| body.item(name))?;
        body.0.put_u8(0);
        Ok(())
    })
}

/// AuthenticationSASLContinue.
///
/// # Errors
/// When it is too long.
pub fn authentication_sasl_continue(out: &mut BytesMut, data: &[u8]) -> Result<(), EncodeError> {
    authentication_data(out, 11, data)
}

/// AuthenticationSASLFinal.
///
/// # Errors
/// When it is too long.
pub fn authentication_sasl_final(out: &mut BytesMut, data: &[u8]) -> Result<(), EncodeError> {
    authentication_data(out, 12, data)
}

fn authentication_data(out: &mut BytesMut, code: u32, data: &[u8]) -> Result<(), EncodeError> {
    message(out, tag::AUTHENTICATION, AUTH_REQUEST_LENGTH_MAX, |body| {
        body.0.put_u32(code);
        body.0.put_slice(data);
        Ok(())
    })
}

/// BackendKeyData.
///
/// # Errors
/// When the key has a length no key can have.
pub fn backend_key_data(out: &mut BytesMut, pid: u32, key: &[u8]) -> Result<(), EncodeError> {
    if !(CANCEL_KEY_MIN..=CANCEL_KEY_MAX).contains(&key.len()) {
        return Err(EncodeError::Value("cancel key"));
    }
    message(out, tag::KEY_DATA, REPLY_SHORT_LENGTH_MAX, |body| {
        body.0.put_u32(pid);
        body.0.put_slice(key);
        Ok(())
    })
}

/// NegotiateProtocolVersion: the newest version that is spoken, and the protocol options of the
/// client that are not understood.
///
/// # Errors
/// When a name contains NUL or there is too much.
pub fn negotiate_version(
    out: &mut BytesMut,
    version: Version,
    options: &[&[u8]],
) -> Result<(), EncodeError> {
    message(out, tag::NEGOTIATE, AUTH_REQUEST_LENGTH_MAX, |body| {
        body.0.put_u32(version.0);
        body.0.put_u32(u32::try_from(options.len()).map_err(|_| EncodeError::TooMany)?);
        options.iter().try_for_each(|name| body.string(name))
    })
}

/// ParameterStatus.
///
/// # Errors
/// When a string contains NUL or is too long.
pub fn parameter_status(out: &mut BytesMut, name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
    message(out, tag::PARAMETER_STATUS, REPLY_SHORT_LENGTH_MAX, |body| {
        body.string(name)?;
        body.string(value)
    })
}

/// ReadyForQuery.
pub fn ready_for_query(out: &mut BytesMut, transaction: Transaction) {
    out.put_u8(tag::READY);
    out.put_u32(5);
    out.put_u8(transaction.letter());
}

/// NotificationResponse.
///
/// # Errors
/// When a string contains NUL or is too long.
pub fn notification(
    out: &mut BytesMut,
    pid: u32,
    channel: &[u8],
    payload: &[u8],
) -> Result<(), EncodeError> {
    message(out, tag::NOTIFICATION, REPLY_LONG_LENGTH_MAX, |body| {
        body.0.put_u32(pid);
        body.string(channel)?;
        body.string(payload)
    })
}

/// How grave an error or a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed, and its transaction.
    Error,
    /// The session ends.
    Fatal,
    /// All sessions end.
    Panic,
    /// Something to look at.
    Warning,
    /// Something to know.
    Notice,
    /// Something asked for.
    Info,
    /// Something for the log.
    Log,
    /// Something for developers.
    Debug,
}

impl Severity {
    fn text(self) -> &'static [u8] {
        match self {
            Self::Error => b"ERROR",
            Self::Fatal => b"FATAL",
            Self::Panic => b"PANIC",
            Self::Warning => b"WARNING",
            Self::Notice => b"NOTICE",
            Self::Info => b"INFO",
            Self::Log => b"LOG",
            Self::Debug => b"DEBUG",
        }
    }
}

/// What an error or a notice says.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// How grave it is.
    pub severity: Severity,
    /// Five digits or capital letters.
    pub sqlstate: &'a str,
    /// One sentence.
    pub message: &'a [u8],
    /// More of it; empty for none.
    pub detail: &'a [u8],
    /// What to do; empty for none.
    pub hint: &'a [u8],
}

/// ErrorResponse.
///
/// # Errors
/// When a string contains NUL, the SQLSTATE is none, or there is too much.
pub fn error(out: &mut BytesMut, report: &Report<'_>) -> Result<(), EncodeError> {
    fields(out, tag::ERROR, report)
}

/// NoticeResponse.
///
/// # Errors
/// When a string contains NUL, the SQLSTATE is none, or there is too much.
pub fn notice(out: &mut BytesMut, report: &Report<'_>) -> Result<(), EncodeError> {
    fields(out, tag::NOTICE, report)
}

fn fields(out: &mut BytesMut, tag: u8, report: &Report<'_>) -> Result<(), EncodeError> {
    let sqlstate = report.sqlstate.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    if sqlstate.len() != 5 || !sqlstate.iter().all(plain) {
        return Err(EncodeError::Value("SQLSTATE"));
    }
    // Short enough also for a client that is not logged in yet.
    message(out, tag, REPLY_SHORT_LENGTH_MAX, |body| {
        for (letter, value) in [
            (field::SEVERITY, report.severity.text()),
            (field::SEVERITY_PLAIN, report.severity.text()),
            (field::SQLSTATE, sqlstate),
            (field::MESSAGE, report.message),
            (field::DETAIL, report.detail),
            (field::HINT, report.hint),
        ] {
            if !value.is_empty() || letter == field::MESSAGE {
                body.0.put_u8(letter);
                body.string(value)?;
            }
        }
        body.0.put_u8(0);
        Ok(())
    })
}
