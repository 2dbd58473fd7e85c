//! Clusters start, break and come back.

use std::time::Duration;

use chaos::postgres::conn::{Conn, Fault};
use chaos::postgres::schema::{self, PgDataset};
use chaos::postgres::servers::{PgOptions, PgServer, Version, WORKER};

const SOON: Duration = Duration::from_secs(2);

#[test]
fn both_versions_keep_what_was_acknowledged_over_kill_and_stop() {
    for version in [Version::Fifteen, Version::Eighteen] {
        let mut server = PgServer::start(&PgOptions::new(version).durable()).unwrap();
        let mut conn = Conn::open(&server.owner(), SOON).unwrap();
        let said = conn.text("SHOW server_version_num").unwrap().unwrap();
        assert_eq!(said.parse::<u32>().unwrap() / 10_000, version.major());
        assert_eq!(conn.text("SHOW wal_level").unwrap().as_deref(), Some("logical"));
        conn.batch("CREATE SCHEMA s; CREATE TABLE s.t (a integer); INSERT INTO s.t VALUES (1)")
            .unwrap();
        server.kill9().unwrap();
        assert!(matches!(conn.batch("SELECT 1"), Err(Fault::Broken(_))));
        server.restart().unwrap();
        let mut conn = Conn::open(&server.owner(), SOON).unwrap();
        conn.batch("INSERT INTO s.t VALUES (2)").unwrap();
        assert!(server.stop().unwrap());
        server.restart().unwrap();
        let mut conn = Conn::open(&server.owner(), SOON).unwrap();
        assert_eq!(conn.text("SELECT count(*) FROM s.t").unwrap().as_deref(), Some("2"));
    }
}

#[test]
fn a_frozen_server_answers_nothing_until_it_is_thawed() {
    let mut server = PgServer::start(&PgOptions::new(Version::Fifteen)).unwrap();
    let mut conn = Conn::open(&server.admin(), SOON).unwrap();
    conn.batch("SELECT 1").unwrap();
    server.freeze().unwrap();
    assert!(matches!(conn.batch("SELECT 1"), Err(Fault::Broken(_))));
    server.thaw().unwrap();
    let mut conn = Conn::open(&server.admin(), SOON).unwrap();
    conn.batch("SELECT 1").unwrap();
}

#[test]
fn roles_come_in_by_password_and_a_bare_server_knows_the_worker_alone() {
    let bare = PgServer::start(&PgOptions::new(Version::Eighteen).bare()).unwrap();
    let worker = bare.address().with_login(WORKER.0, WORKER.1);
    let mut conn = Conn::open(&worker, SOON).unwrap();
    assert_eq!(conn.text("SHOW is_superuser").unwrap().as_deref(), Some("on"));
    let refused = Conn::open(&bare.address(), SOON).err().unwrap();
    assert_eq!(refused.state(), Some("28P01"), "{refused}");
    let wrong = Conn::open(&worker.with_login(WORKER.0, "wrong"), SOON).err().unwrap();
    assert_eq!(wrong.state(), Some("28P01"), "{wrong}");
}

#[test]
fn the_schema_is_made_on_both_versions_and_the_application_may_work_on_it() {
    for version in [Version::Fifteen, Version::Eighteen] {
        let server = PgServer::start(&PgOptions::new(version)).unwrap();
        let seeded = schema::seed(&server, &PgDataset { rows: 20_000 }).unwrap();
        assert!(seeded.rows > 40_000 && seeded.tables > 35, "{seeded:?}");
        let mut conn = Conn::open(&server.address(), SOON).unwrap();
        conn.batch("UPDATE shop.orders SET status = 'paid' WHERE id = 7").unwrap();
        let refused = conn.batch("DROP TABLE shop.big").unwrap_err();
        assert_eq!(refused.state(), Some("42501"));
    }
}
