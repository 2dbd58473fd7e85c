//! What only the embedded store can get wrong: locks, damage, newer files, full disks, kill -9.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use store::{Batch, Change, EventQuery, Kind, NewAudit, NewEvent, Options, SqliteStore, Store};

fn put(id: &str, size: usize) -> Change {
    Change::put(Kind::Setting, "m", id, vec![7; size])
}

fn event() -> Change {
    Change::Event(NewEvent {
        scope: "m".to_owned(),
        at_ms: 1,
        kind: "tick".to_owned(),
        payload: "{}".to_owned(),
    })
}

fn open(directory: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(directory, &Options::default()).unwrap()
}

fn code(directory: &Path) -> &'static str {
    match SqliteStore::open(directory, &Options::default()) {
        Ok(_) => "opened",
        Err(e) => e.code(),
    }
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!(code(directory.path()), "EXO-STO-001");
    drop(store);
    assert_eq!(code(directory.path()), "opened");
}

#[tokio::test]
async fn a_newer_file_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let file = directory.path().join("exodus.db");
    let raw = rusqlite::Connection::open(&file).unwrap();
    raw.pragma_update(None, "user_version", 999).unwrap();
    drop(raw);
    let before = std::fs::read(&file).unwrap();
    assert_eq!(code(directory.path()), "EXO-STO-003");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(Batch::data((0..200).map(|n| put(&n.to_string(), 500)).collect())).await.unwrap();
    drop(store);
    let file = directory.path().join("exodus.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(0xA5);
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(code(directory.path()), "EXO-STO-002");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn a_changed_body_fails_its_checksum() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(Batch::data(vec![put("a", 10)])).await.unwrap();
    let raw = rusqlite::Connection::open(directory.path().join("exodus.db")).unwrap();
    raw.execute("UPDATE docs SET body = x'00'", []).unwrap();
    let error = store.get(Kind::Setting, "m", "a").await.unwrap_err();
    assert_eq!(error.code(), "EXO-STO-002");
}

#[tokio::test]
async fn a_changed_audit_entry_breaks_the_chain() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for action in ["one", "two", "three"] {
        let entry = NewAudit {
            scope: "m".to_owned(),
            at_ms: 1,
            actor: "ann".to_owned(),
            action: action.to_owned(),
            reason: String::new(),
            payload: "{}".to_owned(),
        };
        store.commit(Batch::decision(vec![Change::Audit(entry)])).await.unwrap();
    }
    let raw = rusqlite::Connection::open(directory.path().join("exodus.db")).unwrap();
    raw.execute("UPDATE audit SET actor = 'bob' WHERE id = 2", []).unwrap();
    assert_eq!(store.verify_audit().await.unwrap().broken_at, Some(2));
    raw.execute("UPDATE audit SET actor = 'ann' WHERE id = 2", []).unwrap();
    raw.execute("DELETE FROM audit WHERE id = 3", []).unwrap();
    assert_eq!(store.verify_audit().await.unwrap().broken_at, Some(3));
}

#[tokio::test]
async fn a_failed_statement_poisons_until_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let raw = rusqlite::Connection::open(directory.path().join("exodus.db")).unwrap();
    raw.execute_batch("DROP TABLE events").unwrap();
    let error = store.commit(Batch::decision(vec![event()])).await.unwrap_err();
    assert_eq!(error.code(), "EXO-STO-004");
    assert!(store.health().poisoned.is_some());
    let error = store.commit(Batch::data(vec![put("a", 1)])).await.unwrap_err();
    assert_eq!(error.code(), "EXO-STO-004");
}

#[tokio::test]
async fn decisions_still_pass_when_data_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { reserve_bytes: 512 << 10, bytes_max: 256 << 10 };
    let store = SqliteStore::open(directory.path(), &options).unwrap();
    let mut n = 0;
    let error = loop {
        n += 1;
        assert!(n < 100, "the limit was never reached");
        if let Err(e) = store.commit(Batch::data(vec![put(&n.to_string(), 16 << 10)])).await {
            break e;
        }
    };
    assert_eq!(error.code(), "EXO-STO-005");
    assert!(store.health().full);
    for n in 0..20 {
        let decision = Change::put(Kind::Run, "m", &n.to_string(), vec![1; 4_096]);
        store.commit(Batch::decision(vec![decision, event()])).await.unwrap();
    }
    let error = store.commit(Batch::data(vec![put("x", 1)])).await.unwrap_err();
    assert_eq!(error.code(), "EXO-STO-005");
}

/// Not a test of its own: what `kill_nine_loses_nothing` runs and kills.
#[tokio::test]
async fn child_that_is_killed() {
    let Ok(directory) = std::env::var("STORE_CHILD") else { return };
    let store = open(Path::new(&directory));
    for n in 0..u64::MAX {
        let marker =
            Change::SetMarkers { scope: "m".to_owned(), buckets: vec![(n % 16_384) as u16] };
        let batch = Batch::decision(vec![put(&format!("{n:08}"), 64), event(), marker]);
        store.commit(batch).await.unwrap();
        println!("durable {n}");
    }
}

#[test]
fn kill_nine_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env("STORE_CHILD", directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = None;
        for line in lines.map_while(Result::ok) {
            let number = line.rsplit_once("durable ").and_then(|(_, n)| n.parse::<u64>().ok());
            last = number.or(last);
            if last.is_some_and(|n| n >= 25) {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged += last.unwrap() + 1;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = open(directory.path());
            let last = format!("{:08}", last.unwrap());
            assert!(store.get(Kind::Setting, "m", &last).await.unwrap().is_some());
            let query = EventQuery { limit: 1_000_000, ..Default::default() };
            let events = store.events(query).await.unwrap();
            assert!(events.len() as u64 >= acknowledged);
            assert!(events.iter().zip(1..).all(|(e, n)| e.id == n), "a gap in the numbers");
            let documents = store.list(Kind::Setting, Some("m"), None, 1_000_000).await.unwrap();
            assert!(documents.len() as u64 > last.parse::<u64>().unwrap());
        });
    }
}
