//! Transfers between accounts: the sum of all balances never changes, and the bank's log names
//! every transfer that happened, because it is written in the same transaction.

use redis::{Cmd, cmd};

use crate::load::client::{Client, Reply};
use crate::load::ledger::Kind;
use crate::load::names::{ACCOUNT_OPENING, ACCOUNTS};
use crate::load::stats::Class;
use crate::value;

/// Transfers of one client after which it goes on to a fresh page of the log.
pub(crate) const LOG_PAGE: u64 = 2_000;

/// Opens the accounts of the client's database, once.
pub(in crate::load) fn open_accounts(client: &mut Client) -> bool {
    (0..ACCOUNTS).all(|n| {
        let mut c = cmd("SET");
        c.arg(client.names.key(Kind::Transfer, n)).arg(ACCOUNT_OPENING).arg("NX");
        matches!(client.call(Class::Write, &c), Reply::Ok(_))
    })
}

/// Moves money, or audits.
pub(in crate::load) fn run(client: &mut Client) {
    match client.rng.below(10) {
        0..5 => transfer(client),
        5..8 => watched_transfer(client),
        _ => audit(client),
    }
}

fn draw(client: &mut Client) -> (u32, u32, i64) {
    let from = client.rng.below(u64::from(ACCOUNTS)) as u32;
    let step = client.rng.range(1, u64::from(ACCOUNTS)) as u32;
    (from, (from + step) % ACCOUNTS, client.rng.range(1, 20) as i64)
}

fn log_line(client: &mut Client, line: String) -> Cmd {
    let page = (client.sequence() / LOG_PAGE) as u32;
    let mut c = cmd("RPUSH");
    c.arg(client.names.bank_log(page)).arg(line);
    c
}

/// Relative amounts, without looking first.
fn transfer(client: &mut Client) {
    let (from, to, amount) = draw(client);
    let token = client.token();
    let mut take = cmd("DECRBY");
    take.arg(client.names.key(Kind::Transfer, from)).arg(amount);
    let mut give = cmd("INCRBY");
    give.arg(client.names.key(Kind::Transfer, to)).arg(amount);
    let line = log_line(client, format!("{token}:{from}:{to}:{amount}"));
    let reply = client.transaction(&[take, give, line]);
    client.record_full(Kind::Transfer, (from, to), token, amount, (0, reply.outcome()));
}

/// Absolute balances, computed from what was read under WATCH: a lost race that went unnoticed
/// would create or destroy money.
fn watched_transfer(client: &mut Client) {
    let (from, to, amount) = draw(client);
    let token = client.token();
    let keys = [client.names.key(Kind::Transfer, from), client.names.key(Kind::Transfer, to)];
    let line = log_line(client, format!("{token}:{from}:{to}:{amount}"));
    let mut read = cmd("MGET");
    read.arg(&keys);
    let reply = client.watched(&keys, &read, |seen| {
        let balance = |n: usize| value::items(seen).get(n).and_then(value::int).unwrap_or(0);
        let mut take = cmd("SET");
        take.arg(&keys[0]).arg(balance(0) - amount);
        let mut give = cmd("SET");
        give.arg(&keys[1]).arg(balance(1) + amount);
        vec![take, give, line.clone()]
    });
    client.record_full(Kind::Transfer, (from, to), token, amount, (0, reply.outcome()));
}

/// All balances in one transaction: the sum must be right at every moment.
fn audit(client: &mut Client) {
    let keys: Vec<String> = (0..ACCOUNTS).map(|n| client.names.key(Kind::Transfer, n)).collect();
    let mut read = cmd("MGET");
    read.arg(&keys);
    let Reply::Ok(replies) = client.transaction(&[read]) else { return };
    let Some(balances) = value::items(&replies).first() else { return };
    let balances: Vec<i64> = value::items(balances).iter().filter_map(value::int).collect();
    let (sum, open) = (balances.iter().sum::<i64>(), balances.len());
    let due = i64::from(ACCOUNTS) * ACCOUNT_OPENING;
    if sum != due || open != ACCOUNTS as usize {
        client.violation(format!("an audit of db{} saw {sum} in {open} accounts", client.db));
    }
}
