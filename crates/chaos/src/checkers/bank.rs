//! The bank: balances are the openings plus exactly the transfers its log names.

use redis::cmd;

use super::once;
use super::read::Reader;
use super::verdict::Verdict;
use crate::conn::Fault;
use crate::load::Ledger;
use crate::load::ledger::{Kind, Record, Token};
use crate::load::names::{ACCOUNT_OPENING, ACCOUNTS, Names};
use crate::load::ops::bank::LOG_PAGE;
use crate::value;

pub(super) fn judge(ledger: &Ledger, names: &Names, reader: &mut Reader) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Transfer: whole transfers only, the sum unchanged");
    for db in &ledger.databases {
        let records: Vec<Record> = ledger
            .records
            .iter()
            .filter(|r| r.kind == Kind::Transfer && r.db == *db)
            .copied()
            .collect();
        let mut accounts = cmd("MGET");
        (0..ACCOUNTS).for_each(|n| {
            accounts.arg(names.key(Kind::Transfer, n));
        });
        let balances = reader.call(*db, &accounts)?;
        let balances: Vec<Option<i64>> = value::items(&balances).iter().map(value::int).collect();
        let last = records.iter().map(|r| r.token.0 & SEQUENCE_MASK).max().unwrap_or(0) / LOG_PAGE;
        let mut log = Vec::new();
        for page in 0..=(last as u32) {
            log.extend(reader.list(*db, &names.bank_log(page))?);
        }
        check(&format!("db{db} bank"), &records, &balances, &log, &mut verdict);
    }
    Ok(verdict)
}

const SEQUENCE_MASK: u64 = (1 << 40) - 1;

pub(crate) fn check<K>(
    at: &str,
    records: &[Record<K>],
    balances: &[Option<i64>],
    log: &[Vec<u8>],
    verdict: &mut Verdict,
) {
    let mut due: Vec<i64> = vec![ACCOUNT_OPENING; balances.len()];
    let mut tokens = Vec::with_capacity(log.len());
    for line in log {
        match parse(line) {
            Some((token, from, to, amount)) if from < due.len() && to < due.len() => {
                due[from] -= amount;
                due[to] += amount;
                tokens.push(Ok(token));
            }
            _ => tokens.push(Err(value::show(line))),
        }
    }
    once::check(at, records, &tokens, true, verdict);
    for (n, (held, due)) in balances.iter().zip(&due).enumerate() {
        if *held != Some(*due) {
            verdict.violation(format!("{at}: account {n} holds {held:?}, the log says {due}"));
        }
    }
    let sum: i64 = balances.iter().flatten().sum();
    if sum != ACCOUNT_OPENING * balances.len() as i64 {
        verdict.violation(format!("{at}: all accounts hold {sum}"));
    }
}

fn parse(line: &[u8]) -> Option<(Token, usize, usize, i64)> {
    let mut parts = std::str::from_utf8(line).ok()?.split(':');
    let token = Token::parse(parts.next()?.as_bytes())?;
    Some((
        token,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    ))
}
