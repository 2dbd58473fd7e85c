//! What needs more than row locks: savepoints that are rolled back, turns under advisory locks,
//! unique values that change places.

use crate::load::stats::Class;
use crate::postgres::conn::{Conn, Fault};
use crate::postgres::load::client::{Client, Reply, number};
use crate::postgres::load::ledger::Kind;
use crate::postgres::load::{LOCKS, SWAPS};

/// Parts 1, 3 and 4 stay; 2 was rolled back and the second 1 was refused.
pub(crate) fn parts(client: &mut Client) {
    let token = client.token();
    let value = number(token);
    let undo = client.rng.percent(15);
    let reply = client.transaction(Class::Write, "BEGIN", |conn| {
        let part = |conn: &mut Conn, part: i32| {
            conn.execute("INSERT INTO parts (token, part) VALUES ($1, $2)", &[&value, &part])
        };
        part(conn, 1)?;
        conn.batch("SAVEPOINT \"first one\"")?;
        part(conn, 2)?;
        conn.batch("ROLLBACK TO SAVEPOINT \"first one\"")?;
        part(conn, 3)?;
        conn.batch("SAVEPOINT again")?;
        match part(conn, 1) {
            Err(fault) if fault.state() == Some("23505") => {}
            Err(fault) => return Err(fault),
            Ok(_) => return Err(refused("a key was taken twice")),
        }
        conn.batch("ROLLBACK TO again; RELEASE again")?;
        part(conn, 4)?;
        Ok((!undo).then_some(()))
    });
    client.record(Kind::Parts, (0, 0), token, 3, (0, reply.outcome()));
}

fn refused(text: &str) -> Fault {
    Fault::Refused { state: "XX000".to_owned(), fatal: false, text: text.to_owned() }
}

/// The next number, by reading the last one under a lock that only its users respect.
pub(crate) fn turn(client: &mut Client) {
    let token = client.token();
    let value = number(token);
    let lock = client.rng.below(u64::from(LOCKS)) as u32;
    let key = lock as i32;
    let reply = client.transaction(Class::Write, "BEGIN", |conn| {
        conn.query("SELECT pg_advisory_xact_lock(4711, $1)::text", &[&key])?;
        let last = "SELECT coalesce(max(turn), 0) FROM turns WHERE lock = $1";
        let last = conn.query(last, &[&key])?;
        let turn = last.first().map_or(0, |row| row.get::<_, i32>(0)) + 1;
        let sql = "INSERT INTO turns (lock, turn, token) VALUES ($1, $2, $3)";
        conn.execute(sql, &[&key, &turn, &value])?;
        Ok(Some(turn))
    });
    let turn = if let Reply::Ok(turn) = reply { i64::from(turn) } else { 0 };
    client.record(Kind::Turn, (lock, 0), token, 0, (turn, reply.outcome()));
}

/// Two rows exchange their places in three steps, and their spots in one statement.
pub(crate) fn swap(client: &mut Client) {
    let token = client.token();
    let one = client.rng.below(u64::from(SWAPS)) as u32;
    let other = (one + 1 + client.rng.below(u64::from(SWAPS) - 1) as u32) % SWAPS;
    let (low, high) = (one.min(other) as i32, one.max(other) as i32);
    let reply = client.transaction(Class::Write, "BEGIN", |conn| {
        let sql = "SELECT place FROM swaps WHERE id IN ($1, $2) ORDER BY id FOR UPDATE";
        let rows = conn.query(sql, &[&low, &high])?;
        let [first, second] = rows.as_slice() else { return Err(refused("rows are missing")) };
        let (first, second): (i32, i32) = (first.get(0), second.get(0));
        let place = "UPDATE swaps SET place = $1 WHERE id = $2";
        conn.execute(place, &[&(-1 - first), &low])?;
        conn.execute(place, &[&first, &high])?;
        conn.execute(place, &[&second, &low])?;
        let spots = "UPDATE swaps AS s SET spot = o.spot, swapped = s.swapped + 1 FROM swaps AS o \
                     WHERE s.id IN ($1, $2) AND o.id IN ($1, $2) AND o.id <> s.id";
        conn.execute(spots, &[&low, &high])?;
        Ok(Some(()))
    });
    client.record(Kind::Swap, (one, other), token, 0, (0, reply.outcome()));
}
