//! What is answered from a client's own state, and small questions about one request.

use family::After;
use model::Access;
use wire_redis::{Arguments, Pending};

use super::super::local;
use super::super::subscriptions::Of;
use super::{RedisSession, Replies};
use crate::commands;
use crate::commands::{Command, Keys, Kind, Role};

impl RedisSession {
    /// Remembers the script that a request brings along.
    pub(super) fn learn(&self, row: &Command, raw: &[u8]) {
        let at = match row.name {
            "eval" => 1,
            "script|load" => 2,
            _ => return,
        };
        if let Some(body) = Arguments::new(raw).nth(at) {
            self.scripts.remember(body);
        }
    }

    pub(super) fn set_info(&mut self, attribute: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let index = match attribute.to_ascii_lowercase().as_slice() {
            b"lib-name" => 0,
            b"lib-ver" => 1,
            _ => {
                let shown = String::from_utf8_lossy(attribute).replace(['\r', '\n'], " ");
                return local::text(out, &format!("ERR Unrecognized option '{shown}'"));
            }
        };
        if !local::is_name(value) {
            let name = String::from_utf8_lossy(attribute).to_ascii_lowercase();
            return local::text(
                out,
                &format!("ERR {name} cannot contain spaces, newlines or special characters."),
            );
        }
        self.library[index] = value.to_vec();
        self.version += 1;
        local::ok(out);
    }

    pub(super) fn set_reply(&mut self, how: &[u8], silent: bool, out: &mut Vec<u8>) -> After {
        match how.to_ascii_lowercase().as_slice() {
            b"on" => {
                self.replies = Replies::On;
                local::ok(out);
            }
            b"off" => self.replies = Replies::Off,
            // SKIP changes nothing while replies are off.
            b"skip" if self.replies != Replies::Off => self.replies = Replies::SkipNext,
            b"skip" => {}
            _ if silent => {}
            _ => local::text(out, "ERR syntax error"),
        }
        After::Continue
    }
}

pub(super) fn access(row: &Command, raw: &[u8]) -> Access {
    match row.kind {
        Kind::Read => Access::Read,
        Kind::Write if row.keys == Keys::Store && !commands::stores(raw) => Access::Read,
        Kind::Write => Access::Write,
        Kind::Server => Access::Server,
        Kind::Refused => Access::Refused,
    }
}

/// Scripts and what must reach a server that is busy with one: never behind other clients.
pub(super) fn is_script(row: &Command) -> bool {
    matches!(
        row.name,
        "eval"
            | "evalsha"
            | "fcall"
            | "eval_ro"
            | "evalsha_ro"
            | "fcall_ro"
            | "script|kill"
            | "function|kill"
            | "shutdown"
            | "debug"
    )
}

/// Whether all keys are among the arguments that have arrived.
pub(super) fn keys_seen(keys: Keys, pending: Pending) -> bool {
    match keys {
        Keys::Nowhere => true,
        Keys::Range(_, last @ 0.., _) => pending.arguments > usize::from(last.unsigned_abs()),
        _ => false,
    }
}

pub(super) fn subscribed_to(role: Role) -> Of {
    match role {
        Role::PUnsubscribe => Of::Patterns,
        Role::SUnsubscribe => Of::Shards,
        _ => Of::Channels,
    }
}

pub(super) fn parse_db(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn is_nil(reply: &[u8]) -> bool {
    reply.starts_with(b"*-1\r\n") || reply.starts_with(b"$-1\r\n") || reply.starts_with(b"_\r\n")
}
