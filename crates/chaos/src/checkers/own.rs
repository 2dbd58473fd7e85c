//! Keys with a single writer: it knows what they hold.

use redis::{Cmd, Value, cmd};

use super::read::Reader;
use super::verdict::Verdict;
use crate::conn::Fault;
use crate::load::Ledger;
use crate::load::client::now_ms;
use crate::load::ledger::{Expectation, State};
use crate::load::ops::expiry::GRACE_MS;
use crate::value;

const BATCH: usize = 400;

pub(super) fn judge(ledger: &Ledger, reader: &mut Reader) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Own keys: versions, deletions and expiry as the writer knows");
    for db in &ledger.databases {
        let of_db: Vec<&Expectation> = ledger.expectations.iter().filter(|e| e.db == *db).collect();
        for batch in of_db.chunks(BATCH) {
            let commands: Vec<Cmd> = batch.iter().flat_map(|e| reads(e)).collect();
            let asked_ms = now_ms();
            let replies = reader.conn(*db)?.batch(&commands)?;
            let window = (asked_ms, now_ms());
            for (expectation, reply) in batch.iter().zip(replies.chunks(2)) {
                let [content, expiry] = reply else { continue };
                let held = held(expectation, content, expiry);
                check(expectation, &held, window, &mut verdict);
            }
        }
    }
    Ok(verdict)
}

fn reads(expectation: &Expectation) -> [Cmd; 2] {
    let content = match expectation.offset {
        Some(offset) => {
            let mut c = cmd("GETRANGE");
            c.arg(&expectation.key).arg(offset).arg(offset + 15);
            c
        }
        None => {
            let mut c = cmd("GET");
            c.arg(&expectation.key);
            c
        }
    };
    let mut expiry = cmd("PEXPIRETIME");
    expiry.arg(&expectation.key);
    [content, expiry]
}

/// What was read: content and absolute expiry in ms, or why not.
pub(super) type Held = Result<(Option<Vec<u8>>, Option<i64>), String>;

fn held(
    expectation: &Expectation,
    content: &Result<Value, String>,
    expiry: &Result<Value, String>,
) -> Held {
    let content = content.as_ref().map_err(Clone::clone)?;
    let expiry = expiry.as_ref().map_err(Clone::clone)?;
    let bytes = value::bytes(content).map(<[u8]>::to_vec);
    // A part nobody wrote reads as zero bytes or nothing.
    let empty = |b: &Vec<u8>| b.iter().all(|byte| *byte == 0);
    let bytes = bytes.filter(|b| expectation.offset.is_none() || !empty(b));
    Ok((bytes, value::int(expiry).filter(|at| *at >= 0)))
}

/// `window` is when it was read, in ms.
pub(super) fn check(
    expectation: &Expectation,
    held: &Held,
    window: (i64, i64),
    verdict: &mut Verdict,
) {
    verdict.examined += 1;
    let at = format!("db{} {}", expectation.db, expectation.key);
    let (content, expiry) = match held {
        Ok(held) => held,
        Err(text) => {
            verdict.violation(format!("{at}: cannot be read: {text}"));
            return;
        }
    };
    let allowed =
        expectation.allowed.iter().any(|s| matches(s, content.as_deref(), *expiry, window));
    if !allowed {
        let content = content.as_deref().map_or_else(|| "nothing".to_owned(), value::show);
        verdict.violation(format!(
            "{at}: holds {content}, expiring {expiry:?}, allowed {:?}",
            expectation.allowed
        ));
    }
}

fn matches(state: &State, content: Option<&[u8]>, expiry: Option<i64>, window: (i64, i64)) -> bool {
    match state {
        State::Absent => content.is_none(),
        State::Value(value) => content == Some(value) && expiry.is_none(),
        State::Expiring { value, between_ms: (earliest, latest) } => match content {
            None => window.1 >= earliest - GRACE_MS,
            Some(content) => {
                let due = earliest - GRACE_MS..=latest + GRACE_MS;
                let timely = window.0 <= latest + GRACE_MS;
                // It may have expired between the two reads.
                content == value
                    && timely
                    && expiry.is_none_or(|at| due.contains(&at))
                    && (expiry.is_some() || window.1 >= earliest - GRACE_MS)
            }
        },
    }
}
