//! What is said here in a server's place, in its own format.

use bytes::BytesMut;
use family::{ClientError, Refused};
use wire_postgres::encode::{self, Report, Severity};
use wire_postgres::session::Transaction;
use wire_postgres::{EncodeError, tags};

/// The client has to log in by a way that is not understood here.
pub(super) const NO_VERIFIER: &str = "EXO-PGS-001";
/// The server asks us for something we cannot prove.
pub(super) const NO_SECRET: &str = "EXO-PGS-002";
/// The session has what cannot be carried to another server.
pub(super) const PINNED: &str = "EXO-PGS-003";
/// A transaction was ended because the authority changes.
pub(super) const ENDED: &str = "EXO-PGS-004";
/// TLS is required here.
pub(super) const TLS_REQUIRED: &str = "EXO-PGS-005";

/// Appends what `write` encodes; texts of ours fit always.
pub(super) fn put(out: &mut Vec<u8>, write: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) {
    let mut bytes = BytesMut::new();
    if write(&mut bytes).is_ok() {
        out.extend_from_slice(&bytes);
    }
}

/// An error with a code to look up.
pub(super) fn error(
    out: &mut Vec<u8>,
    severity: Severity,
    sqlstate: &str,
    message: &str,
    code: &str,
) {
    let hint = match code {
        "" => String::new(),
        code => format!("Look up {code}."),
    };
    let message = match code {
        "" => message.to_owned(),
        code => format!("{message} ({code})"),
    };
    let report = Report {
        severity,
        sqlstate,
        message: message.as_bytes(),
        detail: b"",
        hint: hint.as_bytes(),
    };
    put(out, |b| encode::error(b, &report));
}

/// The last message to a client.
pub(super) fn fatal(out: &mut Vec<u8>, sqlstate: &str, message: &str, code: &str) {
    error(out, Severity::Fatal, sqlstate, message, code);
}

/// An error of the interlay, as it tells all families.
pub(super) fn refused(out: &mut Vec<u8>, severity: Severity, why: ClientError) {
    let ClientError { why } = why;
    error(out, severity, sqlstate(why), why.message(), why.code());
}

/// What applications branch on. `40001` is what they try again.
fn sqlstate(why: Refused) -> &'static str {
    match why {
        Refused::TooManyClients => "53300",
        Refused::Unreachable => "08006",
        Refused::HeldTooLong => "40001",
        Refused::NotKept | Refused::SpansTenants => "0A000",
        Refused::Overloaded => "53200",
        Refused::NotNoted => "58030",
        Refused::TooLarge | Refused::Draining => "57P01",
        Refused::Lost => "08007",
    }
}

pub(super) fn ready(out: &mut Vec<u8>, status: Transaction) {
    put(out, |b| {
        encode::ready_for_query(b, status);
        Ok(())
    });
}

pub(super) fn complete(out: &mut Vec<u8>, tag: &[u8]) {
    put(out, |b| encode::command_complete(b, tag));
}

/// A message without content: ParseComplete and its like.
pub(super) fn bare(out: &mut Vec<u8>, tag: u8) {
    put(out, |b| encode::bare(b, tag));
}

/// One text column that comes from no table.
pub(super) fn column(out: &mut Vec<u8>, name: &[u8], format: i16) {
    let column = wire_postgres::rows::Column {
        name,
        table: 0,
        attribute: 0,
        type_oid: TEXT_OID,
        type_len: -1,
        type_mod: -1,
        format,
    };
    put(out, |b| encode::row_description(b, &[column]));
}

/// `text`, `src/include/catalog/pg_type.dat`.
const TEXT_OID: u32 = 25;

pub(super) fn row(out: &mut Vec<u8>, value: &[u8]) {
    put(out, |b| encode::data_row(b, &[Some(value)]));
}

/// A simple query of ours.
pub(super) fn query(out: &mut Vec<u8>, text: &str) {
    put(out, |b| encode::query(b, text.as_bytes()));
}

/// Whether the reply begins with an error.
pub(super) fn is_error(reply: &[u8]) -> bool {
    reply.first() == Some(&tags::backend::ERROR)
}

/// Whole messages at the front of `bytes`, as type, content and all of it.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = bytes.get(1..5)?.try_into().ok().map(u32::from_be_bytes)?;
        let len = usize::try_from(length).ok()?.checked_add(1).filter(|len| *len >= 5)?;
        let (whole, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        Some((whole[0], &whole[5..], whole))
    })
}

/// A string literal that means the same whatever the session's settings are.
pub(super) fn literal(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// An identifier that means exactly this name.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The only value of a reply with one row and one column.
pub(super) fn single_value(reply: &[u8]) -> Option<&str> {
    let (_, body, _) = messages(reply).find(|(t, ..)| *t == tags::backend::DATA_ROW)?;
    let row = wire_postgres::rows::DataRow::parse(body).ok()?;
    std::str::from_utf8(row.values().next()??).ok()
}

/// ParameterDescription of a statement without parameters.
pub(super) fn no_parameters(out: &mut Vec<u8>) {
    put(out, |b| encode::parameter_description(b, &[]));
}

/// The values of a row as text, `None` for NULL.
pub(super) fn values(body: &[u8]) -> Vec<Option<String>> {
    let Ok(row) = wire_postgres::rows::DataRow::parse(body) else { return Vec::new() };
    row.values().map(|v| v.map(|v| String::from_utf8_lossy(v).into_owned())).collect()
}
