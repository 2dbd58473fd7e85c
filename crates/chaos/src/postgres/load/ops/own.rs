//! Rows that one client alone writes: keys that change, parents whose children go with them,
//! registers that are read by everybody and never go back.

use std::collections::BTreeMap;

use crate::load::stats::Class;
use crate::load::versions::REGISTERS;
use crate::postgres::load::client::{Client, Reply};
use crate::postgres::load::ledger::{Expectation, Owned};

/// Rows of each table that a client has at a time.
const ROWS: usize = 12;
/// Keys of a client begin at its number times this.
const SPACE: i64 = 1_000_000_000;
/// Larger than what a row keeps within itself.
const BALLAST: i64 = 9_000;

/// What this client owns, and what that may hold.
#[derive(Default)]
pub(crate) struct Own {
    rows: BTreeMap<(Owned, i64), Vec<Option<String>>>,
    moving: Vec<(i64, i64)>,
    parents: Vec<i64>,
    next: i64,
    /// The last version of each register that was acknowledged, and the last that was tried.
    registers: [(i64, i64); REGISTERS as usize],
    /// The largest version seen of each register of others.
    seen: BTreeMap<(u16, u32), i64>,
}

impl Own {
    fn fresh(&mut self, client: &Client) -> i64 {
        self.next += 1;
        i64::from(client.id) * SPACE + self.next * 1_000
    }

    /// After an attempt: the new state, or both, or the old.
    fn settle(
        &mut self,
        row: (Owned, i64),
        state: Option<String>,
        outcome: crate::load::ledger::Outcome,
    ) {
        use crate::load::ledger::Outcome;
        let allowed = self.rows.entry(row).or_insert_with(|| vec![None]);
        match outcome {
            Outcome::Ok => *allowed = vec![state],
            Outcome::No => {}
            Outcome::Unknown if allowed.contains(&state) => {}
            Outcome::Unknown => allowed.push(state),
        }
    }

    /// A new row, another key for an old one, or its end.
    pub(crate) fn moving(&mut self, client: &mut Client) {
        let table = Owned::Moving;
        if self.moving.len() < ROWS {
            let (id, owner) = (self.fresh(client), i32::from(client.id));
            let reply = client.alone(Class::Write, |conn| {
                let sql = "INSERT INTO moving (id, client, value, ballast) \
                           SELECT $1::bigint, $2, 0, left(string_agg(md5(n::text || $1), ''), $3) \
                           FROM generate_series(1, 300) AS n";
                conn.execute(sql, &[&id, &owner, &(BALLAST as i32)])
            });
            self.settle((table, id), Some(held(0)), reply.outcome());
            if matches!(reply, Reply::Ok(_)) {
                self.moving.push((id, 0));
            }
            return;
        }
        let index = client.rng.below(self.moving.len() as u64) as usize;
        let (id, value) = self.moving.swap_remove(index);
        if client.rng.percent(20) {
            let reply = client.alone(Class::Write, |conn| {
                conn.execute("DELETE FROM moving WHERE id = $1", &[&id])
            });
            self.one_row(client, &reply, "delete", id);
            self.settle((table, id), None, reply.outcome());
            if matches!(reply, Reply::No) {
                self.moving.push((id, value));
            }
            return;
        }
        let (to, next) = if client.rng.percent(60) { (id + 1, value + 1) } else { (id, value + 1) };
        let reply = client.alone(Class::Write, |conn| {
            let sql = "UPDATE moving SET id = $2, value = value + 1 WHERE id = $1";
            conn.execute(sql, &[&id, &to])
        });
        self.one_row(client, &reply, "update", id);
        if to != id {
            self.settle((table, id), None, reply.outcome());
        }
        self.settle((table, to), Some(held(next)), reply.outcome());
        match reply {
            Reply::Ok(_) => self.moving.push((to, next)),
            Reply::No | Reply::Undone => self.moving.push((id, value)),
            // Nobody knows its key: it is left alone.
            Reply::Unknown => {}
        }
    }

    fn one_row(&self, client: &mut Client, reply: &Reply<u64>, what: &str, id: i64) {
        if let Reply::Ok(rows) = reply
            && *rows != 1
        {
            client.violation(&format!("{what} of own row {id} met {rows} rows"));
        }
    }

    /// A parent with children, or the end of one and of its children with it.
    pub(crate) fn families(&mut self, client: &mut Client) {
        let table = Owned::Parent;
        if self.parents.len() < ROWS || client.rng.percent(40) {
            let (id, owner) = (self.fresh(client), i32::from(client.id));
            let children = client.rng.range(1, 6) as i32;
            let reply = client.transaction(Class::Write, "BEGIN", |conn| {
                conn.execute("INSERT INTO parents (id, client) VALUES ($1, $2)", &[&id, &owner])?;
                let sql = "INSERT INTO children (parent, n) SELECT $1, n \
                           FROM generate_series(1, $2) AS n";
                conn.execute(sql, &[&id, &children])?;
                Ok(Some(()))
            });
            self.settle((table, id), Some(children.to_string()), reply.outcome());
            if matches!(reply, Reply::Ok(())) {
                self.parents.push(id);
            }
            return;
        }
        let index = client.rng.below(self.parents.len() as u64) as usize;
        let id = self.parents.swap_remove(index);
        let reply = client
            .alone(Class::Write, |conn| conn.execute("DELETE FROM parents WHERE id = $1", &[&id]));
        self.one_row(client, &reply, "delete", id);
        self.settle((table, id), None, reply.outcome());
        if matches!(reply, Reply::No) {
            self.parents.push(id);
        }
    }

    /// The next version of a register, read back at once.
    pub(crate) fn register(&mut self, client: &mut Client) {
        let register = client.rng.below(u64::from(REGISTERS)) as u32;
        let id = register_id(client.id, register);
        let (acknowledged, tried) = self.registers[register as usize];
        let version = tried + 1;
        let reply = client.alone(Class::Write, |conn| {
            let sql = "INSERT INTO registers (id, version, body) VALUES ($1, $2, 'body ' || $2::bigint) \
                       ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version, \
                       body = EXCLUDED.body";
            conn.execute(sql, &[&id, &version])
        });
        self.settle((Owned::Register, i64::from(id)), Some(version.to_string()), reply.outcome());
        let mut known = (acknowledged, version);
        if matches!(reply, Reply::Ok(_)) {
            known.0 = version;
            client.shared.versions.set(client.id, register, 0, version.unsigned_abs());
        }
        self.registers[register as usize] = known;
        if client.rng.percent(50)
            && let Some(seen) = read(client, id)
            && (seen < known.0 || seen > known.1)
        {
            client.violation(&format!(
                "register {id} reads {seen}, own writes are between {} and {}",
                known.0, known.1
            ));
        }
    }

    /// A register of anybody: what was seen once may not be unseen.
    pub(crate) fn watch(&mut self, client: &mut Client) {
        let other = client.rng.below(u64::from(client.shared.config.clients.max(1))) as u16;
        let register = client.rng.below(u64::from(REGISTERS)) as u32;
        let (_, acknowledged) = client.shared.versions.get(other, register);
        let Some(seen) = read(client, register_id(other, register)) else { return };
        let last = self.seen.entry((other, register)).or_insert(0);
        if seen < *last {
            let last = *last;
            client.violation(&format!("register {register} of {other} reads {seen} after {last}"));
        } else {
            *last = seen;
        }
        // Somebody else's acknowledged write may be late here, where reads are shared.
        if seen.unsigned_abs() < acknowledged {
            client.shared.board.count(|s| s.stale_reads += 1);
        }
    }

    /// Hands over what may be held in the end.
    pub(crate) fn finish(self, client: &mut Client) {
        let expectations =
            self.rows.into_iter().map(|((table, id), allowed)| Expectation { table, id, allowed });
        client.ledger.expectations.extend(expectations);
    }
}

fn register_id(client: u16, register: u32) -> i32 {
    i32::from(client) * REGISTERS as i32 + register as i32
}

/// What a moving row holds: its value and the length of its ballast.
fn held(value: i64) -> String {
    format!("{value}:{BALLAST}")
}

/// A register's version, 0 if it is not there.
fn read(client: &mut Client, id: i32) -> Option<i64> {
    let reply = client.alone(Class::Read, |conn| {
        let rows = conn.query("SELECT version, body FROM registers WHERE id = $1", &[&id])?;
        Ok(rows.first().map(|row| (row.get::<_, i64>(0), row.get::<_, String>(1))))
    });
    match reply {
        Reply::Ok(Some((version, body))) => {
            if body != format!("body {version}") {
                client.violation(&format!("register {id}: version {version} with {body}"));
            }
            Some(version)
        }
        Reply::Ok(None) => Some(0),
        _ => None,
    }
}
