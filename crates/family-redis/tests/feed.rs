//! The change feed against real servers: what it tells, in which order, and what it does not hide.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use chaos::conn::Conn;
use chaos::servers::{Flavor, Server, ServerOptions};
use family::{Database, Doubt, Family, FeedEvent, Trouble};
use family_redis::RedisFamily;
use model::{Key, Side};
use redis::cmd;
use std::sync::Arc;
use support::*;

async fn one(flavor: Flavor) -> (RedisFamily, Server, Arc<dyn Database>) {
    let server = Server::start(&ServerOptions::new(flavor)).unwrap();
    let family = RedisFamily::new();
    let database = family.open(spec(&server, Side::Source)).await.unwrap();
    (family, server, database)
}

fn stale(events: &[FeedEvent]) -> BTreeSet<Key> {
    let names = events.iter().filter_map(|e| match e {
        FeedEvent::Stale(keys) => Some(keys.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>()),
        _ => None,
    });
    names.flatten().collect()
}

async fn what_it_sees(flavor: Flavor) {
    let (_family, server, database) = one(flavor).await;
    run(&server, &["SET", "old", "1"]);
    let mut feed = database.feed().await.unwrap();
    run(&server, &["SET", "a", "1"]);
    run(&server, &["RENAME", "old", "new"]);
    run(&server, &["EVAL", "redis.call('SET', 'undeclared', 1)", "0"]);
    run(&server, &["SET", "__exodus:own", "1"]);
    run_in(&server, 7, &["SET", "in-seven", "1"]);
    let seen = stale(&until_fence(&mut *feed, 1).await);
    for name in ["a", "old", "new", "undeclared"] {
        assert!(seen.contains(&key(name)), "{name}: {seen:?}");
    }
    // A database not in use when the feed began.
    assert!(seen.contains(&family_redis::key::encode(7, b"in-seven")), "{seen:?}");
    assert!(!seen.contains(&key("__exodus:own")));

    // Expiry is told too, without anyone asking for the key.
    run(&server, &["SET", "soon", "1", "PX", "1"]);
    let mut told = 0;
    while told < 2 {
        told += match event(&mut *feed).await {
            FeedEvent::Stale(keys) => keys.iter().filter(|(k, _)| *k == key("soon")).count(),
            _ => 0,
        };
    }
    run(&server, &["FLUSHALL"]);
    assert!(until_fence(&mut *feed, 2).await.contains(&FeedEvent::StaleAll));
}

#[tokio::test]
async fn what_it_sees_on_redis() {
    what_it_sees(Flavor::Redis).await;
}

#[tokio::test]
async fn what_it_sees_on_valkey() {
    what_it_sees(Flavor::Valkey).await;
}

/// Law 5: whatever was acknowledged before a barrier was asked for comes before the barrier.
async fn barriers(flavor: Flavor) {
    let (_family, server, database) = one(flavor).await;
    let mut feed = database.feed().await.unwrap();
    let address = server.address();
    for round in 0..200u64 {
        let name = format!("k{round}");
        let address = address.clone();
        let wrote = name.clone();
        // Others write all the while, in deep pipelines.
        let noise = tokio::task::spawn_blocking(move || {
            let mut conn = Conn::open(&address, 0, LIMIT).unwrap();
            let batch: Vec<_> =
                (0..100).map(|i| cmd("SET").arg(format!("n{i}")).arg(i).clone()).collect();
            conn.batch_ok(&batch).unwrap();
            conn.call(cmd("SET").arg(wrote).arg(1)).unwrap();
        });
        noise.await.unwrap();
        let seen = stale(&until_fence(&mut *feed, round).await);
        assert!(seen.contains(&key(&name)), "round {round}");
    }
}

#[tokio::test]
async fn barriers_on_redis() {
    barriers(Flavor::Redis).await;
}

#[tokio::test]
async fn barriers_on_valkey() {
    barriers(Flavor::Valkey).await;
}

#[tokio::test]
async fn several_barriers_at_once() {
    let (_family, _server, database) = one(Flavor::Redis).await;
    let mut feed = database.feed().await.unwrap();
    for token in [3, 1, 2] {
        feed.request_fence(token).await.unwrap();
    }
    for token in [3, 1, 2] {
        assert_eq!(event(&mut *feed).await, FeedEvent::Fenced(token));
    }
    for token in 0..1024 {
        feed.request_fence(token).await.unwrap();
    }
    assert_eq!(feed.request_fence(9).await.unwrap_err().code, "EXO-RED-018");
}

/// Ids of our connections of a kind, by the command they ran last.
fn ours(server: &Server, command: &str) -> Vec<String> {
    let list = text(run(server, &["CLIENT", "LIST"]));
    let field = |line: &str, name: &str| {
        line.split(' ').find_map(|f| f.strip_prefix(name).map(str::to_owned)).unwrap_or_default()
    };
    list.lines()
        .filter(|line| field(line, "name=").starts_with("exodus:"))
        .filter(|line| field(line, "cmd=").contains(command) || field(line, "flags=") == command)
        .map(|line| field(line, "id="))
        .collect()
}

#[tokio::test]
async fn a_lost_connection_is_a_gap() {
    let (_family, server, database) = one(Flavor::Redis).await;
    let mut feed = database.feed().await.unwrap();
    for flag in ["P", "tB"] {
        let ids = ours(&server, flag);
        assert_eq!(ids.len(), 1, "{flag}: {}", text(run(&server, &["CLIENT", "LIST"])));
        run(&server, &["CLIENT", "KILL", "ID", &ids[0]]);
        feed.request_fence(5).await.unwrap();
        assert_eq!(event(&mut *feed).await, FeedEvent::Gap(Doubt::ConnectionOnly));
        // The barrier asked for before the loss still comes, and the feed goes on.
        assert_eq!(event(&mut *feed).await, FeedEvent::Fenced(5));
        run(&server, &["SET", "after", flag]);
        assert!(stale(&until_fence(&mut *feed, 6).await).contains(&key("after")));
    }
}

#[tokio::test]
async fn a_restart_behind_an_open_feed() {
    let (_family, mut server, database) = one(Flavor::Redis).await;
    let mut feed = database.feed().await.unwrap();
    // Gone and back before anybody looked.
    server.restart().unwrap();
    assert_eq!(event(&mut *feed).await, FeedEvent::Gap(Doubt::Replaced));
}

#[tokio::test]
async fn a_restarted_server_is_another_one() {
    let (_family, mut server, database) = one(Flavor::Valkey).await;
    let mut feed = database.feed().await.unwrap();
    server.kill9().unwrap();
    let error = tokio::time::timeout(LIMIT, feed.next()).await.unwrap().unwrap_err();
    assert_eq!(error.trouble, Trouble::Unreachable);
    server.restart().unwrap();
    // Also when the feed that noticed was dropped and another one opened.
    let mut feed = {
        drop(feed);
        database.feed().await.unwrap()
    };
    assert_eq!(event(&mut *feed).await, FeedEvent::Gap(Doubt::Replaced));
    run(&server, &["SET", "k", "v"]);
    assert!(stale(&until_fence(&mut *feed, 1).await).contains(&key("k")));
}

/// Law 3: that absences cannot be believed is said before the absent keys are named.
#[tokio::test]
async fn evictions_are_told_before_their_keys() {
    let (_family, server, database) = one(Flavor::Redis).await;
    for i in 0..200 {
        run(&server, &["SET", &format!("k{i}"), &"v".repeat(100)]);
    }
    let mut feed = database.feed().await.unwrap();
    assert!(until_fence(&mut *feed, 1).await.is_empty());
    run(&server, &["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    run(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    // Eviction happens when somebody writes, whose write is then refused or not.
    let _ = server.connect(0).unwrap().call(cmd("SET").arg("x").arg("y"));
    let events = until_fence(&mut *feed, 2).await;
    assert!(number(run(&server, &["DBSIZE"])) < 200);
    assert_eq!(events.first(), Some(&FeedEvent::Gap(Doubt::Evicted)), "{events:?}");
    assert!(!stale(&events).is_empty());
}

/// Law 1: a feed that nobody reads is cut off by the server and does not grow in it.
#[tokio::test]
async fn a_feed_nobody_reads_is_cut_off() {
    let options = ServerOptions::new(Flavor::Redis)
        .directive("client-output-buffer-limit", "pubsub 256kb 64kb 1");
    let server = Server::start(&options).unwrap();
    let family = RedisFamily::new();
    let database = family.open(spec(&server, Side::Source)).await.unwrap();
    let mut feed = database.feed().await.unwrap();
    let mut conn = as_worker(&server, 0);
    let mut written = 0u64;
    while !ours(&server, "P").is_empty() {
        let batch: Vec<_> = (0..2000)
            .map(|i| cmd("SET").arg(format!("key-{written}-{i:060}")).arg(i).clone())
            .collect();
        conn.batch_ok(&batch).unwrap();
        written += 1;
        assert!(written < 500, "the server did not cut the feed off");
    }
    loop {
        match event(&mut *feed).await {
            FeedEvent::Gap(doubt) => {
                assert_eq!(doubt, Doubt::ConnectionOnly);
                break;
            }
            FeedEvent::Stale(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_allow_it() {
    let (_family, server, database) = one(Flavor::Redis).await;
    run(&server, &["ACL", "SETUSER", "exodus", "-client|tracking"]);
    let Err(error) = database.feed().await else { panic!("opened") };
    assert_eq!((error.trouble, error.code), (Trouble::Unsupported, "EXO-RED-009"));
}
