//! What a client says.

use bytes::{BufMut, BytesMut};

use super::{head_only, message, untyped};
use crate::error::EncodeError;
use crate::limits::{
    AUTH_ANSWER_LENGTH_MAX, CANCEL_KEY_MAX, CANCEL_KEY_MIN, LARGE_LENGTH_MAX, SMALL_LENGTH_MAX,
    STARTUP_LENGTH_MAX,
};
use crate::query::Target;
use crate::replication::Status;
use crate::startup::{CANCEL_CODE, GSSENC_CODE, SSL_CODE, Version};
use crate::tags::{self, frontend as tag};

/// StartupMessage.
///
/// # Errors
/// When a name is empty, a string contains NUL, or all is too long for a server.
pub fn startup(
    out: &mut BytesMut,
    version: Version,
    parameters: &[(&[u8], &[u8])],
) -> Result<(), EncodeError> {
    untyped(out, STARTUP_LENGTH_MAX, |body| {
        body.0.put_u32(version.0);
        for (name, value) in parameters {
            body.item(name)?;
            body.string(value)?;
        }
        body.0.put_u8(0);
        Ok(())
    })
}

/// SSLRequest.
pub fn ssl_request(out: &mut BytesMut) {
    out.put_u32(8);
    out.put_u32(SSL_CODE);
}

/// GSSENCRequest.
pub fn gssenc_request(out: &mut BytesMut) {
    out.put_u32(8);
    out.put_u32(GSSENC_CODE);
}

/// CancelRequest.
///
/// # Errors
/// When the key has a length no key can have.
pub fn cancel_request(out: &mut BytesMut, pid: u32, key: &[u8]) -> Result<(), EncodeError> {
    if !(CANCEL_KEY_MIN..=CANCEL_KEY_MAX).contains(&key.len()) {
        return Err(EncodeError::Value("cancel key"));
    }
    untyped(out, STARTUP_LENGTH_MAX, |body| {
        body.0.put_u32(CANCEL_CODE);
        body.0.put_u32(pid);
        body.0.put_slice(key);
        Ok(())
    })
}

/// A password, as it is or hashed.
///
/// # Errors
/// When it contains NUL or is too long.
pub fn password(out: &mut BytesMut, password: &[u8]) -> Result<(), EncodeError> {
    message(out, tag::PASSWORD, AUTH_ANSWER_LENGTH_MAX, |body| body.string(password))
}

/// SASLInitialResponse: the chosen mechanism and its first message.
///
/// # Errors
/// When it is too long.
pub fn sasl_initial(
    out: &mut BytesMut,
    mechanism: &[u8],
    response: Option<&[u8]>,
) -> Result<(), EncodeError> {
    message(out, tag::PASSWORD, AUTH_ANSWER_LENGTH_MAX, |body| {
        body.string(mechanism)?;
        body.value(response)
    })
}

/// SASLResponse, or a GSSAPI token.
///
/// # Errors
/// When it is too long.
pub fn sasl_response(out: &mut BytesMut, response: &[u8]) -> Result<(), EncodeError> {
    message(out, tag::PASSWORD, AUTH_ANSWER_LENGTH_MAX, |body| {
        body.0.put_slice(response);
        Ok(())
    })
}

/// A simple query.
///
/// # Errors
/// When it contains NUL or is too long.
pub fn query(out: &mut BytesMut, text: &[u8]) -> Result<(), EncodeError> {
    message(out, tag::QUERY, LARGE_LENGTH_MAX, |body| body.string(text))
}

/// Parse.
///
/// # Errors
/// When a string contains NUL or there is too much.
pub fn parse(
    out: &mut BytesMut,
    statement: &[u8],
    query: &[u8],
    types: &[u32],
) -> Result<(), EncodeError> {
    message(out, tag::PARSE, LARGE_LENGTH_MAX, |body| {
        body.string(statement)?;
        body.string(query)?;
        body.count(types.len())?;
        types.iter().for_each(|oid| body.0.put_u32(*oid));
        Ok(())
    })
}

/// What a Bind says.
#[derive(Debug, Clone, Copy, Default)]
pub struct BindMessage<'a> {
    /// Name of the portal.
    pub portal: &'a [u8],
    /// Name of the statement.
    pub statement: &'a [u8],
    /// Formats of the values: none, one for all, or one each.
    pub value_formats: &'a [i16],
    /// The values, `None` for NULL.
    pub values: &'a [Option<&'a [u8]>],
    /// Wanted formats of the result: none, one for all, or one each.
    pub result_formats: &'a [i16],
}

/// Bind.
///
/// # Errors
/// When a name contains NUL or there is too much.
pub fn bind(out: &mut BytesMut, bind: &BindMessage<'_>) -> Result<(), EncodeError> {
    message(out, tag::BIND, LARGE_LENGTH_MAX, |body| {
        body.string(bind.portal)?;
        body.string(bind.statement)?;
        body.formats(bind.value_formats)?;
        body.values(bind.values)?;
        body.formats(bind.result_formats)
    })
}

/// Describe.
///
/// # Errors
/// When the name contains NUL or is too long.
pub fn describe(out: &mut BytesMut, target: Target<'_>) -> Result<(), EncodeError> {
    about(out, tag::DESCRIBE, target)
}

/// Close.
///
/// # Errors
/// When the name contains NUL or is too long.
pub fn close(out: &mut BytesMut, target: Target<'_>) -> Result<(), EncodeError> {
    about(out, tag::CLOSE, target)
}

fn about(out: &mut BytesMut, tag: u8, target: Target<'_>) -> Result<(), EncodeError> {
    message(out, tag, SMALL_LENGTH_MAX, |body| {
        let (kind, name) = match target {
            Target::Statement(name) => (b'S', name),
            Target::Portal(name) => (b'P', name),
        };
        body.0.put_u8(kind);
        body.string(name)
    })
}

/// Execute; `rows_max` 0 for all rows.
///
/// # Errors
/// When the name contains NUL or is too long.
pub fn execute(out: &mut BytesMut, portal: &[u8], rows_max: i32) -> Result<(), EncodeError> {
    message(out, tag::EXECUTE, SMALL_LENGTH_MAX, |body| {
        body.string(portal)?;
        body.0.put_i32(rows_max);
        Ok(())
    })
}

/// FunctionCall with arguments in one format.
///
/// # Errors
/// When there is too much.
pub fn function_call(
    out: &mut BytesMut,
    function: u32,
    format: i16,
    arguments: &[Option<&[u8]>],
) -> Result<(), EncodeError> {
    message(out, tag::FUNCTION_CALL, LARGE_LENGTH_MAX, |body| {
        body.0.put_u32(function);
        body.formats(&[format])?;
        body.values(arguments)?;
        body.0.put_i16(format);
        Ok(())
    })
}

/// Flush.
pub fn flush(out: &mut BytesMut) {
    head_only(out, tag::FLUSH);
}

/// Sync.
pub fn sync(out: &mut BytesMut) {
    head_only(out, tag::SYNC);
}

/// Terminate.
pub fn terminate(out: &mut BytesMut) {
    head_only(out, tag::TERMINATE);
}

/// CopyData.
///
/// # Errors
/// When it is too long.
pub fn copy_data(out: &mut BytesMut, data: &[u8]) -> Result<(), EncodeError> {
    copy_data_head(out, data.len())?;
    out.put_slice(data);
    Ok(())
}

/// Only the head of a CopyData whose `len` bytes are written past `out`; they have to follow.
///
/// # Errors
/// When it is too long.
pub fn copy_data_head(out: &mut BytesMut, len: usize) -> Result<(), EncodeError> {
    let length = u32::try_from(len).ok().and_then(|len| len.checked_add(4));
    let length = length.filter(|l| *l <= LARGE_LENGTH_MAX).ok_or(EncodeError::TooLong)?;
    out.put_u8(tags::COPY_DATA);
    out.put_u32(length);
    Ok(())
}

/// CopyDone.
pub fn copy_done(out: &mut BytesMut) {
    head_only(out, tags::COPY_DONE);
}

/// CopyFail.
///
/// # Errors
/// When the reason contains NUL or is too long.
pub fn copy_fail(out: &mut BytesMut, reason: &[u8]) -> Result<(), EncodeError> {
    message(out, tag::COPY_FAIL, SMALL_LENGTH_MAX, |body| body.string(reason))
}

/// Standby status update, in its CopyData.
pub fn standby_status(out: &mut BytesMut, status: &Status) {
    out.put_u8(tags::COPY_DATA);
    out.put_u32(4 + 34);
    out.put_u8(b'r');
    out.put_u64(status.written.0);
    out.put_u64(status.flushed.0);
    out.put_u64(status.applied.0);
    out.put_i64(status.clock.0);
    out.put_u8(u8::from(status.reply_now));
}
