//! Two connections asked the same at the same time.

use std::time::Duration;

use redis::{Cmd, Value, cmd};

use crate::conn::{Address, Conn, Fault};

/// Replies of one side to a batch, refusals included.
pub(super) type Lenient = Vec<Result<Value, String>>;

/// Both sides.
pub(super) struct Pair {
    pub(super) left: Conn,
    pub(super) right: Conn,
}

const TIMEOUT: Duration = Duration::from_secs(60);

impl Pair {
    pub(super) fn open(left: &Address, right: &Address) -> Result<Self, Fault> {
        Ok(Self { left: Conn::open(left, 0, TIMEOUT)?, right: Conn::open(right, 0, TIMEOUT)? })
    }

    pub(super) fn select(&mut self, db: i64) -> Result<(), Fault> {
        let mut select = cmd("SELECT");
        select.arg(db);
        self.both(&[select]).map(drop)
    }

    /// The same commands to both; a refusal on either side fails the call.
    pub(super) fn both(&mut self, commands: &[Cmd]) -> Result<(Vec<Value>, Vec<Value>), Fault> {
        let (left, right) = self.both_lenient(commands)?;
        let strict = |side: Lenient| -> Result<Vec<Value>, Fault> {
            side.into_iter().map(|r| r.map_err(Fault::No)).collect()
        };
        Ok((strict(left)?, strict(right)?))
    }

    /// The same commands to both, refusals returned.
    pub(super) fn both_lenient(&mut self, commands: &[Cmd]) -> Result<(Lenient, Lenient), Fault> {
        let mut bytes = Vec::with_capacity(commands.len() * 64);
        for command in commands {
            command.write_packed_command(&mut bytes);
        }
        self.left.send(&bytes)?;
        self.right.send(&bytes)?;
        let left = self.left.receive_many(commands.len())?;
        let right = self.right.receive_many(commands.len())?;
        Ok((left, right))
    }
}
