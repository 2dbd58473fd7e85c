//! Keys that come and go: SET, DEL, UNLINK, GETDEL, RENAME, each key with one writer that knows
//! what it holds. A deleted key that comes back, or a reply that contradicts the model, is wrong.

use redis::{Cmd, cmd};

use crate::load::client::{Client, Reply};
use crate::load::ledger::{Expectation, Outcome, State};
use crate::load::stats::Class;
use crate::value;

const KEYS: usize = 16;

#[derive(Clone, Default)]
struct Slot {
    generation: u32,
    holds: Option<String>,
}

/// A client's keys.
pub(in crate::load) struct Churn {
    slots: Vec<Slot>,
}

impl Default for Churn {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); KEYS] }
    }
}

impl Churn {
    /// Creates, deletes or renames a key.
    pub(in crate::load) fn run(&mut self, client: &mut Client) {
        let at = client.rng.below(KEYS as u64) as usize;
        match client.rng.below(10) {
            0..4 => self.set(client, at),
            4..7 => {
                let verb = ["DEL", "UNLINK", "GETDEL"][client.rng.below(3) as usize];
                self.delete(client, at, verb);
            }
            7 => self.exists(client, at),
            _ => {
                let to = (at + 1 + client.rng.below(KEYS as u64 - 1) as usize) % KEYS;
                self.rename(client, at, to);
            }
        }
    }

    fn set(&mut self, client: &mut Client, at: usize) {
        let token = client.token().to_string();
        let mut c = self.about("SET", client, at);
        c.arg(&token);
        let outcome = client.call(Class::Write, &c).outcome();
        self.settle(client, at, Some(token), outcome);
    }

    fn delete(&mut self, client: &mut Client, at: usize, verb: &str) {
        let c = self.about(verb, client, at);
        let reply = client.call(Class::Write, &c);
        if let Reply::Ok(v) = &reply {
            let deleted = match verb {
                "GETDEL" => value::bytes(v).is_some(),
                _ => value::int(v) == Some(1),
            };
            if deleted != self.slots[at].holds.is_some() {
                let key = self.key(client, at);
                client.violation(format!("{verb} {key}: existed {deleted}, against all replies"));
            }
        }
        self.settle(client, at, None, reply.outcome());
    }

    fn exists(&mut self, client: &mut Client, at: usize) {
        let c = self.about("GET", client, at);
        if let Reply::Ok(v) = client.call(Class::Read, &c) {
            let held = value::bytes(&v).map(|b| String::from_utf8_lossy(b).into_owned());
            if held != self.slots[at].holds {
                let (key, expected) = (self.key(client, at), &self.slots[at].holds);
                client.violation(format!("{key}: wrote {expected:?}, then read {held:?}"));
            }
        }
    }

    fn rename(&mut self, client: &mut Client, from: usize, to: usize) {
        let Some(value) = self.slots[from].holds.clone() else { return };
        let mut c = self.about("RENAME", client, from);
        c.arg(self.key(client, to));
        match client.call(Class::Write, &c) {
            Reply::Ok(_) => {
                self.slots[from].holds = None;
                self.slots[to].holds = Some(value);
            }
            Reply::No(text) if text.contains("no such key") => {
                let key = self.key(client, from);
                client.violation(format!("RENAME {key}: gone, against all replies"));
            }
            Reply::No(_) => {}
            Reply::Unknown => {
                self.settle(client, from, None, Outcome::Unknown);
                self.settle(client, to, Some(value), Outcome::Unknown);
            }
        }
    }

    fn settle(&mut self, client: &mut Client, at: usize, new: Option<String>, outcome: Outcome) {
        match outcome {
            Outcome::Ok => self.slots[at].holds = new,
            Outcome::No => {}
            Outcome::Unknown => {
                let old = self.slots[at].holds.take();
                self.expect(client, at, vec![state(old), state(new)]);
                self.slots[at].generation += 1;
            }
        }
    }

    /// Says what every key must hold now.
    pub(in crate::load) fn finish(&mut self, client: &mut Client) {
        for at in 0..KEYS {
            let holds = self.slots[at].holds.take();
            self.expect(client, at, vec![state(holds)]);
        }
    }

    fn expect(&self, client: &mut Client, at: usize, allowed: Vec<State>) {
        let (db, key) = (client.db, self.key(client, at));
        client.ledger.expectations.push(Expectation { db, key, offset: None, allowed });
    }

    fn about(&self, verb: &str, client: &Client, at: usize) -> Cmd {
        let mut c = cmd(verb);
        c.arg(self.key(client, at));
        c
    }

    fn key(&self, client: &Client, at: usize) -> String {
        // One hash tag, since RENAME names two keys.
        let what = format!("{{churn{}}}", client.id);
        client.names.own(&what, client.id, self.slots[at].generation, at as u32)
    }
}

fn state(holds: Option<String>) -> State {
    holds.map_or(State::Absent, |text| State::Value(text.into_bytes()))
}
