//! One direction between two real servers: copy beside load, kills, and the way back.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "shared by all tests of the crate, each of which uses a part")]
mod support;

#[path = "following/mod.rs"]
mod following;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use family::{Follow, FollowMode, StreamEvent};
use following::load::{self, Dice, Load};
use following::{Pair, Pump, copy, drained, options, pump};
use model::Side;

const SCHEMA: &str = "CREATE TABLE item (id bigint PRIMARY KEY, name text, big text, n numeric); \
    ALTER TABLE item ALTER big SET STORAGE EXTERNAL; \
    CREATE TABLE pairs (a int, b text, at timestamptz DEFAULT now(), PRIMARY KEY (a, b)); \
    CREATE TABLE empty (id uuid PRIMARY KEY)";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_and_what_comes_is_on_both_sides() {
    let pair = Pair::start(SCHEMA);
    pair.source.sql(
        &pair.db,
        "INSERT INTO item SELECT g, 'n' || g, repeat('x', g % 3000), g / 7.0 FROM generate_series(1, 5000) g; \
         INSERT INTO pairs SELECT g, 'b' || g FROM generate_series(1, 500) g",
    );
    let follow = pair.forward("plain", options(&[("chunk_rows", "700")]));
    follow.capture().await.unwrap();
    follow.capture().await.unwrap();
    follow.prepare().await.unwrap();
    let pump = following::pump(&follow);
    pair.source.sql(
        &pair.db,
        "UPDATE item SET name = 'early' WHERE id < 10; DELETE FROM item WHERE id = 11",
    );
    copy(&follow, &["public.item", "public.pairs", "public.empty"], 3).await;
    pair.source.sql(
        &pair.db,
        "UPDATE item SET name = 'later' WHERE id % 10 = 0; UPDATE item SET id = -id WHERE id = 77; \
         DELETE FROM pairs WHERE a > 400; INSERT INTO empty SELECT gen_random_uuid() FROM generate_series(1, 5)",
    );
    follow.complete().await.unwrap();
    drained(&follow, &pump).await;
    pair.equal();
    let events = pump.stop().await;
    assert!(events.iter().all(|e| matches!(e, StreamEvent::Applied { .. })), "{events:?}");
    follow.set_mode(FollowMode::Audit);
    follow.release().await.unwrap();
    let left = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'exodus%'";
    assert_eq!(pair.source.sql(&pair.db, left), "0");
}

/// What is unique besides the key is not there yet while rows are copied.
fn loaded() -> Pair {
    let pair = Pair::start(load::TABLES);
    pair.source.sql(&pair.db, load::UNIQUE);
    pair.source.sql(&pair.db, load::ROWS);
    pair
}

fn plain(events: &[StreamEvent]) {
    assert!(events.iter().all(|e| matches!(e, StreamEvent::Applied { .. })), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_beside_a_load_loses_and_doubles_nothing() {
    let pair = loaded();
    let follow =
        pair.forward("beside", options(&[("chunk_rows", "60"), ("identity_full", "true")]));
    let load = Load::start(&pair.source, &pair.db, 4, 7);
    follow.capture().await.unwrap();
    follow.prepare().await.unwrap();
    let pump = pump(&follow);
    copy(&follow, &load::DATASETS, 3).await;
    follow.complete().await.unwrap();
    pair.target.sql(&pair.db, load::UNIQUE);
    let sofar = load.done.load(Ordering::Relaxed);
    while load.done.load(Ordering::Relaxed) < sofar + 300 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let done = load.stop().await;
    drained(&follow, &pump).await;
    eprintln!("{done} transactions, {sofar} of them beside the copy");
    pair.equal();
    plain(&pump.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_wherever_it_stands_every_effect_is_there_once() {
    let pair = loaded();
    let load = Load::start(&pair.source, &pair.db, 3, 11);
    let mut dice = Dice(5);
    let mut copying = None;
    let mut copied = false;
    for boot in 0..24 {
        let options = options(&[("chunk_rows", "50"), ("identity_full", "true")]);
        let follow = pair.direction(Side::Source, "kills", &format!("boot{boot}"), options);
        following::until(async || follow.capture().await).await;
        following::until(async || follow.prepare().await).await;
        let pump = pump(&follow);
        let task: tokio::task::JoinHandle<()> = tokio::spawn({
            let follow = follow.clone();
            async move { copy(&follow, &load::DATASETS, 2).await }
        });
        tokio::time::sleep(Duration::from_millis(20 + dice.below(250))).await;
        match dice.below(5) {
            0 => {
                pair.target.sql("postgres", &end("apply|fill"));
            }
            1 => {
                pair.source.sql("postgres", &end("stream|fill|follow"));
            }
            2 => pair.target.restart(),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        copied = task.is_finished();
        // What it has begun goes on: so does what a process leaves behind on a server.
        task.abort();
        pump.stop().await;
        copying = Some(follow);
    }
    drop(copying);
    let options = options(&[("chunk_rows", "200"), ("identity_full", "true")]);
    let follow = pair.direction(Side::Source, "kills", "last", options);
    following::until(async || follow.capture().await).await;
    following::until(async || follow.prepare().await).await;
    let pump = pump(&follow);
    copy(&follow, &load::DATASETS, 2).await;
    let done = load.stop().await;
    drained(&follow, &pump).await;
    eprintln!("{done} transactions; copied before the last boot: {copied}");
    pair.equal();
    plain(&pump.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_killed_at_any_point_applies_nothing_twice() {
    let pair = Pair::start("CREATE TABLE log (n bigint, who int)");
    let follow = pair.forward("once", options(&[("identity_full", "true")]));
    follow.capture().await.expect("captured");
    follow.prepare().await.expect("prepared");
    let first = pump(&follow);
    copy(&follow, &["public.log"], 1).await;
    follow.complete().await.expect("complete");
    first.stop().await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|who| {
            let (stop, db, port) = (stop.clone(), pair.db.clone(), pair.source.port);
            tokio::spawn(async move {
                let client = load::connect(port, &db).await;
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let insert = format!("INSERT INTO log VALUES ({n}, {who})");
                    client.batch_execute(&insert).await.expect("written");
                }
            })
        })
        .collect();
    let mut dice = Dice(9);
    for boot in 0..30 {
        let follow = pair.direction(Side::Source, "once", &format!("boot{boot}"), options(&[]));
        let pump = pump(&follow);
        let mut applied = pump.applied.clone();
        let began = tokio::time::timeout(Duration::from_secs(20), applied.changed());
        began.await.expect("it begins").expect("the pump lives");
        tokio::time::sleep(Duration::from_micros(dice.below(30_000))).await;
        if dice.below(3) == 0 {
            pair.target.sql("postgres", &end("apply"));
        }
        pump.stop().await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer");
    }
    let last = pump(&follow);
    drained(&follow, &last).await;
    last.stop().await;
    let twice = "SELECT count(*) FROM (SELECT FROM log GROUP BY n, who HAVING count(*) > 1) d";
    assert_eq!(pair.target.sql(&pair.db, twice), "0");
    pair.equal();
}

fn end(which: &str) -> String {
    format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name ~ ':({which})'"
    )
}

async fn copied(pair: &Pair, run: &str) -> (Arc<dyn Follow>, Pump) {
    let follow = pair.forward(run, options(&[("identity_full", "true")]));
    follow.capture().await.expect("done");
    follow.prepare().await.expect("done");
    let pump = pump(&follow);
    copy(&follow, &load::DATASETS, 2).await;
    follow.complete().await.expect("done");
    (follow, pump)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_hears_strangers_and_never_an_echo() {
    let pair = loaded();
    let (forward, down) = copied(&pair, "back").await;
    let reverse =
        pair.direction(Side::Target, "back", "boot1", options(&[("identity_full", "true")]));
    reverse.capture().await.unwrap();
    reverse.set_mode(FollowMode::Audit);
    let up = pump(&reverse);
    let load = Load::start(&pair.source, &pair.db, 2, 3);
    while load.done.load(Ordering::Relaxed) < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.stop().await;
    pair.target.sql(&pair.db, "INSERT INTO item VALUES (-5, 'stranger', 'x', 1)");
    drained(&forward, &down).await;
    drained(&reverse, &up).await;
    pair.target.sql(&pair.db, "DELETE FROM item WHERE id = -5");
    drained(&reverse, &up).await;
    pair.equal();

    // The switch: nobody writes, the other direction begins here.
    reverse.begin().await.unwrap();
    reverse.set_mode(FollowMode::Apply);
    forward.set_mode(FollowMode::Audit);
    let load = Load::start(&pair.target, &pair.db, 2, 4);
    while load.done.load(Ordering::Relaxed) < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.stop().await;
    drained(&reverse, &up).await;
    drained(&forward, &down).await;
    pair.equal();

    // And back again.
    forward.begin().await.unwrap();
    forward.set_mode(FollowMode::Apply);
    reverse.set_mode(FollowMode::Audit);
    pair.source.sql(&pair.db, "UPDATE item SET name = 'home' WHERE id % 20 = 0");
    drained(&forward, &down).await;
    drained(&reverse, &up).await;
    pair.equal();
    plain(&down.stop().await);
    let heard = up.stop().await;
    let foreign = |e: &StreamEvent| {
        matches!(e, StreamEvent::Foreign { changes: 1, keys, .. }
        if keys[0].as_bytes().ends_with(b"-5"))
    };
    assert!(heard.len() == 2 && heard.iter().all(foreign), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_is_told_nothing_that_is_not_durable_on_the_other_side() {
    let pair = loaded();
    let (follow, pump) = copied(&pair, "slot").await;
    drained(&follow, &pump).await;
    let blocker = load::connect(pair.target.port, &pair.db).await;
    blocker.batch_execute("BEGIN; LOCK TABLE item IN EXCLUSIVE MODE").await.unwrap();
    pair.source.sql(&pair.db, "UPDATE item SET name = 'held' WHERE id = 10");
    let written = pair.source.sql(&pair.db, "SELECT pg_current_wal_insert_lsn()");
    // Log that concerns nobody goes on being written.
    for _ in 0..40 {
        pair.source
            .sql("postgres", "SELECT pg_logical_emit_message(true, 'noise', repeat('x', 9000))");
        let ahead = format!(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'exodus_slot_f' AND confirmed_flush_lsn >= '{written}'"
        );
        assert_eq!(pair.source.sql("postgres", &ahead), "0");
    }
    blocker.batch_execute("COMMIT").await.unwrap();
    drained(&follow, &pump).await;
    pair.equal();
    plain(&pump.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_named_and_the_authority_wins() {
    let pair = loaded();
    let (follow, pump) = copied(&pair, "conflict").await;
    pair.target.sql(&pair.db, "ALTER TABLE swap ADD UNIQUE (u)");
    pair.target.sql(&pair.db, "DELETE FROM item WHERE id IN (10, 20, 30); INSERT INTO item VALUES (11, 'theirs', NULL, 0); \
        INSERT INTO swap VALUES (9001, 9001)");
    pair.source.sql(&pair.db, "UPDATE item SET n = 5 WHERE id = 10; UPDATE item SET big = 'small' WHERE id = 20; \
        DELETE FROM item WHERE id = 30; INSERT INTO item VALUES (11, 'ours', 'x', 1); UPDATE swap SET u = 9001 WHERE id = 3");
    drained(&follow, &pump).await;
    pair.equal();
    let events = pump.stop().await;
    let conflicts = events.iter().filter(|e| matches!(e, StreamEvent::Conflict { .. })).count();
    // Of the row that was read again nothing is said twice.
    assert!((4..=5).contains(&conflicts) && conflicts == events.len(), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_is_never_made_anew() {
    let pair = loaded();
    let (follow, pump) = copied(&pair, "lost").await;
    pump.stop().await;
    following::until(async || follow.retained().await).await;
    pair.source.sql("postgres", &end("stream"));
    following::gone(&pair, "exodus_lost_f").await;
    let error = follow.capture().await.unwrap_err();
    assert_eq!((error.trouble, error.code), (family::Trouble::Replaced, "EXO-PGS-302"));
    let error = follow.stream().await.err().unwrap();
    assert_eq!((error.trouble, error.code), (family::Trouble::Replaced, "EXO-PGS-302"));
    assert!(follow.retained().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_slot_from_being_made_is_named_and_nothing_is_left() {
    let pair = loaded();
    let open = load::connect(pair.source.port, &pair.db).await;
    open.batch_execute("BEGIN; DELETE FROM item WHERE id = 10").await.unwrap();
    let follow = pair.forward("blocked", options(&[("slot_wait_ms", "300")]));
    let error = follow.capture().await.unwrap_err();
    assert_eq!(error.code, "EXO-PGS-301");
    assert!(error.message.contains("process "), "{error}");
    let left = "SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM pg_publication)";
    assert_eq!(pair.source.sql(&pair.db, left), "0");
    open.batch_execute("COMMIT").await.unwrap();
    follow.capture().await.unwrap();
    follow.release().await.unwrap();
    follow.capture().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_ours_stop_a_copy_or_give_way_to_it() {
    let pair = loaded();
    pair.target
        .sql(&pair.db, "INSERT INTO item VALUES (15, 'theirs', NULL, 0), (10, 'theirs', NULL, 0)");
    let follow = pair.forward("rows", options(&[]));
    follow.capture().await.unwrap();
    assert_eq!(follow.prepare().await.unwrap_err().code, "EXO-PGS-303");
    follow.release().await.unwrap();
    let follow = pair.overwriting("over");
    follow.capture().await.unwrap();
    follow.prepare().await.unwrap();
    let pump = pump(&follow);
    copy(&follow, &load::DATASETS, 2).await;
    drained(&follow, &pump).await;
    pair.equal();
    pump.stop().await;
}
