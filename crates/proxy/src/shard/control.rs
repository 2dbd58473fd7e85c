//! A shard's main loop: what the handle asks for, and what is due by time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use family::{Protocol, Session};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::client::{Client, Wait};
use super::{LANE_IDLE, Shard, TICK, accept};
use crate::report::DrainReport;
use crate::shared::Message;
use crate::stats::ConnectionInfo;

pub(super) async fn run<P: Protocol>(
    shard: Rc<Shard<P>>,
    mut inbox: mpsc::Receiver<Message>,
    listener: Option<std::net::TcpListener>,
) {
    if let Some(listener) = listener {
        tokio::task::spawn_local(accept::run(Rc::clone(&shard), listener));
    }
    let mut changes = shard.shared.changes();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = inbox.recv() => match message {
                None => return,
                Some(Message::Drain { deadline, reply }) => {
                    let _ = reply.send(drain(&shard, deadline).await);
                    return;
                }
                Some(message) => shard.handle(message),
            },
            _ = changes.changed() => shard.table_changed(),
            _ = tick.tick() => {
                if shard.shared.abandoned() {
                    return;
                }
                shard.tick();
            }
        }
    }
}

impl<P: Protocol> Shard<P> {
    fn handle(self: &Rc<Self>, message: Message) {
        match message {
            Message::Accept(stream, address) => {
                tokio::task::spawn_local(accept::admit(Rc::clone(self), stream, address));
            }
            Message::Quiet { epoch, deadline, reply } => {
                let shard = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    let _ = reply.send(shard.become_quiet(epoch, deadline).await);
                });
            }
            Message::Rehome { epoch, deadline, reply } => {
                let shard = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    let _ = reply.send(shard.rehome(epoch, deadline).await);
                });
            }
            Message::Connections(reply) => {
                let _ = reply.send(self.connections());
            }
            Message::UpstreamAddresses(reply) => {
                let lanes = self.lanes_alive();
                let _ = reply.send(lanes.iter().filter_map(|l| l.address.get()).collect());
            }
            Message::Drain { .. } => {}
        }
    }

    /// A table was published or an endpoint replaced.
    fn table_changed(&self) {
        for client in self.clients.borrow().values() {
            client.resume(Wait::Table);
        }
        for lane in self.lanes_alive() {
            if !lane.is_own() && !self.is_current(&lane) {
                lane.retire();
            }
        }
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        let classes = self.protocol.classes();
        let clients = self.clients.borrow();
        clients
            .values()
            .map(|client| ConnectionInfo {
                id: client.id,
                address: client.address,
                facts: client.session.borrow().facts(),
                last: client
                    .last
                    .get()
                    .and_then(|(class, _)| classes.get(usize::from(class)).copied()),
                age: client.connected.elapsed(),
                idle: client.last.get().map_or(client.connected, |(_, at)| at).elapsed(),
                in_flight: client.in_flight.get(),
                pinned: client.own.borrow().as_ref().map(|lane| lane.side),
                held: client.wait.get() == Wait::Table,
            })
            .collect()
    }

    /// What is due by time, and the gauges.
    fn tick(&self) {
        let now = Instant::now();
        let (mut pinned, mut held) = (0, 0);
        let limits = self.limits();
        for client in self.clients.borrow().values() {
            if client.wait.get() == Wait::Table {
                held += 1;
                let since = client.held_since.get();
                if since.is_some_and(|since| now.duration_since(since) >= limits.hold_max) {
                    client.resume(Wait::Table);
                }
            }
            let waited = now.saturating_duration_since(client.connected);
            if waited >= limits.login_timeout && !client.session.borrow().admitted() {
                client.overdue();
            }
            let own = client.own.borrow().clone();
            if let Some(own) = own {
                pinned += 1;
                let idle = now.saturating_duration_since(client.own_used.get()) >= limits.own_idle;
                let free = idle && client.in_flight.get() == 0 && own.idle();
                if free
                    && client.wait.get() == Wait::Nothing
                    && !client.session.borrow().encumbered()
                {
                    self.release(client);
                    pinned -= 1;
                }
            }
        }
        let lanes = self.lanes_alive();
        let authority = self.shared.table().authority.default;
        for lane in &lanes {
            let late = lane.side != authority && lane.reading_since(now) > limits.secondary_timeout;
            if late && !lane.is_own() {
                self.healthy[lane.side.index()].set(false);
                self.counters().side(lane.side).failures += 1;
                lane.abandon();
            }
            if lane.stalled.borrow().is_some() {
                lane.wake();
            }
            let idle = now.saturating_duration_since(lane.used.get()) >= LANE_IDLE;
            if !lane.is_own() && idle && lane.idle() {
                lane.retire();
            }
        }
        self.measure_lag(now);
        let mut counters = self.counters();
        let numbers = &mut counters.numbers;
        numbers.connections = self.clients.borrow().len();
        numbers.pinned = pinned;
        numbers.held_now = held;
        numbers.upstream_connections = lanes.len();
        numbers.buffered_bytes = self.buffered.get();
        numbers.writes_in_flight = self.writes.get();
        for (side, healthy) in numbers.sides.iter_mut().zip(&self.healthy) {
            side.healthy = healthy.get();
        }
    }

    fn measure_lag(&self, now: Instant) {
        let authority = self.shared.table().authority.default;
        let lag = match (&self.shared.journal, &self.shared.horizon) {
            (Some(journal), _) => {
                journal.oldest().map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
            }
            (_, Some(horizon)) => horizon.behind(authority, now),
            _ => return,
        };
        self.lag_ms.set(u32::try_from(lag.as_millis()).unwrap_or(u32::MAX));
        if self.shared.degraded() {
            let bound = Duration::from_millis(self.shared.table().target_timeout_ms.into());
            if lag < bound {
                self.shared.set_degraded(false);
            }
        }
    }
}

/// Closes clients at idle points until none is left or the time is up.
async fn drain<P: Protocol>(shard: &Rc<Shard<P>>, deadline: Instant) -> DrainReport {
    let mut report = DrainReport { closed_idle: 0, closed_busy: 0, took: Duration::ZERO };
    loop {
        let clients: Vec<Rc<Client<P>>> = shard.clients.borrow().values().cloned().collect();
        if clients.is_empty() {
            return report;
        }
        let late = Instant::now() >= deadline;
        for client in clients {
            if client.closing.get() || client.dead.get() {
                continue;
            }
            let idle = client.at_rest() && client.session.borrow().dismissible();
            if idle || late {
                report.closed_idle += usize::from(idle);
                report.closed_busy += usize::from(!idle);
                client.say(|session, out| session.dismissed(out));
                client.closing.set(true);
                client.dead.set(late && !idle);
                client.kick();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        if late && Instant::now() >= deadline + Duration::from_secs(1) {
            return report;
        }
    }
}
