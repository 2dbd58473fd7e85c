//! One client: its input, its unanswered requests, its output.
//!
//! The client's task reads and looks at requests; replies are written by whichever lane has
//! them. While something keeps the next request from being looked at ([`Wait`]), the input
//! stays unread, so that a client is bounded by its socket. Whoever ends the wait kicks.

mod output;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use family::{Next, Protocol, Request, Session};
use journal::Ticket;
use routing::Cohort;
use tokio::net::tcp::OwnedWriteHalf;

use super::Shard;
use super::gate::Gated;
use super::lane::Lane;
use super::stream::Stream;

/// Above this many unread bytes no further request of a client is looked at.
const CONGESTED_BYTES: usize = 1 << 20;
/// Unused capacity kept per client between bursts.
const KEEP_BYTES: usize = 4096;

pub(crate) struct Client<P: Protocol> {
    pub(crate) shard: Rc<Shard<P>>,
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) connected: Instant,
    pub(crate) session: RefCell<P::Session>,
    /// The writing end of a plain connection; TLS is written by the client's task.
    write: Option<OwnedWriteHalf>,
    /// Replies the socket has not taken; written up to `out_at`.
    out: RefCell<Vec<u8>>,
    out_at: Cell<usize>,
    /// Bytes read and not yet looked at.
    input: RefCell<Vec<u8>>,
    pub(crate) in_flight: Cell<usize>,
    /// Where the unanswered requests are.
    pub(crate) current: RefCell<Option<Rc<Lane<P>>>>,
    /// The client's own connection, and when it was last needed.
    pub(crate) own: RefCell<Option<Rc<Lane<P>>>>,
    pub(crate) own_used: Cell<Instant>,
    /// Shared lanes by side, for the session's version they were looked up with.
    pub(crate) lanes: RefCell<[Option<Rc<Lane<P>>>; 2]>,
    pub(crate) lanes_version: Cell<u32>,
    pub(crate) wait: Cell<Wait>,
    pub(crate) held_since: Cell<Option<Instant>>,
    /// A waiting request, for as long as it waits.
    pub(crate) blocked: RefCell<Option<Blocked>>,
    /// A request that was unblocked and is to be sent again.
    pub(crate) again: RefCell<Option<Blocked>>,
    /// The journal's note of the request at the front, taken while its marker was awaited.
    pub(crate) noted: RefCell<Option<Noted>>,
    pub(crate) gated: RefCell<VecDeque<Gated>>,
    /// When the authority last told it something.
    pub(crate) told: Cell<Option<Instant>>,
    /// Flush what is owed, then close.
    pub(crate) closing: Cell<bool>,
    /// The connection is over.
    pub(crate) dead: Cell<bool>,
    /// The client sends no more.
    ended: Cell<bool>,
    stalling: RefCell<Option<Weak<Lane<P>>>>,
    /// Others have waited long enough behind this client's replies.
    pub(crate) impatient: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    pub(crate) classes_used: RefCell<[u64; 8]>,
    pub(crate) last: Cell<Option<(u16, Instant)>>,
    /// For routing by attribute, as of `facts_version`.
    pub(crate) cohort: Cell<Cohort>,
    pub(crate) attribute: RefCell<Vec<u8>>,
    pub(crate) facts_version: Cell<Option<u32>>,
}

/// What the next request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Nothing,
    /// Every unanswered request: it needs another connection, or is answered here.
    Drained,
    /// The inspected reply.
    Reply,
    /// The next table.
    Table,
    /// A marker in the journal's store.
    Marker,
    /// Room in the lane's output.
    Lane,
    /// Fewer unanswered requests, or less unread output.
    Room,
    /// Being moved to another authority.
    Move,
}

/// What came of noting a request whose bucket had no durable marker yet.
pub(crate) enum Noted {
    Marked(Ticket),
    /// The store cannot keep markers any more.
    Failed,
}

/// A request that waits on the server for an event.
#[derive(Debug, Clone)]
pub(crate) struct Blocked {
    pub(crate) request: Request,
    pub(crate) raw: Vec<u8>,
    pub(crate) since: Instant,
    /// We asked the server to end its wait.
    pub(crate) unblocked: bool,
}

impl<P: Protocol> Client<P> {
    pub(crate) fn new(
        shard: &Rc<Shard<P>>,
        id: u64,
        address: SocketAddr,
        write: Option<OwnedWriteHalf>,
        input: Vec<u8>,
    ) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            shard: Rc::clone(shard),
            id,
            address,
            connected: now,
            session: RefCell::new(shard.protocol.session()),
            write,
            out: RefCell::default(),
            out_at: Cell::new(0),
            input: RefCell::new(input),
            in_flight: Cell::new(0),
            current: RefCell::default(),
            own: RefCell::default(),
            own_used: Cell::new(now),
            lanes: RefCell::default(),
            lanes_version: Cell::new(u32::MAX),
            wait: Cell::new(Wait::Nothing),
            held_since: Cell::new(None),
            blocked: RefCell::default(),
            again: RefCell::default(),
            noted: RefCell::default(),
            gated: RefCell::default(),
            told: Cell::new(None),
            closing: Cell::new(false),
            dead: Cell::new(false),
            ended: Cell::new(false),
            stalling: RefCell::default(),
            impatient: Cell::new(false),
            waker: RefCell::default(),
            classes_used: RefCell::default(),
            last: Cell::new(None),
            cohort: Cell::new(Cohort::of(b"")),
            attribute: RefCell::default(),
            facts_version: Cell::new(None),
        })
    }

    /// The client's life. Ready when the connection is over.
    pub(crate) fn poll(
        self: &Rc<Self>,
        stream: &mut Stream,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.register(cx.waker());
        loop {
            if self.dead.get() || self.poll_flush(stream, cx).is_err() {
                return Poll::Ready(());
            }
            if self.closing.get() && self.may_close() {
                return Poll::Ready(());
            }
            self.look(&[]);
            if self.ended.get() && self.finished() {
                self.closing.set(true);
            }
            if self.closing.get() && self.may_close() {
                continue;
            }
            if !self.wants_input() {
                return Poll::Pending;
            }
            match stream.poll_read(cx, scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.shard.now.set(Instant::now());
                    self.shard.counters().numbers.bytes_in += n as u64;
                    self.look(&scratch[..n]);
                }
                Poll::Ready(Ok(_)) => self.ended.set(true),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
            }
        }
    }

    fn register(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// Has the client's task look again.
    pub(crate) fn kick(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Ends a wait for something that has come about.
    pub(crate) fn resume(&self, waited_for: Wait) {
        if self.wait.get() == waited_for {
            self.wait.set(Wait::Nothing);
            self.kick();
        }
    }

    /// Nothing is owed and nothing is left to write.
    fn settled(&self) -> bool {
        self.in_flight.get() == 0
            && self.gated.borrow().is_empty()
            && self.again.borrow().is_none()
            && self.out.borrow().is_empty()
    }

    /// Whether a client that is to be closed may go: what it waits for would never come.
    fn may_close(&self) -> bool {
        self.settled() || self.blocked.borrow().is_some() || self.session.borrow().awaited()
    }

    /// After the end of the input: nothing more can come of this client.
    fn finished(&self) -> bool {
        // What waits for an event has nobody to tell; what waits for the client waits in vain.
        self.blocked.borrow().is_some()
            || self.session.borrow().awaited()
            || self.settled() && matches!(self.wait.get(), Wait::Nothing | Wait::Table)
    }

    /// In the middle of nothing.
    pub(crate) fn at_rest(&self) -> bool {
        self.settled() && self.input.borrow().is_empty() && self.wait.get() == Wait::Nothing
    }

    /// Somebody has to see that nothing is owed any more.
    pub(crate) fn wants_attention(&self) -> bool {
        self.closing.get() || self.ended.get() || self.dead.get()
    }

    /// While a request waits for an event its client is read, to see it leave.
    fn watched(&self) -> bool {
        self.wait.get() == Wait::Reply
            && self.blocked.borrow().is_some()
            && self.input.borrow().len() < CONGESTED_BYTES
    }

    fn wants_input(&self) -> bool {
        (self.wait.get() == Wait::Nothing || self.watched())
            && !self.ended.get()
            && !self.closing.get()
            && !self.congested()
            && !self.shard.overloaded()
    }

    /// Looks at as many requests as may be looked at now: what was kept, then `fresh`.
    fn look(self: &Rc<Self>, fresh: &[u8]) {
        self.shard.look_again(self);
        if fresh.is_empty() && self.input.borrow().is_empty() {
            return;
        }
        let mut kept = self.input.take();
        if kept.is_empty() {
            let used = self.requests(fresh);
            kept.extend_from_slice(&fresh[used..]);
        } else {
            kept.extend_from_slice(fresh);
            let used = self.requests(&kept);
            if used == kept.len() {
                kept.clear();
            } else if used > 0 {
                kept.drain(..used);
            }
            if kept.is_empty() && kept.capacity() > KEEP_BYTES {
                kept = Vec::new();
            }
        }
        *self.input.borrow_mut() = kept;
    }

    /// Takes requests from the front. Returns the bytes taken.
    fn requests(self: &Rc<Self>, input: &[u8]) -> usize {
        let mut at = 0;
        while self.may_look() {
            let rest = &input[at..];
            if rest.is_empty() {
                break;
            }
            let next = self.session.borrow_mut().next(rest);
            let taken = match next {
                Next::More => break,
                Next::Skip(len) => len,
                Next::Request(request) => match self.shard.request(self, &request, rest) {
                    true => request.len,
                    false => break,
                },
                Next::Body(len, _) => match self.body(&rest[..len]) {
                    true => len,
                    false => break,
                },
                Next::Local { len, class } => match self.quiescent() {
                    true => {
                        self.local(&rest[..len], class);
                        len
                    }
                    false => break,
                },
                Next::Malformed => {
                    if self.quiescent() {
                        self.shard.counters().numbers.errors.malformed += 1;
                        self.say(|session, out| session.farewell(out));
                        self.closing.set(true);
                    }
                    break;
                }
            };
            self.session.borrow_mut().taken(taken);
            at += taken;
        }
        at
    }

    fn may_look(&self) -> bool {
        if self.wait.get() != Wait::Nothing || self.closing.get() || self.dead.get() {
            return false;
        }
        if self.in_flight.get() >= self.shard.limits().client_pipeline_max || self.congested() {
            self.wait.set(Wait::Room);
            return false;
        }
        true
    }

    /// Whether nothing is owed; otherwise waits for that.
    pub(crate) fn quiescent(&self) -> bool {
        if self.in_flight.get() == 0 && self.gated.borrow().is_empty() {
            return true;
        }
        self.wait.set(Wait::Drained);
        false
    }

    /// More of a request that is being streamed over the own connection.
    fn body(&self, bytes: &[u8]) -> bool {
        let own = self.own.borrow();
        let Some(lane) = own.as_ref().filter(|l| l.usable()) else {
            // The rest of it has nowhere to go.
            self.dead.set(true);
            return false;
        };
        if lane.crowded() {
            self.wait_for_lane(lane);
            return false;
        }
        lane.append(bytes);
        true
    }

    pub(crate) fn wait_for_lane(&self, lane: &Lane<P>) {
        self.wait.set(Wait::Lane);
        lane.crowd.borrow_mut().push(self.shard.weak(self.id));
    }

    fn local(self: &Rc<Self>, raw: &[u8], class: u16) {
        self.shard.counters().numbers.requests.local += 1;
        self.last.set(Some((class, self.shard.now.get())));
        let mut after = family::After::Continue;
        let authority = self.shard.shared.table_cell().load().authority.default;
        self.session.borrow_mut().stands(authority);
        self.say(|session, out| after = session.answer(raw, out));
        self.apply(after);
    }

    /// Acts on what the session decided.
    pub(crate) fn apply(&self, after: family::After) {
        match after {
            family::After::Continue => {}
            family::After::Release => self.shard.release(self),
            family::After::Close => self.closing.set(true),
        }
    }

    /// Lets the session write to the client.
    pub(crate) fn say(&self, write: impl FnOnce(&mut P::Session, &mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut self.session.borrow_mut(), &mut out);
        if !out.is_empty() {
            self.deliver(&out);
        }
    }

    /// Whether messages without a request on this lane are for the client: it may have moved.
    pub(crate) fn listens_to(&self, lane: &Lane<P>) -> bool {
        self.own.borrow().as_ref().is_some_and(|own| std::ptr::eq(&raw const **own, lane))
    }

    pub(crate) fn is_unblocked(&self) -> bool {
        self.blocked.borrow().as_ref().is_some_and(|b| b.unblocked)
    }

    /// What the connection leaves behind when it is over.
    pub(crate) fn over(&self) {
        self.dead.set(true);
        self.shard.unbuffered(self.unread());
        *self.out.borrow_mut() = Vec::new();
        self.out_at.set(0);
        if let Some(lane) = self.stalling.take().and_then(|l| l.upgrade()) {
            lane.wake();
        }
        self.gated.borrow_mut().clear();
        self.noted.borrow_mut().take();
        if let Some(own) = self.own.take() {
            // A wait on the server must not outlive the client and take something it cannot
            // give to anybody; any other request is left to finish.
            let session = self.session.borrow();
            if self.blocked.borrow().is_some() || session.awaited() {
                own.abandon();
            } else {
                own.part(&*session);
            }
        }
        *self.lanes.borrow_mut() = [None, None];
        *self.current.borrow_mut() = None;
    }
}
