//! Writes that are found by their token.

use std::collections::{BTreeMap, HashMap};

use crate::checkers::{Verdict, counters as sums, jobs as moves, once};
use crate::load::ledger::{Outcome, Token};
use crate::postgres::conn::{Conn, Fault, Row};
use crate::postgres::load::PgLedger;
use crate::postgres::load::SWAPS;
use crate::postgres::load::ledger::{Kind, Record};
use crate::postgres::load::ops::single::folded;

fn token(row: &Row, column: usize) -> Token {
    Token(row.get::<_, i64>(column).unsigned_abs())
}

pub(super) fn inserts(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Insert: every row once, with the id and value it was told");
    let records = ledger.of(Kind::Insert);
    let mut held: HashMap<Token, (i64, i64)> = HashMap::new();
    let mut tokens = Vec::new();
    conn.each("SELECT token, id, code::text FROM load.ledger ORDER BY id", &[], |row| {
        tokens.push(Ok(token(row, 0)));
        held.insert(token(row, 0), (row.get(1), folded(row.get(2))));
    })?;
    once::check("ledger", &records, &tokens, true, &mut verdict);
    for record in records.iter().filter(|r| r.outcome == Outcome::Ok) {
        let told = (record.result, record.amount);
        if let Some(held) = held.get(&record.token)
            && *held != told
        {
            let token = record.token;
            verdict.violation(format!("ledger: {token} was told {told:?} and holds {held:?}"));
        }
    }
    Ok(verdict)
}

pub(super) fn counters(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Counter: sums are what was acknowledged");
    let mut by_key: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
    for record in ledger.of(Kind::Counter) {
        by_key.entry(record.key as i32).or_default().push(record);
    }
    let mut held = BTreeMap::new();
    conn.each("SELECT id, value FROM load.counters", &[], |row| {
        held.insert(row.get::<_, i32>(0), row.get::<_, i64>(1));
    })?;
    for (key, records) in by_key {
        let held = held.get(&key).copied().unwrap_or(0);
        sums::check(&format!("counter {key}"), &records, held, &mut verdict);
    }
    Ok(verdict)
}

pub(super) fn jobs(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Job: every job queued or done, taken once");
    let (pushed, taken) = (ledger.of(Kind::JobPush), ledger.of(Kind::JobTake));
    let (mut queued, mut done, mut workers) = (Vec::new(), Vec::new(), HashMap::new());
    conn.each("SELECT token, state, worker FROM load.jobs ORDER BY id", &[], |row| {
        let token = token(row, 0);
        match row.get::<_, Option<i32>>(2) {
            Some(worker) if row.get::<_, String>(1) == "done" => {
                done.push(Ok(token));
                workers.insert(token, i64::from(worker));
            }
            _ => queued.push(Ok(token)),
        }
    })?;
    moves::check_moved(&pushed, &taken, &queued, &done, &mut verdict);
    check_takes(&taken, &workers, &mut verdict);
    Ok(verdict)
}

/// A job is given to one worker, and that one is written beside it.
pub(super) fn check_takes(taken: &[Record], workers: &HashMap<Token, i64>, verdict: &mut Verdict) {
    let mut given: HashMap<Token, i64> = HashMap::new();
    for take in taken {
        let (job, worker) = (take.token, take.result);
        if let Some(other) = given.insert(job, worker) {
            verdict.violation(format!("job {job} was given to {other} and to {worker}"));
        }
        if let Some(written) = workers.get(&job)
            && *written != worker
        {
            verdict.violation(format!("job {job} was given to {worker}, {written} is written"));
        }
    }
}

pub(super) fn copies(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Copy: all rows or none");
    let sql = "SELECT token, count(*), count(DISTINCT n) FROM load.copied GROUP BY token";
    let mut held: HashMap<Token, (i64, i64)> = HashMap::new();
    conn.each(sql, &[], |row| {
        held.insert(token(row, 0), (row.get(1), row.get(2)));
    })?;
    check_groups("copied", &ledger.of(Kind::Copy), &held, &mut verdict);
    Ok(verdict)
}

pub(super) fn parts(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Parts: what a savepoint took back is not there");
    let sql = "SELECT token, count(*), count(*) FILTER (WHERE part IN (1, 3, 4)) \
               FROM load.parts GROUP BY token";
    let mut held: HashMap<Token, (i64, i64)> = HashMap::new();
    conn.each(sql, &[], |row| {
        held.insert(token(row, 0), (row.get(1), row.get(2)));
    })?;
    check_groups("parts", &ledger.of(Kind::Parts), &held, &mut verdict);
    Ok(verdict)
}

/// Each token's rows are as many as were written, and as many of them are right.
pub(super) fn check_groups(
    at: &str,
    records: &[Record],
    held: &HashMap<Token, (i64, i64)>,
    verdict: &mut Verdict,
) {
    verdict.examined += records.len() as u64;
    let mut issued = HashMap::new();
    for record in records {
        issued.insert(record.token, ());
        let (rows, right) = held.get(&record.token).copied().unwrap_or((0, 0));
        let whole = (rows, right) == (record.amount, record.amount);
        let fits = match record.outcome {
            Outcome::Ok => whole,
            Outcome::No => rows == 0,
            Outcome::Unknown => whole || rows == 0,
        };
        if !fits {
            let Record { token, amount, outcome, .. } = record;
            verdict.violation(format!(
                "{at}: {token} ({outcome:?}) has {rows} rows, {right} of them right, of {amount}"
            ));
        }
    }
    for stranger in held.keys().filter(|token| !issued.contains_key(token)) {
        verdict.violation(format!("{at}: holds {stranger}, which no client wrote"));
    }
}

pub(super) fn turns(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Turn: one at a time under an advisory lock, none skipped");
    let records = ledger.of(Kind::Turn);
    let mut tokens = Vec::new();
    let mut numbers: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut held = HashMap::new();
    let sql = "SELECT token, lock, turn FROM load.turns ORDER BY lock, turn, id";
    conn.each(sql, &[], |row| {
        tokens.push(Ok(token(row, 0)));
        numbers.entry(row.get(1)).or_default().push(row.get(2));
        held.insert(token(row, 0), i64::from(row.get::<_, i32>(2)));
    })?;
    once::check("turns", &records, &tokens, false, &mut verdict);
    for (lock, numbers) in &numbers {
        for (due, turn) in (1..).zip(numbers) {
            if due != *turn {
                verdict.violation(format!("lock {lock}: turn {turn} where {due} is due"));
                break;
            }
        }
    }
    for record in records.iter().filter(|r| r.outcome == Outcome::Ok) {
        if let Some(turn) = held.get(&record.token)
            && *turn != record.result
        {
            let (token, told) = (record.token, record.result);
            verdict.violation(format!("turn of {token} is {turn}, it was told {told}"));
        }
    }
    Ok(verdict)
}

pub(super) fn swaps(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Swap: every place taken once, every exchange counted");
    let (mut places, mut spots, mut swapped) = (Vec::new(), Vec::new(), 0_i64);
    conn.each("SELECT place, spot, swapped FROM load.swaps", &[], |row| {
        places.push(row.get::<_, i32>(0));
        spots.push(row.get::<_, i32>(1));
        swapped += row.get::<_, i64>(2);
    })?;
    check_swaps(&ledger.of(Kind::Swap), places, spots, swapped, &mut verdict);
    Ok(verdict)
}

pub(super) fn check_swaps(
    records: &[Record],
    places: Vec<i32>,
    spots: Vec<i32>,
    swapped: i64,
    verdict: &mut Verdict,
) {
    verdict.examined += records.len() as u64;
    let all: Vec<i32> = (0..SWAPS as i32).collect();
    for (name, mut taken) in [("places", places), ("spots", spots)] {
        taken.sort_unstable();
        if taken != all {
            verdict.violation(format!("{name} are {taken:?}"));
        }
    }
    let count = |outcome| records.iter().filter(|r| r.outcome == outcome).count() as i64;
    let (least, most) = (count(Outcome::Ok), count(Outcome::Ok) + count(Outcome::Unknown));
    if swapped < least * 2 || swapped > most * 2 || swapped % 2 != 0 {
        verdict.violation(format!("{swapped} rows moved in {least} to {most} exchanges of two"));
    }
}
