//! A client that is in: what is at the front of its input, and where that has to go.

use family::{Expect, Next, Place, Request, Session as _};
use model::Access;
use wire_postgres::tags::frontend;
use wire_postgres::{FrameError, encode};

use super::super::front::Front;
use super::super::statement::{self, Does, class};
use super::super::{expect, local};
use super::{Ended, PostgresSession, answers};

impl PostgresSession {
    /// What a text does in this session's database.
    pub(super) fn judge(&self, text: &[u8]) -> Does {
        let analyzer = self.shared.options.analyzers.get(&self.database);
        let standard = self.parameters.get(&b"standard_conforming_strings"[..]);
        statement::judge(text, analyzer.map(|a| &**a), standard.is_none_or(|v| v == b"on"))
    }

    /// What is at the front, once the client is in.
    pub(super) fn speaking(&mut self, input: &[u8]) -> Next {
        let front = self.looker.look(input);
        if self.skipping || self.ended != Ended::No {
            return self.passing(front);
        }
        match front {
            Front::More => Next::More,
            Front::Malformed(error) => self.malformed(error),
            Front::Rest { len, .. } if self.discarding => Next::Skip(len),
            Front::Rest { len, last } => Next::Body(len, last),
            // A server that wants no data takes it and says nothing.
            Front::Data { len, .. } | Front::DataEnd { len } => {
                match self.copying || self.owed() > 0 {
                    true => Next::Body(len, true),
                    false => Next::Skip(len),
                }
            }
            Front::Flush { len } if self.grouped => Next::Body(len, true),
            Front::Flush { len } => Next::Skip(len),
            Front::Terminate { len } => Next::Local { len, class: class("local") },
            // The server reads it as part of the COPY.
            Front::Sync { len, count: 0 } if self.copying => Next::Body(len, true),
            Front::Sync { len, count } => {
                if self.is_local(&input[..len]) {
                    return Next::Local { len, class: class("local") };
                }
                let certain = self.data_ended || self.owed() == 0;
                self.extended(&input[..len], len, expect::sync(count, certain))
            }
            Front::Run { len, count } => self.extended(&input[..len], len, expect::run(count)),
            Front::Cut { len, count } => {
                self.rewritten.clear();
                self.rewritten.extend_from_slice(&input[..len]);
                local::put(&mut self.rewritten, |b| {
                    encode::flush(b);
                    Ok(())
                });
                let next = self.extended(&input[..len], len, expect::run(count));
                match next {
                    Next::Request(request) => Next::Request(Request { rewritten: true, ..request }),
                    other => other,
                }
            }
            Front::Query { len } => {
                let text = input.get(5..len.saturating_sub(1)).unwrap_or_default();
                if answers::asks_for_authority(text) {
                    return Next::Local { len, class: class("local") };
                }
                let does = self.judge(text);
                self.request(does, len, false, true, expect::QUERY)
            }
            Front::Function { len } => {
                let does = Does { class: class("function"), ..Does::UNKNOWN };
                self.request(does, len, false, false, expect::QUERY)
            }
            Front::Large { len, tag } => {
                let expect = match tag {
                    frontend::QUERY | frontend::FUNCTION_CALL => expect::QUERY,
                    _ => expect::run(1),
                };
                self.request(Does::UNKNOWN, len, true, false, expect)
            }
        }
    }

    /// What is at the front while it is not for the server: behind something refused.
    pub(super) fn passing(&mut self, front: Front) -> Next {
        let local = |len| Next::Local { len, class: class("local") };
        match front {
            Front::More => Next::More,
            Front::Malformed(error) => self.malformed(error),
            Front::Terminate { len } | Front::Sync { len, .. } => local(len),
            Front::Query { len } | Front::Function { len } if !self.skipping => local(len),
            Front::Run { len, .. } | Front::Cut { len, .. } if !self.skipping => local(len),
            Front::Run { len, .. }
            | Front::Cut { len, .. }
            | Front::Query { len }
            | Front::Function { len }
            | Front::Rest { len, .. }
            | Front::Large { len, .. }
            | Front::Data { len, .. }
            | Front::DataEnd { len }
            | Front::Flush { len } => Next::Skip(len),
        }
    }

    pub(super) fn malformed(&mut self, why: FrameError) -> Next {
        // A server says nothing to who cannot be told where a message ends.
        self.malformed = match why {
            FrameError::Length { .. } => String::new(),
            why => why.to_string(),
        };
        Next::Malformed
    }

    /// A request for a server. `whole`: all of what it does stands in it.
    pub(super) fn request(
        &mut self,
        does: Does,
        len: usize,
        open: bool,
        whole: bool,
        expect: Expect,
    ) -> Next {
        self.facing.does = Some(does);
        // Whether the client is inside of something is known only when nothing is owed.
        let alone = self.owed() == 0 && !self.bound();
        let elsewhere = whole && alone && !self.altered && !self.foreign_types;
        Next::Request(Request {
            len,
            open,
            class: does.class,
            access: does.access,
            place: Place::Own,
            expect,
            rewritten: false,
            inspect: false,
            blocking: false,
            comparable: elsewhere && does.follower,
            follower: elsewhere && does.follower && does.access == Access::Read,
            suppress: false,
        })
    }
}
