//! Everything but the control plane, in one process on real servers: interlay, journal, engine
//! and family, the barrier done by hand, again and again under load with shared reads.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chaos::checkers;
use chaos::conn::Address;
use chaos::dataset::{self, Dataset};
use chaos::equality::{self, Options};
use chaos::load::{Load, LoadConfig};
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions, WORKER};
use engine::{Config, Engine, Filter, MemoryProgress, Parts};
use family::{EndpointSpec, Family, TlsMode};
use family_redis::{RedisFamily, RedisProtocol};
use journal::{Journal, Markers};
use model::{ConflictPolicy, Epoch, ReadMode, Side, WritePolicy};
use proxy::{Interlay, InterlayConfig, InterlayHandle, Upstreams};
use routing::{Authority, Freeze, ReadRouting, RoutingTable};

const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: u32 = 8;

struct Whole {
    source: Server,
    target: Server,
    engine: Arc<Engine>,
    interlay: InterlayHandle,
}

fn spec(server: &Server, side: Side) -> EndpointSpec {
    EndpointSpec {
        side,
        address: server.address().host_port(),
        user: Some(WORKER.0.into()),
        password: Some(WORKER.1.into()),
        tls: TlsMode::Disable,
        session_tag: "exodus:test:1".into(),
        timeout: Duration::from_secs(5),
        application_users: vec![APPLICATION.0.into()],
    }
}

impl Whole {
    async fn start(data: &Dataset) -> Self {
        let source = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
        let target = Server::start(&ServerOptions::new(Flavor::Valkey)).unwrap();
        dataset::seed(data, &source.admin()).unwrap();
        let family = RedisFamily::new();
        let (from, to) = (spec(&source, Side::Source), spec(&target, Side::Target));
        let mut table = RoutingTable::passthrough(Epoch(1), Side::Source);
        table.capture = true;
        table.writes = WritePolicy::BothRequired;
        let table = Arc::new(ArcSwap::from_pointee(table));
        let journal = Journal::new(4, Markers::new([]));
        let engine = Engine::new(Parts {
            source: family.open(from.clone()).await.unwrap(),
            target: family.open(to.clone()).await.unwrap(),
            family: Arc::new(family),
            table: Arc::clone(&table),
            journal: Arc::clone(&journal),
            progress: MemoryProgress::new(),
            config: Config { conflict: ConflictPolicy::Overwrite, ..Config::default() },
        });
        engine.start().await.unwrap();
        let config = InterlayConfig::new("main", "127.0.0.1:0".parse().unwrap());
        let interlay = Interlay::bind(
            config,
            RedisProtocol::new(None),
            &Upstreams::both(from, to),
            table,
            Some(journal),
        )
        .unwrap();
        Self { source, target, engine, interlay }
    }

    fn application(&self) -> Address {
        Address::local(self.interlay.local_addr().port()).with_login(APPLICATION.0, APPLICATION.1)
    }

    fn publish(&self, change: impl FnOnce(&mut RoutingTable)) -> Epoch {
        let mut table = (*self.interlay.table()).clone();
        table.epoch = table.epoch.next();
        change(&mut table);
        let epoch = table.epoch;
        self.interlay.publish(Arc::new(table)).unwrap();
        epoch
    }

    async fn follow(&self, side: Side) {
        while self.engine.open_feed(side).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn in_step(&self) {
        let began = Instant::now();
        while !self.engine.in_step().is() {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.engine.status());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The barrier, as control does it. Returns how long writes were frozen.
    async fn flip(&self) -> Duration {
        let from = self.interlay.table().authority.default;
        self.follow(from.other()).await;
        self.in_step().await;
        let began = Instant::now();
        let epoch = self.publish(|t| t.freeze = Freeze::Writes);
        let quiet = self.interlay.quiet(epoch, PATIENCE).await.unwrap();
        assert!(quiet.quiet, "{quiet:?}");
        self.engine.feed_fence(from, PATIENCE).await.unwrap();
        let (_drained, hold) = self.engine.drain_and_hold(PATIENCE).await.unwrap();
        let epoch = self.publish(|t| t.authority = Authority::whole(from.other()));
        drop(hold);
        let moved = self.interlay.rehomed(epoch, PATIENCE).await.unwrap();
        assert_eq!((moved.left, moved.closed), (0, 0), "{moved:?}");
        self.publish(|t| t.freeze = Freeze::Open);
        began.elapsed()
    }

    fn equal(&self) -> equality::Report {
        let (source, target) = (self.source.admin(), self.target.admin());
        equality::compare(&source, &target, &Options::default()).unwrap()
    }
}

async fn flows(load: &Arc<Load>, ops: u64) {
    let load = Arc::clone(load);
    let waited = tokio::task::spawn_blocking(move || {
        let flowed = load.wait_ops(ops, PATIENCE);
        (flowed, load.stats().errors)
    });
    let (flowed, errors) = waited.await.unwrap();
    assert!(flowed, "the load stands still: {errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flips_under_load_with_shared_reads_lose_nothing() {
    let data = Dataset::small(5_000, 5);
    let whole = Whole::start(&data).await;
    let mut config = LoadConfig::new(whole.application(), 5);
    config.dataset = Some(data);
    config.ops_per_second = 1_000;
    let load = Arc::new(Load::start(config).unwrap());
    whole.follow(Side::Source).await;
    whole.engine.start_backfill(Filter::default()).unwrap();
    whole.in_step().await;
    flows(&load, 500).await;
    whole.publish(|t| {
        t.reads = ReadRouting {
            mode: ReadMode::Percent,
            percent: 50,
            secondary_ready: true,
            ..ReadRouting::authority_only()
        };
    });
    for round in 1..=ROUNDS {
        flows(&load, 600).await;
        let _earlier = load.take_window();
        let frozen = whole.flip().await;
        flows(&load, 200).await;
        let seen = load.take_window();
        println!(
            "flip {round}: frozen {frozen:?}, slowest write {:?}, gap {:?}",
            seen.write_latency_max(),
            seen.write_gap_max
        );
    }
    flows(&load, 600).await;
    let stopping = tokio::task::spawn_blocking(move || Arc::into_inner(load).unwrap().stop());
    let (ledger, stats) = stopping.await.unwrap();
    println!(
        "{:.0} ops/s, stale {}, {:?}",
        stats.ops_per_second(),
        stats.stale_reads,
        stats.errors
    );
    let decides = whole.interlay.table().authority.default;
    whole.engine.feed_fence(decides, PATIENCE).await.unwrap();
    whole.engine.drain(PATIENCE).await.unwrap();
    let report = whole.equal();
    let judgement = checkers::judge(&ledger, &whole.source.admin()).unwrap();
    assert!(judgement.holds(), "{judgement}");
    assert!(report.equal(), "{report}");
    let judgement = checkers::judge(&ledger, &whole.target.admin()).unwrap();
    assert!(judgement.holds(), "{judgement}");
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
    whole.engine.shutdown().await;
}
