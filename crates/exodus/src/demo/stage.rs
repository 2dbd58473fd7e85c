//! Redis on stage: `redis-server`, `valkey-server`, keys of every type, a load.

use std::time::Duration;

use anyhow::{Context as _, Result};
use api::Side;
use chaos::checkers::{self, Judgement};
use chaos::conn::Address;
use chaos::dataset::{self, Dataset};
use chaos::equality::{self, Options as Equality};
use chaos::load::{Ledger, Load, LoadConfig, Stats};
use chaos::rng::Rng;
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions, WORKER};
use redis::cmd;

use super::args::Options;
use super::home::{Home, Pair};
use super::residue::{Accounts, Residue};
use super::result::Page;
use super::say;
use super::scene::{Equal, Flow, Scene};

/// The running demo. Dropping it ends everything and removes what it wrote.
pub struct Stage {
    /// Where the workload lives.
    pub source: Server,
    /// Where it goes.
    pub target: Server,
    /// The node under test.
    pub home: Home,
    /// The load, until it is stopped.
    pub load: Option<Load>,
    /// What was seeded.
    pub dataset: Dataset,
    seeded_keys: u64,
    rate: u32,
}

impl Stage {
    /// Starts everything up to a load that talks to the source and a node that waits.
    pub fn build(options: &Options) -> Result<Self> {
        say::head("a source, a target, data, a load");
        let source = server(Flavor::Redis, "source")?;
        let target = server(Flavor::Valkey, "target")?;
        let seed = options.common.seed;
        let dataset = Dataset { keys: options.keys, seed, big_keys: options.big_keys };
        let seeded = dataset::seed(&dataset, &source.admin())?;
        say::line(format!(
            "{} keys of every type in db0, db1, db3 in {}",
            seeded.keys,
            say::ms(seeded.took)
        ));
        let load = Load::start(load_config(options, &source, dataset))?;
        say::line(format!(
            "load: {} clients, {} operations/s, talking to the source as its applications do",
            options.common.clients, options.rate
        ));
        let pair = Pair {
            family: "redis",
            database: None,
            source: source.address().host_port(),
            target: target.address().host_port(),
            worker: WORKER,
            applications: &[APPLICATION.0, "default"],
            smoke: &["PING", "DBSIZE", "GET ds:smoke"],
        };
        let home = Home::start(&options.common, &pair)?;
        let (load, seeded_keys) = (Some(load), seeded.keys);
        Ok(Self { source, target, home, load, dataset, seeded_keys, rate: options.rate })
    }

    /// The interlay, as an application knows it.
    #[must_use]
    pub fn application(&self) -> Address {
        Address::local(self.home.interlay.port()).with_login(APPLICATION.0, APPLICATION.1)
    }

    /// The load, while it runs.
    pub fn load(&self) -> Result<&Load> {
        self.load.as_ref().context("the load has already been stopped")
    }
}

fn server(flavor: Flavor, role: &str) -> Result<Server> {
    // Durable, so that a kill may lose nothing that was acknowledged.
    let server = Server::start(&ServerOptions::new(flavor).durable())
        .with_context(|| format!("EXO-DEM-001: the {role} cannot be started"))?;
    say::line(format!("{role}: {} at {}", flavor.program(), server.address().host_port()));
    Ok(server)
}

fn load_config(options: &Options, source: &Server, dataset: Dataset) -> LoadConfig {
    let address = source.address().with_login(APPLICATION.0, APPLICATION.1);
    let mut config = LoadConfig::new(address, options.common.seed);
    config.clients = options.common.clients.max(1);
    config.ops_per_second = options.rate;
    config.dataset = Some(dataset);
    config.timeout = Duration::from_secs(15);
    config
}

impl Flow for Load {
    fn stats(&self) -> Stats {
        self.stats()
    }

    fn take_window(&self) -> Stats {
        self.take_window()
    }

    fn wait_ops(&self, more: u64, limit: Duration) -> bool {
        self.wait_ops(more, limit)
    }

    fn pause(&self, limit: Duration) -> bool {
        self.pause(limit)
    }

    fn resume(&self) {
        self.resume();
    }
}

impl Scene for Stage {
    type Load = Load;
    type Ledger = Ledger;
    type Before = Accounts;

    fn home(&self) -> &Home {
        &self.home
    }

    fn home_mut(&mut self) -> &mut Home {
        &mut self.home
    }

    fn load(&self) -> Result<&Load> {
        self.load()
    }

    fn pace(&self) -> u32 {
        self.rate
    }

    fn unit(&self) -> &'static str {
        "keys"
    }

    fn seeded(&self) -> u64 {
        self.seeded_keys
    }

    fn servers(&self) -> [String; 2] {
        [self.source.address().host_port(), self.target.address().host_port()]
    }

    fn client(&self) -> String {
        let (user, password) = APPLICATION;
        format!("redis-cli -p {} --user {user} --pass {password}", self.home.interlay.port())
    }

    fn redirect(&self, limit: Duration) -> Result<bool> {
        Ok(self.load()?.redirect(self.application(), limit))
    }

    fn kill_target(&mut self) -> Result<()> {
        Ok(self.target.kill9()?)
    }

    fn restart_target(&mut self) -> Result<()> {
        Ok(self.target.restart()?)
    }

    fn corrupt(&self, records: u64) -> Result<u64> {
        let mut conn = self.target.connect(0)?;
        let mut rng = Rng::fork(self.dataset.seed, 0xC0);
        let mut corrupted = 0;
        for _ in 0..records * 50 {
            let key = self.dataset.key(rng.below(self.dataset.keys));
            if corrupted == records {
                break;
            }
            if key.db != 0 || key.ttl_ms.is_some() || key.kind != dataset::Kind::String {
                continue;
            }
            let mut damage = cmd(if corrupted % 2 == 0 { "APPEND" } else { "DEL" });
            damage.arg(&key.name);
            if corrupted % 2 == 0 {
                damage.arg("corrupted");
            }
            conn.call(&damage)?;
            corrupted += 1;
        }
        Ok(corrupted)
    }

    fn before(&self) -> Result<Accounts> {
        Accounts::of(self)
    }

    fn residue(&self, before: &Accounts) -> Result<(bool, String)> {
        let after = Residue::of(self)?;
        Ok((after.same(before), after.told(before)))
    }

    fn equal(&self, _authority: Side) -> Result<Equal> {
        let (source, target) = (self.source.admin(), self.target.admin());
        let report = equality::compare(&source, &target, &Equality::default())?;
        let (equal, compared) = (report.equal(), report.compared);
        Ok(Equal { equal, compared, told: report.to_string() })
    }

    fn compares_after_cutover(&self) -> bool {
        false
    }

    fn by_hand(&self) -> Result<()> {
        Ok(())
    }

    fn stop_load(&mut self) -> Result<(Ledger, u64, Stats)> {
        let load = self.load.take().context("the load has already been stopped")?;
        let (ledger, stats) = load.stop();
        let writes = ledger.records.len() as u64;
        Ok((ledger, writes, stats))
    }

    fn judge(&self, ledger: &Ledger, side: Side) -> Result<Judgement> {
        let server = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        Ok(checkers::judge(ledger, &server.admin())?)
    }

    fn more(&self, page: &mut Page) -> Result<()> {
        let lost = dataset::verify(&self.dataset, &self.target.admin(), 5_000)?;
        let lost: Vec<String> = lost.into_iter().take(5).collect();
        page.check("seeded keys are as seeded", lost.is_empty(), lost.join("\n"));
        Ok(())
    }
}
