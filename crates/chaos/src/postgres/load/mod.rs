//! An application of many clients that remembers everything it was told.
//!
//! Constraints: seeded; rate and number of rows bounded; every write carries an identity; only
//! what is certainly not applied is tried again; a session that breaks is made again.
//!
//! Layout: `client` is a session with a ledger, `verdict` says what a fault means, `ops` the
//! workloads, `ddl` and `pubsub` threads of their own, `ledger` is handed out at the end and
//! judged by `checkers`.

mod client;
mod ddl;
pub mod ledger;
pub(crate) mod ops;
mod pubsub;
mod verdict;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::conn::PgAddress;
use crate::load::gate::Gate;
use crate::load::stats::Board;
pub use crate::load::stats::{Class, Stats};
use crate::load::versions::Versions;
use crate::load::way::Way;
use client::{Client, Shared};
pub use ledger::PgLedger;
use ops::{bank, jobs, lists, own::Own, reads, session, shop, single, spaces};

/// Accounts, each opened with [`ACCOUNT_OPENING`] by the schema.
pub const ACCOUNTS: u32 = 16;
/// Opening balance of every account.
pub const ACCOUNT_OPENING: i64 = 1_000;
/// Counters.
pub const COUNTERS: u32 = 32;
/// Lists that a client appends to at a time.
pub(crate) const LISTS: u32 = 6;
/// Advisory locks under which turns are taken.
pub const LOCKS: u32 = 4;
/// Rows that exchange unique values.
pub const SWAPS: u32 = 40;

/// How the load behaves.
#[derive(Debug, Clone)]
pub struct PgLoadConfig {
    /// Where and as whom the clients connect.
    pub application: PgAddress,
    /// As whom the schema is changed; same place.
    pub owner: PgAddress,
    /// Number of ordinary clients.
    pub clients: u16,
    /// Operations per second of all ordinary clients together; 0 is as fast as they can.
    pub ops_per_second: u32,
    /// Whether a publisher and two listeners run.
    pub pubsub: bool,
    /// How often the schema is changed; never if absent.
    pub ddl_every: Option<Duration>,
    /// Decides what every client does.
    pub seed: u64,
    /// After this long without a reply an attempt is unknown.
    pub timeout: Duration,
    /// Rows of the large table.
    pub rows: u64,
    /// Reads in a hundred operations.
    pub read_percent: u32,
}

impl PgLoadConfig {
    /// Eight clients, 600 operations a second, half of them reads, messages and no DDL.
    #[must_use]
    pub const fn new(application: PgAddress, owner: PgAddress, rows: u64, seed: u64) -> Self {
        Self {
            application,
            owner,
            clients: 8,
            ops_per_second: 600,
            pubsub: true,
            ddl_every: None,
            seed,
            timeout: Duration::from_secs(15),
            rows,
            read_percent: 50,
        }
    }
}

/// A running load. Dropping it stops the clients and forgets the ledger.
pub struct PgLoad {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<PgLedger>>,
}

impl PgLoad {
    /// Starts all clients.
    #[must_use]
    pub fn start(config: PgLoadConfig) -> Self {
        let (clients, pubsub, ddl) = (config.clients, config.pubsub, config.ddl_every.is_some());
        let way = Way::new((config.application.host.clone(), config.application.port));
        let (gate, board, versions) = (Gate::new(), Board::new(), Versions::new(clients));
        let shared = Arc::new(Shared { config, gate, board, versions, way });
        let mut load = Self { shared, threads: Vec::new() };
        for id in 0..clients {
            load.spawn(move |shared| ordinary(id, shared));
        }
        if pubsub {
            load.spawn(move |shared| pubsub::publish(clients, shared));
            load.spawn(move |shared| pubsub::listen(clients + 1, shared));
            load.spawn(move |shared| pubsub::listen(clients + 2, shared));
        }
        if ddl {
            load.spawn(move |shared| ddl::run(clients + 3, shared));
        }
        load
    }

    fn spawn(&mut self, life: impl FnOnce(&Arc<Shared>) -> PgLedger + Send + 'static) {
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

    /// Sends every client to another place, each between two of its operations, and waits up to
    /// `limit` until all have arrived there.
    #[must_use]
    pub fn redirect(&self, host: &str, port: u16, limit: Duration) -> bool {
        let turn = self.shared.way.redirect((host.to_owned(), port));
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

    /// Goes on after [`PgLoad::pause`].
    pub fn resume(&self) {
        self.shared.board.resumed();
        self.shared.gate.resume();
    }

    /// Stops; hands out the ledger and the final numbers.
    #[must_use]
    pub fn stop(mut self) -> (PgLedger, Stats) {
        let stats = self.stats();
        self.shared.gate.stop();
        let mut ledger = PgLedger::default();
        for thread in std::mem::take(&mut self.threads) {
            match thread.join() {
                Ok(part) => ledger.absorb(part),
                Err(_) => ledger.violation("a client of the load panicked".to_owned()),
            }
        }
        (ledger, stats)
    }
}

impl Drop for PgLoad {
    fn drop(&mut self) {
        self.shared.gate.stop();
        for thread in std::mem::take(&mut self.threads) {
            let _forgotten = thread.join();
        }
    }
}

/// The life of an ordinary client.
fn ordinary(id: u16, shared: &Arc<Shared>) -> PgLedger {
    let config = &shared.config;
    let mut client = Client::new(id, &config.application, Arc::clone(shared));
    let interval = match config.ops_per_second {
        0 => Duration::ZERO,
        rate => Duration::from_secs_f64(f64::from(config.clients) / f64::from(rate)),
    };
    let mut own = Own::default();
    // Spread the clients over the first interval.
    let mut due = Instant::now() + interval.mul_f64(client.rng.below(100) as f64 / 100.0);
    while shared.gate.wait(due) {
        // Catch up after a pause, but by no more than a second's worth.
        due = (due + interval).max(Instant::now() - Duration::from_secs(1));
        if client.rng.percent(u64::from(config.read_percent)) {
            match client.rng.below(10) {
                0 => session::run(&mut client),
                1..4 => own.watch(&mut client),
                _ => reads::run(&mut client),
            }
            continue;
        }
        match client.rng.below(100) {
            0..15 => single::insert(&mut client),
            15..27 => single::count(&mut client),
            27..30 => single::copy(&mut client),
            30..42 => bank::transfer(&mut client),
            42..50 => lists::run(&mut client),
            50..56 => jobs::push(&mut client),
            56..62 => jobs::take(&mut client),
            62..66 => spaces::parts(&mut client),
            66..70 => spaces::turn(&mut client),
            70..74 => spaces::swap(&mut client),
            74..80 => own.moving(&mut client),
            80..85 => own.families(&mut client),
            85..90 => own.register(&mut client),
            _ => shop::run(&mut client),
        }
    }
    own.finish(&mut client);
    client.ledger
}
