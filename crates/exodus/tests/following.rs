//! Engine and family against real servers, with no interlay between: every write is a foreign
//! one that only the feed tells of.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chaos::checkers;
use chaos::dataset::{self, Dataset};
use chaos::equality::{self, Options};
use chaos::load::{Load, LoadConfig};
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions, WORKER};
use engine::{Config, Engine, Filter, MemoryProgress, Parts};
use family::{Database, EndpointSpec, Family, TlsMode};
use family_redis::RedisFamily;
use journal::{Journal, Markers};
use model::{ConflictPolicy, Epoch, Side};
use routing::RoutingTable;

const PATIENCE: Duration = Duration::from_secs(120);

async fn open(family: &RedisFamily, server: &Server, side: Side) -> Arc<dyn Database> {
    let spec = EndpointSpec {
        side,
        address: server.address().host_port(),
        database: None,
        user: Some(WORKER.0.into()),
        password: Some(WORKER.1.into()),
        tls: TlsMode::Disable,
        session_tag: "exodus:test:1".into(),
        timeout: Duration::from_secs(5),
        application_users: vec![APPLICATION.0.into()],
    };
    family.open(spec).await.unwrap()
}

/// An engine that follows the source; nothing is started.
async fn engine_between(source: &Server, target: &Server) -> Arc<Engine> {
    let family = RedisFamily::new();
    let mut table = RoutingTable::passthrough(Epoch(1), Side::Source);
    table.capture = true;
    let progress = MemoryProgress::new();
    Engine::new(Parts {
        source: open(&family, source, Side::Source).await,
        target: open(&family, target, Side::Target).await,
        family: Arc::new(family),
        table: Arc::new(ArcSwap::from_pointee(table)),
        journal: Journal::new(3, Markers::new([])),
        horizon: Arc::new(journal::Horizon::new(std::time::Instant::now())),
        progress,
        config: Config { conflict: ConflictPolicy::Overwrite, ..Config::default() },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_source_is_followed_and_both_sides_end_equal() {
    let source = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let target = Server::start(&ServerOptions::new(Flavor::Valkey)).unwrap();
    let data = Dataset::new(10_000, 77);
    dataset::seed(&data, &source.admin()).unwrap();
    let engine = engine_between(&source, &target).await;
    engine.start().await.unwrap();
    let mut config = LoadConfig::new(source.address(), 77);
    config.dataset = Some(data);
    config.ops_per_second = 1_000;
    let load = Load::start(config).unwrap();
    while engine.open_feed(Side::Source).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = std::time::Instant::now();
    engine.start_backfill(Filter::default()).unwrap();
    let (load, flowed) = tokio::task::spawn_blocking(move || {
        let flowed = load.wait_ops(5_000, PATIENCE);
        (load, flowed)
    })
    .await
    .unwrap();
    assert!(flowed);
    while !engine.in_step().is() {
        assert!(began.elapsed() < PATIENCE, "{:?}", engine.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("in step under load after {:?}", began.elapsed());
    let (ledger, stats) = tokio::task::spawn_blocking(move || load.stop()).await.unwrap();
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
    engine.feed_fence(Side::Source, PATIENCE).await.unwrap();
    engine.drain(PATIENCE).await.unwrap();
    println!("{:?}", engine.status());
    let report = equality::compare(&source.admin(), &target.admin(), &Options::default()).unwrap();
    assert!(report.equal(), "{report}");
    let judgement = checkers::judge(&ledger, &target.admin()).unwrap();
    assert!(judgement.holds(), "{judgement}");
    engine.shutdown().await;
}

/// Reports of the feed name a key and no database: a copy into one of them explains the report
/// for all, and a foreign write is told from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_told_from_foreign_writes_in_every_database() {
    let source = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let target = Server::start(&ServerOptions::new(Flavor::Valkey)).unwrap();
    let set = |server: &Server, db: i64, key: &str| {
        let mut set = redis::cmd("SET");
        set.arg(key).arg("v");
        server.connect(db).unwrap().call(&set).unwrap();
    };
    for db in [0, 1, 3] {
        set(&source, db, "filled");
    }
    let engine = engine_between(&source, &target).await;
    engine.start().await.unwrap();
    for side in [Side::Source, Side::Target] {
        engine.open_feed(side).await.unwrap();
    }
    engine.start_backfill(Filter::default()).unwrap();
    let began = std::time::Instant::now();
    while !engine.in_step().is() {
        assert!(began.elapsed() < PATIENCE, "{:?}", engine.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for n in 0..200 {
        set(&source, 0, &format!("k{n}"));
    }
    engine.feed_fence(Side::Source, PATIENCE).await.unwrap();
    engine.drain(PATIENCE).await.unwrap();
    engine.feed_fence(Side::Target, PATIENCE).await.unwrap();
    let status = engine.status();
    assert!(status.totals.echoes >= 200, "{status:?}");
    let in_step = engine.in_step();
    assert!(in_step.is() && status.verify.suspects == 0, "{in_step:?} {status:?}");
    set(&target, 1, "rogue");
    let began = std::time::Instant::now();
    while engine.status().depth.parked == 0 {
        assert!(began.elapsed() < PATIENCE, "{:?}", engine.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.shutdown().await;
}
