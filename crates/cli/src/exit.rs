//! What a process tells its caller. Scripts branch on these numbers, so they never change.

/// How a command ended. The discriminant is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and what was asked is true.
    Done = 0,
    /// Something inside failed: a bug, or a server that answered nonsense.
    Internal = 1,
    /// The command line or the configuration is wrong; nothing was asked of the server.
    Usage = 2,
    /// The command finished and found blockers.
    Blockers = 3,
    /// Finished, with open divergence, parked or skipped records.
    Open = 4,
    /// Not allowed: no token, a wrong one, or a role that lacks the right.
    Denied = 5,
    /// Waiting for a gate; somebody has to approve.
    Gate = 6,
    /// The command's own time limit passed. The run is unharmed.
    TimedOut = 7,
    /// Refused: the state changed, or does not allow this.
    Refused = 8,
    /// The server could not be reached.
    Unreachable = 9,
    /// The run is rolling back, or was rolled back.
    RolledBack = 10,
    /// A plan has changes.
    Changes = 11,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> i32 {
        i32::from(self as u8)
    }
}
