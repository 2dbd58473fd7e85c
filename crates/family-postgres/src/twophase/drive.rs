//! Acting on what a coordinator's machine decides, on real servers.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout_at};

use super::coordinator::{Action, Coordinator, Event, Left, Xids};
use super::doubt::Doubt;
use super::site::{Heard, Session, Sites, hear};
use super::words::{heard, words};
use super::{Form, Gid, Outcome, Place, SqlState};
use crate::conn::Conn;

/// First pause after a step that did not come about; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(10);
/// Longest pause between two tries.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Whoever does what a coordinator's machine says.
#[async_trait]
pub trait Hands: Send {
    /// Does it, and says what came of it.
    async fn act(&mut self, action: Action) -> Event;
}

/// How a transaction ended here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// What the client is told.
    pub outcome: Outcome,
    /// Why a recoverer has to go on, if one has to.
    pub left: Option<Left>,
}

/// Commits on both sides: waits for a place, drives, and gives the place back when nothing is
/// prepared any more. A future that is dropped leaves the rest to a sweep.
pub async fn commit(
    doubt: &Doubt,
    gid: Gid,
    form: Form,
    xids: Xids,
    hands: &mut dyn Hands,
    patience: Duration,
) -> Ending {
    let Some(place) = doubt.enter(gid, patience).await else {
        for open in [Place::Authority, Place::Other] {
            hands.act(Action::Rollback(open)).await;
        }
        return Ending { outcome: Outcome::No(SqlState::FULL), left: None };
    };
    let ending = drive(form, xids, hands, patience).await;
    match ending.left {
        None => place.over(),
        // Dropped, the place stays taken until a sweep has ended the transaction.
        Some(why) => {
            tracing::warn!(event = "twophase_left", gid = %place.gid(), why = ?why);
        }
    }
    ending
}

/// Drives one transaction to its end. What is open is waited for as long as its session is
/// patient; ending what is prepared or decided has `patience` in all.
pub async fn drive(form: Form, xids: Xids, hands: &mut dyn Hands, patience: Duration) -> Ending {
    let (mut machine, mut actions) = Coordinator::begin(form, xids);
    let mut pause = Pause::default();
    let (mut outcome, mut left, mut until) = (Outcome::Unknown, None, None);
    loop {
        let mut next = None;
        for action in actions {
            match action {
                Action::Answer(told) => outcome = told,
                Action::Leave(why) => left = Some(why),
                action => next = Some(action),
            }
        }
        let Some(action) = next else { return Ending { outcome, left } };
        let event = if ends(&action) {
            let until = *until.get_or_insert_with(|| Instant::now() + patience);
            let acted = async {
                let event = hands.act(action).await;
                if event.is_setback() {
                    pause.wait().await;
                }
                event
            };
            timeout_at(until, acted).await.unwrap_or(Event::Deadline)
        } else {
            hands.act(action).await
        };
        (machine, actions) = machine.step(event);
    }
}

/// Whether the step ends what is prepared or decided.
fn ends(action: &Action) -> bool {
    matches!(action, Action::Bury(_) | Action::Fence | Action::Finish(..) | Action::Status(_))
}

/// Pauses that grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE)
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

/// One transaction's sessions on real servers.
pub struct Servers {
    sites: Sites,
    gid: Gid,
    xids: Xids,
    /// The sessions that hold the open transaction, by [`Place::index`].
    sessions: [Option<Box<dyn Session>>; 2],
    /// Connections of our own.
    services: [Option<Conn>; 2],
}

impl Servers {
    /// Takes over both open transactions.
    #[must_use]
    pub fn new(sites: Sites, gid: Gid, xids: Xids, sessions: [Box<dyn Session>; 2]) -> Self {
        let sessions = sessions.map(Some);
        Self { sites, gid, xids, sessions, services: [None, None] }
    }

    /// Gives the session there up, with whatever it has not answered.
    pub fn lose(&mut self, place: Place) {
        self.sessions[place.index()] = None;
    }

    /// The sessions that are still good, after the end.
    #[must_use]
    pub fn into_sessions(self) -> [Option<Box<dyn Session>>; 2] {
        self.sessions
    }

    async fn say(&mut self, place: Place, sql: &str) -> Heard {
        let slot = &mut self.sessions[place.index()];
        let Some(session) = slot else { return Heard::Nothing };
        let said = session.say(sql).await;
        if matches!(said, Heard::Nothing | Heard::Refused { fatal: true, .. }) {
            *slot = None;
        }
        said
    }

    /// Says it on a connection of ours, a new one where the last is spent.
    async fn serve(&mut self, place: Place, sql: &str) -> Heard {
        match self.service(place).await {
            Some(conn) => hear(conn, sql).await,
            None => Heard::Nothing,
        }
    }

    async fn service(&mut self, place: Place) -> Option<&mut Conn> {
        let side = match place {
            Place::Authority => self.gid.participants.authority,
            Place::Other => self.gid.participants.authority.other(),
        };
        let slot = &mut self.services[place.index()];
        if slot.as_ref().is_none_or(Conn::is_spent) {
            *slot = None;
            *slot = Some(self.sites.at(side).service().await.ok()?);
        }
        slot.as_mut()
    }
}

#[async_trait]
impl Hands for Servers {
    async fn act(&mut self, action: Action) -> Event {
        let place = match action {
            Action::Bury(place) => {
                // Connecting proves dead what was given up.
                self.lose(place);
                self.services[place.index()] = None;
                return Event::Buried(self.service(place).await.is_some());
            }
            Action::Prepare(p) | Action::Rollback(p) | Action::Finish(p, _) | Action::Status(p) => {
                p
            }
            _ => Place::Authority,
        };
        let Some(sql) = words(&action, &self.gid, self.xids) else { return Event::Deadline };
        // Whoever prepared may finish; the table is written by our own account.
        let own = !matches!(action, Action::Fence) && self.sessions[place.index()].is_some();
        let open = matches!(
            action,
            Action::Prepare(_) | Action::Decide | Action::Commit | Action::Rollback(_)
        );
        let said = match own || open {
            true => self.say(place, &sql).await,
            false => self.serve(place, &sql).await,
        };
        said.with(|said| heard(&action, said)).unwrap_or(Event::Deadline)
    }
}
