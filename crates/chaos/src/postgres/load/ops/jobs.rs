//! Jobs taken under SKIP LOCKED: each by one worker, once.

use crate::load::ledger::{Outcome, Token};
use crate::load::stats::Class;
use crate::postgres::load::client::{Client, Reply, number};
use crate::postgres::load::ledger::Kind;

pub(crate) fn push(client: &mut Client) {
    let token = client.token();
    let value = number(token);
    let reply = client.alone(Class::Write, |conn| {
        conn.execute("INSERT INTO jobs (token) VALUES ($1)", &[&value])
    });
    client.record(Kind::JobPush, (0, 0), token, 0, (0, reply.outcome()));
}

pub(crate) fn take(client: &mut Client) {
    let worker = i32::from(client.id);
    let reply = client.alone(Class::Write, |conn| {
        let sql = "UPDATE jobs SET state = 'done', worker = $1, taken = clock_timestamp() \
                   WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1 \
                               FOR UPDATE SKIP LOCKED) RETURNING token";
        let rows = conn.query(sql, &[&worker])?;
        Ok(rows.first().map(|row| row.get::<_, i64>(0)))
    });
    if let Reply::Ok(Some(token)) = reply {
        let token = Token(token.unsigned_abs());
        client.record(Kind::JobTake, (0, 0), token, 0, (i64::from(worker), Outcome::Ok));
    }
}
