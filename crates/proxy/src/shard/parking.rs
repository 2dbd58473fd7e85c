//! Sessions at a barrier: what is open ends in time, and what a session carries is taken off its
//! connection, so that the server can be closed to applications and the session go on elsewhere.
//!
//! Only families whose sessions live on a connection of their own have a part in this.

use std::rc::Rc;
use std::time::{Duration, Instant};

use family::{Protocol, Session};
use model::Side;
use tokio::task::JoinSet;

use super::Shard;
use super::barrier::LOOK_AGAIN;
use super::client::{Client, Wait};
use super::lane::Lane;

/// Longest time kept at the end of a barrier for ending what is still open.
const ENDING: Duration = Duration::from_secs(2);
/// How long a statement that was interrupted may take to say so.
const INTERRUPTED: Duration = Duration::from_millis(500);

/// Until when what is open may go on under a barrier with this deadline.
pub(super) fn patience(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - ENDING.min(left / 4)
}

impl<P: Protocol> Client<P> {
    /// Its session is on a connection to the other side, or on none.
    pub(super) fn is_elsewhere(&self, side: Side) -> bool {
        let session = self.session.borrow();
        match &*self.own.borrow() {
            Some(own) => own.side != side && !session.bound(),
            None => session.carried(),
        }
    }
}

impl<P: Protocol> Shard<P> {
    /// Clients in the middle of something on this side.
    pub(super) fn bound(&self, side: Side) -> Vec<Rc<Client<P>>> {
        let clients = self.clients.borrow();
        let bound = clients.values().filter(|client| {
            let here = client.own.borrow().as_ref().is_some_and(|own| own.side == side);
            here && !client.dead.get() && client.session.borrow().bound()
        });
        bound.cloned().collect()
    }

    /// Ends what these clients are in the middle of. Returns how many there were.
    pub(super) async fn break_off(self: &Rc<Self>, clients: Vec<Rc<Client<P>>>) -> usize {
        let mut ending = JoinSet::new();
        let ended = clients.len();
        for client in clients {
            ending.spawn_local(end(Rc::clone(self), client));
        }
        while ending.join_next().await.is_some() {}
        ended
    }

    /// Takes the sessions off their connections to this side, as far as they can be.
    pub(super) async fn park(self: &Rc<Self>, side: Side, deadline: Instant) {
        let clients: Vec<_> = self.clients.borrow().values().cloned().collect();
        let mut parking = JoinSet::new();
        for client in clients {
            let here = client.own.borrow().as_ref().is_some_and(|own| own.side == side);
            if here && matches!(client.wait.get(), Wait::Nothing | Wait::Table) {
                parking.spawn_local(park(Rc::clone(self), client));
            }
        }
        let deadline = tokio::time::Instant::from_std(deadline);
        let all = async { while parking.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, all).await.is_err() {
            // Each lets its client go on by itself.
            parking.detach_all();
        }
    }

    /// Asks a client's own connection for the session on it and lets it know. Whether it does.
    pub(super) async fn harvest(self: &Rc<Self>, client: &Rc<Client<P>>) -> bool {
        let own = client.own.borrow().clone();
        let Some(own) = own.filter(|own| own.usable()) else { return false };
        let mut raw = Vec::new();
        let question = match client.session.borrow() {
            session if session.carried() => None,
            session => session.harvest(&mut raw),
        };
        let Some(expect) = question else { return false };
        let answer = own.ask(&raw, expect);
        let answer = tokio::time::timeout(self.limits().connect_timeout, answer).await;
        let Ok(Ok(Ok(answer))) = answer else { return false };
        client.session.borrow_mut().harvested(&answer).is_ok()
    }
}

/// Ends what one client is in the middle of.
async fn end<P: Protocol>(shard: Rc<Shard<P>>, client: Rc<Client<P>>) {
    let own = client.own.borrow().clone();
    let Some(own) = own else { return };
    client.wait.set(Wait::Move);
    if client.in_flight.get() > 0 {
        interrupt(&shard, &own).await;
        let until = Instant::now() + INTERRUPTED;
        while client.in_flight.get() > 0 && Instant::now() < until && !client.dead.get() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    let mut raw = Vec::new();
    let quiet = client.in_flight.get() == 0 && own.usable();
    let question = match quiet && client.session.borrow().bound() {
        true => client.session.borrow_mut().broken_off(&mut raw),
        false => None,
    };
    let over = match question {
        Some(expect) => {
            let answer = own.ask(&raw, expect);
            matches!(tokio::time::timeout(INTERRUPTED, answer).await, Ok(Ok(Ok(_))))
        }
        None => !client.session.borrow().bound(),
    };
    if !over {
        // Only the end of the connection ends it.
        own.abandon();
        if let Some(connection) = own.connection.get() {
            shard.kill(&own, connection).await;
        }
    }
    // Whoever waited for something looks again.
    client.wait.set(Wait::Nothing);
    client.kick();
}

async fn interrupt<P: Protocol>(shard: &Rc<Shard<P>>, own: &Lane<P>) {
    let mut raw = Vec::new();
    let Some(connection) = own.connection.get() else { return };
    let Some(expect) = shard.protocol.interrupt(connection, &mut raw) else { return };
    let Some(control) = shard.control_lane(own.side) else { return };
    let _ = tokio::time::timeout(INTERRUPTED, control.ask(&raw, expect)).await;
}

/// Takes one session off its connection.
async fn park<P: Protocol>(shard: Rc<Shard<P>>, client: Rc<Client<P>>) {
    let free = client.in_flight.get() == 0 && !client.session.borrow().bound();
    if !free || client.closing.get() || client.dead.get() {
        return;
    }
    // Nothing is looked at while the connection is asked.
    client.wait.set(Wait::Move);
    if shard.harvest(&client).await
        && let Some(own) = client.own.take()
    {
        *client.current.borrow_mut() = None;
        own.part(&*client.session.borrow());
    }
    // A table may have come meanwhile: whoever waited for one looks again.
    client.wait.set(Wait::Nothing);
    client.kick();
}
