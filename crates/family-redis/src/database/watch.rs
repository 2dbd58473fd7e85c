//! The fence around a read: `WATCH` before it, `MULTI PING EXEC` after it, which answers nil when
//! anything watched has changed.
//!
//! `WATCH` holds on to the database it was given in. It costs the server the square of the keys
//! one connection watches. The end of one fence and the beginning of the next travel in one
//! message where a batch follows a batch.

use family::{Moved, PortError};
use model::Key;
use wire_redis::Value;

use crate::conn::Conn;
use crate::error;
use crate::key::KeyRef;

/// What the fence covers.
pub(super) enum Fence {
    Down,
    /// Around nothing: holds trivially.
    Empty,
    Up {
        /// Named when it is a single record: then a nil says which one moved.
        only: Option<Key>,
    },
}

impl Fence {
    pub(super) fn around(keys: &[Key]) -> Self {
        Self::Up { only: (keys.len() == 1).then(|| keys[0].clone()) }
    }

    /// What its end says.
    pub(super) fn moved(self, unchanged: bool) -> Moved {
        match self {
            _ if unchanged => Moved::None,
            Self::Up { only: Some(key) } => Moved::Keys(vec![key]),
            _ => Moved::Some,
        }
    }
}

/// The end of the fence before, asked in the same message that raises the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Nothing,
    Asked,
    Unchanged,
    Moved,
}

impl Ending {
    pub(super) fn queue(self, conn: &mut Conn) {
        if self == Self::Asked {
            queue_exec(conn);
        }
    }

    /// Takes the replies, which come before those of everything queued behind it.
    pub(super) async fn take(&mut self, conn: &mut Conn) -> Result<(), PortError> {
        if *self == Self::Asked {
            let unchanged = take_exec(conn).await?;
            *self = if unchanged { Self::Unchanged } else { Self::Moved };
        }
        Ok(())
    }
}

/// Watches every key; on return the fence is up.
pub(crate) async fn watch(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    groups: &[(u16, Vec<usize>)],
) -> Result<(), PortError> {
    for (db, members) in groups {
        let owed = conn.queue_select(*db);
        queue_watch(conn, refs, members);
        conn.selected(owed).await?;
        watched(conn).await?;
    }
    Ok(())
}

pub(super) fn queue_watch(conn: &mut Conn, refs: &[KeyRef<'_>], members: &[usize]) {
    conn.queue_head(1 + members.len());
    conn.arg(b"WATCH");
    for &i in members {
        conn.arg(refs[i].name);
    }
}

/// The reply to [`queue_watch`]. Without the fence what was asked behind it is worth nothing.
pub(super) async fn watched(conn: &mut Conn) -> Result<(), PortError> {
    let reply = conn.next().await?;
    error::checked(reply, "WATCH", conn.at()).map(|_| ())
}

/// Whether nothing watched has changed. Ends the watch.
pub(crate) async fn exec_unchanged(conn: &mut Conn) -> Result<bool, PortError> {
    queue_exec(conn);
    take_exec(conn).await
}

fn queue_exec(conn: &mut Conn) {
    conn.queue(&[b"MULTI"]);
    conn.queue(&[b"PING"]);
    conn.queue(&[b"EXEC"]);
}

async fn take_exec(conn: &mut Conn) -> Result<bool, PortError> {
    let multi = conn.next().await?;
    let queued = conn.next().await?;
    let exec = conn.next().await?;
    error::checked(multi, "MULTI", conn.at())?;
    error::checked(queued, "PING", conn.at())?;
    match error::checked(exec, "EXEC", conn.at())? {
        Value::Nil => Ok(false),
        Value::Array(_) => Ok(true),
        _ => Err(error::unexpected("EXEC", conn.at())),
    }
}
