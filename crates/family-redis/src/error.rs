//! How a server's answer becomes a port error: one table, so that every worker reacts alike.

use family::{PortError, Trouble};
use wire_redis::{Value, ValueError};

/// The codes of this family; each has a page in `docs/errors`.
pub(crate) mod code {
    pub(crate) const UNREACHABLE: &str = "EXO-RED-001";
    pub(crate) const DENIED: &str = "EXO-RED-002";
    pub(crate) const FULL: &str = "EXO-RED-003";
    pub(crate) const NOT_SERVING: &str = "EXO-RED-004";
    pub(crate) const NOT_MASTER: &str = "EXO-RED-005";
    pub(crate) const PROTOCOL: &str = "EXO-RED-006";
    pub(crate) const CLUSTER: &str = "EXO-RED-007";
    pub(crate) const ENDPOINT: &str = "EXO-RED-008";
    pub(crate) const NO_FEED: &str = "EXO-RED-009";
    pub(crate) const REFUSED: &str = "EXO-RED-010";
    pub(crate) const BIG_KEY_MOVED: &str = "EXO-RED-011";
    pub(crate) const NO_OTHER_SIDE: &str = "EXO-RED-012";
    pub(crate) const NO_REBUILD: &str = "EXO-RED-013";
    pub(crate) const NO_FENCE: &str = "EXO-RED-014";
    pub(crate) const FENCE_RECORD: &str = "EXO-RED-015";
    pub(crate) const MOVING: &str = "EXO-RED-016";
    pub(crate) const IDENTITY: &str = "EXO-RED-017";
    pub(crate) const FENCE_BACKLOG: &str = "EXO-RED-018";
    pub(crate) const TAP: &str = "EXO-RED-019";
}

/// What an error reply means for the call as a whole.
///
/// The first word is the code (<https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>).
/// A plain `ERR`, `WRONGTYPE` or the like speaks of one record only and is `Rejected`.
pub(crate) fn trouble_of(text: &str) -> (Trouble, &'static str) {
    match text.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => (Trouble::Denied, code::DENIED),
        "OOM" | "MISCONF" => (Trouble::Full, code::FULL),
        "LOADING" | "BUSY" | "MASTERDOWN" | "NOREPLICAS" | "TRYAGAIN" | "CLUSTERDOWN" => {
            (Trouble::Unreachable, code::NOT_SERVING)
        }
        "READONLY" => (Trouble::Replaced, code::NOT_MASTER),
        "MOVED" | "ASK" | "CROSSSLOT" => (Trouble::Unsupported, code::CLUSTER),
        _ if text.starts_with("ERR max number of clients") => {
            (Trouble::Unreachable, code::NOT_SERVING)
        }
        _ if text.starts_with("ERR unknown command") => (Trouble::Unsupported, code::DENIED),
        _ if text.contains("invalid username-password") || text.contains("invalid password") => {
            (Trouble::Denied, code::DENIED)
        }
        _ => (Trouble::Rejected, code::REFUSED),
    }
}

/// A reply that must not be an error.
pub(crate) fn checked(reply: Value, what: &str, at: &str) -> Result<Value, PortError> {
    match reply.error() {
        None => Ok(reply),
        Some(text) => Err(from_reply(&text, what, at)),
    }
}

/// The port error for an error reply to `what`.
pub(crate) fn from_reply(text: &str, what: &str, at: &str) -> PortError {
    let (trouble, code) = trouble_of(text);
    PortError::new(trouble, code, format!("{at}: {what}: {}", masked(text)))
}

/// A reply of another shape than the command's documentation promises.
pub(crate) fn unexpected(what: &str, at: &str) -> PortError {
    PortError::new(Trouble::Protocol, code::PROTOCOL, format!("{at}: unexpected reply to {what}"))
}

pub(crate) fn undecodable(error: ValueError, at: &str) -> PortError {
    PortError::new(Trouble::Protocol, code::PROTOCOL, format!("{at}: {error}"))
}

pub(crate) fn unreachable(at: &str, why: impl std::fmt::Display) -> PortError {
    PortError::new(Trouble::Unreachable, code::UNREACHABLE, format!("{at}: {why}"))
}

/// An error text without what a server may quote from the command: arguments stand in quotes.
fn masked(text: &str) -> String {
    const CHARS_MAX: usize = 160;
    let mut out = String::new();
    let mut quoted = false;
    for c in text.chars().take(CHARS_MAX) {
        match c {
            '\'' | '"' | '`' => {
                if !quoted {
                    out.push_str("'…'");
                }
                quoted = !quoted;
            }
            _ if quoted => {}
            c if c.is_control() => out.push('?'),
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
        let check = |text, expect| assert_eq!(trouble_of(text).0, expect, "{text}");
        check("OOM command not allowed when used memory > 'maxmemory'.", Trouble::Full);
        check("MISCONF Redis is configured to save RDB snapshots", Trouble::Full);
        check("READONLY You can't write against a read only replica.", Trouble::Replaced);
        check("LOADING Redis is loading the dataset in memory", Trouble::Unreachable);
        check("NOPERM this user has no permissions", Trouble::Denied);
        check("WRONGPASS invalid username-password pair", Trouble::Denied);
        check("MOVED 1 127.0.0.1:1", Trouble::Unsupported);
        check("ERR Bad data format", Trouble::Rejected);
        check("WRONGTYPE Operation against a key", Trouble::Rejected);
    }

    #[test]
    fn what_a_server_quotes_is_not_repeated() {
        assert_eq!(
            masked("ERR unknown command 'SECRET', with args"),
            "ERR unknown command '…', with args"
        );
    }
}
