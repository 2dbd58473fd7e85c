//! What each command may do, where its keys are, and how it waits.
//!
//! Constraints: one table, made from the servers' own metadata plus reviewed rows; finding a
//! command allocates nothing and does not depend on letter case; what is not in the table counts
//! as a write to anything. Classification routes, it never grants: the server decides rights.
//!
//! Layout: `table` is generated (see `tools/commands.py`), `keys` finds the keys of one request,
//! `blocks` its time limit.

mod blocks;
mod keys;
mod table;

use std::sync::LazyLock;

pub(crate) use blocks::{limit, with_limit};
pub(crate) use keys::{for_each_key, stores};
use table::TABLE;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Command {
    /// Lower case; a subcommand as `container|subcommand`.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) keys: Keys,
    /// It may touch records that its arguments do not name.
    pub(crate) anything: bool,
    /// A deterministic read of the keys it names: any side that has them may answer.
    pub(crate) follower: bool,
    /// Its first argument is the name of a subcommand.
    pub(crate) container: bool,
    pub(crate) blocks: Blocks,
    pub(crate) compare: Comparator,
    pub(crate) role: Role,
}

/// What it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    /// Concerns the server or the connection; no record changes.
    Server,
    /// Cannot be kept across two sides.
    Refused,
}

/// Where its keys are. Positions count from 0, the command's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Nowhere,
    /// First, last (negative counts from the end), step.
    Range(u8, i8, u8),
    /// The number of keys stands here, the keys follow.
    Counted(u8),
    /// A destination at 1, then as `Counted`.
    FirstAndCounted(u8),
    /// The first half of what follows the word STREAMS.
    Streams,
    /// 1, and the destinations after STORE and STOREDIST.
    Store,
    /// 3, or what follows the word KEYS.
    Migrate,
    /// 1 and 2, the second possibly in another database (DB).
    Copy,
    /// 1, here and in the database at 2.
    Move,
}

/// How it waits on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocks {
    Never,
    /// The last argument is a limit in seconds.
    LastSeconds,
    /// The first argument is a limit in seconds.
    FirstSeconds,
    /// The argument after BLOCK is a limit in milliseconds; without it it does not wait.
    BlockOption,
    /// The last argument is a limit in milliseconds.
    LastMillis,
}

/// How replies of two servers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    NotCompared,
    /// Byte for byte, but for the protocol's own variants of the same value.
    Exact,
    /// The same items in any order.
    Multiset,
    /// The same pairs in any order.
    Pairs,
    /// Numbers in text may be formatted differently.
    Float,
    /// A remaining time in seconds.
    Seconds,
    /// A remaining time in milliseconds.
    Millis,
}

/// What it means for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Plain,
    Unknown,
    Ping,
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Subscribe,
    Unsubscribe,
    PSubscribe,
    PUnsubscribe,
    SSubscribe,
    SUnsubscribe,
    Monitor,
    Auth,
    Hello,
    Select,
    Reset,
    Quit,
    SetName,
    GetName,
    SetInfo,
    Reply,
    Tracking,
    ScriptLoad,
    /// Sets or shows some other state of the connection: needs one of its own.
    State,
    /// Speaks of the writes of its own connection.
    Wait,
    /// Turns the connection into a replica's.
    Replica,
}

/// Longest name in the table.
const NAME_BYTES_MAX: usize = 32;
/// Slots of the hash index, a power of two about four times the table.
const SLOTS: usize = 2048;

/// Row numbers by hash of the name; [`EMPTY`] where there is none.
static INDEX: LazyLock<Box<[u16; SLOTS]>> = LazyLock::new(|| {
    let mut slots = Box::new([EMPTY; SLOTS]);
    for (row, command) in TABLE.iter().enumerate().take(TABLE.len() - 1) {
        let mut slot = hash(command.name.as_bytes());
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = row as u16;
    }
    slots
});

const EMPTY: u16 = u16::MAX;
/// The row for everything that is not in the table.
pub(crate) const UNKNOWN: u16 = (TABLE.len() - 1) as u16;

fn hash(lower: &[u8]) -> usize {
    let mut h: u64 = lower.len() as u64;
    for &b in lower {
        h = (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3_9e37);
    }
    (h >> 40) as usize % SLOTS
}

fn row_of(lower: &[u8]) -> Option<u16> {
    let mut slot = hash(lower);
    loop {
        match INDEX[slot] {
            EMPTY => return None,
            row if TABLE[usize::from(row)].name.as_bytes() == lower => return Some(row),
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

/// The row of a command by its name and, for containers, its first argument. An unknown
/// subcommand counts as its container when that has no argument, else as unknown.
#[inline]
pub(crate) fn find(name: &[u8], first: Option<&[u8]>) -> u16 {
    let mut buffer = [0u8; NAME_BYTES_MAX];
    let Some(lower) = buffer.get_mut(..name.len()) else { return UNKNOWN };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let Some(row) = row_of(lower) else { return UNKNOWN };
    match first {
        Some(sub) if TABLE[usize::from(row)].container => {
            let end = name.len() + 1 + sub.len();
            let Some(both) = buffer.get_mut(..end) else { return row };
            both[name.len()] = b'|';
            both[name.len() + 1..].copy_from_slice(sub);
            both.make_ascii_lowercase();
            // The server answers an unknown subcommand of a known container with an error.
            row_of(both).unwrap_or(row)
        }
        _ => row,
    }
}

/// A row by its number.
#[inline]
pub(crate) fn row(number: u16) -> &'static Command {
    TABLE.get(usize::from(number)).unwrap_or(&TABLE[usize::from(UNKNOWN)])
}

/// The names of all rows, by number.
pub(crate) fn names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| TABLE.iter().map(|c| c.name).collect());
    &NAMES
}

/// The row number of a name that is in the table.
#[cfg(test)]
pub(crate) fn number(name: &str) -> u16 {
    row_of(name.as_bytes()).expect("the name is in the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_in_any_case() {
        for (number, command) in TABLE.iter().enumerate().take(TABLE.len() - 1) {
            let upper = command.name.to_ascii_uppercase();
            let (name, sub) = match upper.split_once('|') {
                Some((name, sub)) => (name, Some(sub.as_bytes())),
                None => (upper.as_str(), None),
            };
            assert_eq!(find(name.as_bytes(), sub), number as u16, "{upper}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_may_write_anything() {
        for name in ["", "NOSUCH", &"X".repeat(1000)] {
            let row = row(find(name.as_bytes(), Some(b"arg")));
            assert_eq!((row.kind, row.anything), (Kind::Write, true), "{name}");
        }
        assert_eq!(row(find(b"client", Some(b"nosuch"))).name, "client");
        assert_eq!(row(find(b"config", Some(&[b'x'; 100]))).name, "config");
    }

    #[test]
    fn only_reads_of_named_keys_may_leave_the_authority() {
        for command in TABLE.iter().filter(|c| c.follower || c.compare != Comparator::NotCompared) {
            assert_eq!(command.kind, Kind::Read, "{}", command.name);
            assert_ne!(command.keys, Keys::Nowhere, "{}", command.name);
            assert!(!command.anything && command.blocks == Blocks::Never, "{}", command.name);
        }
        for name in ["scan", "randomkey", "eval_ro", "pfcount", "touch", "object|freq"] {
            assert!(!row(number(name)).follower, "{name}");
        }
    }
}
