//! The bank: balances are the openings plus exactly the transfers, each told to the audit once.

use std::collections::HashMap;

use crate::checkers::{Verdict, bank};
use crate::load::ledger::{Outcome, Token};
use crate::postgres::conn::{Conn, Fault};
use crate::postgres::load::ledger::Kind;
use crate::postgres::load::{ACCOUNTS, PgLedger};

pub(super) fn transfers(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Transfer: whole transfers only, the sum unchanged");
    let records = ledger.of(Kind::Transfer);
    let mut balances = vec![None; ACCOUNTS as usize];
    let mut more = Vec::new();
    conn.each("SELECT id, balance FROM load.accounts", &[], |row| {
        let (id, balance) = (row.get::<_, i32>(0), row.get::<_, i64>(1));
        match usize::try_from(id).ok().and_then(|id| balances.get_mut(id)) {
            Some(held) => *held = Some(balance),
            None => more.push(id),
        }
    })?;
    for id in more {
        verdict.violation(format!("account {id} was never opened"));
    }
    let (mut log, mut ids) = (Vec::new(), HashMap::new());
    let sql = "SELECT token, payer, payee, amount, id FROM load.transfers ORDER BY id";
    conn.each(sql, &[], |row| {
        let token = Token(row.get::<_, i64>(0).unsigned_abs());
        let (payer, payee): (i32, i32) = (row.get(1), row.get(2));
        let amount: i64 = row.get(3);
        ids.insert(token, row.get::<_, i64>(4));
        log.push(format!("{token}:{payer}:{payee}:{amount}").into_bytes());
    })?;
    bank::check("bank", &records, &balances, &log, &mut verdict);
    for record in records.iter().filter(|r| r.outcome == Outcome::Ok) {
        if let Some(id) = ids.get(&record.token)
            && *id != record.result
        {
            let (token, told) = (record.token, record.result);
            verdict.violation(format!("transfer {token} has id {id}, it was told {told}"));
        }
    }
    Ok(verdict)
}

/// Every change of an account has one row, written by the trigger.
pub(super) fn audit(conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Audit: the trigger has fired once per changed account");
    let sql = "SELECT a.id, a.changes, a.total, \
               (SELECT count(*) FROM load.account_audit u WHERE u.account = a.id), \
               (SELECT coalesce(sum(u.by), 0)::bigint FROM load.account_audit u \
                WHERE u.account = a.id) \
               FROM (SELECT c.id, count(t.token) AS changes, \
                     coalesce(sum(CASE WHEN t.payee = c.id THEN t.amount ELSE -t.amount END), 0) \
                       ::bigint AS total \
                     FROM load.accounts c LEFT JOIN load.transfers t ON c.id IN (t.payer, t.payee) \
                     GROUP BY c.id) AS a ORDER BY 1";
    conn.each(sql, &[], |row| {
        let account: i32 = row.get(0);
        let (changes, total): (i64, i64) = (row.get(1), row.get(2));
        let (fired, by): (i64, i64) = (row.get(3), row.get(4));
        verdict.examined += changes.unsigned_abs();
        if (changes, total) != (fired, by) {
            verdict.violation(format!(
                "account {account}: {changes} transfers of {total}, {fired} rows of audit of {by}"
            ));
        }
    })?;
    Ok(verdict)
}
