//! What is answered here in the server's place: who the authority is, and what follows something
//! that was refused or broken off.

use family::After;
use wire_postgres::encode::Severity;
use wire_postgres::query::{Bind, Execute, ParseMessage, Target};
use wire_postgres::session::Transaction;
use wire_postgres::tags::backend as reply;
use wire_postgres::tags::frontend as tag;

use super::super::front::Front;
use super::super::local;
use super::super::statement::words;
use super::{Ended, PostgresSession};

/// Statements of this kind whose names are remembered.
const NAMES_MAX: usize = 64;
/// What applications ask to learn who decides now.
const QUESTION: [&str; 2] = ["show", "exodus.authority"];

/// Whether a text asks who the authority is.
pub(super) fn asks_for_authority(text: &[u8]) -> bool {
    // Nothing longer can be it, and most statements are.
    text.len() <= 64 && words(text, 2).is_some_and(|words| words == QUESTION)
}

/// How a statement ends a transaction, if it is one that does nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
}

fn ends(text: &[u8]) -> Option<End> {
    let words = words(text, 4)?;
    let (first, rest) = words.split_first()?;
    let end = match first.as_str() {
        "commit" | "end" => End::Commit,
        "rollback" | "abort" => End::Rollback,
        _ => return None,
    };
    rest.iter().all(|w| matches!(w.as_str(), "work" | "transaction")).then_some(end)
}

impl PostgresSession {
    /// Whether all of a group is about statements that are answered here.
    pub(super) fn is_local(&mut self, raw: &[u8]) -> bool {
        // Most groups end here: their first message is something else.
        let (mut statement, mut portal) = (false, false);
        let mut executes = false;
        for (type_byte, body, _) in local::messages(raw) {
            let known = |name: &[u8], statement: bool| match name {
                b"" => statement,
                name => self.local_names.contains(name),
            };
            let ours = match type_byte {
                tag::PARSE => {
                    let parse = ParseMessage::parse(body);
                    let ours = parse.as_ref().is_ok_and(|p| asks_for_authority(p.query));
                    if let Ok(parse) = parse.as_ref().map(|p| p.statement)
                        && ours
                    {
                        statement |= parse.is_empty();
                        if !parse.is_empty() && self.local_names.len() < NAMES_MAX {
                            self.local_names.insert(parse.into());
                        }
                    }
                    ours
                }
                tag::BIND => Bind::parse(body).is_ok_and(|bind| {
                    portal = known(bind.statement, statement) && bind.portal.is_empty();
                    portal
                }),
                tag::DESCRIBE | tag::CLOSE => match Target::parse(body) {
                    Ok(Target::Statement(name)) => known(name, statement),
                    Ok(Target::Portal(b"")) => portal,
                    _ => false,
                },
                tag::EXECUTE => {
                    executes = true;
                    portal && Execute::parse(body).is_ok_and(|e| e.portal.is_empty())
                }
                tag::SYNC => statement || portal || executes || self.is_local_close(raw),
                _ => false,
            };
            if !ours {
                return false;
            }
        }
        true
    }

    /// A group that only describes or closes a named statement of ours.
    fn is_local_close(&self, raw: &[u8]) -> bool {
        local::messages(raw).any(|(type_byte, ..)| type_byte != tag::SYNC)
    }

    /// Answers what was said to be answered here.
    pub(super) fn in_place_of_server(&mut self, raw: &[u8], out: &mut Vec<u8>) -> After {
        match self.looker.front() {
            Front::Terminate { .. } => return After::Close,
            _ if self.skipping => {
                self.skipping = false;
                local::ready(out, self.shown_status());
            }
            _ if self.ended != Ended::No => self.answer_ended(raw, out),
            _ if self.status == Transaction::Failed => {
                let message = "current transaction is aborted, commands ignored until end of \
                               transaction block";
                local::error(out, Severity::Error, "25P02", message, "");
                local::ready(out, self.status);
            }
            _ => self.answer_authority(raw, out),
        }
        After::Continue
    }

    fn shown_status(&self) -> Transaction {
        match self.ended {
            Ended::No => self.status,
            Ended::Untold => Transaction::Open,
            Ended::Told => Transaction::Failed,
        }
    }

    fn answer_authority(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let value = self.authority.to_string();
        let name = b"exodus.authority";
        let mut format = 0;
        for (type_byte, body, _) in local::messages(raw) {
            match type_byte {
                tag::QUERY => {
                    local::column(out, name, 0);
                    local::row(out, value.as_bytes());
                    local::complete(out, b"SHOW");
                    local::ready(out, self.status);
                }
                tag::BIND => {
                    let bind = Bind::parse(body);
                    format = bind.map_or(0, |bind| bind.result_formats.of(0));
                    local::bare(out, reply::BIND_COMPLETE);
                }
                tag::DESCRIBE => {
                    if matches!(Target::parse(body), Ok(Target::Statement(_))) {
                        local::no_parameters(out);
                    }
                    local::column(out, name, format);
                }
                tag::EXECUTE => {
                    local::row(out, value.as_bytes());
                    local::complete(out, b"SHOW");
                }
                tag::CLOSE => {
                    if let Ok(Target::Statement(name)) = Target::parse(body) {
                        self.local_names.remove(name);
                    }
                    local::bare(out, reply::CLOSE_COMPLETE);
                }
                tag::PARSE => local::bare(out, reply::PARSE_COMPLETE),
                _ => local::ready(out, self.status),
            }
        }
    }

    /// The client goes on with a transaction that a barrier has ended.
    fn answer_ended(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let mut end = None;
        let mut synced = false;
        for (type_byte, body, _) in local::messages(raw) {
            match type_byte {
                tag::QUERY => end = ends(body.strip_suffix(b"\0").unwrap_or(body)),
                tag::PARSE => end = ParseMessage::parse(body).ok().and_then(|p| ends(p.query)),
                _ => {}
            }
            synced |= matches!(type_byte, tag::QUERY | tag::SYNC | tag::FUNCTION_CALL);
        }
        let untold = self.ended == Ended::Untold;
        match end {
            // A commit that does not happen is an error, not a tag that nobody looks at.
            Some(End::Commit) if untold => {
                self.over();
                tell_ended(out);
                self.after_error(synced, out);
            }
            Some(_) => {
                self.over();
                roll_back(raw, out);
            }
            None => {
                if untold {
                    tell_ended(out);
                    self.ended = Ended::Told;
                } else {
                    let message = "current transaction is aborted, commands ignored until end of \
                                   transaction block";
                    local::error(out, Severity::Error, "25P02", message, "");
                }
                self.after_error(synced, out);
            }
        }
    }

    /// The transaction is over for the client too.
    fn over(&mut self) {
        (self.ended, self.status) = (Ended::No, Transaction::Idle);
    }

    fn after_error(&mut self, synced: bool, out: &mut Vec<u8>) {
        match synced {
            true => local::ready(out, self.shown_status()),
            false => self.skipping = true,
        }
    }
}

fn tell_ended(out: &mut Vec<u8>) {
    let message = "the transaction was ended because the database moves to another system";
    local::error(out, Severity::Error, "40001", message, local::ENDED);
}

/// The messages of a ROLLBACK, as a server that has nothing to roll back would answer them.
fn roll_back(raw: &[u8], out: &mut Vec<u8>) {
    for (type_byte, body, _) in local::messages(raw) {
        match type_byte {
            tag::QUERY => {
                local::complete(out, b"ROLLBACK");
                local::ready(out, Transaction::Idle);
            }
            tag::PARSE => local::bare(out, reply::PARSE_COMPLETE),
            tag::BIND => local::bare(out, reply::BIND_COMPLETE),
            tag::CLOSE => local::bare(out, reply::CLOSE_COMPLETE),
            tag::DESCRIBE => {
                if matches!(Target::parse(body), Ok(Target::Statement(_))) {
                    local::no_parameters(out);
                }
                local::bare(out, reply::NO_DATA);
            }
            tag::EXECUTE => local::complete(out, b"ROLLBACK"),
            tag::SYNC => local::ready(out, Transaction::Idle),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_ends() {
        assert!(asks_for_authority(b"SHOW exodus.authority;"));
        assert!(!asks_for_authority(b"SHOW exodus.authority; DROP TABLE t"));
        assert_eq!(ends(b"COMMIT"), Some(End::Commit));
        assert_eq!(ends(b"rollback work"), Some(End::Rollback));
        assert_eq!(ends(b"rollback to savepoint a"), None);
        assert_eq!(ends(b"commit prepared x"), None);
        assert_eq!(ends(b"commit; drop table t"), None);
    }
}
