//! One server connection: what is waiting to be written, and who is owed which reply.
//!
//! A lane is shared by every client of its identity, or is one client's own. It takes requests
//! from the moment it exists; its task (`lane_io`) connects, writes and reads. When it fails,
//! everything owed is answered in order by what is known: never sent, refused, or unknown.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use family::{Expect, Protocol, Session, Settles};
use journal::Ticket;
use model::Side;
use tokio::sync::oneshot;

use super::Shard;
use super::client::{Client, Wait};
use super::compare::Comparison;
use super::reply::Mode;

pub(crate) struct Lane<P: Protocol> {
    pub(crate) shard: Rc<Shard<P>>,
    pub(crate) side: Side,
    pub(crate) identity: P::Identity,
    /// Of the endpoint it was opened to.
    pub(crate) generation: u64,
    /// The client whose own connection it is.
    pub(crate) owner: Option<Weak<Client<P>>>,
    pub(crate) out: RefCell<Vec<u8>>,
    pub(crate) owed: RefCell<VecDeque<Owed<P>>>,
    pub(crate) state: Cell<State>,
    /// When it was last given a request.
    pub(crate) used: Cell<Instant>,
    pub(crate) address: Cell<Option<SocketAddr>>,
    pub(crate) connection: Cell<Option<u64>>,
    /// A reply that has to be whole before anything is done with it.
    pub(crate) partial: RefCell<Vec<u8>>,
    /// What is being done with the reply at the head, whether it is an error, and what it says
    /// about a write. Valid from the reply's first byte to its last.
    pub(crate) mode: Cell<Mode>,
    pub(crate) error: Cell<bool>,
    pub(crate) settles: Cell<Settles>,
    /// The head's reply has begun.
    pub(crate) begun: Cell<bool>,
    /// The client whose unread replies keep this lane from reading, and since when.
    pub(crate) stalled: RefCell<Option<(Rc<Client<P>>, Instant)>>,
    /// Clients that wait for room in `out`.
    pub(crate) crowd: RefCell<Vec<Weak<Client<P>>>>,
    waker: RefCell<Option<Waker>>,
    notified: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Requests wait until it is open.
    Opening,
    Open,
    /// Takes no more requests; closes when nothing is owed.
    Retiring,
    /// To be closed now, whatever is owed.
    Abandoned,
    Dead,
}

/// A reply that somebody waits for.
pub(crate) struct Owed<P: Protocol> {
    pub(crate) sink: Sink<P>,
    pub(crate) expect: Expect,
    pub(crate) class: u16,
    pub(crate) flags: Flags,
    /// When the client's bytes were read.
    pub(crate) received: Instant,
    /// When it was handed to the lane.
    pub(crate) sent: Instant,
    pub(crate) ticket: Option<Box<Ticket>>,
    /// The request itself, where it may have to be asked again elsewhere.
    pub(crate) copy: Option<Box<[u8]>>,
    pub(crate) comparison: Option<Rc<Comparison<P>>>,
}

pub(crate) enum Sink<P: Protocol> {
    Client(Rc<Client<P>>),
    /// The other side's part of a comparison.
    Comparison,
    /// Something that brings a connection into a session's state: only errors are of interest.
    Restore(Rc<Restore>),
    /// A control request of ours.
    Answer(Option<oneshot::Sender<Result<Vec<u8>, Failure>>>),
}

/// Counts the replies of a restore.
#[derive(Default)]
pub(crate) struct Restore {
    pub(crate) left: Cell<usize>,
    pub(crate) failed: Cell<bool>,
    /// All replies, one behind the other.
    pub(crate) replies: RefCell<Vec<u8>>,
    pub(crate) done: tokio::sync::Notify,
}

/// What the proxy needs to remember of a request until its reply.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) write: bool,
    pub(crate) read: bool,
    pub(crate) suppress: bool,
    pub(crate) inspect: bool,
    pub(crate) blocking: bool,
    /// Its reply waits for the secondary.
    pub(crate) gate: bool,
}

/// Why a lane ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Never opened: nothing was sent.
    Unreachable,
    /// The server refused the identity; its words. Nothing was sent.
    Refused(Vec<u8>),
    /// Open, then broken: the outcome of what was sent is unknown.
    Broken,
}

impl<P: Protocol> Lane<P> {
    pub(crate) fn new(
        shard: &Rc<Shard<P>>,
        side: Side,
        identity: P::Identity,
        generation: u64,
        owner: Option<Weak<Client<P>>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            shard: Rc::clone(shard),
            side,
            identity,
            generation,
            owner,
            out: RefCell::default(),
            owed: RefCell::default(),
            state: Cell::new(State::Opening),
            used: Cell::new(Instant::now()),
            address: Cell::new(None),
            connection: Cell::new(None),
            partial: RefCell::default(),
            mode: Cell::default(),
            error: Cell::new(false),
            settles: Cell::new(Settles::Applied),
            begun: Cell::new(false),
            stalled: RefCell::default(),
            crowd: RefCell::default(),
            waker: RefCell::default(),
            notified: Cell::new(false),
        })
    }

    /// Whether it takes requests.
    pub(crate) fn usable(&self) -> bool {
        matches!(self.state.get(), State::Opening | State::Open)
    }

    pub(crate) fn is_own(&self) -> bool {
        self.owner.is_some()
    }

    /// Appends a request and the promise of its reply.
    pub(crate) fn push(&self, raw: &[u8], owed: Owed<P>) {
        self.used.set(owed.sent);
        self.owed.borrow_mut().push_back(owed);
        self.append(raw);
    }

    /// Appends more of a request that was pushed in part.
    pub(crate) fn append(&self, raw: &[u8]) {
        self.out.borrow_mut().extend_from_slice(raw);
        self.wake();
    }

    /// Asks something of our own. The answer is the whole reply.
    pub(crate) fn ask(
        &self,
        raw: &[u8],
        expect: Expect,
    ) -> oneshot::Receiver<Result<Vec<u8>, Failure>> {
        let (sender, receiver) = oneshot::channel();
        let now = Instant::now();
        self.push(
            raw,
            Owed {
                sink: Sink::Answer(Some(sender)),
                expect,
                class: 0,
                flags: Flags::default(),
                received: now,
                sent: now,
                ticket: None,
                copy: None,
                comparison: None,
            },
        );
        receiver
    }

    /// Open, and everything handed to it was taken for writing.
    pub(crate) fn delivered(&self) -> bool {
        self.state.get() == State::Open && self.out.borrow().is_empty()
    }

    /// How long the oldest unanswered request has waited, if every one on the lane can be asked
    /// of somebody else (or is a comparison); else zero. A reply that has begun is not silence.
    pub(crate) fn reading_since(&self, now: Instant) -> Duration {
        let owed = self.owed.borrow();
        let silent = self.state.get() == State::Open && !self.begun.get();
        let reads = |o: &Owed<P>| match o.sink {
            Sink::Client(_) => o.copy.is_some(),
            Sink::Comparison => true,
            Sink::Restore(_) | Sink::Answer(_) => false,
        };
        match owed.front() {
            Some(head) if silent && owed.iter().all(reads) => {
                now.saturating_duration_since(head.sent)
            }
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn crowded(&self) -> bool {
        self.out.borrow().len() > self.shard.limits().lane_out_bytes_max
    }

    /// Takes no more requests and closes when nothing is owed.
    pub(crate) fn retire(&self) {
        if self.usable() {
            self.state.set(State::Retiring);
            self.wake();
        }
    }

    /// Its client needs it no more: closes when all that was asked is answered, at once when
    /// nothing is.
    pub(crate) fn part(&self, session: &P::Session) {
        let mut words = Vec::new();
        session.goodbye(&mut words);
        if words.is_empty() && self.idle() {
            return self.abandon();
        }
        self.append(&words);
        self.retire();
    }

    /// Closes now.
    pub(crate) fn abandon(&self) {
        if self.state.get() != State::Dead {
            self.state.set(State::Abandoned);
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        if self.notified.replace(true) {
            return;
        }
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// The lane's task is being polled.
    pub(crate) fn polled(&self, waker: &Waker) {
        self.notified.set(false);
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// Lets clients in again that wait for room.
    pub(crate) fn thin_out(&self) {
        for client in self.crowd.take() {
            if let Some(client) = client.upgrade() {
                client.resume(Wait::Lane);
            }
        }
    }
}
