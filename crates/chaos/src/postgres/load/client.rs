//! One client: a session that heals itself, a place in the ledger, and a way to try things.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::PgLoadConfig;
use super::ledger::{Kind, PgLedger, Record};
use super::verdict::{Meaning, Phase, ends, meaning};
use crate::load::gate::Gate;
use crate::load::ledger::{Outcome, Token};
use crate::load::stats::{Board, Class};
use crate::load::versions::Versions;
use crate::load::way::{NOBODY, Way};
use crate::postgres::conn::{Conn, Fault, PgAddress};
use crate::rng::Rng;

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Reply<T> {
    Ok(T),
    /// Rolled back on purpose.
    Undone,
    /// Definitely not applied.
    No,
    Unknown,
}

impl<T> Reply<T> {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Ok(_) => Outcome::Ok,
            Self::Undone | Self::No => Outcome::No,
            Self::Unknown => Outcome::Unknown,
        }
    }
}

/// What all clients share.
pub(super) struct Shared {
    pub(super) config: PgLoadConfig,
    pub(super) gate: Gate,
    pub(super) board: Board,
    pub(super) versions: Versions,
    pub(super) way: Way<(String, u16)>,
}

/// What a client has told its session, and may ask it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) name: String,
    pub(super) zone: &'static str,
    pub(super) marker: String,
}

pub(super) struct Client {
    pub(super) id: u16,
    pub(super) rng: Rng,
    pub(super) ledger: PgLedger,
    pub(super) shared: Arc<Shared>,
    pub(super) marks: Marks,
    door: PgAddress,
    sequence: u64,
    conn: Option<Conn>,
    turn: u64,
    connected_once: bool,
    backoff: Duration,
}

const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// How often what the database asks to try again is tried.
const TRIES: u32 = 8;

impl Client {
    pub(super) fn new(id: u16, door: &PgAddress, shared: Arc<Shared>) -> Self {
        let zones = ["UTC", "Asia/Kathmandu", "America/St_Johns"];
        let marks = Marks {
            name: format!("load-{id}"),
            zone: zones[usize::from(id) % zones.len()],
            marker: format!("client {id} has begun"),
        };
        let mut door = door.clone();
        door.application.clone_from(&marks.name);
        Self {
            id,
            rng: Rng::fork(shared.config.seed, u64::from(id)),
            ledger: PgLedger::default(),
            shared,
            marks,
            door,
            sequence: 0,
            conn: None,
            turn: 0,
            connected_once: false,
            backoff: BACKOFF_MIN,
        }
    }

    pub(super) fn token(&mut self) -> Token {
        self.sequence += 1;
        Token::new(self.id, self.sequence)
    }

    /// How many tokens this client has used; lists are rotated by it so that none grows forever.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Something that commits by itself, or a read. Tried again while the database asks for it.
    pub(super) fn alone<T>(
        &mut self,
        class: Class,
        mut act: impl FnMut(&mut Conn) -> Result<T, Fault>,
    ) -> Reply<T> {
        let began = Instant::now();
        for _ in 0..TRIES {
            let result = self.connected().and_then(&mut act);
            match self.judge(result, Phase::Alone) {
                Judged::Done(value) => {
                    self.shared.board.answered(class, began);
                    return Reply::Ok(value);
                }
                Judged::Again => {}
                Judged::No => return Reply::No,
                Judged::Unknown => return Reply::Unknown,
            }
        }
        Reply::No
    }

    /// BEGIN, what `act` does, COMMIT; ROLLBACK where it answers `None`. A transaction that the
    /// database asks to repeat is repeated.
    pub(super) fn transaction<T>(
        &mut self,
        class: Class,
        begin: &str,
        mut act: impl FnMut(&mut Conn) -> Result<Option<T>, Fault>,
    ) -> Reply<T> {
        let began = Instant::now();
        for _ in 0..TRIES {
            let body = self.connected().and_then(|conn| {
                conn.batch(begin)?;
                act(conn)
            });
            let value = match self.judge(body, Phase::Inside) {
                Judged::Done(Some(value)) => value,
                Judged::Done(None) => {
                    self.roll_back();
                    self.shared.board.answered(class, began);
                    return Reply::Undone;
                }
                Judged::Again => {
                    self.roll_back();
                    continue;
                }
                Judged::No | Judged::Unknown => {
                    self.roll_back();
                    return Reply::No;
                }
            };
            let commit = match self.conn.as_mut() {
                Some(conn) => conn.batch("COMMIT"),
                None => Err(Fault::NotSent("no connection".to_owned())),
            };
            match self.judge(commit, Phase::Commit) {
                Judged::Done(()) => {
                    self.shared.board.answered(class, began);
                    return Reply::Ok(value);
                }
                Judged::Again => {}
                Judged::No => return Reply::No,
                Judged::Unknown => return Reply::Unknown,
            }
        }
        Reply::No
    }

    fn roll_back(&mut self) {
        if let Some(conn) = self.conn.as_mut()
            && conn.batch("ROLLBACK").is_err()
        {
            self.conn = None;
        }
    }

    fn judge<T>(&mut self, result: Result<T, Fault>, phase: Phase) -> Judged<T> {
        let fault = match result {
            Ok(value) => return Judged::Done(value),
            Err(fault) => fault,
        };
        let meaning = meaning(&fault, phase);
        // Where nobody knows what was done, nobody knows what the session was told either.
        if ends(&fault) || meaning == Meaning::Unknown {
            self.conn = None;
        }
        let board = &self.shared.board;
        match meaning {
            Meaning::Again => {
                board.count(|s| s.conflicts += 1);
                Judged::Again
            }
            Meaning::No => {
                board.no(&fault.to_string());
                Judged::No
            }
            Meaning::Unknown => {
                board.unknown(&format!("unknown: {fault}"));
                Judged::Unknown
            }
        }
    }

    /// The session, made anew when there is none or when the way has changed.
    pub(super) fn connected(&mut self) -> Result<&mut Conn, Fault> {
        if self.turn != self.shared.way.turn() {
            self.conn = None;
        }
        if self.conn.is_none() {
            self.conn = Some(self.connect()?);
        }
        self.conn.as_mut().ok_or_else(|| Fault::NotSent("no connection".to_owned()))
    }

    /// Leaves the session; the next attempt begins another.
    pub(super) fn forget(&mut self) {
        self.conn = None;
    }

    fn connect(&mut self) -> Result<Conn, Fault> {
        let (turn, (host, port)) = self.shared.way.current();
        let door = self.door.clone().at(&host, port);
        let opened = Conn::open(&door, self.shared.config.timeout).and_then(|mut conn| {
            // Nothing of the workload was sent yet, whatever happens here.
            let told = greet(&mut conn, &self.marks);
            told.map_err(|e| Fault::NotSent(e.to_string()))?;
            Ok(conn)
        });
        match opened {
            Ok(conn) => {
                self.turn = turn;
                self.shared.way.arrived(self.id, turn);
                if self.connected_once && self.id != NOBODY {
                    self.shared.board.count(|s| s.reconnects += 1);
                }
                self.connected_once = true;
                self.backoff = BACKOFF_MIN;
                Ok(conn)
            }
            Err(fault) => {
                let _stopping = self.shared.gate.wait(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                Err(Fault::NotSent(fault.to_string()))
            }
        }
    }

    /// Enters a write into the ledger.
    pub(super) fn record(
        &mut self,
        kind: Kind,
        (key, other): (u32, u32),
        token: Token,
        amount: i64,
        (result, outcome): (i64, Outcome),
    ) {
        self.ledger.records.push(Record {
            kind,
            db: 0,
            key,
            other,
            token,
            amount,
            result,
            outcome,
        });
    }

    pub(super) fn violation(&mut self, what: &str) {
        self.ledger.violation(format!("client {}: {what}", self.id));
    }
}

enum Judged<T> {
    Done(T),
    Again,
    No,
    Unknown,
}

/// What a session is told when it begins.
fn greet(conn: &mut Conn, marks: &Marks) -> Result<(), Fault> {
    conn.batch(&format!(
        "SET search_path = load, shop; SET TimeZone = '{}'; SET load.marker = '{}'; \
         PREPARE counter_value (integer) AS SELECT value FROM counters WHERE id = $1",
        marks.zone, marks.marker
    ))
}

/// A token as the database keeps it.
pub(super) fn number(token: Token) -> i64 {
    i64::try_from(token.0).unwrap_or(i64::MAX)
}
