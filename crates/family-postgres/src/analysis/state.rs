//! What statements leave behind in a session.

use std::ops::{BitOr, BitOrAssign};

/// What a statement leaves behind in its session, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionState(u16);

impl SessionState {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A setting that lasts until the session ends.
    pub const SET: Self = Self(1);
    /// A setting, or the mode of a constraint, that lasts until the transaction ends.
    pub const SET_LOCAL: Self = Self(1 << 1);
    /// A setting goes back to its default.
    pub const RESET: Self = Self(1 << 2);
    /// DISCARD: some or all of what the session has is dropped.
    pub const DISCARD: Self = Self(1 << 3);
    /// A prepared statement by SQL.
    pub const PREPARE: Self = Self(1 << 4);
    /// A prepared statement is dropped by SQL.
    pub const DEALLOCATE: Self = Self(1 << 5);
    /// A subscription to notifications.
    pub const LISTEN: Self = Self(1 << 6);
    /// A subscription ends.
    pub const UNLISTEN: Self = Self(1 << 7);
    /// A temporary table, view, sequence, type or function.
    pub const TEMPORARY: Self = Self(1 << 8);
    /// A lock that only the session can give back.
    pub const ADVISORY_LOCK: Self = Self(1 << 9);
    /// A cursor that outlives its transaction.
    pub const HOLD_CURSOR: Self = Self(1 << 10);
    /// Another role.
    pub const ROLE: Self = Self(1 << 11);
    /// A library is loaded into the server process.
    pub const LOAD: Self = Self(1 << 12);
    /// A cursor within the transaction.
    pub const CURSOR: Self = Self(1 << 13);
    /// Anything: a code block or a function nobody looked into.
    pub const UNKNOWN: Self = Self(1 << 15);

    const NAMES: [(Self, &'static str); 15] = [
        (Self::SET, "set"),
        (Self::SET_LOCAL, "set_local"),
        (Self::RESET, "reset"),
        (Self::DISCARD, "discard"),
        (Self::PREPARE, "prepare"),
        (Self::DEALLOCATE, "deallocate"),
        (Self::LISTEN, "listen"),
        (Self::UNLISTEN, "unlisten"),
        (Self::TEMPORARY, "temporary"),
        (Self::ADVISORY_LOCK, "advisory_lock"),
        (Self::HOLD_CURSOR, "hold_cursor"),
        (Self::ROLE, "role"),
        (Self::LOAD, "load"),
        (Self::CURSOR, "cursor"),
        (Self::UNKNOWN, "unknown"),
    ];

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether something of `other` is in it.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in it, as stable words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, word)| word)
    }
}

impl BitOr for SessionState {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for SessionState {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl std::fmt::Debug for SessionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}
