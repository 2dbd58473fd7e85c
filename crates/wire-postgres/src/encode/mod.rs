//! Messages as bytes, for what Exodus says itself.
//!
//! Constraints: sans-IO; a message is appended whole or not at all; no longer than the other end
//! accepts of its type.

mod backend;
mod frontend;
mod results;

pub use backend::{
    Report, Severity, authentication_md5, authentication_ok, authentication_sasl,
    authentication_sasl_continue, authentication_sasl_final, backend_key_data, error,
    negotiate_version, notice, notification, parameter_status, ready_for_query,
};
pub use frontend::{
    BindMessage, bind, cancel_request, close, copy_data, copy_data_head, copy_done, copy_fail,
    describe, execute, flush, function_call, gssenc_request, parse, password, query, sasl_initial,
    sasl_response, ssl_request, standby_status, startup, sync, terminate,
};
pub use results::{
    bare, command_complete, copy_start, data_row, function_result, parameter_description,
    row_description,
};

use bytes::{BufMut, BytesMut};
use memchr::memchr;

use crate::error::EncodeError;

/// Writes the content of one message.
struct Writer<'a>(&'a mut BytesMut);

impl Writer<'_> {
    fn string(&mut self, text: &[u8]) -> Result<(), EncodeError> {
        if memchr(0, text).is_some() {
            return Err(EncodeError::Nul);
        }
        self.0.reserve(text.len() + 1);
        self.0.put_slice(text);
        self.0.put_u8(0);
        Ok(())
    }

    /// A string in a list that ends with an empty one.
    fn item(&mut self, text: &[u8]) -> Result<(), EncodeError> {
        if text.is_empty() {
            return Err(EncodeError::Value("empty name"));
        }
        self.string(text)
    }

    fn count(&mut self, items: usize) -> Result<(), EncodeError> {
        self.0.put_u16(u16::try_from(items).map_err(|_| EncodeError::TooMany)?);
        Ok(())
    }

    fn value(&mut self, value: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.0.put_i32(-1);
            return Ok(());
        };
        self.0.put_i32(i32::try_from(value.len()).map_err(|_| EncodeError::TooLong)?);
        self.0.put_slice(value);
        Ok(())
    }

    fn values(&mut self, values: &[Option<&[u8]>]) -> Result<(), EncodeError> {
        self.count(values.len())?;
        values.iter().try_for_each(|value| self.value(*value))
    }

    fn formats(&mut self, formats: &[i16]) -> Result<(), EncodeError> {
        self.count(formats.len())?;
        formats.iter().for_each(|format| self.0.put_i16(*format));
        Ok(())
    }
}

/// Appends a message whose content `body` writes.
fn message(
    out: &mut BytesMut,
    tag: u8,
    max: u32,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let from = out.len();
    out.put_u8(tag);
    untyped(out, max, body).inspect_err(|_| out.truncate(from))
}

/// Appends a length word and what `body` writes.
fn untyped(
    out: &mut BytesMut,
    max: u32,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let from = out.len();
    out.put_u32(0);
    let written = body(&mut Writer(out)).and_then(|()| {
        let length = u32::try_from(out.len() - from).unwrap_or(u32::MAX);
        if length > max {
            return Err(EncodeError::TooLong);
        }
        out[from..from + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    });
    written.inspect_err(|_| out.truncate(from))
}

/// Appends a message without content.
fn head_only(out: &mut BytesMut, tag: u8) {
    out.put_u8(tag);
    out.put_u32(4);
}
