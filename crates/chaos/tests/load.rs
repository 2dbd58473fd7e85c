//! The load against real servers: an honest server satisfies every checker, a tampered one none.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::time::Duration;

use chaos::checkers::{Judgement, judge};
use chaos::dataset::{self, Dataset};
use chaos::load::ledger::{Kind, Outcome};
use chaos::load::names::Names;
use chaos::load::{Ledger, Load, LoadConfig};
use chaos::servers::{Flavor, Server, ServerOptions};
use chaos::value;
use redis::cmd;

const PATIENCE: Duration = Duration::from_secs(120);

fn run(server: &Server, ops: u64) -> Ledger {
    let data = Dataset::small(1_000, 5);
    dataset::seed(&data, &server.admin()).unwrap();
    let mut config = LoadConfig::new(server.address(), 42);
    config.ops_per_second = 0;
    config.clients = 6;
    config.jobs_per_second = 2_000;
    config.dataset = Some(data);
    let load = Load::start(config).unwrap();
    assert!(load.wait_ops(ops, PATIENCE));
    let (ledger, stats) = load.stop();
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
    assert!(stats.writes > ops / 4 && stats.reads > ops / 4);
    assert!(stats.received > 0 && stats.blocking > 0);
    assert_eq!(ledger.count(Outcome::Unknown), 0);
    ledger
}

fn judged(ledger: &Ledger, server: &Server) -> Judgement {
    judge(ledger, &server.admin()).unwrap()
}

fn call(server: &Server, db: u8, words: &[&str]) -> redis::Value {
    let mut c = cmd(words[0]);
    c.arg(&words[1..]);
    server.connect(i64::from(db)).unwrap().call(&c).unwrap()
}

#[test]
fn an_honest_server_satisfies_every_checker_and_every_planted_damage_is_found() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let server = Server::start(&ServerOptions::new(flavor)).unwrap();
        let ledger = run(&server, 16_000);
        let judgement = judged(&ledger, &server);
        assert!(judgement.holds(), "{judgement}");
        for verdict in &judgement.verdicts {
            assert!(verdict.examined > 20, "{} examined too little", verdict.name);
        }
        plant_and_find(&ledger, &server);
    }
}

/// Damages one key after the other; the checker in charge must object, each time anew.
fn plant_and_find(ledger: &Ledger, server: &Server) {
    let names = Names::new(&ledger.prefix);
    let of = |kind: Kind| *ledger.records.iter().find(|r| r.kind == kind).unwrap();
    let key = |kind: Kind| (of(kind).db, names.key(kind, of(kind).key));
    let before = |verdict: &str| judged(ledger, server).of(verdict).unwrap().violations_seen;
    let damage = |verdict: &str, db: u8, words: &[&str]| {
        let seen = before(verdict);
        call(server, db, words);
        assert!(before(verdict) > seen, "{verdict} did not notice {words:?}");
    };
    let (db, list) = key(Kind::ListPush);
    damage("ListPush", db, &["RPOP", &list]);
    let first = call(server, db, &["LINDEX", &list, "0"]);
    let first = String::from_utf8(value::bytes(&first).unwrap().to_vec()).unwrap();
    damage("ListPush", db, &["RPUSH", &list, &first]);
    damage("ListPush", db, &["RPUSH", &list, "stranger"]);
    let (db, stream) = key(Kind::StreamAdd);
    damage(
        "StreamAdd",
        db,
        &["XADD", &stream, "*", "token", &of(Kind::StreamAdd).token.to_string()],
    );
    damage("StreamAdd", db, &["XTRIM", &stream, "MAXLEN", "3"]);
    let (db, set) = key(Kind::SetAdd);
    damage("SetAdd", db, &["SPOP", &set]);
    let (db, zset) = key(Kind::ZAdd);
    damage("ZAdd", db, &["ZINCRBY", &zset, "1", &of(Kind::ZAdd).token.to_string()]);
    let (db, log) = key(Kind::Append);
    damage("Append", db, &["APPEND", &log, &format!("{};", of(Kind::Append).token)]);
    let (db, counter) = key(Kind::Incr);
    damage("Incr", db, &["DECR", &counter]);
    let (db, hash) = key(Kind::HashIncr);
    let field = Names::hash_field(of(Kind::HashIncr).key);
    damage("HashIncr", db, &["HINCRBY", &hash, &field, "1"]);
    let (db, float) = key(Kind::FloatIncr);
    damage("FloatIncr", db, &["INCRBYFLOAT", &float, "0.25"]);
    let (db, script) = key(Kind::Script);
    damage("Script", db, &["INCRBY", &script, "1"]);
    let (db, account) = key(Kind::Transfer);
    damage("Transfer", db, &["INCRBY", &account, "5"]);
    damage("Transfer", db, &["RPOP", &names.bank_log(0)]);
    damage("JobMove", 0, &["RPOP", &names.jobs_done()]);
    let popped = ledger.records.iter().find(|r| r.kind == Kind::JobPop).unwrap();
    let queue = names.key(Kind::JobPop, 0);
    damage("JobPop", 0, &["RPUSH", &queue, &popped.token.to_string()]);
    let jobs = names.key(Kind::GroupRead, 0);
    damage("GroupRead", 0, &["XTRIM", &jobs, "MAXLEN", "5"]);
    let own = ledger.expectations.iter().find(|e| e.key.contains("register:")).unwrap();
    damage("Own keys", own.db, &["SET", &own.key, "999999"]);
    let gone = ledger.expectations.iter().find(|e| e.key.contains("churn")).unwrap();
    damage("Own keys", gone.db, &["SET", &gone.key, "back"]);
    let expiring = ledger.expectations.iter().rev().find(|e| {
        e.key.contains("expiring")
            && value::int(&call(server, e.db, &["EXISTS", &e.key])) == Some(1)
    });
    let expiring = expiring.unwrap();
    damage("Own keys", expiring.db, &["PERSIST", &expiring.key]);
}

#[test]
fn a_server_killed_under_load_keeps_everything_it_acknowledged() {
    let mut server = Server::start(&ServerOptions::new(Flavor::Redis).durable()).unwrap();
    let mut config = LoadConfig::new(server.address(), 9);
    config.timeout = Duration::from_secs(2);
    config.ops_per_second = 2_000;
    let load = Load::start(config).unwrap();
    for _ in 0..2 {
        assert!(load.wait_ops(1_500, PATIENCE));
        server.kill9().unwrap();
        server.restart().unwrap();
    }
    assert!(load.wait_ops(1_500, PATIENCE));
    let (ledger, stats) = load.stop();
    assert!(stats.unknown > 0 && stats.reconnects > 0, "{:?}", stats.errors);
    let judgement = judged(&ledger, &server);
    assert!(judgement.holds(), "{judgement}");
}

#[test]
fn a_server_that_forgets_is_convicted() {
    let mut server = Server::start(&ServerOptions::new(Flavor::Valkey)).unwrap();
    let load = Load::start(LoadConfig::new(server.address(), 9)).unwrap();
    assert!(load.wait_ops(1_500, PATIENCE));
    server.kill9().unwrap();
    server.restart().unwrap();
    assert!(load.wait_ops(500, PATIENCE));
    let (ledger, _) = load.stop();
    let judgement = judged(&ledger, &server);
    for verdict in ["ListPush", "Incr", "Transfer", "Own keys", "sessions"] {
        assert!(!judgement.of(verdict).unwrap().holds(), "{verdict}\n{judgement}");
    }
}

#[test]
fn a_paused_load_rests_and_goes_on() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let load = Load::start(LoadConfig::new(server.address(), 1)).unwrap();
    assert!(load.wait_ops(200, PATIENCE));
    assert!(load.pause(PATIENCE));
    let held = load.stats();
    let commands = |server: &Server| call(server, 0, &["DBSIZE"]);
    let size = commands(&server);
    assert_eq!(load.stats().writes, held.writes);
    assert_eq!(commands(&server), size);
    load.resume();
    assert!(load.wait_ops(200, PATIENCE));
    let (ledger, _) = load.stop();
    assert!(judged(&ledger, &server).holds());
}

#[test]
fn a_redirected_load_follows_without_an_error() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let proxy = chaos::faults::FaultProxy::start(&server.address().host_port(), 1).unwrap();
    let load = Load::start(LoadConfig::new(server.address(), 1)).unwrap();
    assert!(load.wait_ops(300, PATIENCE));
    assert_eq!(proxy.accepted(), 0);
    assert!(load.redirect(proxy.address(&server.address()), PATIENCE));
    assert!(load.wait_ops(300, PATIENCE));
    assert!(proxy.open() > 8);
    let (ledger, stats) = load.stop();
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
    assert!(judged(&ledger, &server).holds());
}
