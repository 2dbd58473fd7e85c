//! A migration in memory: two fake servers, a journal, an engine, clients that write through
//! notes as the proxy does, and foreign ones. Restarts keep the disk and lose the memory.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use engine::{Config, Engine, Filter, MemoryProgress, Parts};
use family_fake::{FakeFamily, Server, Value, dataset_key};
use journal::{Journal, Markers, Outcome, Settlement};
use model::{Epoch, Key, Side};
use routing::{Authority, RoutingTable};
use tokio::time::Instant;

pub struct Rig {
    pub source: Arc<Server>,
    pub target: Arc<Server>,
    pub family: Arc<FakeFamily>,
    pub table: Arc<ArcSwap<RoutingTable>>,
    pub journal: Arc<Journal>,
    pub progress: Arc<MemoryProgress>,
    pub engine: Arc<Engine>,
    pub config: Config,
    boot: u32,
}

pub fn key(name: &str) -> Key {
    dataset_key("d0", name)
}

pub fn value(text: &str) -> Option<Value> {
    Some(Value::plain(text.as_bytes()))
}

pub fn quick() -> Config {
    Config {
        backoff: (Duration::from_millis(5), Duration::from_millis(80)),
        verify_pause: Duration::from_millis(50),
        marker_quiet: Duration::from_millis(200),
        sample_every: Duration::from_millis(200),
        call_timeout: Duration::from_secs(2),
        scan_chunk: 16,
        ..Config::default()
    }
}

impl Rig {
    pub fn new(config: Config) -> Self {
        Self::with_latency(config, Duration::from_micros(300))
    }

    pub fn with_latency(config: Config, latency: Duration) -> Self {
        let epoch = Instant::now();
        let source = Server::new(Side::Source, epoch);
        let target = Server::new(Side::Target, epoch);
        let family = FakeFamily::new(&source, &target, latency);
        Self::of(config, source, target, family)
    }

    /// A family that is followed by its transactions.
    pub fn streaming(config: Config) -> Self {
        let epoch = Instant::now();
        let source = Server::new(Side::Source, epoch);
        let target = Server::new(Side::Target, epoch);
        let family = FakeFamily::with_log(&source, &target, Duration::from_micros(300));
        Self::of(config, source, target, family)
    }

    fn of(
        config: Config,
        source: Arc<Server>,
        target: Arc<Server>,
        family: Arc<FakeFamily>,
    ) -> Self {
        let mut table = RoutingTable::passthrough(Epoch(1), Side::Source);
        table.capture = true;
        let table = Arc::new(ArcSwap::from_pointee(table));
        let progress = MemoryProgress::new();
        let journal = Journal::new(3, Markers::new([]));
        let engine = build(&family, &table, &journal, &progress, &config, 1);
        Self { source, target, family, table, journal, progress, engine, config, boot: 1 }
    }

    /// A running engine with feeds open on the authority and history copied.
    pub async fn following(config: Config) -> Self {
        let rig = Self::new(config);
        rig.start().await;
        rig.fill().await;
        rig
    }

    pub async fn start(&self) {
        self.engine.start().await.expect("the store works");
        // As control does: it asks until the side answers.
        while self.engine.open_feed(self.authority()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn fill(&self) {
        self.engine.start_backfill(Filter::default()).expect("the policy is built");
        self.until_in_step().await;
    }

    /// The engine is stopped and another takes its place in the same process.
    pub async fn replace_engine(&mut self) {
        let journal = Arc::clone(&self.journal);
        self.crash().await;
        self.journal = journal;
        let (family, table) = (&self.family, &self.table);
        self.engine = build(family, table, &self.journal, &self.progress, &self.config, self.boot);
    }

    /// The process dies: its memory and what it was doing are gone; servers and disk stay.
    pub async fn crash(&mut self) {
        self.engine.abandon().await;
        self.boot += 1;
        self.journal = Journal::new(3, Markers::new(self.progress.markers()));
        self.engine = build(
            &self.family,
            &self.table,
            &self.journal,
            &self.progress,
            &self.config,
            self.boot,
        );
    }

    pub fn authority(&self) -> Side {
        self.table.load().authority.default
    }

    pub fn server(&self, side: Side) -> &Arc<Server> {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// A write through an interlay: note, authority, settle.
    pub async fn write(&self, name: &str, text: &str) -> Settlement {
        self.put(name, value(text)).await
    }

    pub async fn delete(&self, name: &str) -> Settlement {
        self.put(name, None).await
    }

    pub async fn put(&self, name: &str, value: Option<Value>) -> Settlement {
        let (ticket, marked) = self.journal.begin(vec![key(name)], false);
        if !marked {
            assert!(self.journal.marked(&ticket).await, "the marker store works");
        }
        tokio::task::yield_now().await;
        self.server(self.authority()).put(&key(name), value);
        tokio::task::yield_now().await;
        self.journal.settle(ticket, Outcome::Applied, Instant::now().into_std())
    }

    /// Moves authority as control does: freeze is the caller's silence, then drain, hold, flip.
    pub async fn flip(&self) {
        let from = self.authority();
        let to = from.other();
        let deadline = Duration::from_secs(30);
        self.engine.open_feed(to).await.expect("the new authority's feed opens");
        self.engine.feed_fence(from, deadline).await.expect("the old feed passes a fence");
        let held = self.engine.drain_and_hold(deadline).await;
        let (_, hold) = held.unwrap_or_else(|not| panic!("{not}"));
        let mut table = (**self.table.load()).clone();
        table.epoch = table.epoch.next();
        table.authority = Authority::whole(to);
        self.table.store(Arc::new(table));
        drop(hold);
        self.engine.close_feed(from).await;
    }

    pub async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let began = Instant::now();
        while !done() {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "never came: {what}\n{:#?}",
                self.engine.status()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until_in_step(&self) {
        self.until("in step", || self.engine.in_step().is()).await;
    }

    /// Fence, drain, compare.
    pub async fn assert_equal(&self) {
        let deadline = Duration::from_secs(120);
        let fenced = self.engine.feed_fence(self.authority(), deadline).await;
        assert!(fenced.is_ok(), "{fenced:?}\n{:#?}", self.engine.status());
        if let Err(not) = self.engine.drain(deadline).await {
            panic!("{not}\n{:#?}", self.engine.status());
        }
        let (source, target) = (self.source.records(), self.target.records());
        for name in source.keys().chain(target.keys()) {
            assert_eq!(
                source.get(name),
                target.get(name),
                "{name:?} differs; faults: {:?} / {:?}",
                self.source.faults.log(),
                self.target.faults.log()
            );
        }
    }
}

fn build(
    family: &Arc<FakeFamily>,
    table: &Arc<ArcSwap<RoutingTable>>,
    journal: &Arc<Journal>,
    progress: &Arc<MemoryProgress>,
    config: &Config,
    boot: u32,
) -> Arc<Engine> {
    let tag = format!("exodus:test:{boot}");
    Engine::new(Parts {
        family: family.clone(),
        source: family.database(Side::Source, &tag),
        target: family.database(Side::Target, &tag),
        table: Arc::clone(table),
        journal: Arc::clone(journal),
        horizon: Arc::new(journal::Horizon::new(std::time::Instant::now())),
        progress: progress.clone(),
        config: config.clone(),
    })
}

/// A small seeded generator (SplitMix64).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
