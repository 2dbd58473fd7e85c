//! Connections given up with a statement unanswered.
//!
//! Such a statement may still run, and commit, after its successors. So its backend is kept here
//! until it is proved dead, and no new connection of ours is used before that.

use std::collections::BTreeSet;

use family::PortError;
use parking_lot::Mutex;

use super::Conn;
use crate::sql::literal;

/// Backends of abandoned connections of one endpoint: process and start, as the server says them.
///
/// Bounded by what can be given up between two successful connects: one entry per connection
/// that was open.
#[derive(Debug, Default)]
pub(crate) struct Abandoned(Mutex<BTreeSet<(u32, String)>>);

impl Abandoned {
    pub(crate) fn note(&self, pid: u32, started: &str) {
        self.0.lock().insert((pid, started.to_owned()));
    }

    /// Kills every abandoned backend and waits until none is left. Says how many were alive.
    pub(crate) async fn bury(&self, conn: &mut Conn, tag: &str) -> Result<usize, PortError> {
        let dead: Vec<_> = self.0.lock().iter().cloned().collect();
        if dead.is_empty() {
            return Ok(0);
        }
        let list = dead.iter().map(|(pid, started)| format!("({pid}, '{started}'::timestamptz)"));
        let which = format!(
            "(pid, backend_start) IN ({}) AND starts_with(application_name, {})",
            list.collect::<Vec<_>>().join(", "),
            literal(tag)
        );
        let killed = super::kill(conn, &which).await?;
        let mut open = self.0.lock();
        for one in &dead {
            open.remove(one);
        }
        Ok(killed)
    }
}
