//! The change feed: `CLIENT TRACKING ON BCAST` redirected to a subscriber.
//!
//! Constraints: the feed must not be able to hurt the server (law 1), so invalidations go to a
//! RESP2 subscriber, whose backlog the server bounds by itself; a subscriber cut off for being
//! slow is a gap, not a fault. One empty prefix: more of them cost the server dearly.
//!
//! An invalidation names a key but no database. It is reported in every database seen in use,
//! and before a batch is reported the server is asked again which are in use and whether it has
//! evicted anything: what a key's absence means has to be known before its key is reported (law
//! 3).
//!
//! Layout: `wires` is the pair of connections and what is owed on them; here is what the
//! messages mean. Everything is kept in the value, so that `next` may be dropped at any point.

mod wires;

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use family::{Doubt, Feed, FeedEvent, PortError, Trouble};

use crate::conn::Link;
use crate::error::code;
use crate::key;
pub(crate) use wires::Incarnation;
use wires::{Asked, Heard, Wires};

/// Fences waiting at most.
const FENCES_MAX: usize = 1024;
/// Keys per reported event at most.
const EVENT_KEYS: usize = 4096;
/// Names held back at most before the subscriber is no longer read from.
const HELD_MAX: usize = 64 * 1024;

/// What has arrived and is not reported yet.
#[derive(Default)]
struct Batch {
    /// Each with an instant after it was received.
    names: Vec<(Bytes, Instant)>,
    everything: bool,
    fences: Vec<u64>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.everything && self.fences.is_empty()
    }

    /// Whether reporting it needs the server's word on databases and evictions.
    fn needs_word(&self) -> bool {
        !self.names.is_empty() || self.everything
    }
}

/// How far the barrier in progress is (law 5): two successive round trips on the tracking
/// connection, so that the event loop has begun anew, then the subscriber's own order.
enum Barrier {
    None,
    FirstTrip(Vec<u64>),
    SecondTrip(Vec<u64>),
    Subscriber(Vec<u64>),
}

/// The feed of one server.
pub(crate) struct RedisFeed {
    link: Arc<Link>,
    /// Absent between the loss of a connection and the next attempt.
    wires: Option<Wires>,
    known: Incarnation,
    /// Databases seen in use since the feed began.
    dbs: BTreeSet<u16>,
    waiting: VecDeque<u64>,
    barrier: Barrier,
    /// Arrived since the last question to the server.
    fresh: Batch,
    /// Held back until the question is answered.
    held: Batch,
    ready: VecDeque<FeedEvent>,
}

impl RedisFeed {
    /// Starts the feed. Every change that begins after this returns is delivered.
    pub(crate) async fn open(link: &Arc<Link>) -> Result<Self, PortError> {
        let (wires, known, dbs) = Wires::open(link).await?;
        // An earlier feed of this process may have ended before it could tell.
        let before = link.saw(known.clone());
        let gap =
            before.map(|before| doubt(&before, &known)).filter(|d| *d != Doubt::ConnectionOnly);
        Ok(Self {
            link: link.clone(),
            wires: Some(wires),
            known,
            dbs: dbs.into_iter().chain([0]).collect(),
            waiting: VecDeque::new(),
            barrier: Barrier::None,
            fresh: Batch::default(),
            held: Batch::default(),
            ready: gap.map(FeedEvent::Gap).into_iter().collect(),
        })
    }

    /// Connects anew after a loss; what may have been missed is reported as a gap.
    async fn reconnect(&mut self) -> Result<(), PortError> {
        let (wires, now, dbs) = Wires::open(&self.link).await?;
        self.ready.push_back(FeedEvent::Gap(doubt(&self.known, &now)));
        self.link.saw(now.clone());
        self.known = now;
        self.dbs.extend(dbs);
        self.wires = Some(wires);
        Ok(())
    }

    /// Forgets the connections. Barriers asked for stay so; they will follow the gap.
    fn lose(&mut self) {
        self.wires = None;
        let begun = match std::mem::replace(&mut self.barrier, Barrier::None) {
            Barrier::None => Vec::new(),
            Barrier::FirstTrip(t) | Barrier::SecondTrip(t) | Barrier::Subscriber(t) => t,
        };
        let held = std::mem::take(&mut self.held).fences;
        let fresh = std::mem::take(&mut self.fresh).fences;
        for token in held.into_iter().chain(fresh).chain(begun).rev() {
            self.waiting.push_front(token);
        }
    }

    /// Starts what can be started: the next barrier, the next question.
    fn start(&mut self) {
        let Some(wires) = &mut self.wires else { return };
        if matches!(self.barrier, Barrier::None) && !self.waiting.is_empty() {
            self.barrier = Barrier::FirstTrip(self.waiting.drain(..).collect());
            wires.ask(Asked::Trip);
        }
        if self.held.is_empty() && !self.fresh.is_empty() {
            if !self.fresh.needs_word() {
                self.held = std::mem::take(&mut self.fresh);
                self.report(None);
            } else if wires.may_ask_for_word() {
                self.held = std::mem::take(&mut self.fresh);
                wires.ask(Asked::Word);
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Names(names) => {
                // The engine's clock, which tests may pause.
                let now = tokio::time::Instant::now().into_std();
                let names = names.into_iter().filter(|n| !key::is_own(n));
                self.fresh.names.extend(names.map(|name| (name, now)));
            }
            Heard::Everything => self.fresh.everything = true,
            Heard::Trip => {
                if let Some(wires) = &mut self.wires {
                    self.barrier = match std::mem::replace(&mut self.barrier, Barrier::None) {
                        Barrier::FirstTrip(tokens) => {
                            wires.ask(Asked::Trip);
                            Barrier::SecondTrip(tokens)
                        }
                        Barrier::SecondTrip(tokens) => {
                            wires.mark_subscriber();
                            Barrier::Subscriber(tokens)
                        }
                        other => other,
                    };
                }
            }
            Heard::Mark => {
                if let Barrier::Subscriber(tokens) =
                    std::mem::replace(&mut self.barrier, Barrier::None)
                {
                    self.fresh.fences.extend(tokens);
                }
            }
            Heard::Word { evicted, dbs } => {
                self.dbs.extend(dbs);
                let moved = evicted != self.known.evicted;
                if moved {
                    self.known.evicted = evicted;
                    self.link.saw(self.known.clone());
                    if let Some(wires) = &mut self.wires {
                        wires.slow_down();
                    }
                }
                self.report(moved.then_some(Doubt::Evicted));
            }
            Heard::Beat => {}
        }
    }

    /// Makes events of what was held back.
    fn report(&mut self, doubt: Option<Doubt>) {
        let batch = std::mem::take(&mut self.held);
        if let Some(doubt) = doubt {
            self.ready.push_back(FeedEvent::Gap(doubt));
        }
        if batch.everything {
            self.ready.push_back(FeedEvent::StaleAll);
        }
        let mut keys = Vec::new();
        for (name, at) in &batch.names {
            keys.extend(self.dbs.iter().map(|db| (key::encode(*db, name), *at)));
            if keys.len() >= EVENT_KEYS {
                self.ready.push_back(FeedEvent::Stale(std::mem::take(&mut keys)));
            }
        }
        if !keys.is_empty() {
            self.ready.push_back(FeedEvent::Stale(keys));
        }
        self.ready.extend(batch.fences.into_iter().map(FeedEvent::Fenced));
    }
}

/// What a loss of connection leaves in doubt.
fn doubt(before: &Incarnation, now: &Incarnation) -> Doubt {
    if before.run_id != now.run_id || before.replid != now.replid {
        Doubt::Replaced
    } else if before.evicted != now.evicted {
        Doubt::Evicted
    } else {
        Doubt::ConnectionOnly
    }
}

#[async_trait]
impl Feed for RedisFeed {
    async fn next(&mut self) -> Result<FeedEvent, PortError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if self.wires.is_none() {
                self.reconnect().await?;
                continue;
            }
            self.start();
            if !self.ready.is_empty() {
                continue;
            }
            let full = self.fresh.names.len() >= HELD_MAX;
            let Some(wires) = &mut self.wires else { continue };
            match poll_fn(|cx| wires.poll_heard(cx, !full)).await {
                Ok(Some(heard)) => self.hear(heard),
                // Time to start something that had to wait.
                Ok(None) => {}
                Err(error) => {
                    tracing::info!(event = "feed_lost", reason = %error.message);
                    self.lose();
                }
            }
        }
    }

    async fn request_fence(&mut self, token: u64) -> Result<(), PortError> {
        if self.waiting.len() >= FENCES_MAX {
            let message =
                format!("{}: more than {FENCES_MAX} barriers asked for", self.link.address());
            return Err(PortError::new(Trouble::Full, code::FENCE_BACKLOG, message));
        }
        self.waiting.push_back(token);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts() {
        let a = Incarnation { run_id: "r".into(), replid: "p".into(), evicted: 0 };
        assert_eq!(doubt(&a, &a), Doubt::ConnectionOnly);
        assert_eq!(doubt(&a, &Incarnation { evicted: 1, ..a.clone() }), Doubt::Evicted);
        let restarted = Incarnation { run_id: "s".into(), evicted: 1, ..a.clone() };
        assert_eq!(doubt(&a, &restarted), Doubt::Replaced);
        assert_eq!(doubt(&a, &Incarnation { replid: "q".into(), ..a.clone() }), Doubt::Replaced);
    }
}
