//! Two real servers and a family that has opened both.

#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests, not all used by each"
)]

use std::sync::Arc;
use std::time::Duration;

use chaos::conn::{Address, Conn};
use chaos::equality::{self, Options, Report};
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions, WORKER};
use family::{
    Applied, Database, EndpointSpec, Family, Feed, FeedEvent, Moved, Reader, TlsMode, Writer,
};
use family_redis::RedisFamily;
use model::{Key, Side};
use redis::{Cmd, Value};

/// Longest wait for a state that has to come.
pub const LIMIT: Duration = Duration::from_secs(20);

pub struct Pair {
    pub family: RedisFamily,
    pub source: Server,
    pub target: Server,
    pub old: Arc<dyn Database>,
    pub new: Arc<dyn Database>,
}

/// Redis as the source, Valkey as the target.
pub async fn pair() -> Pair {
    pair_of(
        &ServerOptions::new(Flavor::Redis),
        &ServerOptions::new(Flavor::Valkey),
        RedisFamily::new(),
    )
    .await
}

pub async fn pair_of(source: &ServerOptions, target: &ServerOptions, family: RedisFamily) -> Pair {
    let source = Server::start(source).unwrap();
    let target = Server::start(target).unwrap();
    let old = family.open(spec(&source, Side::Source)).await.unwrap();
    let new = family.open(spec(&target, Side::Target)).await.unwrap();
    Pair { family, source, target, old, new }
}

pub fn spec(server: &Server, side: Side) -> EndpointSpec {
    EndpointSpec {
        side,
        address: server.address().host_port(),
        database: None,
        user: Some(WORKER.0.into()),
        password: Some(WORKER.1.into()),
        tls: TlsMode::Disable,
        session_tag: "exodus:test:1".into(),
        timeout: Duration::from_secs(5),
        application_users: vec![APPLICATION.0.into()],
    }
}

/// One command on the server, as a foreign client.
pub fn run(server: &Server, words: &[&str]) -> Value {
    run_in(server, 0, words)
}

pub fn run_in(server: &Server, db: i64, words: &[&str]) -> Value {
    let mut cmd = Cmd::new();
    for word in words {
        cmd.arg(word);
    }
    server.connect(db).unwrap().call(&cmd).unwrap()
}

pub fn text(value: Value) -> String {
    redis::from_redis_value(value).unwrap()
}

pub fn number(value: Value) -> i64 {
    redis::from_redis_value(value).unwrap()
}

pub fn key(name: &str) -> Key {
    family_redis::key::encode(0, name.as_bytes())
}

/// Every key of a side.
pub async fn keys(database: &Arc<dyn Database>) -> Vec<Key> {
    let mut all = Vec::new();
    for inventory in database.inventory().await.unwrap() {
        let mut from = None;
        loop {
            let chunk = database.scan(&inventory.dataset, from.as_ref(), 500).await.unwrap();
            all.extend(chunk.keys);
            from = chunk.next;
            if from.is_none() {
                break;
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Copies keys in batches; every record must be applied and must not have moved.
pub async fn copy(from: &Arc<dyn Database>, to: &Arc<dyn Database>, keys: &[Key]) {
    let mut reader = from.reader().await.unwrap();
    let mut writer = to.writer().await.unwrap();
    for batch in keys.chunks(128) {
        copy_batch(&mut *reader, &mut *writer, batch).await;
    }
}

pub async fn copy_batch(reader: &mut dyn Reader, writer: &mut dyn Writer, keys: &[Key]) {
    let records = reader.read(keys).await.unwrap();
    for (applied, key) in writer.apply(&records).await.unwrap().iter().zip(keys) {
        assert!(matches!(applied, Applied::Done), "{key:?}: {applied:?}");
    }
    assert_eq!(reader.confirm().await.unwrap(), Moved::None);
}

/// Asserts that an independent comparison finds both servers equal.
pub fn assert_equal(left: &Server, right: &Server, options: &Options) -> Report {
    let report = equality::compare(&left.admin(), &right.admin(), options).unwrap();
    assert!(report.equal(), "{report:?}");
    report
}

/// The next event, which has to come.
pub async fn event(feed: &mut dyn Feed) -> FeedEvent {
    tokio::time::timeout(LIMIT, feed.next()).await.expect("an event").unwrap()
}

/// Everything up to the barrier asked for here.
pub async fn until_fence(feed: &mut dyn Feed, token: u64) -> Vec<FeedEvent> {
    feed.request_fence(token).await.unwrap();
    let mut events = Vec::new();
    loop {
        match event(feed).await {
            FeedEvent::Fenced(t) if t == token => return events,
            other => events.push(other),
        }
    }
}

pub fn as_worker(server: &Server, db: i64) -> Conn {
    Conn::open(&server.admin(), db, LIMIT).unwrap()
}

pub fn as_application(server: &Server) -> Address {
    server.address().with_login(APPLICATION.0, APPLICATION.1)
}
