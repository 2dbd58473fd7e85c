//! Transfers between accounts: whole or not at all, the sum never changes.

use crate::load::stats::Class;
use crate::postgres::load::client::{Client, Reply, number};
use crate::postgres::load::ledger::Kind;
use crate::postgres::load::{ACCOUNT_OPENING, ACCOUNTS};

/// One transfer, rolled back where the payer has too little.
pub(crate) fn transfer(client: &mut Client) {
    let token = client.token();
    let payer = client.rng.below(u64::from(ACCOUNTS)) as u32;
    let payee = (payer + 1 + client.rng.below(u64::from(ACCOUNTS) - 1) as u32) % ACCOUNTS;
    let amount = client.rng.range(1, 200) as i64;
    let begin = match client.rng.below(10) {
        0..6 => "BEGIN",
        6..8 => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        _ => "BEGIN ISOLATION LEVEL SERIALIZABLE",
    };
    let (value, from, to) = (number(token), payer as i32, payee as i32);
    let reply = client.transaction(Class::Write, begin, |conn| {
        let locked = "SELECT id, balance FROM accounts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE";
        let rows = conn.query(locked, &[&from, &to])?;
        let insert = "INSERT INTO transfers (token, payer, payee, amount) \
                      VALUES ($1, $2, $3, $4) RETURNING id";
        let id = conn.query(insert, &[&value, &from, &to, &amount])?;
        let id = id.first().map_or(-1, |row| row.get::<_, i64>(0));
        let holds = rows.iter().find(|row| row.get::<_, i32>(0) == from);
        if holds.is_none_or(|row| row.get::<_, i64>(1) < amount) {
            return Ok(None);
        }
        let change = "UPDATE accounts SET balance = balance + $1, changed = DEFAULT WHERE id = $2";
        conn.execute(change, &[&-amount, &from])?;
        conn.execute(change, &[&amount, &to])?;
        Ok(Some(id))
    });
    let id = if let Reply::Ok(id) = reply { id } else { 0 };
    client.record(Kind::Transfer, (payer, payee), token, amount, (id, reply.outcome()));
}

/// The sum of all accounts is the same at every moment, wherever it is read.
pub(crate) fn sum(client: &mut Client) {
    let reply = client.alone(Class::Read, |conn| {
        let rows = conn.query("SELECT sum(balance)::bigint, count(*) FROM accounts", &[])?;
        Ok(rows.first().map(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1))))
    });
    if let Reply::Ok(Some((sum, accounts))) = reply
        && (sum, accounts) != (ACCOUNT_OPENING * i64::from(ACCOUNTS), i64::from(ACCOUNTS))
    {
        client.violation(&format!("{accounts} accounts hold {sum} together"));
    }
}
