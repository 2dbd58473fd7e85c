//! Versions: every register has one writer and many readers. The writer reads what it wrote;
//! no reader ever sees a version older than one it has seen.

use std::collections::HashMap;

use redis::cmd;

use crate::load::client::{Client, Reply};
use crate::load::ledger::{Expectation, Outcome, State};
use crate::load::stats::Class;
use crate::load::versions::REGISTERS;
use crate::value;

const SLOT_BYTES: u64 = 16;

/// A client's registers and what it has seen of others'.
#[derive(Default)]
pub(in crate::load) struct Registers {
    own: HashMap<u32, (u32, u64)>,
    seen: HashMap<(u16, u32, u32), u64>,
    slot: (u32, u64),
}

impl Registers {
    /// Writes a version, or reads one.
    pub(in crate::load) fn run(&mut self, client: &mut Client) {
        match client.rng.below(10) {
            0..3 => self.write(client),
            3..5 => self.write_slot(client),
            5..7 => self.read_own(client),
            _ => self.read_other(client),
        }
    }

    fn write(&mut self, client: &mut Client) {
        let register = client.rng.below(u64::from(REGISTERS)) as u32;
        let (generation, version) = *self.own.entry(register).or_default();
        let key = client.names.own("register", client.id, generation, register);
        let mut c = cmd("SET");
        c.arg(&key).arg(version + 1);
        match client.call(Class::Write, &c).outcome() {
            Outcome::Ok => {
                self.own.insert(register, (generation, version + 1));
                client.shared.versions.set(client.id, register, generation, version + 1);
            }
            Outcome::No => {}
            Outcome::Unknown => {
                let allowed = vec![held(version), held(version + 1)];
                expect(client, key, None, allowed);
                self.own.insert(register, (generation + 1, 0));
                client.shared.versions.set(client.id, register, generation + 1, 0);
            }
        }
    }

    /// The same for a part of a string that other clients write next to.
    fn write_slot(&mut self, client: &mut Client) {
        let (generation, version) = self.slot;
        let key = client.names.slots(generation);
        let offset = u64::from(client.id) * SLOT_BYTES;
        let mut c = cmd("SETRANGE");
        c.arg(&key).arg(offset).arg(slot_text(version + 1));
        match client.call(Class::Write, &c).outcome() {
            Outcome::Ok => self.slot.1 = version + 1,
            Outcome::No => {}
            Outcome::Unknown => {
                expect(client, key, Some(offset), vec![slot(version), slot(version + 1)]);
                self.slot = (generation + 1, 0);
            }
        }
    }

    fn read_own(&mut self, client: &mut Client) {
        let register = client.rng.below(u64::from(REGISTERS)) as u32;
        let Some((generation, version)) = self.own.get(&register).copied() else { return };
        let key = client.names.own("register", client.id, generation, register);
        let Some(read) = get(client, &key) else { return };
        if read != version {
            client.violation(format!("{key}: wrote version {version}, then read {read}"));
        }
    }

    fn read_other(&mut self, client: &mut Client) {
        let register = client.rng.below(u64::from(REGISTERS)) as u32;
        let other = client.rng.below(u64::from(client.shared.config.clients)) as u16;
        if other % client.shared.config.databases.len() as u16
            != client.id % client.shared.config.databases.len() as u16
        {
            return;
        }
        let (generation, acked) = client.shared.versions.get(other, register);
        let key = client.names.own("register", other, generation, register);
        let Some(read) = get(client, &key) else { return };
        let seen = self.seen.entry((other, register, generation)).or_default();
        if read < *seen {
            let text = format!("{key}: read version {read} after {seen}");
            client.violation(text);
        } else {
            *seen = read;
        }
        if read < acked {
            client.shared.board.count(|s| s.stale_reads += 1);
        }
    }

    /// Says what every register must hold now.
    pub(in crate::load) fn finish(&mut self, client: &mut Client) {
        for (register, (generation, version)) in std::mem::take(&mut self.own) {
            let key = client.names.own("register", client.id, generation, register);
            expect(client, key, None, vec![held(version)]);
        }
        let (generation, version) = self.slot;
        let offset = u64::from(client.id) * SLOT_BYTES;
        let key = client.names.slots(generation);
        expect(client, key, Some(offset), vec![slot(version)]);
    }
}

fn get(client: &mut Client, key: &str) -> Option<u64> {
    let mut c = cmd("GET");
    c.arg(key);
    match client.call(Class::Read, &c) {
        Reply::Ok(v) => Some(value::int(&v).unwrap_or(0) as u64),
        _ => None,
    }
}

fn held(version: u64) -> State {
    if version == 0 { State::Absent } else { State::Value(version.to_string().into_bytes()) }
}

fn slot(version: u64) -> State {
    if version == 0 { State::Absent } else { State::Value(slot_text(version).into_bytes()) }
}

fn slot_text(version: u64) -> String {
    format!("{version:016}")
}

fn expect(client: &mut Client, key: String, offset: Option<u64>, allowed: Vec<State>) {
    let db = client.db;
    client.ledger.expectations.push(Expectation { db, key, offset, allowed });
}
