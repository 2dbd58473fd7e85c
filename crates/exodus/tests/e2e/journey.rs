//! A migration on its way: everything that runs, restarted where it died, judged in the end.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Result;
use chaos::checkers;
use chaos::dataset;
use chaos::equality::{self, Options as Equality};
use chaos::load::{Ledger, Load, LoadConfig};
use chaos::servers::Server;
use chaos::wait;
use exodus::demo::args::{Common, Options};
use exodus::demo::stage::Stage;

use crate::points::{self, Moment};
use crate::way::Way;

/// The longest anything may take before the test says where it is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One journey at a time, where tests are threads of one process.
static ONE: Mutex<()> = Mutex::new(());

/// Everything else that needs servers waits for this, too.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether the full matrices are asked for.
pub(crate) fn long() -> bool {
    std::env::var_os("EXODUS_LONG").is_some_and(|v| v != "0")
}

/// The seed of this run; printed, so that it can be given again.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("EXODUS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7);
    println!("EXODUS_SEED={seed}");
    seed
}

/// The node of these tests: the binary's server on a store with points in it.
fn points_binary() -> PathBuf {
    let product = PathBuf::from(env!("CARGO_BIN_EXE_exodus"));
    product.with_file_name("examples").join("crash_points")
}

/// A small migration under a small load.
pub(crate) fn options() -> Options {
    let common = Common {
        script: None,
        clients: 4,
        duration: Duration::from_millis(300),
        seed: seed(),
        ui_port: None,
        chaos: Vec::new(),
        brief: true,
        copy_rate: Some(2_000),
        node_binary: Some(points_binary()),
    };
    Options { keys: 5_000, rate: 300, big_keys: false, common }
}

/// Which database dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Source,
    Target,
}

/// Everything that runs.
pub(crate) struct Journey {
    pub(crate) stage: Stage,
    /// Whether something was killed, so that clients may have seen a connection break.
    harmed: bool,
    epoch: u64,
    /// What earlier loads were told, all of it still to be there in the end.
    ledgers: Vec<Ledger>,
    options: Options,
    _alone: MutexGuard<'static, ()>,
}

impl Journey {
    /// Starts servers, node and load, and brings the applications behind the interlay.
    pub(crate) fn begin(options: &Options) -> Self {
        let alone = alone();
        let stage = Stage::build(options).unwrap_or_else(|error| panic!("{error:#}"));
        let journey = Self {
            stage,
            harmed: false,
            epoch: 0,
            ledgers: Vec::new(),
            options: options.clone(),
            _alone: alone,
        };
        journey.on(|way| way.reach("analyze"));
        let through = journey.stage.application();
        assert!(journey.stage.load().unwrap().redirect(through, PATIENCE), "not all got through");
        journey
    }

    pub(crate) fn way(&self) -> Way {
        Way(self.stage.home.door.clone())
    }

    /// Does something, or ends the test with what the node has to say.
    pub(crate) fn on(&self, go: impl Fn(&Way) -> Result<()>) {
        self.told(go(&self.way()));
    }

    fn told<T>(&self, done: Result<T>) -> T {
        match done {
            Ok(done) => done,
            Err(error) => {
                panic!("{error:#}\n--- the node's log ends:\n{}", self.stage.home.node_log())
            }
        }
    }

    /// Some operations of the load get through.
    pub(crate) fn flows(&self) {
        let load = self.stage.load().unwrap();
        let flows = load.wait_ops(50, PATIENCE);
        assert!(
            flows,
            "clients stand still: {:?}\n{}",
            load.stats().errors,
            self.stage.home.node_log()
        );
    }

    /// The load rests, everything drains, both sides are equal; then the load goes on.
    pub(crate) fn equal(&self, when: &str) {
        let load = self.stage.load().unwrap();
        assert!(load.pause(PATIENCE), "{when}: clients do not come to rest");
        self.drained_and_equal(when);
        load.resume();
    }

    fn drained_and_equal(&self, when: &str) {
        println!("{when}: comparing");
        self.on(Way::drained);
        let (source, target) = (self.stage.source.admin(), self.stage.target.admin());
        let report = equality::compare(&source, &target, &Equality::default()).unwrap();
        assert!(report.equal(), "{when}: {report}\n{}", self.stage.home.node_log());
        println!("{when}: {}", report.to_string().lines().next().unwrap_or_default());
    }

    /// Starts the node again after it died. Status answers before anything else works, and no
    /// epoch is ever given twice.
    fn restart(&mut self) {
        self.harmed = true;
        self.stage.home.node.respawn().unwrap();
        let door = self.stage.home.door.clone();
        let status = wait::value(PATIENCE, || door.status().ok());
        let status = status.unwrap_or_else(|| panic!("no status:\n{}", self.stage.home.node_log()));
        let epoch = status.writes.epoch;
        assert!(epoch >= self.epoch, "epoch {epoch} after {}", self.epoch);
        self.epoch = epoch;
    }

    /// Whether the node's process is gone, or about to be.
    fn died(&mut self) -> bool {
        let node = &mut self.stage.home.node;
        wait::until(Duration::from_secs(3), || !node.is_running())
    }

    /// Does something during which the node dies at each of these points, one after the other,
    /// started again each time. Returns the points that were not passed.
    pub(crate) fn through(
        &mut self,
        points: &[(Moment, &str)],
        go: impl Fn(&Way) -> Result<()>,
    ) -> Vec<String> {
        let mut missed = Vec::new();
        for (moment, label) in points {
            let name = format!("{moment:?} {label}");
            points::arm(&self.stage, *moment, label);
            let done = go(&self.way());
            if !points::struck(&self.stage) {
                self.told(done);
                points::release(&self.stage);
                missed.push(name);
                continue;
            }
            assert!(self.died(), "{name} struck, and the node lives");
            println!("died {name}");
            self.restart();
        }
        self.on(go);
        missed
    }

    fn server(&mut self, victim: Victim) -> &mut Server {
        match victim {
            Victim::Source => &mut self.stage.source,
            Victim::Target => &mut self.stage.target,
        }
    }

    /// Does something during which a database dies while the node makes this durable; it comes
    /// back soon. Whether that moment came.
    pub(crate) fn bereaved(
        &mut self,
        victim: Victim,
        label: &str,
        go: impl Fn(&Way) -> Result<()> + Sync,
    ) -> bool {
        self.harmed = true;
        points::arm(&self.stage, Moment::Hold, label);
        let way = self.way();
        let mut met = false;
        let done = std::thread::scope(|scope| {
            let going = scope.spawn(|| go(&way));
            wait::until(PATIENCE * 2, || points::held(&self.stage) || going.is_finished());
            if points::held(&self.stage) {
                met = true;
                self.server(victim).kill9().unwrap();
                points::release(&self.stage);
                println!("{victim:?} died during {label}");
                self.server(victim).restart().unwrap();
            }
            points::release(&self.stage);
            going.join().unwrap()
        });
        self.told(done);
        met
    }

    /// Stops the load; both sides are equal, and hold what the clients were told.
    fn judge(&mut self, when: &str) {
        let load = self.stage.load.take().unwrap();
        let (ledger, stats) = load.stop();
        self.drained_and_equal(when);
        self.holds(when, &ledger);
        println!("{} writes recorded, errors: {:?}", ledger.records.len(), stats.errors);
        assert!(self.harmed || stats.errors.is_empty(), "clients saw {:?}", stats.errors);
        self.ledgers.push(ledger);
    }

    fn holds(&self, when: &str, ledger: &Ledger) {
        let (source, target) = (self.stage.source.admin(), self.stage.target.admin());
        for (side, address) in [("target", &target), ("source", &source)] {
            let judgement = checkers::judge(ledger, address).unwrap();
            let log = self.stage.home.node_log();
            assert!(
                judgement.holds(),
                "{when}: the ledger against the {side}:\n{judgement}\n{log}"
            );
        }
    }

    /// Everything is judged here, and another load begins, so that a broken promise is found
    /// where it was broken.
    pub(crate) fn checkpoint(&mut self, when: &str) {
        self.judge(when);
        let round = self.ledgers.len() as u64;
        let mut config =
            LoadConfig::new(self.stage.application(), self.options.common.seed + round);
        (config.clients, config.ops_per_second) = (self.options.common.clients, self.options.rate);
        config.dataset = Some(self.stage.dataset);
        config.prefix = format!("load{round}:");
        config.timeout = Duration::from_secs(15);
        self.stage.load = Some(Load::start(config).unwrap());
    }

    /// What the last load and all earlier ones were told is there.
    fn judge_all(&mut self) {
        self.judge("at the end");
        let target = self.stage.target.admin();
        let lost = dataset::verify(&self.stage.dataset, &target, 2_000).unwrap();
        assert!(lost.is_empty(), "seeded keys: {:?}", lost.iter().take(5).collect::<Vec<_>>());
        for (round, ledger) in self.ledgers.iter().enumerate() {
            self.holds(&format!("at the end, load {round}"), ledger);
        }
    }

    /// Ends here: judged without going on.
    pub(crate) fn leave(mut self) {
        self.judge_all();
    }

    /// To the end: committed, judged, finalized.
    pub(crate) fn finish(mut self) {
        self.on(|way| way.reach("warm_source"));
        self.judge_all();
        self.on(|way| way.reach("finalized"));
    }
}
