//! PostgreSQL on stage: 15 and 18, a schema with every hard thing in it, a load.

use std::time::Duration;

use anyhow::{Context as _, Result};
use api::Side;
use chaos::checkers::Judgement;
use chaos::load::Stats;
use chaos::postgres::checkers;
use chaos::postgres::equality::{self, Options as Equality, SequenceRule};
use chaos::postgres::load::{PgLedger, PgLoad, PgLoadConfig};
use chaos::postgres::residue::{self, Residue};
use chaos::postgres::schema::{self, PgDataset};
use chaos::postgres::servers::{
    APPLICATION, DATABASE, OWNER, PgOptions as ServerOptions, PgServer, Version, WORKER,
};
use chaos::rng::Rng;
use chaos::wait;

use super::args::PgOptions;
use super::home::{Home, Pair};
use super::result::Page;
use super::say;
use super::scene::{Equal, Flow, Scene};

/// Where the product keeps what it has to while a migration is on its way.
const OURS: &str = "exodus";
/// How often the schema is changed, where that is asked for.
const DDL_EVERY: Duration = Duration::from_secs(5);

/// The running demo. Dropping it ends everything and removes what it wrote.
pub(super) struct PgStage {
    source: PgServer,
    target: PgServer,
    home: Home,
    load: Option<PgLoad>,
    rows: u64,
    seeded: u64,
    ops: u32,
    seed: u64,
}

impl PgStage {
    /// Starts everything up to a load that talks to the source and a node that waits.
    pub(super) fn build(options: &PgOptions) -> Result<Self> {
        say::head("a source, a target, data, a load");
        // Durable, so that a kill may lose nothing that was acknowledged; the target knows the
        // worker alone, everybody else has yet to come.
        let source = server(&ServerOptions::new(Version::Fifteen).durable(), "source")?;
        let target = server(&ServerOptions::new(Version::Eighteen).durable().bare(), "target")?;
        let rows = options.rows.max(1);
        let seeded = schema::seed(&source, &PgDataset { rows })?;
        say::line(format!(
            "{} rows in {} tables in {}",
            seeded.rows,
            seeded.tables,
            say::ms(seeded.took)
        ));
        let (common, seed) = (&options.common, options.common.seed);
        let mut config = PgLoadConfig::new(source.address(), source.owner(), rows, seed);
        config.clients = common.clients.max(1);
        config.ops_per_second = options.ops;
        config.ddl_every = options.ddl.then_some(DDL_EVERY);
        let load = PgLoad::start(config);
        say::line(format!(
            "load: {} clients, {} operations/s, talking to the source as its applications do",
            common.clients, options.ops
        ));
        let pair = Pair {
            family: "postgres",
            database: Some(DATABASE),
            source: source.address().host_port(),
            target: target.address().host_port(),
            worker: WORKER,
            applications: &[APPLICATION.0, OWNER.0],
            smoke: &["SELECT 1", "SHOW server_version", "SELECT current_database()"],
        };
        let home = Home::start(common, &pair)?;
        let (load, seeded, ops) = (Some(load), seeded.rows, options.ops);
        Ok(Self { source, target, home, load, rows, seeded, ops, seed })
    }

    fn server(&self, side: Side) -> &PgServer {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }
}

fn server(options: &ServerOptions, role: &str) -> Result<PgServer> {
    let server = PgServer::start(options)
        .with_context(|| format!("EXO-DEM-001: the {role} cannot be started"))?;
    let (major, address) = (options.version.major(), server.address().host_port());
    say::line(format!("{role}: PostgreSQL {major} at {address}"));
    Ok(server)
}

impl Flow for PgLoad {
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

impl Scene for PgStage {
    type Load = PgLoad;
    type Ledger = PgLedger;
    type Before = [Residue; 2];

    fn home(&self) -> &Home {
        &self.home
    }

    fn home_mut(&mut self) -> &mut Home {
        &mut self.home
    }

    fn load(&self) -> Result<&PgLoad> {
        self.load.as_ref().context("the load has already been stopped")
    }

    fn pace(&self) -> u32 {
        self.ops
    }

    fn unit(&self) -> &'static str {
        "rows"
    }

    fn seeded(&self) -> u64 {
        self.seeded
    }

    fn servers(&self) -> [String; 2] {
        [self.source.address().host_port(), self.target.address().host_port()]
    }

    fn client(&self) -> String {
        let ((user, password), port) = (APPLICATION, self.home.interlay.port());
        format!("psql postgresql://{user}:{password}@127.0.0.1:{port}/{DATABASE}")
    }

    fn redirect(&self, limit: Duration) -> Result<bool> {
        let interlay = self.home.interlay;
        Ok(self.load()?.redirect(&interlay.ip().to_string(), interlay.port(), limit))
    }

    fn kill_target(&mut self) -> Result<()> {
        Ok(self.target.kill9()?)
    }

    fn restart_target(&mut self) -> Result<()> {
        Ok(self.target.restart()?)
    }

    fn corrupt(&self, records: u64) -> Result<u64> {
        let mut conn = self.target.connect()?;
        conn.batch("SET session_replication_role = replica")?;
        let mut rng = Rng::fork(self.seed, 0xC0);
        let mut corrupted = 0;
        for n in 0..records.min(self.rows) {
            let id = 1 + rng.below(self.rows) as i64;
            let sql = if n % 2 == 0 {
                "UPDATE shop.big SET amount = amount + 1000000 WHERE id = $1 AND amount < 500000"
            } else {
                "DELETE FROM shop.big WHERE id = $1 AND amount < 500000"
            };
            corrupted += conn.execute(sql, &[&id])?;
        }
        Ok(corrupted)
    }

    fn before(&self) -> Result<[Residue; 2]> {
        Ok([Residue::of(&self.source.admin())?, Residue::of(&self.target.admin())?])
    }

    fn residue(&self, before: &[Residue; 2]) -> Result<(bool, String)> {
        // Who was moved with the data stays.
        let moved = [OWNER.0, APPLICATION.0];
        let mut told = Vec::new();
        for (side, before) in [Side::Source, Side::Target].into_iter().zip(before) {
            let (address, name) = (self.server(side).admin(), side.as_str());
            // Sessions that were just closed get a moment to be gone.
            let mut sessions = u64::MAX;
            wait::until(Duration::from_secs(5), || {
                sessions = residue::sessions(&address, WORKER.0).unwrap_or(u64::MAX);
                sessions == 0
            });
            if sessions > 0 {
                told.push(format!("{name}: {sessions} sessions of ours"));
            }
            let left = Residue::of(&address)?.since(before, &moved);
            told.extend(left.into_iter().map(|line| format!("{name}: {line}")));
        }
        if told.is_empty() {
            return Ok((
                true,
                "slots, publications, fences, roles as before, no session".to_owned(),
            ));
        }
        Ok((false, told.join("\n")))
    }

    fn equal(&self, authority: Side) -> Result<Equal> {
        let other = match authority {
            Side::Source => Side::Target,
            Side::Target => Side::Source,
        };
        // The other side's sequences may be ahead, so that no number is given out twice.
        let options = Equality {
            ignore_schemas: vec![OURS.to_owned()],
            sequences: SequenceRule::NotBehind,
            materialized: false,
            roles: true,
            differences_max: 40,
        };
        let (here, there) = (self.server(authority).admin(), self.server(other).admin());
        let report = equality::compare(&here, &there, &options)?;
        let (equal, compared) = (report.equal(), report.rows_left);
        Ok(Equal { equal, compared, told: report.to_string() })
    }

    fn compares_after_cutover(&self) -> bool {
        true
    }

    fn by_hand(&self) -> Result<()> {
        // What the preflight says: a materialized view comes without its rows.
        let view = "shop.order_counts";
        self.target.connect()?.batch(&format!("REFRESH MATERIALIZED VIEW {view}"))?;
        say::line(format!("by hand, as the preflight asks: {view} is filled on the target"));
        Ok(())
    }

    fn stop_load(&mut self) -> Result<(PgLedger, u64, Stats)> {
        let load = self.load.take().context("the load has already been stopped")?;
        let (ledger, stats) = load.stop();
        let writes = (ledger.records.len() + ledger.lists.len()) as u64;
        Ok((ledger, writes, stats))
    }

    fn judge(&self, ledger: &PgLedger, side: Side) -> Result<Judgement> {
        Ok(checkers::judge(ledger, &self.server(side).admin())?)
    }

    fn more(&self, _page: &mut Page) -> Result<()> {
        Ok(())
    }
}
