//! What servers do with what they are told, and what the machines then hear.

use family_postgres::twophase::coordinator;
use family_postgres::twophase::recovery::{self, Listed};
use family_postgres::twophase::{Finished, Place, Reply, SqlState, Standing, Verdict};

use super::world::*;

impl Commit {
    /// The server's answer; `None` while it waits for another transaction.
    pub(super) fn execute(&self, s: &mut State, request: &Request) -> Option<Answer> {
        match request {
            Request::Coordinator(action) => self.say(s, *action).map(Answer::Coordinator),
            Request::Recovery(action) => self.recover(s, action).map(Answer::Recovery),
        }
    }

    pub(super) fn say(
        &self,
        s: &mut State,
        action: coordinator::Action,
    ) -> Option<coordinator::Event> {
        use coordinator::{Action as C, Event as E};
        let on_session = Request::Coordinator(action).on_session();
        if on_session
            && s.servers[Request::Coordinator(action).at().index()].session == Session::Gone
        {
            let Answer::Coordinator(lost) = Request::Coordinator(action).lost() else {
                return None;
            };
            return Some(lost);
        }
        Some(match action {
            C::Prepare(p) => {
                let tx = s.tx(p);
                let failed = *tx != Tx::Open;
                *tx = if failed { Tx::Aborted } else { Tx::Prepared };
                E::Prepared(if failed { Reply::RolledBack } else { Reply::Done })
            }
            C::Decide if s.row.is_some() || s.servers[0].tx != Tx::Open => {
                *s.tx(Place::Authority) = Tx::Failed;
                E::Decided(Reply::Refused(SqlState::TAKEN))
            }
            C::Decide => {
                s.row_open = true;
                E::Decided(Reply::Done)
            }
            C::Commit if s.servers[0].tx == Tx::Open => {
                *s.tx(Place::Authority) = Tx::Committed;
                if std::mem::take(&mut s.row_open) {
                    s.row = Some(Verdict::Commit);
                }
                E::Committed(Reply::Done)
            }
            C::Commit => {
                *s.tx(Place::Authority) = Tx::Aborted;
                E::Committed(Reply::RolledBack)
            }
            C::Rollback(p) => {
                *s.tx(p) = Tx::Aborted;
                s.row_open &= p == Place::Other;
                E::RolledBack
            }
            C::Record if s.row.is_some() => E::Recorded(Reply::Refused(SqlState::TAKEN)),
            C::Record => {
                s.row = Some(Verdict::Commit);
                E::Recorded(Reply::Done)
            }
            C::Bury(p) => {
                s.end_session(p);
                s.zombies.retain(|z| !(matches!(z, Request::Coordinator(_)) && z.at() == p));
                E::Buried(true)
            }
            C::Fence if s.row_open => return None,
            C::Fence => {
                s.row.get_or_insert(Verdict::Abort);
                E::Stands(s.stands())
            }
            C::Finish(p, verdict) => E::Finished(s.finish(p, verdict)),
            C::Status(p) => E::Fate(Some(s.fate(p))),
            C::Answer(_) | C::Leave(_) => return None,
        })
    }

    pub(super) fn recover(
        &self,
        s: &mut State,
        action: &recovery::Action,
    ) -> Option<recovery::Event> {
        use recovery::{Action as R, Event as E};
        Some(match action {
            R::Kill(_) if self.twin == Twin::ScanBeforeGone => E::Killed(Reply::Done),
            R::Kill(side) => {
                let p = place(*side);
                if p == Place::Other || self.kills_clients {
                    s.end_session(p);
                }
                s.zombies.retain(|z| z.on_session() || z.at() != p);
                // Other connections of the coordinator to this server end as well.
                if let Pending::Sent(sent) = &s.pending[0]
                    && !sent.on_session()
                    && sent.at() == p
                {
                    s.pending[0] = Pending::Answered(sent.clone(), sent.lost());
                }
                E::Killed(Reply::Done)
            }
            R::Scan(side) => {
                let p = place(*side);
                let xid = if p == Place::Authority { XIDS.authority } else { XIDS.other };
                let listed = Listed { name: gid(self.form).to_string(), xid, owner: "o".into() };
                let found = s.servers[p.index()].tx == Tx::Prepared;
                E::Scanned(Some(if found { vec![listed] } else { Vec::new() }))
            }
            R::Fence(..) if self.twin == Twin::NoAbortRecord => {
                let none = Standing { verdict: Verdict::Abort, xid: 0 };
                E::Stands(Some(s.stands().unwrap_or(none)))
            }
            R::Fence(..) if s.row_open => return None,
            R::Fence(..) => {
                s.row.get_or_insert(Verdict::Abort);
                E::Stands(s.stands())
            }
            R::Finish(side, _, verdict, _) => E::Finished(s.finish(place(*side), *verdict)),
            R::Status(side, _) => E::Fate(Some(s.fate(place(*side)))),
            R::Done(_) => return None,
        })
    }

    /// A server's refusal, of the steps that may be refused, and what it leaves.
    pub(super) fn refuse(&self, s: &mut State) -> Option<Answer> {
        use coordinator::{Action as C, Event as E};
        let no = Reply::Refused(SqlState::read("23503"));
        let Pending::Sent(Request::Coordinator(action)) = s.pending[0].clone() else { return None };
        let request = Request::Coordinator(action);
        if request.on_session() && s.servers[request.at().index()].session != Session::Live {
            return None;
        }
        Some(Answer::Coordinator(match action {
            C::Prepare(p) => {
                *s.tx(p) = Tx::Aborted;
                E::Prepared(no)
            }
            C::Decide => {
                *s.tx(Place::Authority) = Tx::Failed;
                E::Decided(no)
            }
            C::Commit => {
                *s.tx(Place::Authority) = Tx::Aborted;
                s.row_open = false;
                E::Committed(no)
            }
            C::Record => E::Recorded(no),
            C::Finish(..) => E::Finished(Finished::Refused(SqlState::read("42501"))),
            _ => return None,
        }))
    }

    pub(super) fn hear(&self, s: &mut State, answer: Answer) {
        match answer {
            Answer::Coordinator(event) => {
                let event = self.misheard(event);
                let Some(machine) = s.coordinator.take() else { return };
                let (machine, actions) = machine.step(event);
                s.coordinator = Some(machine);
                s.take(self.twin, actions.into_iter().map(Request::Coordinator).collect());
            }
            Answer::Recovery(event) => {
                let event = match event {
                    recovery::Event::Finished(Finished::Missing)
                        if self.twin == Twin::MissingIsDone =>
                    {
                        recovery::Event::Finished(Finished::Done)
                    }
                    event => event,
                };
                let Some(machine) = s.recovery.take() else { return };
                let (machine, actions) = machine.step(event);
                s.recovery = Some(machine);
                s.take(self.twin, actions.into_iter().map(Request::Recovery).collect());
            }
        }
    }

    pub(super) fn misheard(&self, event: coordinator::Event) -> coordinator::Event {
        use coordinator::Event as E;
        match (self.twin, event) {
            (Twin::MissingIsDone, E::Finished(Finished::Missing)) => E::Finished(Finished::Done),
            (Twin::TagIgnored, E::Prepared(Reply::RolledBack)) => E::Prepared(Reply::Done),
            (_, event) => event,
        }
    }

    /// The actor gives its request up; it may still be executed.
    pub(super) fn give_up(s: &mut State, actor: Actor) -> Option<Answer> {
        let pending = std::mem::replace(&mut s.pending[actor as usize], Pending::Nothing);
        let request = match pending {
            Pending::Nothing => return None,
            Pending::Sent(request) => {
                s.zombies.push(request.clone());
                request
            }
            Pending::Answered(request, _) => request,
        };
        if request.on_session() {
            let session = &mut s.servers[request.at().index()].session;
            if *session == Session::Live {
                *session = Session::Orphan;
            } else if *session == Session::Gone {
                s.zombies.retain(|z| *z != request);
            }
        }
        Some(request.lost())
    }
}
