//! Results as a server sends them, for answers of our own. COPY data goes either way:
//! [`super::copy_data`], [`super::copy_done`].

use bytes::{BufMut, BytesMut};

use super::{head_only, message};
use crate::error::EncodeError;
use crate::limits::{PARAMETERS_LENGTH_MAX, REPLY_LONG_LENGTH_MAX, REPLY_SHORT_LENGTH_MAX};
use crate::rows::Column;
use crate::tags::backend as tag;

/// RowDescription.
///
/// # Errors
/// When a name contains NUL or there is too much.
pub fn row_description(out: &mut BytesMut, columns: &[Column<'_>]) -> Result<(), EncodeError> {
    message(out, tag::ROW_DESCRIPTION, REPLY_LONG_LENGTH_MAX, |body| {
        body.count(columns.len())?;
        for column in columns {
            body.string(column.name)?;
            body.0.put_u32(column.table);
            body.0.put_i16(column.attribute);
            body.0.put_u32(column.type_oid);
            body.0.put_i16(column.type_len);
            body.0.put_i32(column.type_mod);
            body.0.put_i16(column.format);
        }
        Ok(())
    })
}

/// DataRow; `None` for NULL.
///
/// # Errors
/// When there is too much.
pub fn data_row(out: &mut BytesMut, values: &[Option<&[u8]>]) -> Result<(), EncodeError> {
    message(out, tag::DATA_ROW, REPLY_LONG_LENGTH_MAX, |body| body.values(values))
}

/// CommandComplete.
///
/// # Errors
/// When the tag contains NUL or is too long.
pub fn command_complete(out: &mut BytesMut, text: &[u8]) -> Result<(), EncodeError> {
    message(out, tag::COMMAND_COMPLETE, REPLY_SHORT_LENGTH_MAX, |body| body.string(text))
}

/// ParameterDescription.
///
/// # Errors
/// When there are too many.
pub fn parameter_description(out: &mut BytesMut, types: &[u32]) -> Result<(), EncodeError> {
    message(out, tag::PARAMETER_DESCRIPTION, PARAMETERS_LENGTH_MAX, |body| {
        body.count(types.len())?;
        types.iter().for_each(|oid| body.0.put_u32(*oid));
        Ok(())
    })
}

/// FunctionCallResponse; `None` for NULL.
///
/// # Errors
/// When it is too long.
pub fn function_result(out: &mut BytesMut, value: Option<&[u8]>) -> Result<(), EncodeError> {
    message(out, tag::FUNCTION_RESULT, REPLY_LONG_LENGTH_MAX, |body| body.value(value))
}

/// CopyInResponse, CopyOutResponse or CopyBothResponse, by its type byte.
///
/// # Errors
/// When the type is none of them or there are too many columns.
pub fn copy_start(
    out: &mut BytesMut,
    tag: u8,
    binary: bool,
    columns: usize,
) -> Result<(), EncodeError> {
    if !matches!(tag, tag::COPY_IN | tag::COPY_OUT | tag::COPY_BOTH) {
        return Err(EncodeError::Value("type of a COPY response"));
    }
    message(out, tag, REPLY_LONG_LENGTH_MAX, |body| {
        body.0.put_u8(u8::from(binary));
        body.count(columns)?;
        (0..columns).for_each(|_| body.0.put_i16(i16::from(binary)));
        Ok(())
    })
}

/// A message without content, by its type byte: ParseComplete, BindComplete, CloseComplete,
/// NoData, EmptyQueryResponse, PortalSuspended.
///
/// # Errors
/// When the type is none of them.
pub fn bare(out: &mut BytesMut, tag: u8) -> Result<(), EncodeError> {
    match tag {
        tag::PARSE_COMPLETE
        | tag::BIND_COMPLETE
        | tag::CLOSE_COMPLETE
        | tag::NO_DATA
        | tag::EMPTY_QUERY
        | tag::PORTAL_SUSPENDED => {
            head_only(out, tag);
            Ok(())
        }
        _ => Err(EncodeError::Value("type of a message without content")),
    }
}
