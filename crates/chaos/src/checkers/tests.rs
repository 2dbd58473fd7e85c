//! What an unknown outcome allows and what it does not.

use super::jobs::{Entry, check_group, check_moved, check_popped};
use super::verdict::Verdict;
use super::{bank, counters, once, own};
use crate::load::ledger::{Expectation, Kind, Outcome, Record, State, Token};

fn record(sequence: u64, outcome: Outcome) -> Record {
    let token = Token::new(1, sequence);
    let result = sequence as i64;
    Record { kind: Kind::ListPush, db: 0, key: 0, other: 1, token, amount: 5, result, outcome }
}

fn held(sequences: &[u64]) -> Vec<Result<Token, String>> {
    sequences.iter().map(|s| Ok(Token::new(1, *s))).collect()
}

fn violations(judge: impl FnOnce(&mut Verdict)) -> u64 {
    let mut verdict = Verdict::new("test");
    judge(&mut verdict);
    verdict.violations_seen
}

#[test]
fn once_allows_an_unknown_write_zero_or_one_time_and_a_refused_one_never() {
    let records = [
        record(1, Outcome::Ok),
        record(2, Outcome::Unknown),
        record(3, Outcome::No),
        record(4, Outcome::Ok),
    ];
    let judge =
        |sequences: &[u64]| violations(|v| once::check("key", &records, &held(sequences), true, v));
    assert_eq!(judge(&[1, 4]), 0);
    assert_eq!(judge(&[1, 2, 4]), 0);
    assert_eq!(judge(&[1, 4, 2]), 0, "an unknown write may arrive late");
    assert_eq!(judge(&[1, 2, 4, 2]), 1, "unknown twice");
    assert_eq!(judge(&[1]), 1, "lost");
    assert_eq!(judge(&[1, 3, 4]), 1, "refused, yet there");
    assert_eq!(judge(&[4, 1]), 1, "out of order");
    assert_eq!(judge(&[1, 1, 4]), 1, "twice");
    assert_eq!(judge(&[1, 4, 9]), 1, "a stranger");
}

#[test]
fn counters_allow_unknown_increments_and_no_reply_twice() {
    let records = [record(1, Outcome::Ok), record(2, Outcome::Unknown), record(3, Outcome::No)];
    let judge = |held| violations(|v| counters::check("key", &records, held, v));
    assert_eq!((judge(5), judge(10)), (0, 0));
    assert_eq!((judge(4), judge(11)), (1, 1));
    let mut twice = [record(1, Outcome::Ok), record(2, Outcome::Ok)];
    twice[1].result = 1;
    assert_eq!(violations(|v| counters::check("key", &twice, 10, v)), 1);
}

#[test]
fn an_unknown_pop_excuses_one_lost_job_and_no_more() {
    let pushed = [record(1, Outcome::Ok), record(2, Outcome::Ok), record(3, Outcome::Ok)];
    let unknown = Record { token: Token(0), ..record(0, Outcome::Unknown) };
    let judge =
        |pops: &[Record], left: &[u64]| violations(|v| check_popped(&pushed, pops, &held(left), v));
    let popped = record(1, Outcome::Ok);
    assert_eq!(judge(&[popped], &[2, 3]), 0);
    assert_eq!(judge(&[popped, unknown], &[3]), 0);
    assert_eq!(judge(&[popped], &[3]), 1);
    assert_eq!(judge(&[popped, unknown], &[]), 1);
    assert_eq!(judge(&[popped, popped], &[2, 3]), 1, "popped twice");
    assert_eq!(judge(&[popped], &[1, 2, 3]), 1, "popped and still queued");
}

#[test]
fn a_moved_job_is_done_and_only_done() {
    let pushed = [record(1, Outcome::Ok), record(2, Outcome::Ok)];
    let moved = [record(1, Outcome::Ok)];
    let judge = |queued: &[u64], done: &[u64]| {
        violations(|v| check_moved(&pushed, &moved, &held(queued), &held(done), v))
    };
    assert_eq!(judge(&[2], &[1]), 0);
    assert_eq!(judge(&[], &[1]), 1, "a job is gone");
    assert_eq!(judge(&[1, 2], &[]), 1, "moved, yet queued");
    assert_eq!(judge(&[1, 2], &[1]), 1, "in both places");
}

#[test]
fn a_group_delivers_once_and_owes_the_rest() {
    let pushed = [record(1, Outcome::Ok), record(2, Outcome::Ok)];
    let judge = |reads: &[Record], owed: [bool; 2]| {
        let entries: Vec<Entry> =
            held(&[1, 2]).into_iter().zip(owed).map(|(job, owed)| Entry { job, owed }).collect();
        violations(|v| check_group(&pushed, reads, &entries, v))
    };
    let read = record(1, Outcome::Ok);
    assert_eq!(judge(&[read], [false, true]), 0);
    assert_eq!(judge(&[read, record(2, Outcome::Ok)], [false, false]), 0);
    assert_eq!(judge(&[read], [false, false]), 1, "delivered to nobody");
    assert_eq!(judge(&[read, read], [false, true]), 1, "delivered twice");
}

#[test]
fn the_bank_counts_every_transfer_of_its_log() {
    let records = [record(1, Outcome::Ok), record(2, Outcome::Unknown)];
    let line = |s: u64| format!("{}:0:1:5", Token::new(1, s)).into_bytes();
    let judge = |balances: [i64; 2], log: &[Vec<u8>]| {
        let balances = balances.map(Some);
        violations(|v| bank::check("bank", &records, &balances, log, v))
    };
    assert_eq!(judge([995, 1005], &[line(1)]), 0);
    assert_eq!(judge([990, 1010], &[line(1), line(2)]), 0);
    assert_eq!(judge([990, 1010], &[line(1)]), 2, "half a transfer, sum kept");
    assert_eq!(judge([995, 1000], &[line(1)]), 2, "money destroyed");
    assert_eq!(judge([1000, 1000], &[]), 1, "a transfer lost");
}

#[test]
fn own_keys_hold_what_is_allowed_and_expire_in_time() {
    let judge = |allowed: Vec<State>, content: Option<&str>, expiry: Option<i64>| {
        let e = Expectation { db: 0, key: "k".to_owned(), offset: None, allowed };
        let held = Ok((content.map(|c| c.as_bytes().to_vec()), expiry));
        violations(|v| own::check(&e, &held, (10_000, 10_005), v))
    };
    let value = |v: &str| State::Value(v.as_bytes().to_vec());
    let expiring = |from, to| State::Expiring { value: b"v".to_vec(), between_ms: (from, to) };
    assert_eq!(judge(vec![value("a"), State::Absent], None, None), 0);
    assert_eq!(judge(vec![value("a")], None, None), 1);
    assert_eq!(judge(vec![value("a")], Some("b"), None), 1);
    assert_eq!(judge(vec![value("a")], Some("a"), Some(20_000)), 1, "an expiry nobody set");
    assert_eq!(judge(vec![State::Absent], Some("a"), None), 1, "resurrected");
    assert_eq!(judge(vec![expiring(20_000, 20_010)], Some("v"), Some(20_005)), 0);
    assert_eq!(judge(vec![expiring(20_000, 20_010)], None, None), 1, "vanished early");
    assert_eq!(judge(vec![expiring(20_000, 20_010)], Some("v"), Some(25_000)), 1);
    assert_eq!(judge(vec![expiring(20_000, 20_010)], Some("v"), None), 1, "expiry lost");
    assert_eq!(judge(vec![expiring(5_000, 5_010)], None, None), 0);
    assert_eq!(judge(vec![expiring(5_000, 5_010)], Some("v"), Some(5_005)), 1, "outlived");
}
