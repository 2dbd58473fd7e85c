//! A server that is still loading what it kept.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use chaos::conn::Conn;
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions};
use family::{EndpointSpec, Family, Trouble};
use family_redis::RedisFamily;
use model::Side;
use redis::cmd;
use support::*;

/// Fencing `default` while a server loads its append-only file as `default` would make it drop
/// the transactions that are still to come.
async fn nobody_is_let_in_while_it_loads(flavor: Flavor) {
    let options = ServerOptions::new(flavor).durable().directive("key-load-delay", "100");
    let mut server = Server::start(&options).unwrap();
    let spec = EndpointSpec {
        application_users: vec!["default".into(), APPLICATION.0.into()],
        ..spec(&server, Side::Source)
    };
    let database = RedisFamily::new().open(spec).await.unwrap();
    let record = database.plan_fence().await.unwrap();
    let pairs = 4_000;
    let mut app = Conn::open(&as_application(&server), 0, LIMIT).unwrap();
    let script = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)";
    for i in 0..pairs {
        let (one, two) = (format!("{{{i}}}a"), format!("{{{i}}}b"));
        app.call(cmd("EVAL").arg(script).arg(2).arg(one).arg(two)).unwrap();
    }
    server.kill9().unwrap();
    let restarted = std::thread::spawn(move || {
        server.restart().unwrap();
        server
    });
    let mut refused = Vec::new();
    while let Err(error) = database.fence(&record).await {
        assert_eq!(error.trouble, Trouble::Unreachable, "{error}");
        refused.push(error.message);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let server = restarted.join().unwrap();
    assert!(refused.iter().any(|why| why.contains("LOADING")), "never met it loading: {refused:?}");
    let kept: i64 = redis::from_redis_value(run(&server, &["DBSIZE"])).unwrap();
    assert_eq!(kept, pairs * 2);
    database.lift(&record).await.unwrap();
}

#[tokio::test]
async fn redis_is_left_alone_while_it_loads() {
    nobody_is_let_in_while_it_loads(Flavor::Redis).await;
}

#[tokio::test]
async fn valkey_is_left_alone_while_it_loads() {
    nobody_is_let_in_while_it_loads(Flavor::Valkey).await;
}
