//! Launchers and data set against both real servers.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use chaos::conn::Address;
use chaos::dataset::{self, Dataset};
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions};
use chaos::value;
use redis::cmd;
use std::time::Duration;

fn dbsize(server: &Server, db: i64) -> i64 {
    value::int(&server.connect(db).unwrap().call(&cmd("DBSIZE")).unwrap()).unwrap()
}

#[test]
fn a_durable_server_keeps_its_data_over_kill_and_restart() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let mut server = Server::start(&ServerOptions::new(flavor).durable()).unwrap();
        let mut conn = server.connect(0).unwrap();
        let mut set = cmd("SET");
        set.arg("k").arg("v");
        conn.call(&set).unwrap();
        server.kill9().unwrap();
        assert!(conn.call(&cmd("PING")).is_err());
        server.restart().unwrap();
        assert_eq!(dbsize(&server, 0), 1, "{flavor:?}");
        let app = server.address().with_login(APPLICATION.0, APPLICATION.1);
        chaos::conn::Conn::open(&app, 0, Duration::from_secs(5)).unwrap();
    }
}

#[test]
fn a_frozen_server_does_not_answer_until_thawed() {
    let mut server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let patient = server.address();
    let mut conn = chaos::conn::Conn::open(&patient, 0, Duration::from_millis(200)).unwrap();
    server.freeze().unwrap();
    assert!(matches!(conn.call(&cmd("PING")), Err(chaos::conn::Fault::Unknown(_))));
    server.thaw().unwrap();
    server.wait_ready(Duration::from_secs(10)).unwrap();
    assert!(server.terminate().unwrap());
    assert!(matches!(
        chaos::conn::Conn::open(&Address::local(server.port()), 0, Duration::from_secs(1)),
        Err(chaos::conn::Fault::NotSent(_))
    ));
}

#[test]
fn the_data_set_is_whole_on_both_servers_and_a_changed_key_is_seen() {
    let data = Dataset::small(6_000, 7);
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let server = Server::start(&ServerOptions::new(flavor)).unwrap();
        let seeded = dataset::seed(&data, &server.admin()).unwrap();
        assert_eq!(seeded.keys, 6_000);
        let held: i64 = dataset::DATABASES.iter().map(|db| dbsize(&server, *db)).sum();
        assert_eq!(held, 6_000);
        assert_eq!(dataset::verify(&data, &server.admin(), 3_000).unwrap(), Vec::<String>::new());
        let mut flush = cmd("FLUSHDB");
        server.connect(1).unwrap().call(flush.arg("SYNC")).unwrap();
        assert!(!dataset::verify(&data, &server.admin(), 3_000).unwrap().is_empty());
    }
}
