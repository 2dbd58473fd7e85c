//! The pair of connections of a feed, and what is owed on them.
//!
//! The tracking connection answers in order, so what each reply means is a queue. The subscriber
//! carries invalidations and the echoes of our own `PING`s, in the server's order.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use family::{PortError, Trouble};
use tokio::time::{Instant, Sleep, sleep_until};
use wire_redis::Value;

use crate::conn::{Conn, Link};
use crate::error::{self, code};
use crate::info::Info;

/// Time between signs of life asked of both connections.
const BEAT: Duration = Duration::from_secs(1);
/// Least time between two questions about databases and evictions: each costs the server some
/// tens of microseconds.
const WORD_SPACING: Duration = Duration::from_millis(2);
/// The same while the server evicts: every report of that makes somebody compare everything.
const EVICTING_SPACING: Duration = Duration::from_millis(250);
const CHANNEL: &[u8] = b"__redis__:invalidate";
const MARK: &[u8] = b"exodus-mark";
const BEAT_MARK: &[u8] = b"exodus-beat";

/// A question on the tracking connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A round trip of a barrier.
    Trip,
    /// Databases in use and evictions: two replies.
    Word,
    Stats,
    Beat,
}

/// Something that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Names(Vec<Bytes>),
    /// An invalidation without names.
    Everything,
    Trip,
    /// The subscriber's echo of a barrier.
    Mark,
    Word {
        evicted: u64,
        dbs: Vec<u16>,
    },
    Beat,
}

/// What tells one life of a dataset from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incarnation {
    pub(crate) run_id: String,
    pub(crate) replid: String,
    pub(crate) evicted: u64,
}

pub(crate) struct Wires {
    subscriber: Conn,
    tracking: Conn,
    owed: VecDeque<Asked>,
    /// First half of a word.
    evicted: u64,
    word_at: Instant,
    beat: Pin<Box<Sleep>>,
    pause: Pin<Box<Sleep>>,
    /// Wants to be woken when a word may be asked for again.
    paused: bool,
    /// Since when the subscriber owes a sign of life.
    subscriber_owes: Option<Instant>,
    tracking_owes: Option<Instant>,
    patience: Duration,
}

impl Wires {
    /// Connects both, subscribes, turns tracking on; then says whom it reached.
    pub(crate) async fn open(link: &Arc<Link>) -> Result<(Self, Incarnation, Vec<u16>), PortError> {
        let mut subscriber = link.connect().await?;
        let mut tracking = link.connect().await?;
        refusable(subscriber.ask(&[b"SUBSCRIBE", CHANNEL]).await)?;
        let id = subscriber.id().to_string();
        let on = [b"CLIENT".as_slice(), b"TRACKING", b"ON", b"REDIRECT", id.as_bytes(), b"BCAST"];
        refusable(tracking.ask(&on).await)?;
        let server = Info::ask(&mut tracking, "server").await?;
        let replication = Info::ask(&mut tracking, "replication").await?;
        let stats = Info::ask(&mut tracking, "stats").await?;
        let keyspace = Info::ask(&mut tracking, "keyspace").await?;
        let known = Incarnation {
            run_id: server.text("run_id").to_owned(),
            replid: replication.text("master_replid").to_owned(),
            evicted: stats.number("evicted_keys"),
        };
        let dbs = keyspace.keyspace().into_iter().map(|(db, _)| db).collect();
        let now = Instant::now();
        let wires = Self {
            subscriber,
            tracking,
            owed: VecDeque::new(),
            evicted: known.evicted,
            word_at: now,
            beat: Box::pin(sleep_until(now + BEAT)),
            pause: Box::pin(sleep_until(now)),
            paused: false,
            subscriber_owes: None,
            tracking_owes: None,
            patience: link.timeout(),
        };
        Ok((wires, known, dbs))
    }

    /// Puts a question to the tracking connection.
    pub(crate) fn ask(&mut self, asked: Asked) {
        match asked {
            Asked::Trip | Asked::Beat => self.tracking.queue(&[b"PING"]),
            Asked::Word | Asked::Stats => {
                self.word_at = Instant::now() + WORD_SPACING;
                self.tracking.queue(&[b"INFO", b"stats"]);
                self.tracking.queue(&[b"INFO", b"keyspace"]);
                self.owed.push_back(Asked::Stats);
                self.owed.push_back(Asked::Word);
                return;
            }
        }
        self.owed.push_back(asked);
    }

    /// Whether enough time has passed since the last word; if not, [`Self::poll_heard`] will
    /// say when it has.
    pub(crate) fn may_ask_for_word(&mut self) -> bool {
        if Instant::now() >= self.word_at {
            self.paused = false;
            return true;
        }
        self.pause.as_mut().reset(self.word_at);
        self.paused = true;
        false
    }

    /// Lets more time pass until the next word.
    pub(crate) fn slow_down(&mut self) {
        self.word_at = Instant::now() + EVICTING_SPACING;
    }

    /// Has the subscriber echo a barrier.
    pub(crate) fn mark_subscriber(&mut self) {
        self.subscriber.queue(&[b"PING", MARK]);
    }

    /// The next thing heard; `None` when a wait asked for is over. The subscriber is left alone
    /// unless `listen`.
    pub(crate) fn poll_heard(
        &mut self,
        cx: &mut Context<'_>,
        listen: bool,
    ) -> Poll<Result<Option<Heard>, PortError>> {
        if let Poll::Ready(reply) = self.tracking.poll_next(cx) {
            return Poll::Ready(reply.and_then(|reply| self.answered(reply)).map(Some));
        }
        if listen && let Poll::Ready(message) = self.subscriber.poll_next(cx) {
            return Poll::Ready(message.and_then(|message| self.message(message)).map(Some));
        }
        if self.paused && self.pause.as_mut().poll(cx).is_ready() {
            self.paused = false;
            return Poll::Ready(Ok(None));
        }
        if self.beat.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.beat(listen).map(|()| None));
        }
        Poll::Pending
    }

    fn beat(&mut self, listening: bool) -> Result<(), PortError> {
        let now = Instant::now();
        self.beat.as_mut().reset(now + BEAT);
        let late = |since: Option<Instant>| since.is_some_and(|s| now - s > self.patience);
        // While we do not listen the subscriber's silence says nothing about it.
        if late(self.tracking_owes) || (listening && late(self.subscriber_owes)) {
            return Err(error::unreachable(self.tracking.at(), "the feed went silent"));
        }
        if self.tracking_owes.is_none() {
            self.tracking_owes = Some(now);
            self.ask(Asked::Beat);
        }
        if self.subscriber_owes.is_none() {
            self.subscriber_owes = Some(now);
            self.subscriber.queue(&[b"PING", BEAT_MARK]);
        }
        Ok(())
    }

    fn answered(&mut self, reply: Value) -> Result<Heard, PortError> {
        let asked = self.owed.pop_front();
        let reply = error::checked(reply, "a feed question", self.tracking.at())?;
        let info =
            |reply: &Value| reply.as_bytes().map(|b| Info::parse(&String::from_utf8_lossy(b)));
        match asked {
            Some(Asked::Trip) => Ok(Heard::Trip),
            Some(Asked::Beat) => {
                self.tracking_owes = None;
                Ok(Heard::Beat)
            }
            Some(Asked::Stats) => {
                self.evicted = info(&reply).map_or(self.evicted, |i| i.number("evicted_keys"));
                Ok(Heard::Beat)
            }
            Some(Asked::Word) => {
                let keyspace = info(&reply).map_or_else(Vec::new, |i| i.keyspace());
                let dbs = keyspace.into_iter().map(|(db, _)| db).collect();
                Ok(Heard::Word { evicted: self.evicted, dbs })
            }
            None => Err(error::unexpected("nothing asked", self.tracking.at())),
        }
    }

    fn message(&mut self, message: Value) -> Result<Heard, PortError> {
        let unexpected = || error::unexpected("SUBSCRIBE", self.tracking.at());
        let mut parts = message.into_items().ok_or_else(unexpected)?.into_iter();
        let kind = parts.next();
        match kind.as_ref().and_then(Value::as_str) {
            Some("message") => match parts.nth(1) {
                Some(Value::Nil) => Ok(Heard::Everything),
                Some(Value::Array(names)) => {
                    let names = names.into_iter().map(|n| match n {
                        Value::Bulk(name) => Some(name),
                        _ => None,
                    });
                    names.collect::<Option<_>>().map(Heard::Names).ok_or_else(unexpected)
                }
                _ => Err(unexpected()),
            },
            Some("pong") => match parts.next().as_ref().and_then(Value::as_bytes) {
                Some(text) if text.as_ref() == MARK => Ok(Heard::Mark),
                _ => {
                    self.subscriber_owes = None;
                    Ok(Heard::Beat)
                }
            },
            _ => Err(unexpected()),
        }
    }
}

/// A refusal to subscribe or to track is a missing capability.
fn refusable(reply: Result<Value, PortError>) -> Result<Value, PortError> {
    reply.map_err(|error| match error.trouble {
        Trouble::Denied | Trouble::Rejected | Trouble::Unsupported => {
            PortError::new(Trouble::Unsupported, code::NO_FEED, error.message)
        }
        _ => error,
    })
}
