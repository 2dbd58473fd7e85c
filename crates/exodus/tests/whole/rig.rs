//! Two servers behind links that can fail, an engine, an interlay, and the barrier by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chaos::checkers;
use chaos::conn::Address;
use chaos::dataset::{self, Dataset};
use chaos::equality::{self, Options};
use chaos::faults::FaultProxy;
use chaos::load::{Load, LoadConfig, Stats};
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions, WORKER};
use engine::{Config, Engine, Filter, MemoryProgress, Parts};
use family::{EndpointSpec, Family, TlsMode};
use family_redis::{RedisFamily, RedisProtocol};
use journal::{Journal, Markers};
use model::{ConflictPolicy, Epoch, ReadMode, Side, WritePolicy};
use proxy::{Interlay, InterlayConfig, InterlayHandle, Upstreams};
use routing::{Authority, Freeze, ReadRouting, RoutingTable};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Whole {
    pub(crate) source: Server,
    pub(crate) target: Server,
    /// Links of interlay and engine to source and target.
    pub(crate) links: [FaultProxy; 2],
    pub(crate) engine: Arc<Engine>,
    pub(crate) interlay: InterlayHandle,
}

fn spec(link: &FaultProxy, side: Side) -> EndpointSpec {
    EndpointSpec {
        side,
        address: link.host_port(),
        database: None,
        user: Some(WORKER.0.into()),
        password: Some(WORKER.1.into()),
        tls: TlsMode::Disable,
        session_tag: "exodus:test:1".into(),
        timeout: Duration::from_secs(5),
        application_users: vec![APPLICATION.0.into()],
    }
}

impl Whole {
    pub(crate) async fn start(data: &Dataset) -> Self {
        let source = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
        let target = Server::start(&ServerOptions::new(Flavor::Valkey)).unwrap();
        dataset::seed(data, &source.admin()).unwrap();
        let family = RedisFamily::new();
        let links = [&source, &target]
            .map(|server| FaultProxy::start(&server.address().host_port(), data.seed).unwrap());
        let (from, to) = (spec(&links[0], Side::Source), spec(&links[1], Side::Target));
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
            horizon: Arc::new(journal::Horizon::new(std::time::Instant::now())),
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
        Self { source, target, links, engine, interlay }
    }

    pub(crate) fn application(&self) -> Address {
        Address::local(self.interlay.local_addr().port()).with_login(APPLICATION.0, APPLICATION.1)
    }

    pub(crate) fn publish(&self, change: impl FnOnce(&mut RoutingTable)) -> Epoch {
        let mut table = (*self.interlay.table()).clone();
        table.epoch = table.epoch.next();
        change(&mut table);
        let epoch = table.epoch;
        self.interlay.publish(Arc::new(table)).unwrap();
        epoch
    }

    pub(crate) async fn follow(&self, side: Side) {
        while self.engine.open_feed(side).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn in_step(&self) {
        let began = Instant::now();
        while !self.engine.in_step().is() {
            assert!(began.elapsed() < PATIENCE, "not in step\n{}", self.said().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The barrier, as control does it. Returns how long writes were frozen.
    pub(crate) async fn flip(&self) -> Duration {
        let from = self.interlay.table().authority.default;
        self.follow(from.other()).await;
        self.in_step().await;
        let began = Instant::now();
        let epoch = self.publish(|t| t.freeze = Freeze::Writes);
        let quiet = self.interlay.quiet(epoch, PATIENCE).await.unwrap();
        assert!(quiet.quiet, "{quiet:?}\n{}", self.said().await);
        self.engine.feed_fence(from, PATIENCE).await.unwrap();
        let (_drained, hold) = self.engine.drain_and_hold(PATIENCE).await.unwrap();
        let epoch = self.publish(|t| t.authority = Authority::whole(from.other()));
        drop(hold);
        let moved = self.interlay.rehomed(epoch, PATIENCE).await.unwrap();
        assert_eq!((moved.left, moved.closed), (0, 0), "{moved:?}");
        self.publish(|t| t.freeze = Freeze::Open);
        began.elapsed()
    }

    /// What there is to say where something stands still.
    async fn said(&self) -> String {
        let (engine, traffic) = (self.engine.status(), self.interlay.stats());
        let connections = self.interlay.connections().await;
        let mut list = redis::cmd("CLIENT");
        list.arg("LIST");
        let lists = [&self.source, &self.target].map(|server| {
            let reply = server.connect(0).unwrap().call(&list).unwrap();
            String::from_utf8_lossy(chaos::value::bytes(&reply).unwrap_or_default()).into_owned()
        });
        let [source, target] = lists;
        format!("{engine:?}\n{traffic:?}\n{connections:#?}\n{source}\n{target}")
    }

    pub(crate) fn equal(&self) -> equality::Report {
        let (source, target) = (self.source.admin(), self.target.admin());
        equality::compare(&source, &target, &Options::default()).unwrap()
    }
}

pub(crate) async fn flows(load: &Arc<Load>, ops: u64) {
    let load = Arc::clone(load);
    let waited = tokio::task::spawn_blocking(move || {
        let flowed = load.wait_ops(ops, PATIENCE);
        (flowed, load.stats().errors)
    });
    let (flowed, errors) = waited.await.unwrap();
    assert!(flowed, "the load stands still: {errors:?}");
}

impl Whole {
    /// The data copied and followed, half of the reads shared, a load through the interlay.
    pub(crate) async fn under_load(seed: u64, ops_per_second: u32) -> (Self, Arc<Load>) {
        let data = Dataset::small(5_000, seed);
        let whole = Self::start(&data).await;
        let mut config = LoadConfig::new(whole.application(), seed);
        config.dataset = Some(data);
        config.ops_per_second = ops_per_second;
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
        (whole, load)
    }

    /// Ends the load; both sides have to be equal and the ledger has to hold on each.
    pub(crate) async fn judge(self, load: Arc<Load>) -> Stats {
        let stop = move || Arc::into_inner(load).unwrap().stop();
        let (ledger, stats) = tokio::task::spawn_blocking(stop).await.unwrap();
        let decides = self.interlay.table().authority.default;
        self.engine.feed_fence(decides, PATIENCE).await.unwrap();
        if let Err(error) = self.engine.drain(PATIENCE).await {
            let connections = self.interlay.connections().await;
            panic!(
                "{error}: {:?}\n{connections:?}\n{:?}",
                self.engine.status(),
                self.interlay.stats()
            );
        }
        let report = self.equal();
        for side in [&self.source, &self.target] {
            let judgement = checkers::judge(&ledger, &side.admin()).unwrap();
            assert!(judgement.holds(), "{:?}:\n{judgement}", side.flavor());
        }
        assert!(report.equal(), "{report}");
        self.engine.shutdown().await;
        stats
    }
}
