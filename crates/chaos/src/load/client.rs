//! One client: a connection that heals itself, a place in the ledger, and a way to try things.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::{Cmd, ProtocolVersion, Value, cmd};

use super::LoadConfig;
use super::gate::Gate;
use super::ledger::{Kind, Ledger, Outcome, Record, Token};
use super::names::Names;
use super::stats::{Board, Class};
use super::versions::Versions;
use super::way::Way;
use crate::conn::{Address, Conn, Fault};
use crate::rng::Rng;
use crate::value;

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Reply {
    Ok(Value),
    /// Definite error, or nothing was sent.
    No(String),
    Unknown,
}

impl Reply {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Ok(_) => Outcome::Ok,
            Self::No(_) => Outcome::No,
            Self::Unknown => Outcome::Unknown,
        }
    }

    /// The integer in an acknowledged reply, else 0.
    pub(super) fn int(&self) -> i64 {
        match self {
            Self::Ok(v) => value::int(v).unwrap_or(0),
            _ => 0,
        }
    }
}

/// What all clients share.
pub(super) struct Shared {
    pub(super) config: LoadConfig,
    pub(super) gate: Gate,
    pub(super) board: Board,
    pub(super) versions: Versions,
    pub(super) way: Way<Address>,
}

pub(super) struct Client {
    pub(super) id: u16,
    pub(super) db: u8,
    pub(super) rng: Rng,
    pub(super) names: Names,
    pub(super) ledger: Ledger,
    pub(super) shared: Arc<Shared>,
    sequence: u64,
    conn: Option<Conn>,
    turn: u64,
    connected_once: bool,
    backoff: Duration,
}

const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(250);

impl Client {
    pub(super) fn new(id: u16, db: u8, shared: Arc<Shared>) -> Self {
        Self {
            id,
            db,
            rng: Rng::fork(shared.config.seed, u64::from(id)),
            names: Names::new(&shared.config.prefix),
            ledger: Ledger::default(),
            shared,
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

    /// How many tokens this client has used; keys are rotated by it so that none grows forever.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The name its connections carry.
    pub(super) fn name(&self) -> String {
        format!("load-{}", self.id)
    }

    /// All commands at once, each with a reply of its own; counts as one write.
    pub(super) fn pipeline(
        &mut self,
        commands: &[Cmd],
    ) -> Result<Vec<Result<Value, String>>, Reply> {
        let began = Instant::now();
        match self.connected(|conn| conn.batch(commands)) {
            Ok(replies) => {
                self.shared.board.answered(Class::Write, began);
                for text in replies.iter().filter_map(|r| r.as_ref().err()) {
                    self.shared.board.no(text);
                }
                Ok(replies)
            }
            Err(fault) => Err(self.finish(Class::Write, began, Err(fault))),
        }
    }

    /// One command.
    pub(super) fn call(&mut self, class: Class, command: &Cmd) -> Reply {
        let began = Instant::now();
        let result = self.connected(|conn| conn.call(command));
        self.finish(class, began, result)
    }

    /// MULTI, the commands, EXEC, all sent at once. `Ok` holds EXEC's array; a nil EXEC is `No`.
    pub(super) fn transaction(&mut self, commands: &[Cmd]) -> Reply {
        let began = Instant::now();
        let mut all = vec![cmd("MULTI")];
        all.extend_from_slice(commands);
        all.push(cmd("EXEC"));
        let result = self.connected(|conn| {
            let mut replies = conn.batch(&all)?;
            if let Some(Err(text)) = replies.first() {
                // What followed may have run outside of a transaction.
                return Err(Fault::Unknown(format!("MULTI refused: {text}")));
            }
            executed(replies.pop().unwrap_or_else(|| Err("no reply to EXEC".to_owned())))
        });
        self.finish(Class::Write, began, result)
    }

    /// `read` after WATCH of `keys`, then what `write` makes of it in MULTI, one round trip per
    /// step as most drivers do it. A lost race is tried again a few times.
    pub(super) fn watched(
        &mut self,
        keys: &[String],
        read: &Cmd,
        write: impl Fn(&Value) -> Vec<Cmd>,
    ) -> Reply {
        for _ in 0..4 {
            let began = Instant::now();
            let mut exec_sent = false;
            let result = self.connected(|conn| {
                let mut watch = cmd("WATCH");
                watch.arg(keys);
                conn.call(&watch)?;
                let seen = conn.call(read)?;
                conn.call(&cmd("MULTI"))?;
                for command in write(&seen) {
                    conn.call(&command)?;
                }
                exec_sent = true;
                match conn.call(&cmd("EXEC")) {
                    Ok(reply) => executed(Ok(reply)),
                    Err(Fault::No(text)) => executed(Err(text)),
                    Err(broken) => Err(broken),
                }
            });
            // Nothing is applied before EXEC; what broke earlier is a definite no, and leaves a
            // connection that watches or queues.
            let result = match result {
                Err(fault) if !exec_sent => {
                    self.conn = None;
                    Err(Fault::NotSent(fault.to_string()))
                }
                other => other,
            };
            let conflict = matches!(&result, Err(Fault::No(text)) if text == CONFLICT);
            let reply = self.finish(Class::Write, began, result);
            if !conflict {
                return reply;
            }
        }
        Reply::No(CONFLICT.to_owned())
    }

    fn connected<T>(
        &mut self,
        act: impl FnOnce(&mut Conn) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.conn.is_none() || self.turn != self.shared.way.turn() {
            self.conn = None;
            self.connect()?;
        }
        let Some(conn) = self.conn.as_mut() else {
            return Err(Fault::NotSent("no connection".to_owned()));
        };
        let result = act(conn);
        if matches!(result, Err(Fault::Unknown(_))) {
            self.conn = None;
        }
        result
    }

    fn connect(&mut self) -> Result<(), Fault> {
        let config = &self.shared.config;
        let protocol =
            if self.id.is_multiple_of(2) { ProtocolVersion::RESP2 } else { ProtocolVersion::RESP3 };
        let (turn, address) = self.shared.way.current();
        let opened = Conn::open_speaking(&address, i64::from(self.db), config.timeout, protocol);
        let opened = opened.and_then(|mut conn| {
            let mut name = cmd("CLIENT");
            name.arg("SETNAME").arg(self.name());
            // Nothing of the workload was sent yet, whatever happens here.
            conn.call(&name).map_err(|e| Fault::NotSent(e.to_string()))?;
            Ok(conn)
        });
        match opened {
            Ok(conn) => {
                self.conn = Some(conn);
                self.turn = turn;
                self.shared.way.arrived(self.id, turn);
                if self.connected_once {
                    self.shared.board.count(|s| s.reconnects += 1);
                }
                self.connected_once = true;
                self.backoff = BACKOFF_MIN;
                Ok(())
            }
            Err(fault) => {
                let _stopping = self.shared.gate.wait(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                Err(fault)
            }
        }
    }

    fn finish(&mut self, class: Class, began: Instant, result: Result<Value, Fault>) -> Reply {
        let board = &self.shared.board;
        match result {
            Ok(value) => {
                board.answered(class, began);
                Reply::Ok(value)
            }
            Err(Fault::No(text)) if text == CONFLICT => {
                board.count(|s| s.conflicts += 1);
                Reply::No(text)
            }
            // How a script becomes known, not an error: every driver sends it then.
            Err(Fault::No(text)) if text.starts_with("NOSCRIPT") => Reply::No(text),
            Err(Fault::No(text)) => {
                board.no(&text);
                Reply::No(text)
            }
            Err(Fault::NotSent(text)) => {
                board.no(&format!("not sent: {text}"));
                Reply::No(text)
            }
            Err(Fault::Unknown(text)) => {
                board.unknown(&format!("unknown: {text}"));
                Reply::Unknown
            }
        }
    }

    /// Enters a write into the ledger.
    pub(super) fn record(
        &mut self,
        kind: Kind,
        key: u32,
        token: Token,
        amount: i64,
        reply: &Reply,
    ) {
        self.record_full(kind, (key, 0), token, amount, (reply.int(), reply.outcome()));
    }

    pub(super) fn record_full(
        &mut self,
        kind: Kind,
        (key, other): (u32, u32),
        token: Token,
        amount: i64,
        (result, outcome): (i64, Outcome),
    ) {
        let db = self.db;
        self.ledger.records.push(Record { kind, db, key, other, token, amount, result, outcome });
    }

    pub(super) fn violation(&mut self, what: String) {
        self.ledger.violation(format!("client {}: {what}", self.id));
    }
}

/// The text under which a nil EXEC travels as a refusal.
const CONFLICT: &str = "WATCH: a watched key changed";

/// EXEC's reply: an array was executed, nil was not, an error was not.
fn executed(reply: Result<Value, String>) -> Result<Value, Fault> {
    match reply {
        Ok(Value::Nil) => Err(Fault::No(CONFLICT.to_owned())),
        Ok(array) => match value::items(&array).iter().find_map(server_error) {
            // Some of it was applied: neither yes nor no.
            Some(text) => Err(Fault::Unknown(format!("partly executed: {text}"))),
            None => Ok(array),
        },
        Err(text) => Err(Fault::No(text)),
    }
}

fn server_error(value: &Value) -> Option<String> {
    match value {
        Value::ServerError(e) => Some(e.to_string()),
        _ => None,
    }
}

/// Milliseconds since 1970, as the servers on this machine count them.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
