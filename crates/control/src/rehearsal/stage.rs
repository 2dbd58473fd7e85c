use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use engine::{Engine, Filter, MemoryProgress, WorkState};
use journal::{Horizon, Journal, Markers};
use model::{Dataset, Epoch, Side, Tenant, WritePolicy};
use parking_lot::Mutex;
use proxy::{Capture, InterlayConfig, InterlayHandle, Upstreams};
use routing::RoutingTable;
use tokio::task::JoinHandle;

use crate::endpoint;
use crate::plugin::{Access, Bind, FamilyPlugin, Scratch};
use crate::world::World;

/// Writers of the load; each owns its records.
const WRITERS: u64 = 4;
/// Records of one writer.
const RECORDS: u64 = 16;
/// Acknowledged writes that make a load.
const WRITES: u64 = 200;
/// How long any wait of the play may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener, an engine and a load that only know scratch records.
pub(super) struct Stage {
    pub(super) table: Arc<ArcSwap<RoutingTable>>,
    pub(super) interlay: InterlayHandle,
    pub(super) engine: Arc<Engine>,
    plugin: Arc<dyn FamilyPlugin>,
    access: Access,
    /// Both servers, past any listener.
    places: [Access; 2],
    scratch: Scratch,
    load: Arc<Load>,
    writers: Vec<JoinHandle<()>>,
}

/// What the writers know.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    /// Last acknowledged value per record; a record whose last outcome is unknown is left out.
    last: Mutex<BTreeMap<u64, u64>>,
    errors: Mutex<Vec<String>>,
}

impl Stage {
    pub(super) async fn build(world: &Arc<World>) -> Result<Self, String> {
        let plugin = Arc::clone(&world.plugin);
        let scratch = plugin.scratch().ok_or("this family keeps no scratch records")?;
        let document = world.document.load_full();
        let target = document.target.as_ref().ok_or("there is no target")?;
        // Its own name on the servers: nothing of the production side counts as an older boot.
        let tag = format!("exodus:{}-rehearsal:{}", world.id, world.node.0);
        let text = |e: crate::config::SecretError| e.to_string();
        let source = endpoint::spec(&document.source, Side::Source, &tag).map_err(text)?;
        let target = endpoint::spec(target, Side::Target, &tag).map_err(text)?;
        let access = Access {
            address: String::new(),
            database: source.database.clone(),
            user: source.user.clone(),
            password: source.password.clone(),
        };
        let table = Arc::new(ArcSwap::from_pointee(table(Epoch(1), Side::Source, false)));
        let journal = Journal::new(1, Markers::new([]));
        let horizon = Arc::new(Horizon::new(std::time::Instant::now()));
        let family = plugin.family();
        let engine = Engine::new(engine::Parts {
            family: Arc::clone(&family),
            source: family.open(source.clone()).await.map_err(|e| e.to_string())?,
            target: family.open(target.clone()).await.map_err(|e| e.to_string())?,
            table: Arc::clone(&table),
            journal: Arc::clone(&journal),
            horizon: Arc::clone(&horizon),
            progress: MemoryProgress::new(),
            config: engine::Config {
                run: format!("{}_rehearsal", world.id),
                conflict: model::ConflictPolicy::Overwrite,
                ..engine::Config::default()
            },
        });
        let places = [&source, &target].map(|spec| Access {
            address: spec.address.clone(),
            database: spec.database.clone(),
            user: spec.user.clone(),
            password: spec.password.clone(),
        });
        for place in &places {
            all_of(plugin.as_ref(), place, &scratch.setup).await?;
        }
        if let Err(why) = follow(&engine, &family, &scratch).await {
            // Nobody else would end it.
            let _ = engine.release().await;
            engine.shutdown().await;
            return Err(why);
        }

        let mut config =
            InterlayConfig::new("rehearsal", std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        config.shards = 1;
        let upstreams = Upstreams::both(source, target);
        let capture = match plugin.family().road() {
            family::Road::Records => Capture::Notes(journal),
            family::Road::Transactions => Capture::Log(horizon),
        };
        let interlay = plugin
            .bind(Bind {
                tenant_rule: None,
                options: &document.options,
                config,
                upstreams: &upstreams,
                table: Arc::clone(&table),
                capture,
            })
            .map_err(|e| e.to_string())?;
        let access = Access { address: interlay.local_addr().to_string(), ..access };
        let load = Arc::new(Load::default());
        let writers = (0..WRITERS)
            .map(|writer| {
                let (plugin, access) = (Arc::clone(&plugin), access.clone());
                let (scratch, load) = (scratch.clone(), Arc::clone(&load));
                tokio::spawn(async move { write(writer, plugin, access, scratch, load).await })
            })
            .collect();
        Ok(Self { table, interlay, engine, plugin, access, places, scratch, load, writers })
    }

    /// Waits for a fresh load of acknowledged writes, and for the other side to follow.
    pub(super) async fn load(&self) -> Result<(), String> {
        let from = self.load.acknowledged.load(Ordering::Relaxed);
        let enough = || self.load.acknowledged.load(Ordering::Relaxed) >= from + WRITES;
        until("the load", enough).await.map_err(|why| {
            let errors = self.load.errors.lock();
            errors.last().map_or(why.clone(), |e| format!("{why}: {e}"))
        })?;
        until("the other side to follow", || self.engine.in_step().is()).await.map_err(|why| {
            let reasons = self.engine.in_step().reasons;
            reasons.first().map_or(why.clone(), |(_, r)| format!("{why}: {r}"))
        })
    }

    /// Ends the load and reads every record back: how many, and which are wrong.
    pub(super) async fn check(&mut self) -> Result<(usize, Vec<String>), String> {
        self.rest().await;
        let last = self.load.last.lock().clone();
        let commands: Vec<_> =
            last.keys().map(|n| self.scratch.read.replace("{n}", &n.to_string())).collect();
        let results = self.plugin.run_commands(&self.access, &commands).await;
        if results.len() != commands.len() {
            return Err("the scratch records cannot be read back".to_owned());
        }
        let mut wrong = Vec::new();
        for ((number, value), result) in last.iter().zip(results) {
            match result.outcome {
                Ok(reply) if reply.contains(&value.to_string()) => {}
                Ok(reply) => wrong.push(format!("record {number} is {reply}, not {value}")),
                Err(error) => wrong.push(format!("record {number}: {error}")),
            }
        }
        Ok((last.len(), wrong))
    }

    async fn rest(&mut self) {
        self.load.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            let _ = writer.await;
        }
    }

    /// Removes the scratch records and ends everything.
    pub(super) async fn clear(&mut self) {
        self.rest().await;
        let all =
            (0..WRITERS * RECORDS).map(|n| self.scratch.remove.replace("{n}", &n.to_string()));
        let all: Vec<_> = all.collect();
        for result in self.plugin.run_commands(&self.access, &all).await {
            if let Err(error) = result.outcome {
                tracing::warn!(command = result.command, error, "a scratch record stays");
            }
        }
        if let Err(left) = self.engine.drain(Duration::from_secs(5)).await {
            tracing::warn!(%left, "scratch records may stay on the other side until cleanup");
        }
        self.interlay.drain(Duration::from_millis(200)).await;
        if let Err(error) = self.engine.release().await {
            tracing::warn!(%error, "what is kept for the rehearsal stays until cleanup");
        }
        self.engine.shutdown().await;
        for place in &self.places {
            if let Err(error) = all_of(self.plugin.as_ref(), place, &self.scratch.teardown).await {
                tracing::warn!(error, "the place of the scratch records stays");
            }
        }
    }
}

/// Has the engine follow the scratch records and nothing else.
async fn follow(
    engine: &Arc<Engine>,
    family: &Arc<dyn family::Family>,
    scratch: &Scratch,
) -> Result<(), String> {
    let text = |e: engine::EngineError| e.to_string();
    let copied = || engine.status().backfill.state == WorkState::Done;
    if let Some(dataset) = &scratch.dataset {
        let only = Filter { datasets: Some(vec![Dataset::new(dataset)]), keys: None };
        engine.set_filter(only.clone());
        engine.start().await.map_err(text)?;
        engine.open_feed(Side::Source).await.map_err(text)?;
        engine.start_backfill(only).map_err(text)?;
        return until("the copy", copied).await;
    }
    // Nothing there before moves: the copy of history is empty, and so is what feeds may say
    // until only scratch records pass.
    let nothing = Filter { datasets: Some(Vec::<Dataset>::new()), keys: None };
    engine.set_filter(nothing.clone());
    engine.start().await.map_err(text)?;
    engine.start_backfill(nothing).map_err(text)?;
    until("the empty copy", copied).await?;
    let (rule, tenant) = (scratch.rule.clone(), Tenant::new(&scratch.tenant));
    let family = Arc::clone(family);
    let ours = move |key: &model::Key| family.tenant_of(&rule, key).as_ref() == Some(&tenant);
    engine.set_filter(Filter { datasets: None, keys: Some(Arc::new(ours)) });
    engine.open_feed(Side::Source).await.map_err(text)
}

/// Runs commands that all have to succeed.
async fn all_of(
    plugin: &dyn FamilyPlugin,
    access: &Access,
    commands: &[String],
) -> Result<(), String> {
    if commands.is_empty() {
        return Ok(());
    }
    let results = plugin.run_commands(access, commands).await;
    for result in &results {
        if let Err(error) = &result.outcome {
            return Err(format!("{}: {error}", access.address));
        }
    }
    match results.len() == commands.len() {
        true => Ok(()),
        false => Err(format!("{}: the connection was lost", access.address)),
    }
}

/// A table of the rehearsal.
pub(super) fn table(epoch: Epoch, authority: Side, frozen: bool) -> RoutingTable {
    RoutingTable {
        capture: true,
        writes: WritePolicy::BothRequired,
        freeze: if frozen { routing::Freeze::Writes } else { routing::Freeze::Open },
        ..RoutingTable::passthrough(epoch, authority)
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = tokio::time::timeout(PATIENCE, wait).await;
    within.map_err(|_| format!("{what} took longer than {} s", PATIENCE.as_secs()))
}

/// Writes growing values to its own records, remembering what was acknowledged.
async fn write(
    writer: u64,
    plugin: Arc<dyn FamilyPlugin>,
    access: Access,
    scratch: Scratch,
    load: Arc<Load>,
) {
    let mut value = 1_000_000 * (writer + 1);
    while !load.stop.load(Ordering::Relaxed) {
        let round: Vec<_> = (0..RECORDS).map(|r| (writer * RECORDS + r, value + r)).collect();
        value += RECORDS;
        let commands: Vec<_> = round
            .iter()
            .map(|(n, v)| {
                scratch.write.replace("{n}", &n.to_string()).replace("{v}", &v.to_string())
            })
            .collect();
        let results = plugin.run_commands(&access, &commands).await;
        for (index, (number, value)) in round.iter().enumerate() {
            match results.get(index).map(|r| &r.outcome) {
                Some(Ok(_)) => {
                    load.last.lock().insert(*number, *value);
                    load.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Some(Err(error)) => {
                    load.last.lock().remove(number);
                    let mut errors = load.errors.lock();
                    if errors.len() < 16 {
                        errors.push(error.clone());
                    }
                }
                None => {
                    load.last.lock().remove(number);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
