//! NOTIFY: a publisher numbers its messages, listeners see the numbers only grow.
//!
//! A message that is sent while a listener is away is lost, so only numbers that go backwards or
//! come twice are violations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Client, Reply, Shared};
use super::ledger::PgLedger;
use crate::load::stats::Class;

const INTERVAL: Duration = Duration::from_millis(50);
const CHANNEL: &str = "load numbers";

/// Sends on its own channel until stopped, every second number in a transaction.
pub(super) fn publish(id: u16, shared: &Arc<Shared>) -> PgLedger {
    let mut client = Client::new(id, &shared.config.application, Arc::clone(shared));
    let (mut due, mut number) = (Instant::now(), 0_u64);
    while shared.gate.wait(due) {
        due = (due + INTERVAL).max(Instant::now());
        number += 1;
        let sql = format!("NOTIFY \"{CHANNEL}\", '{number}'");
        let reply = if number.is_multiple_of(2) {
            client.alone(Class::Blocking, |conn| conn.batch(&sql))
        } else {
            client.transaction(Class::Blocking, "BEGIN", |conn| {
                conn.query("SELECT pg_notify($1, $2)::text", &[&CHANNEL, &number.to_string()])?;
                Ok(Some(()))
            })
        };
        if let Reply::Ok(()) = reply {
            shared.board.count(|s| s.published += 1);
        }
    }
    client.ledger
}

/// Listens until stopped, and again after every break.
pub(super) fn listen(id: u16, shared: &Arc<Shared>) -> PgLedger {
    let mut client = Client::new(id, &shared.config.application, Arc::clone(shared));
    let mut last = 0;
    let mut listening = None;
    while shared.gate.wait(Instant::now()) {
        let turn = shared.way.turn();
        if listening != Some(turn) {
            let sql = format!("LISTEN \"{CHANNEL}\"");
            let told = client.alone(Class::Blocking, |conn| conn.batch(&sql));
            listening = matches!(told, Reply::Ok(())).then_some(turn);
            continue;
        }
        let notes = match client.connected() {
            Ok(conn) if !conn.is_closed() => conn.notes(Duration::from_millis(100)),
            // Broken, or made anew without anybody listening.
            _ => {
                listening = None;
                client.forget();
                continue;
            }
        };
        for note in notes {
            let Ok(number) = note.payload.parse::<u64>() else { continue };
            shared.board.count(|s| s.received += 1);
            if number <= last {
                client.violation(&format!("message {number} after {last}"));
            }
            last = number;
        }
    }
    client.ledger
}
