//! Keys with a time to live: SET PX, PEXPIRE, GETEX, GET. A key must not vanish before its time
//! and must not be seen after it.

use std::collections::VecDeque;

use redis::cmd;

use crate::load::client::{Client, Reply, now_ms};
use crate::load::ledger::{Expectation, State};
use crate::load::stats::Class;
use crate::value;

/// Keys a client still works with; older ones are left to expire.
const KEPT: usize = 24;
/// A server may answer with a clock reading this much older than the reply.
pub(crate) const GRACE_MS: i64 = 50;

struct Key {
    number: u32,
    value: String,
    between_ms: (i64, i64),
}

/// A client's keys.
#[derive(Default)]
pub(in crate::load) struct Expiry {
    keys: VecDeque<Key>,
    made: u32,
}

impl Expiry {
    /// Makes a key that expires, changes its time, or looks at it.
    pub(in crate::load) fn run(&mut self, client: &mut Client) {
        match client.rng.below(10) {
            0..5 => self.make(client),
            5..7 => self.change(client),
            _ => self.look(client),
        }
    }

    fn ttl(client: &mut Client) -> i64 {
        let short = client.rng.percent(70);
        let (low, high) = if short { (300, 4_000) } else { (3_600_000, 7_200_000) };
        client.rng.range(low, high) as i64
    }

    fn make(&mut self, client: &mut Client) {
        let (number, ttl, value) = (self.made, Self::ttl(client), client.token().to_string());
        self.made += 1;
        let mut c = cmd("SET");
        c.arg(name(client, number)).arg(&value).arg("PX").arg(ttl);
        let sent = now_ms();
        let reply = client.call(Class::Write, &c);
        let between_ms = (sent + ttl, now_ms() + ttl);
        match reply {
            Reply::Ok(_) => self.keys.push_back(Key { number, value, between_ms }),
            Reply::No(_) => expect(client, number, vec![State::Absent]),
            Reply::Unknown => {
                // Applied late or never: the latest moment is not known, so it is generous.
                let late = (between_ms.0, between_ms.1 + LATE_MS);
                let value = value.into_bytes();
                let there = State::Expiring { value, between_ms: late };
                expect(client, number, vec![State::Absent, there]);
            }
        }
        if self.keys.len() > KEPT {
            self.keys.pop_front().into_iter().for_each(|key| settled(client, key));
        }
    }

    fn change(&mut self, client: &mut Client) {
        let at = client.rng.below(self.keys.len() as u64) as usize;
        let Some(mut key) = self.keys.remove(at) else { return };
        let ttl = Self::ttl(client);
        let getex = client.rng.percent(50);
        let mut c = cmd(if getex { "GETEX" } else { "PEXPIRE" });
        c.arg(name(client, key.number));
        if getex {
            c.arg("PX");
        }
        c.arg(ttl);
        let sent = now_ms();
        let reply = client.call(Class::Write, &c);
        let answered = now_ms();
        let changed = (sent + ttl, answered + ttl);
        match &reply {
            Reply::Ok(v) => {
                let existed = if getex { value::bytes(v).is_some() } else { reply.int() == 1 };
                judge(client, &key, existed, (sent, answered));
                if existed {
                    key.between_ms = changed;
                    self.keys.push_back(key);
                } else {
                    expect(client, key.number, vec![State::Absent]);
                }
            }
            Reply::No(_) => self.keys.push_back(key),
            Reply::Unknown => {
                let before = State::Expiring {
                    value: key.value.clone().into_bytes(),
                    between_ms: key.between_ms,
                };
                let late = (changed.0, changed.1 + LATE_MS);
                let after = State::Expiring { value: key.value.into_bytes(), between_ms: late };
                expect(client, key.number, vec![before, after]);
            }
        }
    }

    fn look(&mut self, client: &mut Client) {
        let at = client.rng.below(self.keys.len() as u64) as usize;
        let Some(key) = self.keys.remove(at) else { return };
        let mut c = cmd("GET");
        c.arg(name(client, key.number));
        let sent = now_ms();
        if let Reply::Ok(v) = client.call(Class::Read, &c) {
            let held = value::bytes(&v);
            judge(client, &key, held.is_some(), (sent, now_ms()));
            if held.is_some_and(|held| held != key.value.as_bytes()) {
                client.violation(format!("{}: another value", name(client, key.number)));
            }
        }
        if now_ms() > key.between_ms.1 + GRACE_MS {
            settled(client, key);
        } else {
            self.keys.push_back(key);
        }
    }

    /// Says what every key may hold from now on.
    pub(in crate::load) fn finish(&mut self, client: &mut Client) {
        for key in std::mem::take(&mut self.keys) {
            settled(client, key);
        }
    }
}

/// After an unknown outcome the command may still run as long as a server may hang.
const LATE_MS: i64 = 60_000;

/// Judges one look at a key, sent and answered at these moments.
fn judge(client: &mut Client, key: &Key, existed: bool, (sent, answered): (i64, i64)) {
    let (earliest, latest) = key.between_ms;
    let key = name(client, key.number);
    if !existed && answered < earliest - GRACE_MS {
        client.violation(format!("{key} vanished {} ms before its time", earliest - answered));
    }
    if existed && sent > latest + GRACE_MS {
        client.violation(format!("{key} seen {} ms after its time", sent - latest));
    }
}

fn settled(client: &mut Client, key: Key) {
    let value = key.value.into_bytes();
    expect(client, key.number, vec![State::Expiring { value, between_ms: key.between_ms }]);
}

fn expect(client: &mut Client, number: u32, allowed: Vec<State>) {
    let (db, key) = (client.db, name(client, number));
    client.ledger.expectations.push(Expectation { db, key, offset: None, allowed });
}

fn name(client: &Client, number: u32) -> String {
    client.names.own("expiring", client.id, 0, number)
}
