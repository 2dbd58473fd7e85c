//! How a server's answer becomes a port error: one table, so that every worker reacts alike.

use std::fmt;
use std::sync::Arc;

use family::{PortError, Trouble};
use wire_postgres::notice::{Notice, field};

/// The codes of the cold ports; each has a page in `docs/errors`.
pub(crate) mod code {
    pub(crate) const UNREACHABLE: &str = "EXO-PGS-101";
    pub(crate) const DENIED: &str = "EXO-PGS-102";
    pub(crate) const FULL: &str = "EXO-PGS-103";
    pub(crate) const NOT_SERVING: &str = "EXO-PGS-104";
    pub(crate) const PROTOCOL: &str = "EXO-PGS-105";
    pub(crate) const ENDPOINT: &str = "EXO-PGS-106";
    pub(crate) const REFUSED: &str = "EXO-PGS-107";
    pub(crate) const UNSUPPORTED: &str = "EXO-PGS-108";
    pub(crate) const BUSY: &str = "EXO-PGS-109";
    pub(crate) const READ_ONLY: &str = "EXO-PGS-110";
    pub(crate) const NO_FEED: &str = "EXO-PGS-111";
    pub(crate) const NO_FENCE: &str = "EXO-PGS-112";
    pub(crate) const FENCE_RECORD: &str = "EXO-PGS-113";
    pub(crate) const DATASET: &str = "EXO-PGS-114";
    pub(crate) const IMAGE: &str = "EXO-PGS-115";
    pub(crate) const NO_DUMP: &str = "EXO-PGS-116";
    pub(crate) const DUMP: &str = "EXO-PGS-117";
    pub(crate) const STRANGER: &str = "EXO-PGS-118";
    pub(crate) const FENCE_LEAKS: &str = "EXO-PGS-119";
}

/// An error of a server, as far as somebody acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// Five letters and digits.
    pub(crate) sqlstate: String,
    /// What the server says. May quote values.
    pub(crate) message: String,
    /// More of it. Often quotes values: for deciding, not for showing.
    pub(crate) detail: Option<String>,
    /// What the server advises.
    pub(crate) hint: Option<String>,
    /// Schema it concerns.
    pub(crate) schema: Option<String>,
    /// Table it concerns.
    pub(crate) table: Option<String>,
    /// Column it concerns.
    pub(crate) column: Option<String>,
    /// Constraint it concerns.
    pub(crate) constraint: Option<String>,
    /// The connection ends with it.
    pub(crate) fatal: bool,
    /// `host:port` of whoever said it.
    pub(crate) at: Arc<str>,
}

impl ServerError {
    pub(crate) fn of(notice: &Notice<'_>, at: &Arc<str>) -> Self {
        let text = |letter| notice.get(letter).map(|v| String::from_utf8_lossy(v).into_owned());
        Self {
            sqlstate: text(field::SQLSTATE).unwrap_or_default(),
            message: text(field::MESSAGE).unwrap_or_default(),
            detail: text(field::DETAIL),
            hint: text(field::HINT),
            schema: text(field::SCHEMA),
            table: text(field::TABLE),
            column: text(field::COLUMN),
            constraint: text(field::CONSTRAINT),
            fatal: notice.ends_session(),
            at: at.clone(),
        }
    }

    /// Whether it is this error or of this class (the first two letters).
    pub(crate) fn is(&self, sqlstate: &str) -> bool {
        self.sqlstate.starts_with(sqlstate)
    }
}

impl fmt::Display for ServerError {
    /// Without what it may quote of values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", shown(&self.sqlstate, &self.message), self.sqlstate)?;
        if let (Some(schema), Some(table)) = (&self.schema, &self.table) {
            write!(f, ", table {schema}.{table}")?;
        }
        Ok(())
    }
}

/// A statement that failed: the server said no, or the connection is of no more use.
#[derive(Debug, Clone)]
pub(crate) enum Error {
    /// The server said no. The connection goes on, unless the error is fatal.
    Server(Box<ServerError>),
    /// The connection was lost or lost its step.
    Port(PortError),
}

impl Error {
    /// The server's error, if it is one.
    pub(crate) fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            Self::Port(_) => None,
        }
    }

    /// Whether the server said this SQLSTATE, or one of this class.
    pub(crate) fn is(&self, sqlstate: &str) -> bool {
        self.server().is_some_and(|error| error.is(sqlstate))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => write!(f, "{}: {error}", error.at),
            Self::Port(error) => error.fmt(f),
        }
    }
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Self::Server(Box::new(error))
    }
}

impl From<ServerError> for PortError {
    fn from(error: ServerError) -> Self {
        let (trouble, code) = trouble_of(&error.sqlstate);
        Self::new(trouble, code, format!("{}: {error}", error.at))
    }
}

impl From<Error> for PortError {
    fn from(error: Error) -> Self {
        match error {
            Error::Server(error) => (*error).into(),
            Error::Port(error) => error,
        }
    }
}

/// What an SQLSTATE means for the call as a whole
/// (<https://www.postgresql.org/docs/18/errcodes-appendix.html>).
pub(crate) fn trouble_of(sqlstate: &str) -> (Trouble, &'static str) {
    let class = sqlstate.get(..2).unwrap_or_default();
    match (sqlstate, class) {
        // Before its class: a server without a free slot is not short of memory.
        ("53300", _) | (_, "57") => (Trouble::Unreachable, code::NOT_SERVING),
        ("3D000", _) => (Trouble::Denied, code::ENDPOINT),
        ("42501", _) | (_, "28") => (Trouble::Denied, code::DENIED),
        ("25006", _) => (Trouble::Replaced, code::READ_ONLY),
        ("55P03" | "55006", _) | (_, "40") => (Trouble::Unreachable, code::BUSY),
        ("08P01", _) | (_, "XX") => (Trouble::Protocol, code::PROTOCOL),
        (_, "08") => (Trouble::Unreachable, code::UNREACHABLE),
        (_, "53" | "58") => (Trouble::Full, code::FULL),
        (_, "0A") | ("55000" | "42883" | "42704", _) => (Trouble::Unsupported, code::UNSUPPORTED),
        _ => (Trouble::Rejected, code::REFUSED),
    }
}

/// A reply of another shape than the statement promises.
pub(crate) fn unexpected(what: &str, at: &str) -> PortError {
    PortError::new(Trouble::Protocol, code::PROTOCOL, format!("{at}: unexpected reply to {what}"))
}

pub(crate) fn undecodable(error: impl fmt::Display, at: &str) -> PortError {
    PortError::new(Trouble::Protocol, code::PROTOCOL, format!("{at}: {error}"))
}

pub(crate) fn unreachable(at: &str, why: impl fmt::Display) -> PortError {
    PortError::new(Trouble::Unreachable, code::UNREACHABLE, format!("{at}: {why}"))
}

/// A message without values. Names of objects are quoted as values are, so only messages that
/// speak of data (class 22) or are the application's own (P0) lose what they quote.
fn shown(sqlstate: &str, message: &str) -> String {
    const CHARS_MAX: usize = 240;
    if sqlstate.starts_with("P0") {
        return "raised by a function or a trigger".into();
    }
    let hide = sqlstate.starts_with("22");
    let mut out = String::new();
    let mut quoted = false;
    for c in message.chars().take(CHARS_MAX) {
        match c {
            '"' if hide => {
                if !quoted {
                    out.push_str("\"…\"");
                }
                quoted = !quoted;
            }
            _ if quoted => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table() {
        let check = |state, expect| assert_eq!(trouble_of(state).0, expect, "{state}");
        check("08006", Trouble::Unreachable);
        check("08P01", Trouble::Protocol);
        check("57P01", Trouble::Unreachable);
        check("57P03", Trouble::Unreachable);
        check("53300", Trouble::Unreachable);
        check("53100", Trouble::Full);
        check("28P01", Trouble::Denied);
        check("42501", Trouble::Denied);
        check("25006", Trouble::Replaced);
        check("22P02", Trouble::Rejected);
        check("23505", Trouble::Rejected);
        check("40P01", Trouble::Unreachable);
        check("0A000", Trouble::Unsupported);
        check("", Trouble::Rejected);
    }

    #[test]
    fn values_are_not_repeated() {
        let said = shown("22P02", "invalid input syntax for type integer: \"secret\"");
        assert_eq!(said, "invalid input syntax for type integer: \"…\"");
        assert_eq!(
            shown("42P01", "relation \"a.b\" does not exist"),
            "relation \"a.b\" does not exist"
        );
        assert!(!shown("P0001", "customer 4711 is blocked").contains("4711"));
    }
}
