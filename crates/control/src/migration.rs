//! Bringing one migration up, and what others hold of it.
//!
//! The order matters: the stored run is read first, because it says who decides; then the
//! listeners begin to serve that answer; only then the databases are connected, which may take
//! any time. Status is answered from the stored run all the while.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use engine::{Engine, Progress};
use family::{EndpointSpec, Road};
use journal::{Bucket, Journal, Markers};
use model::{Epoch, Side};
use proxy::{Capture, Upstreams};
use routing::RoutingTable;
use store::Store;
use workflow::{Node, Plan, RunState, table_for};

use crate::act::{Doer, reconcile_fence};
use crate::cleaned;
use crate::clock::Clock;
use crate::config::{self, Document};
use crate::endpoint;
use crate::ignored;
use crate::interlays::Interlays;
use crate::known;
use crate::observe;
use crate::plugin::{Bind, FamilyPlugin};
use crate::preflight;
use crate::progress::{self, StoredProgress};
use crate::runner::{self, Loop, Runner};
use crate::world::{Made, World};

/// First and longest pause between attempts to connect.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// One migration, as the API holds it.
pub(crate) struct Migration {
    pub(crate) world: Arc<World>,
    pub(crate) runner: Runner,
    pub(crate) journal: Arc<Journal>,
    /// The document as it was given.
    pub(crate) yaml: ArcSwap<String>,
}

/// What every migration of a server shares.
pub(crate) struct Common {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) boot: String,
}

impl Migration {
    /// Reads its run, listens, and begins to connect. Returns once its listeners serve.
    pub(crate) async fn bring_up(
        common: &Common,
        plugin: Arc<dyn FamilyPlugin>,
        document: Document,
        yaml: String,
    ) -> anyhow::Result<Arc<Self>> {
        let id = document.migration.clone();
        let store = Arc::clone(&common.store);
        let run = runner::load(store.as_ref(), &id).await?;
        let markers = store.markers(&id).await?;
        let markers = Markers::new(markers.into_iter().map(Bucket));
        let journal = Journal::new(document.replay.copiers, markers);
        for (key, reason) in progress::set_aside(store.as_ref(), &id).await? {
            journal.keep_aside(&key, &reason);
        }
        let plan = config::plan(&document);
        let node = Node(common.boot.clone());

        let table = Arc::new(ArcSwap::from_pointee(first_table(&plan, run.as_ref())));
        let interlays = Interlays::new(table);
        let world = World::new(Made {
            id: id.clone(),
            node: node.clone(),
            document,
            plugin,
            store: Arc::clone(&store),
            clock: Arc::clone(&common.clock),
            interlays,
        });
        world.set_baseline(observe::baseline(store.as_ref(), &world.id).await?);
        world.ignore_until(ignored::load(store.as_ref(), &world.id).await?);
        world.set_cleaned(cleaned::load(store.as_ref(), &world.id).await?);
        let specs = specs(&world)?;
        listen(&world, &specs, &journal)?;

        let clock = Arc::clone(&common.clock);
        let begin = runner::Begin { migration: id, store, clock, node, plan, run };
        let (runner, make) = Loop::new(begin);
        world.set_runner(runner.clone());
        let work = make(Doer::new(Arc::clone(&world)));
        world.spawn(async move |_| work.run().await);
        let engine_journal = Arc::clone(&journal);
        world.spawn(async move |world| connect(world, specs, engine_journal).await);
        world.spawn(observe::run);
        world.spawn(known::run);
        Ok(Arc::new(Self { world, runner, journal, yaml: ArcSwap::from_pointee(yaml) }))
    }

    /// Ends its listeners at idle points, then everything else.
    pub(crate) async fn shut_down(&self, patience: Duration) {
        self.world.interlays.drain(None, patience).await;
        self.world.stop().await;
    }
}

/// What the listeners serve until the loop has spoken: the stored answer, or plain forwarding.
fn first_table(plan: &Plan, run: Option<&RunState>) -> RoutingTable {
    match run {
        Some(run) => table_for(plan, run),
        None => RoutingTable::passthrough(Epoch(0), Side::Source),
    }
}

fn specs(world: &World) -> anyhow::Result<[Option<EndpointSpec>; 2]> {
    let document = world.document.load();
    let tag = format!("exodus:{}:{}", world.id, world.node.0);
    let source = endpoint::spec(&document.source, Side::Source, &tag)?;
    let target = document.target.as_ref().map(|t| endpoint::spec(t, Side::Target, &tag));
    Ok([Some(source), target.transpose()?])
}

fn listen(
    world: &Arc<World>,
    specs: &[Option<EndpointSpec>; 2],
    journal: &Arc<Journal>,
) -> anyhow::Result<()> {
    let mut upstreams = Upstreams::default();
    for spec in specs.iter().flatten() {
        upstreams.set(spec.clone());
    }
    let document = world.document.load();
    for section in &document.interlay {
        let config = endpoint::interlay(section)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("EXO-CFG-006: interlay {}", section.name))?;
        let table = world.interlays.shared_table();
        let capture = match world.plugin.family().road() {
            Road::Records => Capture::Notes(Arc::clone(journal)),
            Road::Transactions => Capture::Log(Arc::clone(&world.horizon)),
        };
        let rule = document.strategy.tenants.as_ref().map(|t| t.rule.as_str());
        let handle = world.plugin.bind(Bind {
            tenant_rule: rule,
            options: &document.options,
            config,
            upstreams: &upstreams,
            table,
            capture,
        })?;
        tracing::info!(migration = world.id, interlay = section.name,
            listen = %handle.local_addr(), "listening");
        world.interlays.add(handle);
    }
    Ok(())
}

/// Connects both sides, however long that takes, then starts the engine.
async fn connect(world: Arc<World>, specs: [Option<EndpointSpec>; 2], journal: Arc<Journal>) {
    let [source, target] = specs;
    let one = async |spec: Option<EndpointSpec>| match spec {
        Some(spec) => connect_side(&world, spec).await,
        None => std::future::pending().await,
    };
    let progress =
        StoredProgress::new(Arc::clone(&world.store), Arc::clone(&world.clock), &world.id);
    // Writes to clean key ranges wait for their marker, whether both sides answer or not. The
    // engine takes that over: only one of them at a time.
    let both = async { tokio::join!(one(source), one(target)) };
    tokio::select! {
        _ = both => {}
        () = keep_markers(&journal, progress.as_ref()) => {}
    }
    start_engine(&world, journal, progress).await;
}

/// Stores unclean markers as writes ask for them. Dropping it between two of them is fine: what
/// was stored and not said is stored again.
async fn keep_markers(journal: &Journal, progress: &StoredProgress) {
    let markers = journal.markers();
    loop {
        let wanted = markers.next_wanted().await;
        match progress.set_markers(&wanted).await {
            Ok(()) => markers.mark_durable(&wanted),
            Err(error) => {
                tracing::error!(code = "EXO-ENG-004", %error, "a marker was not stored");
                markers.fail();
                return std::future::pending().await;
            }
        }
    }
}

async fn connect_side(world: &Arc<World>, spec: EndpointSpec) {
    let side = spec.side;
    let mut pause = AGAIN.0;
    loop {
        match world.plugin.family().open(spec.clone()).await {
            Ok(database) => {
                world.set_error(side, None);
                world.set_database(side, database);
                world.spawn(async move |world| known::look(&world, side).await);
                reconcile_fence(world, side).await;
                if world.document.load().target.is_none() {
                    let _beside = preflight::begin(world);
                }
                return;
            }
            Err(error) => {
                if world.set_error(side, Some(error.to_string())) {
                    tracing::warn!(migration = world.id, %side, %error, "not connected yet");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(AGAIN.1);
            }
        }
    }
}

async fn start_engine(world: &Arc<World>, journal: Arc<Journal>, progress: Arc<StoredProgress>) {
    let (Some(source), Some(target)) = (world.database(Side::Source), world.database(Side::Target))
    else {
        return;
    };
    let engine = Engine::new(engine::Parts {
        family: world.plugin.family(),
        source,
        target,
        table: world.interlays.shared_table(),
        journal,
        horizon: Arc::clone(&world.horizon),
        progress,
        config: engine_config(&world.document.load()),
    });
    engine.set_filter(world.filter());
    if let Err(error) = engine.start().await {
        tracing::error!(migration = world.id, %error, "the engine does not start");
        return world.set_engine_error(error.to_string());
    }
    prove_fences(world).await;
    world.set_engine(&engine);
    let _beside = preflight::begin(world);
}

/// An option's value as a word.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn engine_config(document: &Document) -> engine::Config {
    engine::Config {
        run: document.migration.clone(),
        options: document.options.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        fills: document.replay.copiers.max(1),
        tenant_rule: document.strategy.tenants.as_ref().map(|t| t.rule.clone()),
        conflict: document.backfill.conflict.0,
        batch_max: document.replay.batch_max,
        scan_chunk: document.backfill.scan_chunk,
        bulk_rate_max: document.throttle.records_per_s,
        verify_rate_max: document.verify.records_per_s,
        ping_p99_max: document.throttle.p99_max.duration(),
        live_depth_max: document.throttle.live_depth_max,
        in_step_lag_max: document.replay.in_step_lag_max.duration(),
        reject_attempts: document.replay.reject_attempts,
        ..engine::Config::default()
    }
}

/// Whether a fence could be set on each side; the plan is told.
async fn prove_fences(world: &Arc<World>) {
    if !world.document.load().rollback.fence {
        return;
    }
    let mut can = std::collections::BTreeSet::new();
    for side in [Side::Source, Side::Target] {
        let Some(database) = world.database(side) else { continue };
        match database.plan_fence().await {
            Ok(_) => {
                can.insert(side);
            }
            Err(error) => tracing::info!(%side, %error, "this side cannot be fenced"),
        }
    }
    world.set_can_fence(can.clone());
    if let (Some(runner), Some(snapshot)) = (world.runner(), world.snapshot()) {
        let plan = Plan { can_fence: can, ..snapshot.plan.clone() };
        runner.replan(plan, None).await;
    }
}
