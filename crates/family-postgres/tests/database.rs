//! The cold ports against real servers.

#[allow(dead_code, reason = "each test program uses a part")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use family::{Applied, Database, Family, Finding, Moved, PortError, Severity, Trouble};
use family_postgres::PostgresFamily;
use model::{Dataset, Digest, Image, Key, Record, Side};
use support::Cluster;

struct Pair {
    cluster: Arc<Cluster>,
    family: PostgresFamily,
    source: Arc<dyn Database>,
    target: Arc<dyn Database>,
    names: [String; 2],
}

/// Two databases of one server.
async fn pair(schema: &str) -> Pair {
    let cluster = Cluster::shared();
    let names = [cluster.database(), cluster.database()];
    for name in &names {
        cluster.sql(name, schema);
    }
    let family = PostgresFamily::new();
    let source = family.open(cluster.spec(Side::Source, &names[0])).await.expect("source");
    let target = family.open(cluster.spec(Side::Target, &names[1])).await.expect("target");
    Pair { cluster, family, source, target, names }
}

impl Pair {
    fn on_source(&self, sql: &str) -> String {
        self.cluster.sql(&self.names[0], sql)
    }

    fn on_target(&self, sql: &str) -> String {
        self.cluster.sql(&self.names[1], sql)
    }
}

async fn scan(database: &Arc<dyn Database>, dataset: &str, limit: usize) -> Vec<Key> {
    let dataset = Dataset::new(dataset);
    let (mut keys, mut from) = (Vec::new(), None);
    loop {
        let chunk = database.scan(&dataset, from.as_ref(), limit).await.expect("a chunk");
        keys.extend(chunk.keys);
        match chunk.next {
            Some(next) => from = Some(next),
            None => return keys,
        }
    }
}

async fn digests(database: &Arc<dyn Database>, keys: &[Key]) -> Vec<Option<Digest>> {
    database.reader().await.expect("a reader").digest(keys).await.expect("digests")
}

fn by_code(findings: Vec<Finding>) -> BTreeMap<&'static str, Finding> {
    findings.into_iter().map(|f| (f.code, f)).collect()
}

const HARD: &str = r#"
    CREATE SCHEMA "Odd.Name";
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE "Odd.Name"."T" ("Key a" text COLLATE "C", b int, m mood, f float8, ts timestamptz,
        j jsonb, arr text[], by bytea, ch char(5), n numeric(20,5), g int GENERATED ALWAYS AS (b * 2) STORED,
        i bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY ("Key a", b));
    CREATE TABLE plain (id int PRIMARY KEY, v text UNIQUE);
    CREATE TABLE keyless (a int, b text);
    CREATE TABLE parted (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
"#;

const ROWS: &str = r#"
    INSERT INTO "Odd.Name"."T" ("Key a", b, m, f, ts, j, arr, by, ch, n)
    SELECT 'k "' || x || '\,{}', x, (ARRAY['sad','ok',NULL]::mood[])[x % 3 + 1], x / 3.0, now(), '{"a": 1}',
        ARRAY['a', NULL, 'b"c'], '\xdeadbeef', 'ab', x / 7.0 FROM generate_series(1, 50) x;
    INSERT INTO "Odd.Name"."T" ("Key a", b) VALUES ('', 0), (E'tab\tnew\nline', -1);
    INSERT INTO plain SELECT x, 'v' || x FROM generate_series(1, 1000) x;
    INSERT INTO keyless SELECT x % 3, 'same' FROM generate_series(1, 10) x;
    INSERT INTO keyless VALUES (NULL, NULL), (NULL, NULL);
    INSERT INTO parted SELECT x, x % 20, 'p' FROM generate_series(1, 100) x;
"#;

const DATASETS: [(&str, usize); 4] = [
    ("\"Odd.Name\".\"T\"", 52),
    ("public.keyless", 4),
    ("public.parted", 100),
    ("public.plain", 1000),
];

#[tokio::test]
async fn inventory_and_scan_name_everything_once() {
    let pair = pair(HARD).await;
    pair.on_source(ROWS);
    let inventory = pair.source.inventory().await.unwrap();
    let found: Vec<_> = inventory.iter().map(|i| (i.dataset.as_str(), i.records)).collect();
    assert_eq!(
        found,
        [
            ("\"Odd.Name\".\"T\"", 52),
            ("public.keyless", 12),
            ("public.parted", 100),
            ("public.plain", 1000)
        ]
    );
    for (dataset, count) in DATASETS {
        let keys = scan(&pair.source, dataset, 7).await;
        let mut distinct = keys.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((keys.len(), distinct.len()), (count, count), "{dataset}");
        assert!(keys.iter().all(|key| pair.family.dataset_of(key) == Dataset::new(dataset)));
    }
    let error = pair.source.scan(&Dataset::new("public.nothing"), None, 1).await.unwrap_err();
    assert_eq!((error.trouble, error.code), (Trouble::Rejected, "EXO-PGS-114"));
}

/// Copies rows by the ports alone and looks with psql: what is equal there is equal here.
#[tokio::test]
async fn rows_are_repaired_until_they_are_equal() {
    let pair = pair(HARD).await;
    pair.on_source(ROWS);
    // Another physical order, rows that should not be there, rows that differ.
    pair.on_target("ALTER TABLE plain DROP COLUMN v; ALTER TABLE plain ADD COLUMN v text UNIQUE");
    pair.on_target("INSERT INTO plain VALUES (7, 'other'), (2000, 'extra')");
    pair.on_target("INSERT INTO keyless SELECT 1, 'same' FROM generate_series(1, 9)");
    for (dataset, _) in DATASETS {
        let keys: Vec<Key> = scan(&pair.source, dataset, 1000).await;
        let extra = scan(&pair.target, dataset, 1000).await;
        let keys: Vec<Key> = keys.iter().chain(&extra).cloned().collect();
        assert_ne!(digests(&pair.source, &keys).await, digests(&pair.target, &keys).await);
        let mut reader = pair.source.reader().await.unwrap();
        let mut writer = pair.target.writer().await.unwrap();
        for keys in keys.chunks(100) {
            for _twice in 0..2 {
                let records = reader.read(keys).await.unwrap();
                let applied = writer.apply(&records).await.unwrap();
                assert!(
                    applied.iter().all(|a| matches!(a, Applied::Done)),
                    "{dataset}: {applied:?}"
                );
                assert_eq!(reader.confirm().await.unwrap(), Moved::None);
            }
        }
        assert_eq!(
            digests(&pair.source, &keys).await,
            digests(&pair.target, &keys).await,
            "{dataset}"
        );
        let columns = if dataset == "public.plain" { "id, v" } else { "*" };
        let all = format!(
            "SET TimeZone = UTC; SELECT md5(string_agg(t::text, '|' ORDER BY t::text COLLATE \"C\")) \
             FROM (SELECT {columns} FROM {dataset}) t"
        );
        assert_eq!(pair.on_source(&all), pair.on_target(&all), "{dataset}");
    }
}

#[tokio::test]
async fn a_digest_sees_every_kind_of_difference() {
    let pair = pair("CREATE TABLE t (id int PRIMARY KEY, a text, b text, f float8)").await;
    for (change, equal) in [
        ("UPDATE t SET a = a", true),
        ("UPDATE t SET a = ''", false),
        ("UPDATE t SET a = 'xy', b = NULL", false),
        ("UPDATE t SET a = NULL, b = 'x'", false),
        ("UPDATE t SET f = 0.30000000000000004", false),
        ("ALTER TABLE t ADD COLUMN c int", false),
        ("DELETE FROM t", false),
    ] {
        let fill = "TRUNCATE t; ALTER TABLE t DROP COLUMN IF EXISTS c; INSERT INTO t VALUES (1, 'x', NULL, 0.3)";
        pair.on_source(fill);
        pair.on_target(fill);
        pair.on_target(change);
        let keys = scan(&pair.source, "public.t", 10).await;
        let (one, two) = (digests(&pair.source, &keys).await, digests(&pair.target, &keys).await);
        assert_eq!(one == two, equal, "{change}");
    }
}

#[tokio::test]
async fn a_fence_tells_what_moved() {
    let pair = pair("CREATE TABLE t (id int PRIMARY KEY, v int)").await;
    pair.on_source("INSERT INTO t SELECT x, x FROM generate_series(1, 5) x");
    let mut keys = scan(&pair.source, "public.t", 10).await;
    keys.push(Key::new(b"public.t\x0099"));
    let mut reader = pair.source.reader().await.unwrap();
    let records = reader.read(&keys).await.unwrap();
    assert_eq!(records[5].image, Image::Absent);
    // The same content in a new tuple counts as moved; a row that came does as well.
    pair.on_source(
        "UPDATE t SET v = v WHERE id = 2; DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (99, 1)",
    );
    let moved = reader.confirm().await.unwrap();
    assert_eq!(moved, Moved::Keys(vec![keys[1].clone(), keys[3].clone(), keys[5].clone()]));
    reader.read(&keys).await.unwrap();
    assert_eq!(reader.confirm().await.unwrap(), Moved::None);
}

#[tokio::test]
async fn descriptions_name_no_value_and_show_keys() {
    let pair = pair("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    pair.on_source("INSERT INTO t VALUES (1, 'secret')");
    let keys = [Key::new(b"public.t\x001"), Key::new(b"public.t\x002")];
    let shown = pair.source.reader().await.unwrap().describe(&keys).await.unwrap();
    assert!(
        shown[0].starts_with("row, 10 bytes (md5 ") && !shown[0].contains("secret"),
        "{shown:?}"
    );
    assert_eq!(shown[1], "absent");
    assert_eq!(pair.family.show_key(&keys[0]), "public.t(1)");
}

#[tokio::test]
async fn repair_is_marked_silent_and_says_which_record_failed() {
    let schema = "CREATE TABLE parent (id int PRIMARY KEY); \
        CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE, v text UNIQUE); \
        CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN RAISE EXCEPTION 'fired'; END $$; \
        CREATE TRIGGER boom BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION boom()";
    let pair = pair(schema).await;
    pair.on_source(
        "SET session_replication_role = replica; INSERT INTO t VALUES (1, 5, 'a'), (2, 5, 'taken')",
    );
    pair.on_target("SET session_replication_role = replica; INSERT INTO t VALUES (9, 5, 'taken')");
    pair.on_target("SELECT pg_create_logical_replication_slot('marked_' || current_database(), 'test_decoding')");
    let keys = scan(&pair.source, "public.t", 10).await;
    let records = pair.source.reader().await.unwrap().read(&keys).await.unwrap();
    let mut writer = pair.target.writer().await.unwrap();
    let applied = writer.apply(&records).await.unwrap();
    assert!(matches!(&applied[0], Applied::Done));
    assert!(matches!(&applied[1], Applied::Failed(e) if e.trouble == Trouble::Rejected));
    assert_eq!(writer.exists(&keys).await.unwrap(), [true, false]);
    let said = pair.on_target(
        "SELECT string_agg(data, '|') FROM pg_logical_slot_get_changes('marked_' || current_database(), NULL, NULL)",
    );
    let marked = said
        .split("COMMIT")
        .filter(|t| t.contains("table public.t"))
        .all(|t| t.contains("exodus-applied:test"));
    assert!(said.contains("table public.t") && marked, "{said}");
    pair.on_target("SELECT pg_drop_replication_slot('marked_' || current_database())");
    // Garbage from elsewhere is refused, not applied.
    let odd =
        Record { key: keys[0].clone(), image: Image::Present { bytes: Arc::from(&b"odd"[..]) } };
    let applied = writer.apply(&[odd]).await.unwrap();
    assert!(matches!(&applied[0], Applied::Failed(e) if e.code == "EXO-PGS-115"));
}

#[tokio::test]
async fn probe_knows_who_and_what() {
    let pair = pair("").await;
    let (one, two) = (pair.source.probe().await.unwrap(), pair.target.probe().await.unwrap());
    assert_ne!(one.identity, two.identity, "two databases of one system");
    let again = pair.cluster.spec(Side::Target, &pair.names[0]);
    let again = pair.family.open(again).await.unwrap().probe().await.unwrap();
    assert_eq!(one.identity, again.identity);
    assert_eq!(one.incarnation, again.incarnation);
    for name in [
        "wal_level_logical",
        "primary",
        "free_slots",
        "superuser",
        "replica_role",
        "logical_messages",
        "read_verifiers",
        "signal_backend",
        "revoke_connect",
        "prepared_transactions",
    ] {
        assert!(one.can(name), "{name}");
    }
    assert!(one.clock_offset_ms.abs() <= one.clock_error_ms + 50, "{one:?}");
    pair.cluster.sql("postgres", "CREATE ROLE weak LOGIN PASSWORD 'exodus-secret'");
    let mut spec = pair.cluster.spec(Side::Source, &pair.names[0]);
    spec.user = Some("weak".into());
    let weak = pair.family.open(spec).await.unwrap();
    let probe = weak.probe().await.unwrap();
    for name in ["superuser", "replica_role", "replication", "read_verifiers", "revoke_connect"] {
        assert!(!probe.can(name), "{name}");
    }
    assert_eq!(probe.identity, one.identity);
    assert_eq!(weak.plan_fence().await.unwrap_err().code, "EXO-PGS-112");
    assert!(pair.source.feed().await.is_err_and(|e: PortError| e.code == "EXO-PGS-111"));
    pair.source.ping().await.unwrap();
}

#[tokio::test]
async fn a_fence_shuts_everybody_out_and_lifting_restores_exactly() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE ROLE app LOGIN PASSWORD 'exodus-secret'; CREATE ROLE owner LOGIN PASSWORD 'exodus-secret'; \
         CREATE ROLE \"odd\"\"role\" LOGIN PASSWORD 'exodus-secret'; CREATE ROLE grp; GRANT grp TO app; \
         CREATE ROLE worker LOGIN PASSWORD 'exodus-secret'; GRANT owner, pg_signal_backend TO worker",
    );
    for (name, grants, worker) in [
        ("never_touched", "", support::OWNER),
        (
            "granted",
            "REVOKE CONNECT ON DATABASE granted FROM PUBLIC; GRANT CONNECT ON DATABASE granted TO grp, owner; \
             GRANT CONNECT, TEMP ON DATABASE granted TO \"odd\"\"role\" WITH GRANT OPTION",
            support::OWNER,
        ),
        ("owned", "GRANT CONNECT ON DATABASE owned TO app WITH GRANT OPTION", "worker"),
    ] {
        cluster.sql("postgres", &format!("CREATE DATABASE {name} OWNER owner"));
        if !grants.is_empty() {
            cluster.sql("postgres", grants);
        }
        let acl = || {
            let list = format!(
                "SELECT coalesce(datacl::text, 'none') FROM pg_database WHERE datname = '{name}'"
            );
            cluster.sql("postgres", &list)
        };
        let before = acl();
        let mut spec = cluster.spec(Side::Source, name);
        spec.user = Some(worker.into());
        spec.application_users = vec!["app".into()];
        let database = PostgresFamily::new().open(spec).await.unwrap();
        // Somebody in the middle of a transaction.
        let mut inside = cluster.psql("app", name);
        inside.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut inside = inside.stderr(std::process::Stdio::null()).spawn().unwrap();
        let mut pipe = inside.stdin.take().unwrap();
        std::io::Write::write_all(&mut pipe, b"BEGIN; SELECT 1;\n").unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(inside.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert_eq!(database.foreign_sessions().await.unwrap().len(), 1, "{name}");

        let record = database.plan_fence().await.unwrap();
        assert_eq!(acl(), before, "planning changes nothing");
        database.lift(&record).await.unwrap();
        assert_eq!(acl(), before, "nothing to lift");
        for _twice in 0..2 {
            database.fence(&record).await.unwrap();
        }
        assert_eq!(database.foreign_sessions().await.unwrap(), [] as [String; 0]);
        drop(pipe);
        inside.wait().unwrap();
        for user in ["app", "owner", "odd\"role"] {
            let (_, error) = cluster.try_sql(user, name, "SELECT 1");
            assert!(error.contains("permission denied for database"), "{name} {user}: {error}");
        }
        // Our own worker gets in, also from a fresh process.
        let mut spec = cluster.spec(Side::Source, name);
        spec.user = Some(worker.into());
        let fresh = PostgresFamily::new().open(spec).await.unwrap();
        fresh.reader().await.unwrap();
        for _twice in 0..2 {
            fresh.lift(&record).await.unwrap();
        }
        if worker == support::OWNER {
            assert_eq!(acl(), before, "{name}");
        }
        let (said, error) = cluster.try_sql("app", name, "SELECT 1");
        assert_eq!((said.as_str(), error.as_str()), ("1", ""), "{name}");
        // Dependencies on roles are known as before: one that is named cannot be dropped.
        if name == "granted" {
            let (_, error) = cluster.try_sql(support::OWNER, "postgres", "DROP ROLE grp");
            assert!(error.contains("cannot be dropped"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_fence_that_leaks_says_so() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE ROLE owner; CREATE ROLE worker LOGIN PASSWORD 'exodus-secret'; \
        GRANT owner, pg_signal_backend TO worker; CREATE ROLE app LOGIN; GRANT worker TO app; \
        CREATE DATABASE leaky OWNER owner",
    );
    let mut spec = cluster.spec(Side::Source, "leaky");
    spec.user = Some("worker".into());
    let database = PostgresFamily::new().open(spec.clone()).await.unwrap();
    let record = database.plan_fence().await.unwrap();
    assert_eq!(database.fence(&record).await.unwrap_err().code, "EXO-PGS-119");
    spec.application_users = vec!["worker".into()];
    let same = PostgresFamily::new().open(spec).await.unwrap();
    assert_eq!(same.plan_fence().await.unwrap_err().code, "EXO-PGS-112");
    let odd = family::FenceRecord("redis-acl/1".into());
    assert_eq!(database.lift(&odd).await.unwrap_err().code, "EXO-PGS-113");
}

#[tokio::test]
async fn other_boots_of_ours_are_reaped_and_nobody_else() {
    let pair = pair("").await;
    let mut spec = pair.cluster.spec(Side::Source, &pair.names[0]);
    spec.session_tag = "exodus:reaped:boot1".into();
    let old = PostgresFamily::new().open(spec.clone()).await.unwrap();
    let _reader = old.reader().await.unwrap();
    spec.session_tag = "exodus:reaped:boot2".into();
    let new = PostgresFamily::new().open(spec.clone()).await.unwrap();
    spec.session_tag = "exodus:reaped2:boot1".into();
    let other = PostgresFamily::new().open(spec).await.unwrap();
    assert_eq!(new.reap().await.unwrap(), 2);
    assert_eq!(new.reap().await.unwrap(), 0);
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'exodus:reaped%'";
    assert_eq!(pair.on_source(left), "2");
    // The database noticed and connects anew.
    old.ping().await.unwrap();
    other.ping().await.unwrap();
}

#[tokio::test]
async fn cleanup_takes_what_is_ours_and_leaves_the_rest() {
    let pair = pair("").await;
    pair.on_source(
        "CREATE SCHEMA exodus; CREATE TABLE exodus.progress (run text); INSERT INTO exodus.progress VALUES ('test'); \
         CREATE PUBLICATION exodus_test; CREATE PUBLICATION exodus_test_ins; CREATE PUBLICATION exodus_test2; \
         CREATE PUBLICATION app",
    );
    pair.on_source("SELECT pg_create_logical_replication_slot('exodus_test_f', 'pgoutput')");
    let mut removed = pair.family.cleanup(&pair.source).await.unwrap();
    removed.retain(|r| !r.contains("remain"));
    removed.sort();
    assert_eq!(
        removed,
        [
            "publication exodus_test",
            "publication exodus_test_ins",
            "replication slot exodus_test_f",
            "schema exodus"
        ]
    );
    let left = "SELECT string_agg(pubname, ',' ORDER BY pubname) FROM pg_publication";
    assert_eq!(pair.on_source(left), "app,exodus_test2");
    let again = pair.family.cleanup(&pair.source).await.unwrap();
    assert!(again.iter().all(|r| r.contains("remain")), "{again:?}");
}

#[tokio::test]
async fn preflight_finds_what_is_in_the_way() {
    let cluster = Cluster::build()
        .setting("wal_level=replica")
        .setting("max_replication_slots=1")
        .setting("max_prepared_transactions=2")
        .start();
    cluster.sql(
        "postgres",
        "CREATE ROLE weak LOGIN PASSWORD 'exodus-secret'; CREATE DATABASE d OWNER weak",
    );
    let family = PostgresFamily::new();
    let mut spec = cluster.spec(Side::Source, "d");
    let clean = by_code(family.open(spec.clone()).await.unwrap().assess().await);
    let worst = |found: &BTreeMap<&str, Finding>, code| found[code].severity;
    for (code, severity) in [
        ("EXO-PRE-201", Severity::Pass),
        ("EXO-PRE-202", Severity::Blocker),
        ("EXO-PRE-203", Severity::Blocker),
        ("EXO-PRE-205", Severity::Pass),
        ("EXO-PRE-207", Severity::Pass),
        ("EXO-PRE-208", Severity::Pass),
        ("EXO-PRE-210", Severity::Pass),
        ("EXO-PRE-215", Severity::Pass),
        ("EXO-PRE-218", Severity::Pass),
    ] {
        assert_eq!(worst(&clean, code), severity, "{:?}", clean[code]);
    }
    assert!(clean.values().all(|f| f.severity != Severity::NotRun), "{clean:?}");
    cluster.sql(
        "d",
        "CREATE TABLE keyless (id int); CREATE TABLE keyed (id int PRIMARY KEY DEFERRABLE); \
        CREATE UNLOGGED TABLE u (id int PRIMARY KEY); SELECT lo_create(0); \
        CREATE MATERIALIZED VIEW mv AS SELECT 1; \
        CREATE TABLE s (id int PRIMARY KEY); ALTER TABLE s ENABLE ROW LEVEL SECURITY; \
        CREATE SEQUENCE near MAXVALUE 100; SELECT setval('near', 95); \
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; \
        CREATE TRIGGER t BEFORE INSERT ON s FOR EACH ROW EXECUTE FUNCTION f(); \
        ALTER TABLE s ENABLE ALWAYS TRIGGER t",
    );
    cluster.sql("d", "BEGIN; INSERT INTO keyless VALUES (1); PREPARE TRANSACTION 'left over'");
    spec.user = Some("weak".into());
    let found = by_code(family.open(spec.clone()).await.unwrap().assess().await);
    for (code, severity) in [
        ("EXO-PRE-205", Severity::Blocker),
        ("EXO-PRE-207", Severity::Risk),
        ("EXO-PRE-208", Severity::Risk),
        ("EXO-PRE-209", Severity::Risk),
        ("EXO-PRE-210", Severity::Risk),
        ("EXO-PRE-211", Severity::Advice),
        ("EXO-PRE-213", Severity::Advice),
        ("EXO-PRE-214", Severity::Risk),
        ("EXO-PRE-215", Severity::Blocker),
    ] {
        assert_eq!(worst(&found, code), severity, "{:?}", found[code]);
    }
    assert!(
        found["EXO-PRE-208"].remedy.contains("ALTER TABLE public.keyless ADD PRIMARY KEY (id);")
    );
    cluster.sql("d", "ROLLBACK PREPARED 'left over'");
    spec.user = Some(support::OWNER.into());
    spec.application_users = vec![support::OWNER.into()];
    let found = by_code(family.open(spec).await.unwrap().assess().await);
    assert_eq!(worst(&found, "EXO-PRE-216"), Severity::Risk);
    assert_eq!(worst(&found, "EXO-PRE-217"), Severity::Risk);
}

#[tokio::test]
async fn preflight_compares_both_sides() {
    let pair = pair("").await;
    let compare = async |a: &Arc<dyn Database>, b: &Arc<dyn Database>| {
        by_code(pair.family.compare_endpoints(a, b).await)
    };
    let fine = compare(&pair.source, &pair.target).await;
    assert!(fine.values().all(|f| f.severity == Severity::Pass), "{fine:?}");
    assert_eq!(
        compare(&pair.source, &pair.source).await["EXO-PRE-231"].severity,
        Severity::Blocker
    );
    pair.on_target("CREATE TABLE rest (id int); INSERT INTO rest VALUES (1)");
    pair.cluster
        .sql("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    let latin = pair.family.open(pair.cluster.spec(Side::Target, "latin")).await.unwrap();
    assert_eq!(compare(&pair.source, &pair.target).await["EXO-PRE-235"].severity, Severity::Risk);
    assert_eq!(compare(&pair.source, &latin).await["EXO-PRE-232"].severity, Severity::Blocker);
    let stranger = PostgresFamily::new();
    let found = by_code(stranger.compare_endpoints(&pair.source, &pair.target).await);
    assert_eq!(found["EXO-PRE-221"].severity, Severity::NotRun);
}

/// Every span of a table, as the source is cut.
async fn spans(pair: &Pair, dataset: &str, records: usize) -> Vec<[family::Span; 2]> {
    let dataset = model::Dataset::new(dataset);
    let (mut from, mut all) = (None, Vec::new());
    loop {
        let behind = family::SpanEnd::Behind(records);
        let source = pair
            .source
            .span(&dataset, from.as_ref(), behind)
            .await
            .expect("an answer")
            .expect("a span");
        let at = family::SpanEnd::At(source.next.as_ref());
        let target = pair
            .target
            .span(&dataset, from.as_ref(), at)
            .await
            .expect("an answer")
            .expect("a span");
        from.clone_from(&source.next);
        all.push([source, target]);
        if from.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn a_span_sees_one_row_that_differs_and_where() {
    let table = "CREATE TABLE t (a int, b int, v text, PRIMARY KEY (a, b)); \
                 CREATE TABLE u (id text PRIMARY KEY); CREATE TABLE w (a int)";
    let pair = pair(table).await;
    let rows = "INSERT INTO t SELECT x / 10, x % 10, 'v' || x FROM generate_series(1, 1000) x";
    pair.on_source(rows);
    pair.on_target(rows);
    // The same rows stored in another order.
    pair.on_target(
        "DELETE FROM t WHERE a < 50; INSERT INTO t SELECT x / 10, x % 10, 'v' || x \
                    FROM generate_series(499, 1, -1) x",
    );
    let equal = |[a, b]: &[family::Span; 2]| (a.records, a.digest) == (b.records, b.digest);
    let all = spans(&pair, "public.t", 64).await;
    assert_eq!(all.len(), 16);
    assert_eq!(all.iter().map(|[a, _]| a.records).sum::<u64>(), 1000);
    assert!(all.iter().all(equal));
    for (change, at) in [
        ("UPDATE t SET v = 'x' WHERE a = 30 AND b = 0", 4),
        ("DELETE FROM t WHERE a = 0 AND b = 1", 0),
        ("INSERT INTO t VALUES (1000, 0, 'more')", 15),
    ] {
        pair.on_target(change);
        let all = spans(&pair, "public.t", 64).await;
        assert!(!equal(&all[at]), "{change}");
        pair.on_source(change);
        assert!(spans(&pair, "public.t", 64).await.iter().all(equal), "{change}");
    }
    for unordered in ["public.u", "public.w"] {
        let dataset = model::Dataset::new(unordered);
        let span =
            pair.source.span(&dataset, None, family::SpanEnd::Behind(10)).await.expect("an answer");
        assert_eq!(span, None, "{unordered}");
    }
}
