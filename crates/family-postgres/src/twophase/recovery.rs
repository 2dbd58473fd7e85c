//! What others left behind: one pass after the other until nothing of it is prepared. Pure.
//!
//! Order: the old sessions are gone before anybody looks what is prepared, or one of them prepares
//! after the look. The abort record is written before anything is rolled back, so a coordinator
//! that is slow, not dead, finds it and gives up. Whoever else is alive is left alone: a gid says
//! in which life of which node its coordinator runs.

use std::collections::{BTreeMap, BTreeSet};

use model::Side;

use super::{Fate, Finished, Gid, Reply, SqlState, Standing, Verdict};

/// Whose transactions are ours to end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The migration.
    pub run: String,
    /// Boots of nodes that are alive. Their sessions and transactions are not touched.
    pub live: BTreeSet<String>,
    /// Transactions of live nodes that those have left to us.
    pub left: BTreeSet<Gid>,
    /// `system_identifier` of both sides, by [`Side::index`].
    pub systems: [u64; 2],
}

/// A prepared transaction as a server lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Its name, verbatim.
    pub name: String,
    /// Its id, as a 64 bit number.
    pub xid: u64,
    /// Who prepared it and therefore may finish it.
    pub owner: String,
}

/// What to do next; each is answered by one event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Terminate the sessions of nodes that are not alive, and see them gone.
    Kill(Side),
    /// List what is prepared.
    Scan(Side),
    /// The abort row unless a decision stands, on this side, and what stands.
    Fence(Side, Gid),
    /// `COMMIT PREPARED` or `ROLLBACK PREPARED` there, as its owner.
    Finish(Side, Gid, Verdict, String),
    /// What became of the transaction id there.
    Status(Side, u64),
    /// The end. Not answered.
    Done(Report),
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// Of [`Action::Kill`].
    Killed(Reply),
    /// Of [`Action::Scan`]; `None` when nobody answered.
    Scanned(Option<Vec<Listed>>),
    /// Of [`Action::Fence`]; `None` when nobody answered.
    Stands(Option<Standing>),
    /// Of [`Action::Finish`].
    Finished(Finished),
    /// Of [`Action::Status`]; `None` when nobody answered.
    Fate(Option<Fate>),
    /// In place of an answer: it takes too long.
    Deadline,
}

impl Event {
    /// Whether the next step should not follow at once.
    #[must_use]
    pub fn is_setback(&self) -> bool {
        matches!(
            self,
            Self::Killed(Reply::Lost)
                | Self::Scanned(None)
                | Self::Stands(None)
                | Self::Finished(Finished::Later)
                | Self::Fate(None | Some(Fate::Running))
        )
    }
}

/// Why something is still prepared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The server does not let us finish it.
    Refused(SqlState),
    /// It ended otherwise than decided: by hand, or in a copy of the server.
    Contradiction,
    /// The server no longer knows how it ended.
    Forgotten,
    /// Begins as our names do, and is not one.
    Garbled,
    /// Its decision is on another system than the one we reach.
    OtherSystem,
}

/// What a recovery did, and what it could not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// Finished: how each transaction ended.
    pub ended: BTreeMap<Gid, Verdict>,
    /// Names that need an operator.
    pub open: BTreeMap<(Side, String), Why>,
    /// Old sessions could not be killed: what they prepare later is for the next recovery.
    pub unkilled: Option<SqlState>,
    /// It was cut short.
    pub late: bool,
}

impl Report {
    /// Whether nothing of others is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.open.is_empty() && self.unkilled.is_none() && !self.late
    }
}

/// A name of ours that has to be ended: where it is prepared, under which id and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Found {
    gid: Gid,
    at: Vec<(Side, u64, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    Killing(Side),
    Scanning(Side),
    Fencing,
    Finishing(Verdict),
    Checking(Verdict),
    Over,
}

/// The state of one recovery.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recovery {
    scope: Scope,
    at: At,
    /// Of this pass, the one in hand first.
    found: Vec<Found>,
    report: Report,
}

impl Recovery {
    /// Begins with the old sessions.
    #[must_use]
    pub fn begin(scope: Scope) -> (Self, Vec<Action>) {
        let at = At::Killing(Side::Source);
        let begun = Self { scope, at, found: Vec::new(), report: Report::default() };
        (begun, vec![Action::Kill(Side::Source)])
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Whose transactions are ended.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The next state and what to do. An event that is not awaited changes nothing.
    #[must_use]
    pub fn step(mut self, event: Event) -> (Self, Vec<Action>) {
        let at = self.at.clone();
        let actions = match (at, event) {
            (At::Over, _) => Vec::new(),
            (_, Event::Deadline) => {
                self.report.late = true;
                self.done()
            }
            (At::Killing(side), Event::Killed(reply)) => self.killed(side, reply),
            (At::Scanning(side), Event::Scanned(None)) => vec![Action::Scan(side)],
            (At::Scanning(side), Event::Scanned(Some(listed))) => self.scanned(side, listed),
            (At::Fencing, Event::Stands(None)) => self.next(),
            (At::Fencing, Event::Stands(Some(standing))) => self.finish(standing.verdict),
            (At::Finishing(verdict), Event::Finished(finished)) => self.finished(verdict, finished),
            (At::Checking(verdict), Event::Fate(fate)) => self.fate(verdict, fate),
            _ => Vec::new(),
        };
        (self, actions)
    }

    fn killed(&mut self, side: Side, reply: Reply) -> Vec<Action> {
        match reply {
            Reply::Lost => return vec![Action::Kill(side)],
            Reply::Refused(why) => self.report.unkilled = Some(why),
            Reply::Done | Reply::RolledBack => {}
        }
        match side {
            Side::Source => self.go(At::Killing(Side::Target), Action::Kill(Side::Target)),
            Side::Target => self.go(At::Scanning(Side::Source), Action::Scan(Side::Source)),
        }
    }

    fn scanned(&mut self, side: Side, listed: Vec<Listed>) -> Vec<Action> {
        for one in listed {
            self.list(side, one);
        }
        match side {
            Side::Source => self.go(At::Scanning(Side::Target), Action::Scan(Side::Target)),
            // A pass that finds nothing is the last one.
            Side::Target if self.found.is_empty() => self.done(),
            Side::Target => self.next(),
        }
    }

    fn list(&mut self, side: Side, one: Listed) {
        let gid = match one.name.parse::<Gid>() {
            Ok(gid) => gid,
            Err(_) => {
                if one.name.starts_with(&Gid::prefix(&self.scope.run)) {
                    self.report.open.insert((side, one.name), Why::Garbled);
                }
                return;
            }
        };
        let alive = self.scope.live.contains(&gid.boot) && !self.scope.left.contains(&gid);
        if gid.run != self.scope.run || alive || self.is_open(side, &gid) {
            return;
        }
        if gid.system != self.scope.systems[gid.participants.authority.index()] {
            self.report.open.insert((side, one.name), Why::OtherSystem);
            return;
        }
        let at = (side, one.xid, one.owner);
        match self.found.iter_mut().find(|found| found.gid == gid) {
            Some(found) => found.at.push(at),
            None => self.found.push(Found { gid, at: vec![at] }),
        }
    }

    fn is_open(&self, side: Side, gid: &Gid) -> bool {
        self.report.open.contains_key(&(side, gid.to_string()))
    }

    /// Goes on with the first name of the pass, or with the next pass.
    fn next(&mut self) -> Vec<Action> {
        match self.found.first() {
            None => self.go(At::Killing(Side::Source), Action::Kill(Side::Source)),
            Some(found) => {
                let gid = found.gid.clone();
                self.go(At::Fencing, Action::Fence(gid.participants.authority, gid))
            }
        }
    }

    /// Finishes the first name where it is still prepared, then goes on.
    fn finish(&mut self, verdict: Verdict) -> Vec<Action> {
        let Some(found) = self.found.first() else { return self.next() };
        match found.at.first().cloned() {
            Some((side, _, owner)) => {
                let gid = found.gid.clone();
                self.go(At::Finishing(verdict), Action::Finish(side, gid, verdict, owner))
            }
            None => {
                let found = self.found.remove(0);
                if !Side::ALL.iter().any(|side| self.is_open(*side, &found.gid)) {
                    self.report.ended.insert(found.gid, verdict);
                }
                self.next()
            }
        }
    }

    fn finished(&mut self, verdict: Verdict, finished: Finished) -> Vec<Action> {
        match finished {
            Finished::Done => self.settle(verdict, None),
            Finished::Later => self.finish(verdict),
            Finished::Refused(why) => self.settle(verdict, Some(Why::Refused(why))),
            Finished::Missing => self.check(verdict),
        }
    }

    /// Somebody was faster, or it ended otherwise: asks for the id that was listed.
    fn check(&mut self, verdict: Verdict) -> Vec<Action> {
        match self.found.first().and_then(|found| found.at.first()) {
            Some(&(side, xid, _)) => self.go(At::Checking(verdict), Action::Status(side, xid)),
            None => self.finish(verdict),
        }
    }

    fn fate(&mut self, verdict: Verdict, fate: Option<Fate>) -> Vec<Action> {
        match (fate, verdict) {
            (None, _) => self.check(verdict),
            (Some(Fate::Running), _) => self.finish(verdict),
            (Some(Fate::Committed), Verdict::Commit) | (Some(Fate::Aborted), Verdict::Abort) => {
                self.settle(verdict, None)
            }
            (Some(Fate::Forgotten), _) => self.settle(verdict, Some(Why::Forgotten)),
            (Some(_), _) => self.settle(verdict, Some(Why::Contradiction)),
        }
    }

    /// The first name is over where it was in hand.
    fn settle(&mut self, verdict: Verdict, open: Option<Why>) -> Vec<Action> {
        if let Some(found) = self.found.first_mut().filter(|found| !found.at.is_empty()) {
            let (side, ..) = found.at.remove(0);
            if let Some(why) = open {
                self.report.open.insert((side, found.gid.to_string()), why);
            }
        }
        self.finish(verdict)
    }

    fn done(&mut self) -> Vec<Action> {
        self.at = At::Over;
        vec![Action::Done(self.report.clone())]
    }

    fn go(&mut self, at: At, action: Action) -> Vec<Action> {
        self.at = at;
        vec![action]
    }
}
