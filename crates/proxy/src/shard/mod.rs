//! One thread that serves clients, single-threaded inside: no lock and no atomic is contended on
//! the request path.
//!
//! Layout: `accept` and `opening` let clients in; `client` is one of them; `dispatch` decides where a request
//! goes; `lane` and `lane_io` are server connections, `reply` and `outcome` what their answers
//! do; `gate` waits for the secondary, `compare` asks it too; `barrier` stops writes and moves
//! sessions, `parking` takes them off their connections first; `control` is what the handle asks for.

mod accept;
mod alive;
mod barrier;
mod client;
mod compare;
mod control;
mod dispatch;
mod gate;
mod lane;
mod lane_io;
mod marks;
mod opening;
mod outcome;
mod parking;
mod reply;
mod stream;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use family::{Protocol, Session};
use journal::{Outcome, Settlement, Ticket};
use model::Side;
use parking_lot::MutexGuard;
use routing::Cohort;
use tokio::sync::{Notify, mpsc};

use crate::config::Limits;
use crate::counters::ShardCounters;
use crate::shared::{Message, Shared};
use client::Client;
use gate::Wanted;
use lane::{Failure, Lane};

/// How often gauges are taken and limits of time are looked at.
const TICK: Duration = Duration::from_millis(50);
/// A shared lane that nobody used for this long is closed.
const LANE_IDLE: Duration = Duration::from_secs(60);
/// One request in this many is looked at for its shape.
const SHAPES_SAMPLED: u64 = 32;

/// Starts a shard's thread. The shard with the listener also accepts.
pub(crate) fn start<P: Protocol>(
    index: usize,
    protocol: Arc<P>,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Message>,
    listener: Option<std::net::TcpListener>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let name = format!("{}-{index}", shared.name());
    std::thread::Builder::new().name(name).spawn(move || {
        let shard = Shard::new(index, protocol, shared);
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, control::run(shard, inbox, listener));
    })?;
    Ok(())
}

/// Shared lanes by what they are keyed by.
type SharedLanes<P> = HashMap<(Side, <P as Protocol>::Identity), Rc<Lane<P>>>;

pub(crate) struct Shard<P: Protocol> {
    pub(crate) index: usize,
    pub(crate) protocol: Arc<P>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clients: RefCell<HashMap<u64, Rc<Client<P>>>>,
    lanes: RefCell<SharedLanes<P>>,
    /// Every lane that has not ended, own ones included.
    all_lanes: RefCell<Vec<Weak<Lane<P>>>>,
    /// When the bytes being worked on were read.
    pub(crate) now: Cell<Instant>,
    /// Writes sent and not settled.
    pub(crate) writes: Cell<usize>,
    /// Questions about where logs stand.
    pub(crate) marks: marks::Marks,
    /// Rung when a write is settled.
    pub(crate) quiet: Notify,
    buffered: Cell<usize>,
    healthy: [Cell<bool>; 2],
    pub(crate) lag_ms: Cell<u32>,
    comparisons: Cell<usize>,
    random: Cell<u64>,
    /// Where clients are read into, one after the other.
    pub(crate) scratch: RefCell<Vec<u8>>,
    myself: Weak<Self>,
}

impl<P: Protocol> Shard<P> {
    fn new(index: usize, protocol: Arc<P>, shared: Arc<Shared>) -> Rc<Self> {
        Rc::new_cyclic(|myself| Self {
            index,
            protocol,
            shared,
            clients: RefCell::default(),
            lanes: RefCell::default(),
            all_lanes: RefCell::default(),
            now: Cell::new(Instant::now()),
            writes: Cell::new(0),
            marks: marks::Marks::default(),
            quiet: Notify::new(),
            buffered: Cell::new(0),
            healthy: Default::default(),
            lag_ms: Cell::new(0),
            comparisons: Cell::new(0),
            random: Cell::new(0x9e37_79b9_7f4a_7c15 ^ (index as u64 + 1)),
            scratch: RefCell::default(),
            myself: Weak::clone(myself),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.config().limits
    }

    /// This shard's numbers. Held for a few instructions only.
    pub(crate) fn counters(&self) -> MutexGuard<'_, ShardCounters> {
        self.shared.counters[self.index].lock()
    }

    pub(crate) fn weak(&self, client: u64) -> Weak<Client<P>> {
        self.clients.borrow().get(&client).map(Rc::downgrade).unwrap_or_default()
    }

    /// A number that need not be hard to guess.
    pub(crate) fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }

    fn sampled(&self) -> bool {
        self.random().is_multiple_of(SHAPES_SAMPLED)
    }

    pub(crate) fn buffered(&self, bytes: usize) {
        self.buffered.set(self.buffered.get() + bytes);
    }

    pub(crate) fn unbuffered(&self, bytes: usize) {
        self.buffered.set(self.buffered.get().saturating_sub(bytes));
    }

    /// This shard's part of the interlay's memory is used up.
    pub(crate) fn overloaded(&self) -> bool {
        self.buffered.get() > self.limits().total_bytes_max / self.shared.shard_count()
    }

    /// One of several replies says what its write did; [`Self::settled`] follows the last.
    pub(crate) fn settle_one(&self, ticket: Ticket, outcome: Outcome) -> Settlement {
        match &self.shared.journal {
            Some(journal) => journal.settle_one_of_many(ticket, outcome, self.now.get()),
            None => Settlement::default(),
        }
    }

    /// Tells copiers of the writes settled by one read.
    pub(crate) fn settled(&self) {
        if let Some(journal) = &self.shared.journal {
            journal.settled_many();
        }
    }

    /// A write's reply says what it did.
    pub(crate) fn settle(&self, ticket: Ticket, outcome: Outcome) -> Settlement {
        match &self.shared.journal {
            Some(journal) => journal.settle(ticket, outcome, self.now.get()),
            None => Settlement::default(),
        }
    }

    pub(crate) fn write_done(&self) {
        self.writes.set(self.writes.get() - 1);
        if self.writes.get() == 0 {
            self.quiet.notify_waiters();
        }
    }

    /// Whether a change needs no waiting: the secondary has it, or nobody waits for it now.
    fn is_there(&self, wanted: &Wanted) -> bool {
        self.shared.degraded()
            || match wanted {
                Wanted::Records(settlement) => {
                    self.shared.journal.as_ref().is_none_or(|j| j.is_copied(settlement))
                }
                Wanted::Log(..) => false,
            }
    }

    /// Waits until the secondary has a change; gives up at `until` and for all others too.
    async fn there(&self, wanted: Wanted, until: tokio::time::Instant) {
        if self.shared.degraded() {
            return;
        }
        let (journal, horizon) = (self.shared.journal.clone(), self.shared.horizon.clone());
        let come = async {
            match (wanted, journal, horizon) {
                (Wanted::Records(settlement), Some(journal), _) => journal.copied(settlement).await,
                (Wanted::Log(side, mark), _, Some(horizon)) => {
                    let offset = mark.await.ok()?;
                    horizon.reached(side, offset).await;
                }
                _ => {}
            }
            Some(())
        };
        let in_time = matches!(tokio::time::timeout_at(until, come).await, Ok(Some(())));
        let mut counters = self.counters();
        if in_time {
            counters.numbers.secondary_waits += 1;
        } else {
            counters.numbers.secondary_timeouts += 1;
            self.shared.set_degraded(true);
        }
    }

    pub(crate) fn all_settled(&self, keys: &[model::Key]) -> bool {
        self.shared.journal.as_ref().is_none_or(|j| !keys.iter().any(|k| j.unsettled(k)))
    }

    pub(crate) fn begin_comparison(&self) -> bool {
        let room = self.comparisons.get() < self.limits().compare_pending_max;
        if room {
            self.comparisons.set(self.comparisons.get() + 1);
        }
        room
    }

    pub(crate) fn comparison_over(&self) {
        self.comparisons.set(self.comparisons.get().saturating_sub(1));
    }

    /// The attribute that routes a client, after it changed.
    fn refresh_facts(&self, client: &Client<P>) {
        let session = client.session.borrow();
        let version = session.version();
        if client.facts_version.replace(Some(version)) == Some(version) {
            return;
        }
        let facts = session.facts();
        let attribute = facts.name.or(facts.user).unwrap_or_default().into_bytes();
        // Clients that say nothing about themselves are told apart by their address.
        client.cohort.set(match attribute.is_empty() {
            true => Cohort::of(client.address.ip().to_string().as_bytes()),
            false => Cohort::of(&attribute),
        });
        *client.attribute.borrow_mut() = attribute;
    }

    // Lanes.

    fn is_current(&self, lane: &Lane<P>) -> bool {
        self.shared.generation(lane.side) == lane.generation
    }

    /// Whether a shared lane of this identity is open; starts one if there is none.
    fn open_lane(&self, side: Side, identity: &P::Identity) -> bool {
        let Some(shard) = self.myself.upgrade() else { return false };
        shard
            .shared_lane(side, identity)
            .is_some_and(|lane| lane.state.get() == lane::State::Open && !lane.crowded())
    }

    /// The shared lane of an identity, opened if there is none. `None` without an endpoint.
    pub(crate) fn shared_lane(
        self: &Rc<Self>,
        side: Side,
        identity: &P::Identity,
    ) -> Option<Rc<Lane<P>>> {
        let key = (side, identity.clone());
        let known = self.lanes.borrow().get(&key).map(Rc::clone);
        if let Some(lane) = known.filter(|l| l.usable() && self.is_current(l)) {
            return Some(lane);
        }
        let lane = self.new_lane(side, identity.clone(), None)?;
        if let Some(old) = self.lanes.borrow_mut().insert(key, Rc::clone(&lane)) {
            old.retire();
        }
        Some(lane)
    }

    /// A connection of the client's own.
    pub(crate) fn own_lane(
        self: &Rc<Self>,
        client: &Rc<Client<P>>,
        side: Side,
    ) -> Option<Rc<Lane<P>>> {
        let identity = client.session.borrow().identity().clone();
        let lane = self.new_lane(side, identity, Some(Rc::downgrade(client)))?;
        *client.own.borrow_mut() = Some(Rc::clone(&lane));
        client.own_used.set(self.now.get());
        Some(lane)
    }

    pub(crate) fn new_lane(
        self: &Rc<Self>,
        side: Side,
        identity: P::Identity,
        owner: Option<Weak<Client<P>>>,
    ) -> Option<Rc<Lane<P>>> {
        let endpoint = self.shared.endpoint(side)?;
        let lane = Lane::new(self, side, identity, endpoint.generation, owner);
        self.all_lanes.borrow_mut().push(Rc::downgrade(&lane));
        tokio::task::spawn_local(lane_io::run(Rc::clone(&lane), endpoint));
        Some(lane)
    }

    /// Gives a client's own connection up. Its state is gone or was never there.
    pub(crate) fn release(&self, client: &Client<P>) {
        if let Some(own) = client.own.take() {
            own.retire();
        }
    }

    /// A lane's connection is open.
    pub(crate) fn opened(&self, lane: &Lane<P>) {
        if lane.state.get() == lane::State::Opening {
            lane.state.set(lane::State::Open);
        }
        self.healthy[lane.side.index()].set(true);
    }

    /// A lane's task is over.
    pub(crate) fn lane_ended(&self, lane: &Rc<Lane<P>>, failure: Failure) {
        let wanted = lane.usable();
        if wanted {
            let refused = matches!(failure, Failure::Refused(_));
            self.healthy[lane.side.index()].set(refused);
            self.counters().side(lane.side).failures += u64::from(!refused);
        }
        let key = (lane.side, lane.identity.clone());
        let mut lanes = self.lanes.borrow_mut();
        if lanes.get(&key).is_some_and(|l| Rc::ptr_eq(l, lane)) {
            lanes.remove(&key);
        }
        drop(lanes);
        self.all_lanes.borrow_mut().retain(|l| l.upgrade().is_some_and(|l| !Rc::ptr_eq(&l, lane)));
        lane.fail(&failure);
        if let Some(client) = lane.owner.as_ref().and_then(Weak::upgrade)
            && client.listens_to(lane)
        {
            client.own.take();
            // Its state was on this connection: the client learns it as it would without us.
            if client.session.borrow().encumbered() {
                client.lost();
            }
        }
    }

    pub(crate) fn lanes_alive(&self) -> Vec<Rc<Lane<P>>> {
        self.all_lanes.borrow().iter().filter_map(Weak::upgrade).collect()
    }
}
