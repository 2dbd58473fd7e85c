//! The equality check finds every kind of difference, and only differences.

use std::time::Duration;

use chaos::postgres::conn::{Conn, PgAddress};
use chaos::postgres::equality::{Class, Options, Report, SequenceRule, compare};
use chaos::postgres::residue::{self, Residue};
use chaos::postgres::schema::{self, PgDataset};
use chaos::postgres::servers::{BOOTSTRAP, DATABASE, PgOptions, PgServer, Version, WORKER};

const PATIENCE: Duration = Duration::from_secs(60);

fn seeded(version: Version) -> PgServer {
    let server = PgServer::start(&PgOptions::new(version)).unwrap();
    schema::seed(&server, &PgDataset { rows: 10_000 }).unwrap();
    server
}

/// The database and a copy of it on the same server.
fn twins(server: &PgServer) -> (PgAddress, PgAddress) {
    let mut conn = Conn::open(&server.admin().with_database("postgres"), PATIENCE).unwrap();
    conn.batch(&format!("CREATE DATABASE twin TEMPLATE {DATABASE}")).unwrap();
    (server.admin(), server.admin().with_database("twin"))
}

fn check(left: &PgAddress, right: &PgAddress) -> Report {
    compare(left, right, &Options::default()).unwrap()
}

/// What to do to the right side, and how it has to be reported: class, place, part of the key.
const PLANTED: &[(&str, Class, &str, &str)] = &[
    ("UPDATE shop.big SET amount = amount + 1 WHERE id = 777", Class::Row, "shop.big", "(777)"),
    ("DELETE FROM shop.big WHERE id = 778", Class::Missing, "shop.big", "(778)"),
    ("INSERT INTO shop.big VALUES (-5, 1, 1, 'x')", Class::Extra, "shop.big", "(-5)"),
    ("UPDATE shop.edges SET double = '0' WHERE id = 3", Class::Row, "shop.edges", "(3)"),
    ("UPDATE shop.edges SET exact = 1.500 WHERE id = 6", Class::Row, "shop.edges", "(6)"),
    ("UPDATE shop.edges SET line = '' WHERE id = 5", Class::Row, "shop.edges", "(5)"),
    ("INSERT INTO shop.keyless SELECT * FROM shop.keyless LIMIT 1", Class::Row, "shop.keyless", ""),
    (
        "DELETE FROM shop.events WHERE ctid = (SELECT min(ctid) FROM shop.events)",
        Class::Missing,
        "shop.events",
        "kind",
    ),
    (
        "UPDATE shop.documents SET extern = extern || 'x' WHERE id = md5('document 5')::uuid",
        Class::Row,
        "shop.documents",
        "",
    ),
    (
        "UPDATE \"Odd Names\".\"Order Lines; DROP\" SET \"order\" = -1 WHERE \"Id\" = 4",
        Class::Row,
        "\"Odd Names\".\"Order Lines; DROP\"",
        "(4)",
    ),
    (
        "UPDATE shop.measurements SET value = 0 WHERE day = '2024-05-05'",
        Class::Row,
        "shop.measurements_2024",
        "2024-05-05",
    ),
    ("SELECT nextval('shop.tickets')", Class::Sequence, "sequence", "shop.tickets"),
    ("SELECT nextval('shop.never_called')", Class::Sequence, "sequence", "never_called"),
    (
        "DELETE FROM shop.orders WHERE customer = 31; REFRESH MATERIALIZED VIEW shop.order_counts",
        Class::Missing,
        "shop.order_counts",
        "(31,3)",
    ),
    ("CREATE TABLE shop.more (a integer)", Class::Schema, "relation", "shop.more"),
    ("DROP INDEX shop.orders_day", Class::Schema, "index", "shop.orders_day"),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop.big_account'::regclass",
        Class::Schema,
        "index",
        "shop.big_account",
    ),
    (
        "ALTER TABLE shop.orders DROP CONSTRAINT orders_customer_fkey; ALTER TABLE shop.orders ADD \
         CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) REFERENCES shop.customers (id) ON \
         DELETE CASCADE ON UPDATE CASCADE NOT VALID",
        Class::Schema,
        "constraint",
        "orders_customer_fkey",
    ),
    (
        "ALTER TABLE shop.order_lines ALTER CONSTRAINT order_lines_order_fkey NOT DEFERRABLE",
        Class::Schema,
        "constraint",
        "order_lines_order_fkey",
    ),
    ("DROP TRIGGER orders_audited ON shop.orders", Class::Schema, "trigger", "orders_audited"),
    (
        "ALTER TABLE shop.customers DISABLE TRIGGER customers_stamped",
        Class::Schema,
        "trigger",
        "customers_stamped",
    ),
    ("DROP VIEW shop.paid_orders", Class::Schema, "relation", "paid_orders"),
    ("DROP FUNCTION shop.plain_sum", Class::Schema, "function", "plain_sum"),
    (
        "ALTER TYPE shop.order_status ADD VALUE 'lost' BEFORE 'sent'",
        Class::Schema,
        "type",
        "order_status",
    ),
    ("ALTER DOMAIN shop.email SET DEFAULT 'a@b'", Class::Schema, "type", "email"),
    ("ALTER TABLE shop.orders ALTER total SET DEFAULT 1", Class::Schema, "column", "total"),
    ("ALTER TABLE shop.documents ALTER body SET STORAGE EXTERNAL", Class::Schema, "column", "body"),
    (
        "ALTER TABLE shop.stock_north REPLICA IDENTITY FULL",
        Class::Schema,
        "relation",
        "stock_north",
    ),
    (
        "ALTER TABLE shop.stock_south DETACH PARTITION shop.stock_south_0",
        Class::Schema,
        "relation",
        "stock_south_0",
    ),
    ("ALTER TABLE shop.trucks OWNER TO postgres", Class::Schema, "relation", "shop.trucks"),
    ("GRANT SELECT ON shop.empty TO PUBLIC", Class::Schema, "relation", "shop.empty"),
    ("GRANT SELECT (id) ON shop.edges TO PUBLIC", Class::Schema, "column", "shop.edges.id"),
    ("DROP POLICY notes_own ON shop.notes", Class::Schema, "policy", "notes_own"),
    ("ALTER TABLE shop.notes DISABLE ROW LEVEL SECURITY", Class::Schema, "relation", "shop.notes"),
    ("DROP STATISTICS shop.big_dependent", Class::Schema, "statistics", "big_dependent"),
    ("ALTER SEQUENCE shop.wheel NO CYCLE", Class::Schema, "sequence options", "shop.wheel"),
    ("COMMENT ON TABLE shop.customers IS 'others'", Class::Schema, "comment", "shop.customers"),
    ("SELECT lo_from_bytea(0, 'large')", Class::Schema, "large object", ""),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO PUBLIC",
        Class::Schema,
        "default privileges",
        "shop",
    ),
    ("CREATE SCHEMA exodus", Class::Schema, "schema", "exodus"),
];

#[test]
fn twins_are_equal_and_every_planted_difference_is_found() {
    let server = seeded(Version::Fifteen);
    let (left, right) = twins(&server);
    let report = check(&left, &right);
    assert!(report.equal(), "{report}");
    assert!(report.rows_left > 30_000 && report.objects > 300, "{report}");
    let mut conn = Conn::open(&right, PATIENCE).unwrap();
    for (sql, ..) in PLANTED {
        conn.simple(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let options = Options { differences_max: 5_000, ..Options::default() };
    let report = compare(&left, &right, &options).unwrap();
    for (sql, class, place, key) in PLANTED {
        let found = report
            .differences
            .iter()
            .any(|d| d.class == *class && d.place == *place && d.key.contains(key));
        assert!(found, "{sql}: {report}");
    }
    let double = report.differences.iter().find(|d| d.place == "shop.edges" && d.key == "(3)");
    assert_eq!(double.unwrap().detail, "double «-0» here, «0» there");
}

#[test]
fn what_may_be_ahead_may_and_what_is_ignored_is_not_seen() {
    let server = seeded(Version::Eighteen);
    let (left, right) = twins(&server);
    let mut conn = Conn::open(&right, PATIENCE).unwrap();
    conn.simple("SELECT nextval('shop.tickets'); SELECT nextval('shop.downwards')").unwrap();
    conn.batch("CREATE SCHEMA exodus; CREATE TABLE exodus.progress (a integer)").unwrap();
    let options = Options {
        sequences: SequenceRule::NotBehind,
        ignore_schemas: vec!["exodus".to_owned()],
        // Every order that is gone is a difference of its own.
        differences_max: 50_000,
        ..Options::default()
    };
    let report = compare(&left, &right, &options).unwrap();
    assert!(report.equal(), "{report}");
    conn.batch("DELETE FROM shop.orders; REFRESH MATERIALIZED VIEW shop.order_counts").unwrap();
    let seen = |options: &Options| {
        let report = compare(&left, &right, options).unwrap();
        report.differences.iter().any(|d| d.place == "shop.order_counts")
    };
    assert!(seen(&options) && !seen(&Options { materialized: false, ..options.clone() }));
    conn.batch("REFRESH MATERIALIZED VIEW shop.order_counts WITH NO DATA").unwrap();
    let report = compare(&left, &right, &options).unwrap();
    assert!(report.to_string().contains("unpopulated"), "{report}");
    let behind = compare(&right, &left, &options).unwrap();
    // The two that were drawn from, and the one that the removal of orders drew from.
    assert_eq!(behind.counts.get(&Class::Sequence), Some(&3), "{behind}");
    assert!(!compare(&left, &right, &Options::default()).unwrap().equal());
}

#[test]
fn versions_print_alike_and_two_empty_databases_prove_nothing() {
    let (old, new) = (seeded(Version::Fifteen), seeded(Version::Eighteen));
    let options = Options { differences_max: 50_000, ..Options::default() };
    let report = compare(&old.admin(), &new.admin(), &options).unwrap();
    // Volatile on purpose, so two seeds differ; nothing else does.
    let volatile = ["shop.customers", "shop.audit", "shop.events", "load.accounts"];
    for difference in &report.differences {
        assert!(volatile.contains(&difference.place.as_str()), "{difference}");
    }
    assert!(!report.counts.contains_key(&Class::Schema), "{report}");
    assert!(!report.counts.contains_key(&Class::Sequence), "{report}");
    let nothing = |server: &PgServer| server.admin().with_database("postgres");
    assert!(!check(&nothing(&old), &nothing(&new)).equal());
}

#[test]
fn everything_a_migration_can_leave_behind_is_found() {
    let server = seeded(Version::Fifteen);
    let before = Residue::of(&server.admin()).unwrap();
    assert_eq!(Residue::of(&server.admin()).unwrap().since(&before, &[]), Vec::<String>::new());
    let mut conn = Conn::open(&server.admin(), PATIENCE).unwrap();
    let left: &[(&str, &str)] = &[
        ("SELECT pg_create_logical_replication_slot('exodus_a', 'pgoutput')", "slot exodus_a"),
        ("CREATE PUBLICATION p FOR TABLE shop.big", "publication p"),
        (
            "CREATE FUNCTION exodus_seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "object named after us exodus_seen()",
        ),
        (
            "CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION exodus_seen()",
            "event trigger seen",
        ),
        ("SELECT pg_replication_origin_create('o')", "origin o"),
        ("BEGIN; CREATE TABLE public.x (); PREPARE TRANSACTION 'exo:1'", "prepared transaction"),
        ("REVOKE CONNECT ON DATABASE shop FROM PUBLIC", "database shop"),
        ("ALTER DATABASE shop SET default_transaction_read_only = off", "setting"),
        ("ALTER ROLE shop_app NOLOGIN", "role shop_app"),
        ("CREATE ROLE exodus_helper", "role exodus_helper"),
        ("CREATE SCHEMA exodus", "object named after us exodus"),
        ("ALTER TABLE shop.keyless REPLICA IDENTITY DEFAULT", "replica identity shop.keyless"),
        ("ALTER TABLE shop.orders DISABLE TRIGGER orders_audited", "trigger shop.orders orders_au"),
    ];
    for (sql, _) in left {
        conn.simple(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    // The application's own doings are no residue.
    conn.batch("CREATE TABLE load.more (a integer); DROP TABLE load.growing").unwrap();
    let after = Residue::of(&server.admin()).unwrap();
    let told = after.since(&before, &["new_role"]);
    for (sql, word) in left {
        assert!(told.iter().any(|line| line.starts_with(word)), "{sql}: {told:#?}");
    }
    assert_eq!(told.len(), left.len(), "{told:#?}");
    conn.simple("ROLLBACK PREPARED 'exo:1'").unwrap();
    let gone = before.since(&after, &[]);
    assert!(gone.iter().any(|line| line == "slot exodus_a is gone"), "{gone:?}");
    assert_eq!(residue::sessions(&server.admin(), WORKER.0).unwrap(), 0);
    assert!(residue::sessions(&server.admin(), BOOTSTRAP.0).unwrap() >= 1);
}
