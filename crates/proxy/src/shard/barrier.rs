//! The barrier of a cutover, in one shard: no write in flight, then every session on the new
//! authority.
//!
//! Quiet means that every write sent under an older table was answered and settled. A request
//! that waits for an event is unblocked first; if that gives it nothing it is sent again after
//! the release, with the time it has left. A write whose connection broke counts as in flight
//! until the server has confirmed that the connection is gone.

use std::rc::Rc;
use std::time::{Duration, Instant};

use family::{Expect, Protocol, Session};
use journal::{Outcome, Ticket};
use model::{Access, Epoch, Side};

use super::Shard;
use super::client::{Client, Wait};
use super::lane::{Flags, Lane, Owed, Restore, Sink};
use super::outcome::describe;
use super::parking;
use crate::report::{QuietReport, RehomeReport};

/// How long a step of the barrier waits before it looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// First and longest pause between attempts to prove a connection dead.
const PROOF_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl<P: Protocol> Shard<P> {
    /// See `InterlayHandle::quiet`.
    pub(super) async fn become_quiet(
        self: &Rc<Self>,
        epoch: Epoch,
        deadline: Instant,
    ) -> QuietReport {
        let mut report = QuietReport::empty(epoch);
        let side = self.shared.table().authority.default;
        let mut patience = Some(parking::patience(deadline));
        loop {
            self.unblock(|blocked| blocked == Access::Write, &mut report).await;
            let bound = self.bound(side);
            if self.writes.get() == 0 && bound.is_empty() {
                break;
            }
            if patience.is_some_and(|until| Instant::now() >= until) {
                patience = None;
                report.transactions_ended = self.break_off(bound).await;
            }
            if Instant::now() >= deadline {
                report.quiet = false;
                break;
            }
            let settled = self.quiet.notified();
            let _ = tokio::time::timeout(LOOK_AGAIN, settled).await;
        }
        report.writes_in_flight = self.writes.get();
        if !report.quiet {
            let writes = report.writes_in_flight;
            report.waiting_on.push(format!("{writes} writes not answered by the authority"));
            let bound = self.bound(side).len();
            if bound > 0 {
                report.waiting_on.push(format!("{bound} transactions still open"));
            }
        } else {
            self.park(side, deadline).await;
        }
        for client in self.clients.borrow().values() {
            let in_transaction = client.session.borrow().facts().state == "transaction";
            report.transactions_open += usize::from(in_transaction);
            report.held += usize::from(client.wait.get() == Wait::Table);
        }
        report
    }

    /// Asks the servers to end the waits of clients whose request `concerns` us.
    async fn unblock(self: &Rc<Self>, concerns: impl Fn(Access) -> bool, report: &mut QuietReport) {
        let mut waiting: [Vec<u64>; 2] = Default::default();
        for client in self.clients.borrow().values() {
            let mut blocked = client.blocked.borrow_mut();
            let Some(blocked) = blocked.as_mut().filter(|b| concerns(b.request.access)) else {
                continue;
            };
            let own = client.own.borrow();
            let Some(lane) = own.as_ref() else { continue };
            if !lane.delivered() {
                continue;
            }
            match lane.connection.get() {
                Some(connection) => {
                    report.unblocked += usize::from(!blocked.unblocked);
                    blocked.unblocked = true;
                    waiting[lane.side.index()].push(connection);
                }
                None => {
                    let what = format!("{}: its number is not known", describe(lane));
                    if !report.waiting_on.contains(&what) {
                        report.waiting_on.push(what);
                    }
                }
            }
        }
        for side in [Side::Source, Side::Target] {
            for connection in &waiting[side.index()] {
                let mut raw = Vec::new();
                let Some(expect) = self.protocol.unblock(*connection, &mut raw) else { continue };
                let Some(lane) = self.control_lane(side) else { continue };
                let answer = lane.ask(&raw, expect);
                let _ = tokio::time::timeout(self.limits().connect_timeout, answer).await;
            }
        }
    }

    /// A connection with the worker's rights.
    pub(super) fn control_lane(self: &Rc<Self>, side: Side) -> Option<Rc<Lane<P>>> {
        let endpoint = self.shared.endpoint(side)?;
        self.shared_lane(side, &self.protocol.worker(&endpoint.spec))
    }

    /// Settles the writes of a broken connection as unknown, once the server has confirmed that
    /// it will not execute them any more.
    pub(crate) fn prove_dead(self: &Rc<Self>, lane: &Rc<Lane<P>>, writes: Vec<Option<Ticket>>) {
        let (shard, lane) = (Rc::clone(self), Rc::clone(lane));
        tokio::task::spawn_local(async move {
            if let Some(connection) = lane.connection.get() {
                shard.kill(&lane, connection).await;
            }
            for ticket in writes {
                if let Some(ticket) = ticket {
                    shard.settle(ticket, Outcome::Unknown);
                }
                shard.write_done();
            }
        });
    }

    pub(super) async fn kill(self: &Rc<Self>, lane: &Lane<P>, connection: u64) {
        let mut raw = Vec::new();
        let Some(expect) = self.protocol.kill(connection, &mut raw) else { return };
        let mut pause = PROOF_PAUSE.0;
        // An endpoint that was replaced is another system: nothing can be asked of the old one.
        while self.is_current(lane) {
            if let Some(control) = self.control_lane(lane.side) {
                // Any answer will do: killed, or no such connection. A refusal to kill leaves
                // the closed socket as the only evidence.
                if let Ok(Ok(answer)) = control.ask(&raw, expect).await
                    && self.protocol.killed(&answer)
                {
                    tracing::debug!(connection, answer = %answer.escape_ascii(), "proved dead");
                    return;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PROOF_PAUSE.1);
        }
    }

    /// See `InterlayHandle::rehomed`.
    pub(super) async fn rehome(self: &Rc<Self>, epoch: Epoch, deadline: Instant) -> RehomeReport {
        let mut report = RehomeReport::empty(epoch);
        let side = self.shared.table().authority.default;
        self.warm(side).await;
        let clients: Vec<Rc<Client<P>>> = self.clients.borrow().values().cloned().collect();
        let mut moves = tokio::task::JoinSet::new();
        for client in clients {
            let stale = client.is_elsewhere(side);
            if stale && client.wait.get() != Wait::Move {
                client.wait.set(Wait::Move);
                moves.spawn_local(move_client(Rc::clone(self), client, side));
            }
        }
        let deadline = tokio::time::Instant::from_std(deadline);
        loop {
            match tokio::time::timeout_at(deadline, moves.join_next()).await {
                Ok(None) => break,
                Ok(Some(Ok(Moved::Yes { subscribed }))) => {
                    report.moved += 1;
                    report.subscribed += usize::from(subscribed);
                }
                Ok(Some(_)) => report.closed += 1,
                Err(_) => {
                    report.left = moves.len();
                    // They go on; each releases its client by itself.
                    moves.detach_all();
                    break;
                }
            }
        }
        report
    }

    /// Opens the connections that the released requests will need, and teaches the side what
    /// clients taught the other. Best effort: what is missing costs time later, nothing else.
    async fn warm(self: &Rc<Self>, side: Side) {
        let identities: Vec<P::Identity> = self
            .lanes_alive()
            .iter()
            .filter(|lane| !lane.is_own() && lane.side != side && lane.usable())
            .map(|lane| lane.identity.clone())
            .collect();
        for identity in identities {
            self.shared_lane(side, &identity);
        }
        // One shard speaks for all: what was taught is known to all of them.
        if self.index > 0 {
            return;
        }
        let Some(control) = self.control_lane(side) else { return };
        let mut last = None;
        self.protocol.teach(&mut |raw, expect| last = Some(control.ask(raw, expect)));
        if let Some(last) = last {
            let _ = tokio::time::timeout(self.limits().connect_timeout, last).await;
        }
    }

    /// Moves one client whose connection turned out to be on the wrong side.
    pub(crate) fn move_soon(self: &Rc<Self>, client: &Rc<Client<P>>) {
        if client.wait.get() == Wait::Move {
            return;
        }
        client.wait.set(Wait::Move);
        let side = self.shared.table().authority.default;
        tokio::task::spawn_local(move_client(Rc::clone(self), Rc::clone(client), side));
    }
}

enum Moved {
    Yes { subscribed: bool },
    Closed,
}

/// Gives a client a connection to `side` in the state of the one it has.
async fn move_client<P: Protocol>(shard: Rc<Shard<P>>, client: Rc<Client<P>>, side: Side) -> Moved {
    // Reads that wait for an event end here; writes did when the shard became quiet.
    let mut unblocked = QuietReport::empty(Epoch::default());
    while client.in_flight.get() > 0 && !client.dead.get() {
        if client.blocked.borrow().is_some() {
            shard.unblock(|_| true, &mut unblocked).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let moved = change_connection(&shard, &client, side).await;
    if matches!(moved, Moved::Closed) && !client.dead.get() {
        client.lost();
    }
    client.wait.set(Wait::Nothing);
    client.kick();
    moved
}

async fn change_connection<P: Protocol>(
    shard: &Rc<Shard<P>>,
    client: &Rc<Client<P>>,
    side: Side,
) -> Moved {
    let subscribed = client.session.borrow().facts().state == "subscribed";
    if !client.session.borrow().encumbered() {
        shard.release(client);
        return Moved::Yes { subscribed };
    }
    shard.harvest(client).await;
    let (mut raw, mut expects) = (Vec::new(), Vec::new());
    let restored = client.session.borrow().restore(&mut raw, &mut expects);
    if let Err(error) = restored {
        client.say(|session, out| session.refuse(&error, out));
        return Moved::Closed;
    }
    let identity = client.session.borrow().identity().clone();
    let Some(lane) = shard.new_lane(side, identity, Some(Rc::downgrade(client))) else {
        return Moved::Closed;
    };
    let replies = match expects.is_empty() {
        true => Some(Vec::new()),
        false => replay(&lane, &raw, &expects).await,
    };
    let Some(replies) = replies.filter(|_| !client.dead.get()) else {
        lane.abandon();
        return Moved::Closed;
    };
    let old = client.own.borrow_mut().replace(lane);
    if let Some(old) = old {
        old.retire();
    }
    *client.current.borrow_mut() = None;
    client.say(|session, out| session.moved(&replies, out));
    Moved::Yes { subscribed }
}

/// Sends what restores a session and waits for its replies. `None` if one was an error.
async fn replay<P: Protocol>(lane: &Lane<P>, raw: &[u8], expects: &[Expect]) -> Option<Vec<u8>> {
    let restore = Rc::new(Restore::default());
    restore.left.set(expects.len());
    let now = Instant::now();
    for (index, expect) in expects.iter().enumerate() {
        let owed = Owed {
            sink: Sink::Restore(Rc::clone(&restore)),
            expect: *expect,
            class: 0,
            flags: Flags::default(),
            received: now,
            sent: now,
            ticket: None,
            copy: None,
            comparison: None,
        };
        lane.push(if index == 0 { raw } else { &[] }, owed);
    }
    while restore.left.get() > 0 {
        restore.done.notified().await;
    }
    (!restore.failed.get()).then(|| restore.replies.take())
}
