//! What servers are told, and how their answers are heard. Pure: for whoever has the connection.

use super::coordinator::{Action, Event, Xids};
use super::{Fate, Finished, Gid, Place, Reply, SqlState, Standing, Verdict, decision};
use crate::sql::literal;

/// What a server answered to one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// Success: the tag of the last command, and the values of the last row.
    Done {
        /// As `COMMIT PREPARED`.
        tag: &'a str,
        /// NULL is `None`.
        row: &'a [Option<&'a str>],
    },
    /// An error of the server.
    Refused {
        /// Its code.
        state: SqlState,
        /// The session ended with it.
        fatal: bool,
    },
    /// The connection was lost, or given up.
    Nothing,
}

/// The statement of an action, for the session it is said on: the transaction's own session for
/// what is open, any session that may for the rest. `None` for what is not said to a server.
#[must_use]
pub fn words(action: &Action, gid: &Gid, xids: Xids) -> Option<String> {
    let name = || literal(&gid.to_string());
    Some(match action {
        Action::Prepare(_) => format!("PREPARE TRANSACTION {}", name()),
        Action::Decide => decision::decide(gid, None, xids.other),
        Action::Record => decision::decide(gid, Some(xids.authority), xids.other),
        Action::Commit => "COMMIT".to_owned(),
        Action::Rollback(_) => "ROLLBACK".to_owned(),
        Action::Fence => decision::fence(gid),
        Action::Finish(_, verdict) => finish(gid, *verdict),
        Action::Status(Place::Authority) => status(xids.authority),
        Action::Status(Place::Other) => status(xids.other),
        Action::Bury(_) | Action::Answer(_) | Action::Leave(_) => return None,
    })
}

/// The event a server's answer to [`words`] makes; `None` for what is not answered by a server.
#[must_use]
pub fn heard(action: &Action, said: Said<'_>) -> Option<Event> {
    Some(match action {
        Action::Prepare(_) => Event::Prepared(reply(said, "PREPARE TRANSACTION")),
        Action::Decide => Event::Decided(reply(said, "SELECT 1")),
        Action::Record => Event::Recorded(reply(said, "SELECT 1")),
        Action::Commit => Event::Committed(reply(said, "COMMIT")),
        Action::Rollback(_) => Event::RolledBack,
        Action::Fence => Event::Stands(standing(said)),
        Action::Finish(..) => Event::Finished(finished(said)),
        Action::Status(_) => Event::Fate(fate(said)),
        Action::Bury(_) | Action::Answer(_) | Action::Leave(_) => return None,
    })
}

/// Ends a prepared transaction; cannot be part of a text with other statements.
pub(super) fn finish(gid: &Gid, verdict: Verdict) -> String {
    let verb = match verdict {
        Verdict::Commit => "COMMIT",
        Verdict::Abort => "ROLLBACK",
    };
    format!("{verb} PREPARED {}", literal(&gid.to_string()))
}

/// Asks what became of a transaction. The name that every version since 10 knows.
pub(super) fn status(xid: u64) -> String {
    format!("SELECT pg_catalog.txid_status({xid})")
}

/// A step's answer, success only with the tag that is promised: `PREPARE TRANSACTION` and `COMMIT`
/// of a failed transaction succeed as well, with the tag `ROLLBACK`.
fn reply(said: Said<'_>, promised: &str) -> Reply {
    match said {
        Said::Done { tag, .. } if tag == promised => Reply::Done,
        Said::Done { tag: "ROLLBACK", .. } => Reply::RolledBack,
        Said::Refused { state, fatal: false } => Reply::Refused(state),
        // A session that ends may have done what it was asked before it ended.
        Said::Done { .. } | Said::Refused { .. } | Said::Nothing => Reply::Lost,
    }
}

pub(super) fn finished(said: Said<'_>) -> Finished {
    match said {
        Said::Done { .. } => Finished::Done,
        Said::Refused { state: SqlState::MISSING, .. } => Finished::Missing,
        Said::Refused { state, fatal } if fatal || passes(state) => Finished::Later,
        Said::Refused { state, .. } => Finished::Refused(state),
        Said::Nothing => Finished::Later,
    }
}

/// Whether the same statement may succeed later: another session has the transaction in hand, the
/// server is short of something, starts, stops or was interrupted.
pub(super) fn passes(state: SqlState) -> bool {
    matches!(state.as_str().get(..2), Some("08" | "40" | "53" | "55" | "57" | "58"))
}

/// What stands; a refused fence is no answer.
pub(super) fn standing(said: Said<'_>) -> Option<Standing> {
    let Said::Done { row: &[Some(state), Some(xid)], .. } = said else { return None };
    let verdict = match state {
        "commit" => Verdict::Commit,
        "abort" => Verdict::Abort,
        _ => return None,
    };
    Some(Standing { verdict, xid: xid.parse().ok()? })
}

pub(super) fn fate(said: Said<'_>) -> Option<Fate> {
    match said {
        Said::Done { row: &[Some("committed")], .. } => Some(Fate::Committed),
        Said::Done { row: &[Some("aborted")], .. } => Some(Fate::Aborted),
        Said::Done { row: &[Some("in progress")], .. } => Some(Fate::Running),
        Said::Done { row: &[None], .. } => Some(Fate::Forgotten),
        // An id the server has not given out yet: it is not the server that gave it.
        Said::Refused { state, fatal: false } if state.as_str() == "22023" => Some(Fate::Forgotten),
        _ => None,
    }
}

/// A transaction id as servers list it, as the 64 bit number it is part of. `next` is not in use
/// yet; what is prepared is never further behind it than half of all 32 bit numbers.
pub(super) fn widened(xid: u32, next: u64) -> u64 {
    let behind = (next as u32).wrapping_sub(xid);
    next.saturating_sub(u64::from(behind))
}

#[cfg(test)]
mod tests {
    use super::widened;

    #[test]
    fn ids_are_widened_across_the_end_of_an_epoch() {
        assert_eq!(widened(740, 741), 740);
        assert_eq!(widened(u32::MAX, (1 << 32) + 5), u64::from(u32::MAX));
        assert_eq!(widened(3, (7 << 32) + 5), (7 << 32) + 3);
    }
}
