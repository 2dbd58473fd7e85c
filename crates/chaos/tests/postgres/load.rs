//! The load against real servers: an honest server satisfies every checker, a tampered one none.

use std::time::Duration;

use chaos::faults::FaultProxy;
use chaos::load::ledger::Outcome;
use chaos::postgres::checkers::{Judgement, judge};
use chaos::postgres::conn::Conn;
use chaos::postgres::load::{PgLedger, PgLoad, PgLoadConfig};
use chaos::postgres::schema::{self, PgDataset};
use chaos::postgres::servers::{PgOptions, PgServer, Version};

const PATIENCE: Duration = Duration::from_secs(180);
const ROWS: u64 = 2_000;

fn seeded(options: &PgOptions) -> PgServer {
    let server = PgServer::start(options).unwrap();
    schema::seed(&server, &PgDataset { rows: ROWS }).unwrap();
    server
}

fn config(server: &PgServer, seed: u64) -> PgLoadConfig {
    let mut config = PgLoadConfig::new(server.address(), server.owner(), ROWS, seed);
    config.ops_per_second = 0;
    config
}

fn judged(ledger: &PgLedger, server: &PgServer) -> Judgement {
    judge(ledger, &server.admin()).unwrap()
}

/// What to do to a database behind the load's back, and which checker has to object.
const DAMAGE: &[(&str, &str)] = &[
    ("Insert", "DELETE FROM load.ledger WHERE id = (SELECT max(id) FROM load.ledger)"),
    (
        "Insert",
        "UPDATE load.ledger SET code = gen_random_uuid() WHERE id = (SELECT min(id) FROM load.ledger)",
    ),
    ("Insert", "INSERT INTO load.ledger (token) VALUES (12345)"),
    ("Counter", "UPDATE load.counters SET value = value + 1 WHERE id = 3"),
    ("Job", "DELETE FROM load.jobs WHERE id = (SELECT min(id) FROM load.jobs)"),
    ("Job", "INSERT INTO load.jobs (token) SELECT token FROM load.jobs ORDER BY id DESC LIMIT 1"),
    (
        "Job",
        "UPDATE load.jobs SET worker = worker + 1 WHERE id = (SELECT min(id) FROM load.jobs WHERE state = 'done')",
    ),
    ("Copy", "DELETE FROM load.copied WHERE ctid = (SELECT min(ctid) FROM load.copied)"),
    ("Copy", "INSERT INTO load.copied SELECT * FROM load.copied ORDER BY token DESC LIMIT 1"),
    ("Parts", "INSERT INTO load.parts SELECT token, 2 FROM load.parts LIMIT 1"),
    ("Turn", "DELETE FROM load.turns WHERE turn = 1 AND lock = 0"),
    ("Turn", "UPDATE load.turns SET turn = 2 WHERE turn = 3 AND lock = 1"),
    ("Swap", "UPDATE load.swaps SET place = 99 WHERE id = 5"),
    ("Swap", "UPDATE load.swaps SET swapped = swapped + 1 WHERE id = 5"),
    ("Audit", "DELETE FROM load.account_audit WHERE id = (SELECT min(id) FROM load.account_audit)"),
    ("Transfer", "UPDATE load.accounts SET balance = balance + 5 WHERE id = 2"),
    ("Transfer", "DELETE FROM load.transfers WHERE id = (SELECT max(id) FROM load.transfers)"),
    (
        "Lists",
        "UPDATE load.lists SET items = items || 7 WHERE id = (SELECT min(id) FROM load.lists)",
    ),
    (
        "Lists",
        "UPDATE load.lists SET items = items[2:] WHERE id = (SELECT min(id) FROM load.lists)",
    ),
    (
        "Own rows",
        "UPDATE load.registers SET version = version + 1 WHERE id = (SELECT min(id) FROM load.registers)",
    ),
    (
        "Own rows",
        "UPDATE load.moving SET id = id + 500 WHERE id = (SELECT min(id) FROM load.moving)",
    ),
    (
        "Own rows",
        "UPDATE load.moving SET ballast = '' WHERE id = (SELECT max(id) FROM load.moving)",
    ),
    ("Own rows", "DELETE FROM load.children WHERE id = (SELECT min(id) FROM load.children)"),
    ("Own rows", "INSERT INTO load.parents VALUES (5, 1)"),
    ("Schema", "DROP INDEX load.growing_c_1"),
    ("Schema", "DELETE FROM load.growing WHERE token > 0"),
];

#[test]
fn an_honest_server_satisfies_every_checker_and_every_damage_is_found() {
    for version in [Version::Fifteen, Version::Eighteen] {
        let server = seeded(&PgOptions::new(version));
        let mut config = config(&server, 42);
        config.ddl_every = Some(Duration::from_millis(300));
        let load = PgLoad::start(config);
        assert!(load.wait_ops(8_000, PATIENCE), "{:?}", load.stats().errors);
        let (ledger, stats) = load.stop();
        assert!(stats.errors.is_empty(), "{:?}", stats.errors);
        assert!(stats.writes > 2_000 && stats.reads > 2_000 && stats.received > 0, "{stats:?}");
        assert_eq!(ledger.count(Outcome::Unknown), 0);
        let judgement = judged(&ledger, &server);
        assert!(judgement.holds(), "{judgement}");
        for verdict in &judgement.verdicts {
            assert!(verdict.examined > 3, "{} examined too little", verdict.name);
        }
        let mut conn = server.connect().unwrap();
        conn.batch("SET session_replication_role = replica").unwrap();
        for (name, sql) in DAMAGE {
            let before = judged(&ledger, &server).of(name).unwrap().violations_seen;
            conn.batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
            let after = judged(&ledger, &server);
            let after = after.of(name).unwrap();
            assert!(after.violations_seen > before, "{name} did not notice {sql}: {after:?}");
        }
    }
}

#[test]
fn a_server_killed_under_load_keeps_everything_it_acknowledged() {
    let mut server = seeded(&PgOptions::new(Version::Fifteen).durable());
    let mut config = config(&server, 9);
    config.timeout = Duration::from_secs(5);
    let load = PgLoad::start(config);
    for _ in 0..2 {
        assert!(load.wait_ops(1_000, PATIENCE));
        server.kill9().unwrap();
        server.restart().unwrap();
    }
    assert!(load.wait_ops(1_000, PATIENCE));
    let (ledger, stats) = load.stop();
    assert!(stats.unknown > 0 && stats.reconnects > 0, "{:?}", stats.errors);
    let judgement = judged(&ledger, &server);
    assert!(judgement.holds(), "{judgement}");
}

#[test]
fn a_server_that_forgets_is_convicted() {
    let mut server =
        seeded(&PgOptions::new(Version::Eighteen).setting("synchronous_commit", "off"));
    let mut slow = server.connect().unwrap();
    // What was written is written out rarely, so a kill forgets much.
    slow.batch("ALTER SYSTEM SET wal_writer_delay = '10s'").unwrap();
    slow.batch("ALTER SYSTEM SET wal_writer_flush_after = '1GB'").unwrap();
    slow.batch("SELECT pg_reload_conf()").unwrap();
    let load = PgLoad::start(config(&server, 9));
    assert!(load.wait_ops(3_000, PATIENCE));
    server.kill9().unwrap();
    server.restart().unwrap();
    assert!(load.wait_ops(500, PATIENCE));
    let (ledger, _) = load.stop();
    let judgement = judged(&ledger, &server);
    for name in ["Insert", "Counter"] {
        assert!(!judgement.of(name).unwrap().holds(), "{name}\n{judgement}");
    }
}

#[test]
fn a_load_rests_goes_on_and_follows_to_another_place() {
    let server = seeded(&PgOptions::new(Version::Fifteen));
    let proxy = FaultProxy::start(&server.address().host_port(), 1).unwrap();
    let load = PgLoad::start(config(&server, 1));
    assert!(load.wait_ops(300, PATIENCE));
    assert!(load.pause(PATIENCE));
    let mut conn = Conn::open(&server.admin(), PATIENCE).unwrap();
    let writes = load.stats().writes;
    let mut rows = || conn.text("SELECT count(*) FROM load.ledger").unwrap();
    assert_eq!(rows(), rows());
    assert_eq!(load.stats().writes, writes);
    load.resume();
    assert_eq!(proxy.accepted(), 0);
    let (host, port) =
        proxy.host_port().split_once(':').map(|(h, p)| (h.to_owned(), p.parse().unwrap())).unwrap();
    assert!(load.redirect(&host, port, PATIENCE));
    assert!(load.wait_ops(300, PATIENCE));
    assert!(proxy.open() > 8);
    let (ledger, stats) = load.stop();
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
    let judgement = judged(&ledger, &server);
    assert!(judgement.holds(), "{judgement}");
}
