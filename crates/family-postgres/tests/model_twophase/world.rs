//! The world of the model: servers, sessions, messages, budgets of faults.

use family_postgres::twophase::coordinator::{self, Coordinator, Xids};
use family_postgres::twophase::recovery::{self, Recovery};
use family_postgres::twophase::{
    Fate, Finished, Form, Gid, Outcome, Participants, Place, Reply, Standing, Verdict,
};
use model::{Epoch, Side};

pub(super) const XIDS: Xids = Xids { authority: 11, other: 22 };
pub(super) const PLACES: [Place; 2] = [Place::Authority, Place::Other];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twin {
    /// As built.
    Sound,
    /// A recoverer rolls back what has no decision without writing the abort record first.
    NoAbortRecord,
    /// The recoverer looks before the old sessions are gone.
    ScanBeforeGone,
    /// `42704` is taken for done.
    MissingIsDone,
    /// The client is told before the decision is answered.
    EarlyAnswer,
    /// `PREPARE TRANSACTION` with the tag `ROLLBACK` is taken for prepared.
    TagIgnored,
}

/// What may happen besides the protocol, each so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    /// Answers or requests lost, burials that fail.
    pub(super) losses: u8,
    /// Clients that wait no longer.
    pub(super) deadlines: u8,
    /// Crashes of a server.
    pub(super) crashes: u8,
    /// Steps that a server refuses.
    pub(super) refusals: u8,
    /// Deaths of the coordinator and of the recoverer.
    pub(super) deaths: [u8; 2],
    /// An operator rolls the other side's prepared transaction back by hand.
    pub(super) hands: u8,
}

pub(super) struct Commit {
    pub(super) twin: Twin,
    pub(super) form: Form,
    /// Whether the recoverer can tell the client's own session on the authority.
    pub(super) kills_clients: bool,
    pub(super) faults: Faults,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Tx {
    Open,
    /// A statement failed; only a rollback can follow.
    Failed,
    Prepared,
    Committed,
    Aborted,
}

/// The coordinator's session that holds the open transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Session {
    Live,
    /// Nobody is at the other end; the server has not noticed.
    Orphan,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Server {
    pub(super) tx: Tx,
    pub(super) session: Session,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Coordinator(coordinator::Action),
    Recovery(recovery::Action),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Coordinator(coordinator::Event),
    Recovery(recovery::Event),
}

/// What an actor waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Pending {
    Nothing,
    Sent(Request),
    Answered(Request, Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Actor {
    Coordinator,
    Recovery,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) servers: [Server; 2],
    pub(super) row: Option<Verdict>,
    /// The authority's open transaction holds the commit row.
    pub(super) row_open: bool,
    pub(super) coordinator: Option<Coordinator>,
    pub(super) recovery: Option<Recovery>,
    pub(super) pending: [Pending; 2],
    /// Sent, given up, and perhaps executed later.
    pub(super) zombies: Vec<Request>,
    pub(super) answered: Option<Outcome>,
    /// The coordinator said that a recoverer has to go on.
    pub(super) left: bool,
    /// A recovery has come to its end.
    pub(super) recovered: bool,
    /// And found that a transaction ended otherwise than decided.
    pub(super) contradiction: bool,
    pub(super) faults: Faults,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Execute(Actor),
    Refuse,
    Deliver(Actor),
    Lose(Actor),
    Deadline,
    Zombie(usize),
    DropZombie(usize),
    Notice(Place),
    Crash(Place),
    Die(Actor),
    Recover,
    Hand,
}

pub(super) fn gid(form: Form) -> Gid {
    let symmetric = form == Form::Symmetric;
    let participants = Participants { authority: Side::Source, symmetric };
    let (run, boot) = ("r".to_owned(), "b".to_owned());
    Gid { run, epoch: Epoch(1), boot, participants, system: 1, number: 1 }
}

pub(super) const fn place(side: Side) -> Place {
    match side {
        Side::Source => Place::Authority,
        Side::Target => Place::Other,
    }
}

impl Request {
    /// Where it is executed.
    pub(super) fn at(&self) -> Place {
        use coordinator::Action as C;
        use recovery::Action as R;
        match self {
            Self::Coordinator(action) => match action {
                C::Prepare(p) | C::Rollback(p) | C::Bury(p) | C::Finish(p, _) | C::Status(p) => *p,
                _ => Place::Authority,
            },
            Self::Recovery(action) => match action {
                R::Kill(s) | R::Scan(s) | R::Fence(s, _) | R::Finish(s, ..) | R::Status(s, _) => {
                    place(*s)
                }
                R::Done(_) => Place::Authority,
            },
        }
    }

    /// Whether it is said on the session of the open transaction.
    pub(super) fn on_session(&self) -> bool {
        use coordinator::Action as C;
        matches!(self, Self::Coordinator(C::Prepare(_) | C::Decide | C::Commit | C::Rollback(_)))
    }

    /// What the actor hears when no answer comes.
    pub(super) fn lost(&self) -> Answer {
        use coordinator::{Action as C, Event as E};
        use recovery::{Action as R, Event as F};
        match self {
            Self::Coordinator(action) => Answer::Coordinator(match action {
                C::Prepare(_) => E::Prepared(Reply::Lost),
                C::Decide => E::Decided(Reply::Lost),
                C::Commit => E::Committed(Reply::Lost),
                C::Record => E::Recorded(Reply::Lost),
                C::Rollback(_) => E::RolledBack,
                C::Bury(_) => E::Buried(false),
                C::Fence => E::Stands(None),
                C::Finish(..) => E::Finished(Finished::Later),
                C::Status(_) | C::Answer(_) | C::Leave(_) => E::Fate(None),
            }),
            Self::Recovery(action) => Answer::Recovery(match action {
                R::Kill(_) => F::Killed(Reply::Lost),
                R::Scan(_) => F::Scanned(None),
                R::Fence(..) => F::Stands(None),
                R::Finish(..) => F::Finished(Finished::Later),
                R::Status(..) | R::Done(_) => F::Fate(None),
            }),
        }
    }
}

impl State {
    pub(super) fn tx(&mut self, place: Place) -> &mut Tx {
        &mut self.servers[place.index()].tx
    }

    pub(super) fn any(&self, tx: Tx) -> bool {
        self.servers.iter().any(|s| s.tx == tx)
    }

    /// The session there is gone, and what it had open.
    pub(super) fn end_session(&mut self, place: Place) {
        let server = &mut self.servers[place.index()];
        server.session = Session::Gone;
        if matches!(server.tx, Tx::Open | Tx::Failed) {
            server.tx = Tx::Aborted;
            self.row_open &= place == Place::Other;
        }
        self.zombies.retain(|z| !(z.on_session() && z.at() == place));
        let sent = &mut self.pending[0];
        if let Pending::Sent(request) = sent
            && request.on_session()
            && request.at() == place
        {
            *sent = Pending::Answered(request.clone(), request.lost());
        }
    }

    /// Whether nothing can happen any more that somebody has to answer for.
    pub(super) fn ended(&self) -> bool {
        self.recovered
            && self.recovery.is_none()
            && self.coordinator.as_ref().is_none_or(Coordinator::is_over)
            && self.zombies.is_empty()
    }

    pub(super) fn finish(&mut self, place: Place, verdict: Verdict) -> Finished {
        let tx = self.tx(place);
        if *tx != Tx::Prepared {
            return Finished::Missing;
        }
        *tx = match verdict {
            Verdict::Commit => Tx::Committed,
            Verdict::Abort => Tx::Aborted,
        };
        Finished::Done
    }

    pub(super) fn fate(&mut self, place: Place) -> Fate {
        match self.tx(place) {
            Tx::Open | Tx::Failed | Tx::Prepared => Fate::Running,
            Tx::Committed => Fate::Committed,
            Tx::Aborted => Fate::Aborted,
        }
    }

    pub(super) fn stands(&self) -> Option<Standing> {
        Some(Standing { verdict: self.row?, xid: XIDS.authority })
    }

    /// Hands the coordinator's or the recoverer's new actions out.
    pub(super) fn take(&mut self, twin: Twin, actions: Vec<Request>) {
        for action in actions {
            match action {
                Request::Coordinator(coordinator::Action::Answer(outcome)) => {
                    self.answered.get_or_insert(outcome);
                }
                Request::Coordinator(coordinator::Action::Leave(_)) => self.left = true,
                Request::Recovery(recovery::Action::Done(report)) => {
                    self.recovered = true;
                    self.contradiction |= !report.open.is_empty();
                    self.recovery = None;
                }
                Request::Coordinator(action) => {
                    use coordinator::Action as C;
                    if twin == Twin::EarlyAnswer && matches!(action, C::Commit | C::Record) {
                        self.answered = Some(Outcome::Ok);
                    }
                    self.pending[0] = Pending::Sent(Request::Coordinator(action));
                }
                action @ Request::Recovery(_) => self.pending[1] = Pending::Sent(action),
            }
        }
    }
}
