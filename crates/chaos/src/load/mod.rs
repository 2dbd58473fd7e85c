//! A load of many clients that remembers everything it was told.
//!
//! Constraints: seeded; rate and number of keys bounded; every write carries an identity; a
//! connection that breaks is made again. Layout: `client` is a connection with a ledger, `ops`
//! the workloads, `jobs` and `pubsub` threads of their own, `gate` pauses and stops, `stats`
//! counts, `ledger` is handed out at the end and judged by `checkers`.

pub(crate) mod client;
pub(crate) mod gate;
mod jobs;
pub mod ledger;
pub mod names;
pub(crate) mod ops;
mod pubsub;
pub(crate) mod stats;
pub(crate) mod versions;
pub(crate) mod way;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::conn::{Address, Fault};
use crate::dataset::Dataset;
use client::{Client, Shared};
use gate::Gate;
pub use ledger::Ledger;
use ops::{
    append, bank, churn::Churn, counters::Counters, expiry::Expiry, pipeline::Pipeline, reads,
    registers::Registers,
};
use stats::Board;
pub use stats::{Class, Stats};
use versions::Versions;
use way::Way;

/// How the load behaves.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Where the clients connect.
    pub address: Address,
    /// Number of ordinary clients; every second one speaks RESP3.
    pub clients: u16,
    /// Operations per second of all ordinary clients together; 0 is as fast as they can.
    pub ops_per_second: u32,
    /// Jobs pushed per second.
    pub jobs_per_second: u32,
    /// Whether blocking producers and consumers run.
    pub jobs: bool,
    /// Whether a publisher and two subscribers run.
    pub pubsub: bool,
    /// Decides what every client does.
    pub seed: u64,
    /// After this long without a reply an attempt is unknown.
    pub timeout: Duration,
    /// Databases the ordinary clients are dealt to in turn.
    pub databases: Vec<u8>,
    /// Prefix of all keys and channels.
    pub prefix: String,
    /// Seeded data to read.
    pub dataset: Option<Dataset>,
    /// Reads in a hundred operations.
    pub read_percent: u32,
}

impl LoadConfig {
    /// Eight clients, 1,500 operations a second, half of them reads, everything on.
    #[must_use]
    pub fn new(address: Address, seed: u64) -> Self {
        Self {
            address,
            clients: 8,
            ops_per_second: 1_500,
            jobs_per_second: 60,
            jobs: true,
            pubsub: true,
            seed,
            timeout: Duration::from_secs(5),
            databases: vec![0, 1],
            prefix: "load:".to_owned(),
            dataset: None,
            read_percent: 50,
        }
    }
}

/// A running load. Dropping it stops the clients and forgets the ledger.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Ledger>>,
}

impl Load {
    /// Opens the accounts and the consumer group, then starts all clients.
    pub fn start(config: LoadConfig) -> Result<Self, Fault> {
        let (clients, jobs, pubsub) = (config.clients, config.jobs, config.pubsub);
        let databases = config.databases.clone();
        let versions = Versions::new(clients);
        let way = Way::new(config.address.clone());
        let shared =
            Arc::new(Shared { config, gate: Gate::new(), board: Board::new(), versions, way });
        for db in &databases {
            let mut opener = Client::new(way::NOBODY, *db, Arc::clone(&shared));
            if !bank::open_accounts(&mut opener) {
                return Err(Fault::NotSent("the load's accounts could not be opened".to_owned()));
            }
        }
        if jobs {
            let mut opener = Client::new(way::NOBODY, 0, Arc::clone(&shared));
            if !jobs::open_group(&mut opener) {
                return Err(Fault::NotSent("the load's group could not be made".to_owned()));
            }
        }
        let mut load = Self { shared, threads: Vec::new() };
        for id in 0..clients {
            let db = databases[usize::from(id) % databases.len()];
            load.spawn(move |shared| ordinary(id, db, shared));
        }
        for (n, role) in (0_u16..).zip(jobs::ROLES).filter(|_| jobs) {
            load.spawn(move |shared| jobs::run(role, clients + n, shared));
        }
        if pubsub {
            load.spawn(move |shared| pubsub::publish(clients + 100, shared));
            load.spawn(move |shared| pubsub::subscribe(clients + 101, shared));
            load.spawn(move |shared| pubsub::subscribe(clients + 102, shared));
        }
        Ok(load)
    }

    fn spawn(&mut self, life: impl FnOnce(&Arc<Shared>) -> Ledger + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        shared.gate.enter();
        self.threads.push(std::thread::spawn(move || {
            let ledger = life(&shared);
            shared.gate.leave();
            ledger
        }));
    }

    /// Numbers since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.board.total()
    }

    /// Numbers since this was last called; begins a new window.
    #[must_use]
    pub fn take_window(&self) -> Stats {
        self.shared.board.take_window()
    }

    /// Sends every client to another address, each between two of its operations, and waits up
    /// to `limit` until all have arrived there.
    #[must_use]
    pub fn redirect(&self, address: Address, limit: Duration) -> bool {
        let turn = self.shared.way.redirect(address);
        crate::wait::until(limit, || self.shared.way.all_arrived(turn))
    }

    /// Waits up to `limit` until this many more operations were answered.
    #[must_use]
    pub fn wait_ops(&self, more: u64, limit: Duration) -> bool {
        let answered = || {
            let stats = self.stats();
            stats.reads + stats.writes
        };
        let goal = answered() + more;
        crate::wait::until(limit, || answered() >= goal)
    }

    /// Waits up to `limit` until every client rests between two operations; false if some still
    /// had one under way. The load stays paused either way.
    pub fn pause(&self, limit: Duration) -> bool {
        self.shared.gate.pause(limit)
    }

    /// Goes on after [`Load::pause`].
    pub fn resume(&self) {
        self.shared.board.resumed();
        self.shared.gate.resume();
    }

    /// Stops: producers at once, consumers when the queues are empty; hands out the ledger and
    /// the final numbers.
    #[must_use]
    pub fn stop(mut self) -> (Ledger, Stats) {
        let stats = self.stats();
        self.shared.gate.stop();
        let config = &self.shared.config;
        let mut ledger = Ledger { prefix: config.prefix.clone(), ..Ledger::default() };
        ledger.databases.clone_from(&config.databases);
        for thread in std::mem::take(&mut self.threads) {
            match thread.join() {
                Ok(part) => ledger.absorb(part),
                Err(_) => ledger.violation("a client of the load panicked".to_owned()),
            }
        }
        (ledger, stats)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.gate.stop();
        for thread in std::mem::take(&mut self.threads) {
            let _forgotten = thread.join();
        }
    }
}

/// The life of an ordinary client.
fn ordinary(id: u16, db: u8, shared: &Arc<Shared>) -> Ledger {
    let mut client = Client::new(id, db, Arc::clone(shared));
    let config = &shared.config;
    let interval = match config.ops_per_second {
        0 => Duration::ZERO,
        rate => Duration::from_secs_f64(f64::from(config.clients) / f64::from(rate)),
    };
    let (mut counters, mut registers) = (Counters::default(), Registers::default());
    let (mut expiry, mut churn) = (Expiry::default(), Churn::default());
    let mut pipeline = Pipeline::default();
    // Spread the clients over the first interval.
    let mut due = Instant::now() + interval.mul_f64(client.rng.below(100) as f64 / 100.0);
    while shared.gate.wait(due) {
        // Catch up after a pause, but by no more than a second's worth.
        due = (due + interval).max(Instant::now() - Duration::from_secs(1));
        if client.rng.percent(u64::from(config.read_percent)) {
            reads::run(&mut client, config.dataset);
            continue;
        }
        match client.rng.below(100) {
            0..30 => append::run(&mut client),
            30..52 => counters.run(&mut client),
            52..64 => bank::run(&mut client),
            64..80 => registers.run(&mut client),
            80..88 => expiry.run(&mut client),
            88..96 => churn.run(&mut client),
            _ => pipeline.run(&mut client),
        }
    }
    registers.finish(&mut client);
    expiry.finish(&mut client);
    churn.finish(&mut client);
    pipeline.finish(&mut client);
    client.ledger
}
