//! One transaction, from the client's COMMIT to its end on both sides. Pure.
//!
//! At most one step is under way at a time: each action but the last two kinds is answered by one
//! event. Where no answer comes, a new session goes on after the old one has been buried, because
//! what was sent to it may still be done.
//!
//! Nobody but this machine writes a commit row of its gid, and it does so once. So until that step
//! every failure is a NO; after it, the authority's table is asked, by writing the abort row.

use super::{Fate, Finished, Form, Outcome, Place, Reply, SqlState, Standing, Verdict};

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `PREPARE TRANSACTION` in the open transaction there.
    Prepare(Place),
    /// The commit row, in the authority's open transaction.
    Decide,
    /// `COMMIT` of the authority's open transaction: the decision.
    Commit,
    /// The commit row, in a transaction of its own: the decision where the authority prepared.
    Record,
    /// `ROLLBACK` of the open transaction there, which is not prepared.
    Rollback(Place),
    /// Kill the session there that owes an answer, and see it gone.
    Bury(Place),
    /// The abort row unless a decision stands, and what stands.
    Fence,
    /// `COMMIT PREPARED` or `ROLLBACK PREPARED`.
    Finish(Place, Verdict),
    /// What became of the transaction id there.
    Status(Place),
    /// Tell the client. Not answered.
    Answer(Outcome),
    /// A recoverer has to go on from here. Not answered; the last action of a machine.
    Leave(Left),
}

/// Why a recoverer, or an operator, has to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Left {
    /// It took too long.
    Late,
    /// A server does not let this session finish it.
    Refused(Place, SqlState),
    /// A server no longer knows what became of it.
    Forgotten(Place),
    /// A server did the opposite of what was decided, or the decision is not ours.
    Contradiction(Place),
}

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Of [`Action::Prepare`].
    Prepared(Reply),
    /// Of [`Action::Decide`].
    Decided(Reply),
    /// Of [`Action::Commit`].
    Committed(Reply),
    /// Of [`Action::Record`].
    Recorded(Reply),
    /// Of [`Action::Rollback`], whatever the answer: what is open and loses its session is gone.
    RolledBack,
    /// Of [`Action::Bury`]; false when it could not be done now.
    Buried(bool),
    /// Of [`Action::Fence`]; `None` when nobody answered.
    Stands(Option<Standing>),
    /// Of [`Action::Finish`].
    Finished(Finished),
    /// Of [`Action::Status`]; `None` when nobody answered.
    Fate(Option<Fate>),
    /// The client has waited long enough. Takes the place of the answer to a step of ending a
    /// transaction that is prepared or decided; no event of earlier steps is replaced by it.
    Deadline,
}

impl Event {
    /// Whether the next step should not follow at once.
    #[must_use]
    pub fn is_setback(&self) -> bool {
        matches!(
            self,
            Self::Buried(false)
                | Self::Stands(None)
                | Self::Finished(Finished::Later)
                | Self::Fate(None | Some(Fate::Running))
        )
    }
}

/// Ids of the two open transactions, as 64 bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Xids {
    /// On the authority.
    pub authority: u64,
    /// On the other side.
    pub other: u64,
}

/// Which answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Preparing(Place),
    Deciding,
    Committing,
    Recording,
    /// The transaction still open there is rolled back; nothing was decided.
    Undoing,
    Burying(Place, Next),
    Fencing,
    Finishing(Place, Verdict),
    /// A finished transaction was missing there.
    Checking(Place, Verdict),
    /// Ended, or left to a recoverer.
    Over,
}

/// What follows a burial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    Fence,
    Finish(Verdict),
}

/// The state of one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinator {
    form: Form,
    xids: Xids,
    at: At,
    /// Where it is prepared, or may be or become so.
    prepared: [bool; 2],
    /// Where the session owes an answer and was not buried.
    lost: [bool; 2],
    /// Why it will be a NO. Set only while no commit row of ours can become durable.
    no: Option<SqlState>,
    answered: bool,
}

impl Coordinator {
    /// Begins when both sides hold the transaction's effects, uncommitted.
    #[must_use]
    pub fn begin(form: Form, xids: Xids) -> (Self, Vec<Action>) {
        // Locks are taken on the authority first; so is what may wait.
        let first = match form {
            Form::AuthorityLast => Place::Other,
            Form::Symmetric => Place::Authority,
        };
        let (prepared, lost) = ([false; 2], [false; 2]);
        let at = At::Preparing(first);
        let begun = Self { form, xids, at, prepared, lost, no: None, answered: false };
        (begun, vec![Action::Prepare(first)])
    }

    /// Whether it has come to its end, here or in a recoverer's hands.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// The transaction's ids.
    #[must_use]
    pub fn xids(&self) -> Xids {
        self.xids
    }

    /// The next state and what to do. An event that is not awaited changes nothing.
    #[must_use]
    pub fn step(mut self, event: Event) -> (Self, Vec<Action>) {
        let actions = match (self.at, event) {
            (At::Preparing(place), Event::Prepared(reply)) => self.prepared(place, reply),
            (At::Deciding, Event::Decided(reply)) => self.decided(reply),
            (At::Committing, Event::Committed(reply)) => self.committed(reply),
            (At::Recording, Event::Recorded(reply)) => self.recorded(reply),
            (At::Undoing, Event::RolledBack) => self.clear(),
            (At::Burying(place, next), Event::Buried(_)) => {
                // Where it cannot be done that costs time, not safety: the decision's key is
                // unique, and what is missing later is asked for until it has ended.
                self.lost[place.index()] = false;
                match next {
                    Next::Fence => self.clear(),
                    Next::Finish(verdict) => self.finish(place, verdict),
                }
            }
            (At::Fencing, Event::Stands(None)) => vec![Action::Fence],
            (At::Fencing, Event::Stands(Some(standing))) => self.stands(standing),
            (At::Finishing(place, verdict), Event::Finished(done)) => {
                self.finished(place, verdict, done)
            }
            (At::Checking(place, verdict), Event::Fate(fate)) => self.fate(place, verdict, fate),
            (_, Event::Deadline) => self.deadline(),
            _ => Vec::new(),
        };
        (self, actions)
    }

    fn prepared(&mut self, place: Place, reply: Reply) -> Vec<Action> {
        match reply {
            Reply::Done => self.prepared[place.index()] = true,
            Reply::Lost => self.lose(place),
            Reply::RolledBack | Reply::Refused(_) => {}
        }
        if let Some(why) = refusal(reply) {
            return self.undo(place, why);
        }
        match (self.form, place) {
            (Form::AuthorityLast, _) => self.go(At::Deciding, Action::Decide),
            (Form::Symmetric, Place::Authority) => {
                self.go(At::Preparing(Place::Other), Action::Prepare(Place::Other))
            }
            (Form::Symmetric, Place::Other) => self.go(At::Recording, Action::Record),
        }
    }

    fn decided(&mut self, reply: Reply) -> Vec<Action> {
        match refusal_of_row(reply) {
            None => self.go(At::Committing, Action::Commit),
            Some(why) if reply == Reply::Lost => {
                // Its COMMIT was never sent.
                self.lost[Place::Authority.index()] = true;
                self.no = Some(why);
                self.clear()
            }
            Some(why) => self.undo(Place::Other, why),
        }
    }

    fn committed(&mut self, reply: Reply) -> Vec<Action> {
        match reply {
            Reply::Done => return self.finish_from(Place::Authority, Verdict::Commit),
            Reply::Lost => self.lost[Place::Authority.index()] = true,
            Reply::RolledBack | Reply::Refused(_) => self.no = refusal(reply),
        }
        self.clear()
    }

    fn recorded(&mut self, reply: Reply) -> Vec<Action> {
        match reply {
            Reply::Done => return self.finish_from(Place::Authority, Verdict::Commit),
            Reply::Lost => self.lost[Place::Authority.index()] = true,
            Reply::RolledBack | Reply::Refused(_) => self.no = refusal_of_row(reply),
        }
        self.clear()
    }

    /// Nothing is decided and nothing will be: ends what is open. `over` is where nothing is.
    fn undo(&mut self, over: Place, why: SqlState) -> Vec<Action> {
        self.no = Some(why);
        let open = match (self.form, over) {
            (Form::AuthorityLast, _) => Place::Authority,
            (Form::Symmetric, Place::Authority) => Place::Other,
            (Form::Symmetric, Place::Other) => return self.clear(),
        };
        self.go(At::Undoing, Action::Rollback(open))
    }

    /// On the way to the abort record: buries first what may still be done.
    fn clear(&mut self) -> Vec<Action> {
        for place in [Place::Authority, Place::Other] {
            if self.lost[place.index()] {
                return self.go(At::Burying(place, Next::Fence), Action::Bury(place));
            }
        }
        if self.prepared == [false; 2] {
            return self.end(Verdict::Abort);
        }
        self.go(At::Fencing, Action::Fence)
    }

    fn stands(&mut self, standing: Standing) -> Vec<Action> {
        match standing.verdict {
            // A row of ours carries our transaction.
            Verdict::Commit if standing.xid != self.xids.authority => {
                self.leave(Left::Contradiction(Place::Authority))
            }
            Verdict::Commit => self.finish_from(Place::Authority, Verdict::Commit),
            Verdict::Abort => {
                self.no.get_or_insert(SqlState::FENCED);
                self.finish_from(Place::Authority, Verdict::Abort)
            }
        }
    }

    /// Finishes `place` and what comes after it, where something is or may be prepared.
    fn finish_from(&mut self, place: Place, verdict: Verdict) -> Vec<Action> {
        if self.prepared[place.index()] {
            return self.finish(place, verdict);
        }
        match place {
            Place::Authority => self.finish_from(Place::Other, verdict),
            Place::Other => self.end(verdict),
        }
    }

    fn finish(&mut self, place: Place, verdict: Verdict) -> Vec<Action> {
        self.go(At::Finishing(place, verdict), Action::Finish(place, verdict))
    }

    fn finished(&mut self, place: Place, verdict: Verdict, done: Finished) -> Vec<Action> {
        match done {
            Finished::Done => self.over_at(place, verdict),
            Finished::Missing => self.go(At::Checking(place, verdict), Action::Status(place)),
            Finished::Later => vec![Action::Finish(place, verdict)],
            Finished::Refused(why) => self.leave_decided(verdict, Left::Refused(place, why)),
        }
    }

    fn fate(&mut self, place: Place, verdict: Verdict, fate: Option<Fate>) -> Vec<Action> {
        match (fate, verdict) {
            (Some(Fate::Committed), Verdict::Commit) | (Some(Fate::Aborted), Verdict::Abort) => {
                self.over_at(place, verdict)
            }
            (Some(Fate::Committed | Fate::Aborted), _) => self.leave(Left::Contradiction(place)),
            // Its PREPARE may be on its way.
            (Some(Fate::Running), _) => {
                self.go(At::Burying(place, Next::Finish(verdict)), Action::Bury(place))
            }
            (Some(Fate::Forgotten), _) => self.leave(Left::Forgotten(place)),
            (None, _) => vec![Action::Status(place)],
        }
    }

    fn over_at(&mut self, place: Place, verdict: Verdict) -> Vec<Action> {
        self.prepared[place.index()] = false;
        self.finish_from(place, verdict)
    }

    fn deadline(&mut self) -> Vec<Action> {
        match self.at {
            At::Finishing(_, verdict) => self.leave_decided(verdict, Left::Late),
            // What was missing and not asked for may have ended otherwise.
            At::Fencing | At::Burying(..) | At::Checking(..) => self.leave(Left::Late),
            _ => Vec::new(),
        }
    }

    /// Leaves what is decided: the client need not wait for it.
    fn leave_decided(&mut self, verdict: Verdict, why: Left) -> Vec<Action> {
        let mut actions = self.end(verdict);
        actions.push(Action::Leave(why));
        actions
    }

    /// Leaves what nobody here can decide.
    fn leave(&mut self, why: Left) -> Vec<Action> {
        self.at = At::Over;
        let contradicted = matches!(why, Left::Contradiction(_));
        let outcome = self.no.filter(|_| !contradicted).map_or(Outcome::Unknown, Outcome::No);
        let mut actions = self.answer(outcome);
        actions.push(Action::Leave(why));
        actions
    }

    fn end(&mut self, verdict: Verdict) -> Vec<Action> {
        self.at = At::Over;
        self.answer(match verdict {
            Verdict::Commit => Outcome::Ok,
            Verdict::Abort => Outcome::No(self.no.unwrap_or(SqlState::FENCED)),
        })
    }

    fn answer(&mut self, outcome: Outcome) -> Vec<Action> {
        if std::mem::replace(&mut self.answered, true) {
            return Vec::new();
        }
        vec![Action::Answer(outcome)]
    }

    fn lose(&mut self, place: Place) {
        self.lost[place.index()] = true;
        self.prepared[place.index()] = true;
    }

    fn go(&mut self, at: At, action: Action) -> Vec<Action> {
        self.at = at;
        vec![action]
    }
}

/// What a reply says against going on; the client's SQLSTATE then.
fn refusal(reply: Reply) -> Option<SqlState> {
    match reply {
        Reply::Done => None,
        Reply::RolledBack => Some(SqlState::ROLLED_BACK),
        Reply::Refused(why) => Some(why),
        Reply::Lost => Some(SqlState::LOST),
    }
}

/// The same of the commit row, whose key is taken when a recoverer was here.
fn refusal_of_row(reply: Reply) -> Option<SqlState> {
    refusal(reply).map(|why| if why == SqlState::TAKEN { SqlState::FENCED } else { why })
}
