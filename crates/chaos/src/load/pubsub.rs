//! Messages: each publisher numbers its own, subscribers see the numbers only grow.
//!
//! Pub/sub promises at most once: what is published while a subscriber is away is lost, so only
//! numbers that go backwards or come twice are violations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::cmd;

use super::client::{Client, Reply, Shared};
use super::ledger::Ledger;
use super::stats::Class;
use crate::conn::Conn;

const RATE: u64 = 50;

/// Publishes on its own channel until stopped.
pub(super) fn publish(id: u16, shared: &Arc<Shared>) -> Ledger {
    let mut client = Client::new(id, 0, Arc::clone(shared));
    let interval = Duration::from_millis(1_000 / RATE);
    let (mut due, mut number) = (Instant::now(), 0_u64);
    while shared.gate.wait(due) {
        due = (due + interval).max(Instant::now());
        number += 1;
        let mut c = cmd("PUBLISH");
        c.arg(client.names.channel(0)).arg(number);
        if let Reply::Ok(_) = client.call(Class::Blocking, &c) {
            shared.board.count(|s| s.published += 1);
        }
    }
    client.ledger
}

/// Listens to the publisher until stopped, and again after every break.
pub(super) fn subscribe(id: u16, shared: &Arc<Shared>) -> Ledger {
    let client = Client::new(id, 0, Arc::clone(shared));
    let mut ledger = Ledger::default();
    let (channel, mut last) = (client.names.channel(0), 0);
    while shared.gate.wait(Instant::now()) {
        let (turn, address) = shared.way.current();
        let opened = Conn::open(&address, 0, shared.config.timeout);
        let Ok(mut conn) = opened else {
            let _stopping = shared.gate.wait(Instant::now() + Duration::from_millis(50));
            continue;
        };
        shared.way.arrived(id, turn);
        listen(&mut conn, turn, (&channel, &mut last), shared, &mut ledger);
    }
    ledger
}

fn listen(
    conn: &mut Conn,
    turn: u64,
    (channel, last): (&str, &mut u64),
    shared: &Shared,
    ledger: &mut Ledger,
) {
    let mut pubsub = conn.inner().as_pubsub();
    let patient = Some(Duration::from_millis(200));
    if pubsub.set_read_timeout(patient).is_err() || pubsub.subscribe(channel).is_err() {
        return;
    }
    while shared.gate.wait(Instant::now()) && shared.way.turn() == turn {
        let message = match pubsub.get_message() {
            Ok(message) => message,
            Err(e) if e.is_timeout() => continue,
            Err(_) => return,
        };
        let Ok(number) = message.get_payload::<u64>() else { continue };
        shared.board.count(|s| s.received += 1);
        if number <= *last {
            ledger.violation(format!("{channel}: message {number} after {last}"));
        }
        *last = number;
    }
}
