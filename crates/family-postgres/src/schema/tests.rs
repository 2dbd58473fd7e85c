//! Against real servers.

use std::sync::Arc;

use model::Side;

use super::{post_data, pre_data, sequences};
use crate::conn::{Link, Purpose};
use crate::support::{Cluster, OWNER};

/// Every kind of object that a schema of today has.
const HARD: &str = r#"
    CREATE ROLE owner NOLOGIN; CREATE ROLE app LOGIN PASSWORD 'exodus-secret' CONNECTION LIMIT 7;
    CREATE ROLE reader; GRANT reader TO app; COMMENT ON ROLE app IS 'it''s the app';
    CREATE SCHEMA shop AUTHORIZATION owner; CREATE EXTENSION pgcrypto;
    CREATE TYPE shop.mood AS ENUM ('sad', 'ok'); CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0);
    CREATE TABLE shop.customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
        mood shop.mood, email text UNIQUE);
    CREATE TABLE shop.orders (id serial PRIMARY KEY, customer bigint REFERENCES shop.customer,
        n shop.positive, twice int GENERATED ALWAYS AS (n * 2) STORED, EXCLUDE USING gist (int4range(n, n + 1) WITH &&));
    CREATE TABLE shop.parted (id int, at int, customer bigint REFERENCES shop.customer, PRIMARY KEY (id, at))
        PARTITION BY RANGE (at);
    CREATE TABLE shop.parted_1 PARTITION OF shop.parted FOR VALUES FROM (0) TO (10);
    CREATE INDEX ON shop.parted (customer);
    CREATE TABLE shop."Odd; name" (a int NOT NULL, b int NOT NULL, c int);
    CREATE UNIQUE INDEX odd_identity ON shop."Odd; name" (a, b);
    ALTER TABLE shop."Odd; name" REPLICA IDENTITY USING INDEX odd_identity;
    CREATE TABLE shop.unsure (id int PRIMARY KEY, c bigint);
    INSERT INTO shop.unsure VALUES (1, 4711);
    ALTER TABLE shop.unsure ADD CONSTRAINT unsure_fk FOREIGN KEY (c) REFERENCES shop.customer NOT VALID;
    CREATE VIEW shop.v AS SELECT id FROM shop.customer; CREATE MATERIALIZED VIEW shop.mv AS TABLE shop.v;
    CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN /*
\restrict of its own
*/ RETURN NEW; END $$;
    CREATE TRIGGER t BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.f();
    CREATE RULE r AS ON DELETE TO shop.v DO INSTEAD NOTHING;
    ALTER TABLE shop.customer ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON shop.customer TO app USING (mood = 'ok');
    GRANT USAGE ON SCHEMA shop TO app; GRANT SELECT ON shop.customer TO app; ALTER TABLE shop.orders OWNER TO owner;
    ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO reader;
    CREATE STATISTICS shop.s ON id, name FROM shop.customer;
    CREATE COLLATION shop.c (LOCALE = 'C'); CREATE SEQUENCE shop.down INCREMENT -3 START -1;
    COMMENT ON CONSTRAINT orders_customer_fkey ON shop.orders IS 'a comment on a foreign key';
    CREATE PUBLICATION app FOR TABLE shop.orders; CREATE PUBLICATION exodus_test FOR TABLE shop.orders;
    CREATE SCHEMA exodus; CREATE TABLE exodus.progress (run text);
"#;

struct Pair {
    from: Cluster,
    to: Cluster,
    links: [Arc<Link>; 2],
}

fn pair() -> Pair {
    let (from, to) = (Cluster::start(), Cluster::start());
    for cluster in [&from, &to] {
        cluster.sql("postgres", "CREATE DATABASE shop");
    }
    let link = |cluster: &Cluster, side| {
        Link::new(&cluster.spec(side, "shop"), Arc::default()).expect("a link")
    };
    let links = [link(&from, Side::Source), link(&to, Side::Target)];
    Pair { from, to, links }
}

/// What pg_dump of the server says, sorted: the order of objects may differ.
fn dumped(cluster: &Cluster) -> Vec<String> {
    let mut dump = std::process::Command::new("/usr/lib/postgresql/15/bin/pg_dump");
    dump.args([
        "--schema-only",
        "--no-subscriptions",
        "--exclude-schema=exodus",
        "-h",
        "127.0.0.1",
    ])
    .args(["-p", &cluster.port.to_string(), "-U", OWNER, "-d", "shop"])
    .env("PGPASSWORD", crate::support::PASSWORD);
    let done = dump.output().expect("pg_dump runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let ours = |l: &&str| {
        !l.is_empty()
            && !l.starts_with("--")
            && !l.contains("restrict ")
            && !l.contains("exodus_test")
    };
    let mut lines: Vec<String> = text.lines().filter(ours).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_schema_arrives_whole_and_once() {
    let Pair { from, to, links: [source, target] } = pair();
    from.sql("shop", HARD);
    pre_data(&source, &target).await.expect("before rows");
    let indexes = "SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'shop'";
    assert_eq!(
        to.sql("shop", indexes),
        "customer_pkey odd_identity orders_pkey parted_1_pkey parted_pkey unsure_pkey",
        "nothing but what identifies rows"
    );
    assert_eq!(to.sql("shop", "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"), "0");
    // The rows come, the references among them with one that leads nowhere.
    to.sql(
        "shop",
        "SET session_replication_role = replica; INSERT INTO shop.unsure VALUES (1, 4711)",
    );
    let again = pre_data(&source, &target).await.expect("again");
    assert!(again[0].contains("done before"), "{again:?}");
    let said = post_data(&source, &target).await.expect("after rows");
    assert!(said.iter().any(|s| s.contains("foreign keys validated")), "{said:?}");
    post_data(&source, &target).await.expect("again");
    assert_eq!(dumped(&from), dumped(&to));
    // The application logs in with the password it has.
    let (said, error) = to.try_sql("app", "shop", "SELECT count(*) FROM shop.customer");
    assert_eq!((said.as_str(), error.as_str()), ("0", ""));
    let roles = "SELECT rolname, rolcanlogin, rolconnlimit, rolpassword, shobj_description(oid, 'pg_authid') \
         FROM pg_authid WHERE rolname !~ '^pg_' AND rolname <> 'exodus' ORDER BY 1";
    assert_eq!(from.sql("shop", roles), to.sql("shop", roles));
    let members = "SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member::regrole::text = 'app'";
    assert_eq!(from.sql("shop", members), to.sql("shop", members));
}

#[tokio::test]
async fn a_foreign_key_that_does_not_hold_is_said_and_can_be_validated_later() {
    let Pair { from, to, links: [source, target] } = pair();
    from.sql("shop", "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p)");
    pre_data(&source, &target).await.unwrap();
    to.sql("shop", "INSERT INTO c VALUES (1, 1)");
    let error = post_data(&source, &target).await.unwrap_err();
    assert_eq!(error.trouble, family::Trouble::Rejected, "{error}");
    to.sql("shop", "INSERT INTO p VALUES (1)");
    post_data(&source, &target).await.unwrap();
    let valid = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
    assert_eq!(to.sql("shop", valid), "1");
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_and_a_schema_that_is_there_is_left_alone() {
    let Pair { from, to, links: [source, target] } = pair();
    from.sql("shop", "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
    to.sql("shop", "CREATE TABLE b (id int, other text)");
    let error = pre_data(&source, &target).await.unwrap_err();
    assert!(error.message.contains("already exists"), "{error}");
    assert_eq!(to.sql("shop", "SELECT to_regclass('public.a') IS NULL"), "t");
    // Not by its bare name: psql looks into a schema that is called as its user first.
    to.sql("shop", "CREATE TABLE public.a (id int)");
    let said = pre_data(&source, &target).await.unwrap();
    assert!(said.iter().any(|s| s.contains("already")), "{said:?}");
    let said = post_data(&source, &target).await.unwrap();
    assert!(said[0].contains("left as it is"), "{said:?}");
    assert_eq!(to.sql("shop", "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"), "0");
}

#[tokio::test]
async fn sequences_are_set_exactly_and_never_back() {
    let Pair { from, to, links: [source, target] } = pair();
    let schema = "CREATE SEQUENCE up; CREATE SEQUENCE \"Down; x\" INCREMENT -3 START -1; CREATE SEQUENCE fresh; \
         CREATE SEQUENCE ahead; CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, s serial); \
         CREATE SEQUENCE tenth INCREMENT 10 MINVALUE 5";
    from.sql("shop", schema);
    to.sql("shop", schema);
    from.sql(
        "shop",
        "SELECT setval('up', 41); SELECT nextval('\"Down; x\"'), nextval('\"Down; x\"'); SELECT setval('ahead', 5); \
         INSERT INTO t DEFAULT VALUES; SELECT setval('tenth', 25, false)",
    );
    to.sql("shop", "SELECT setval('ahead', 50)");
    let mut one = source.connect(Purpose::of("test")).await.unwrap();
    let mut two = target.connect(Purpose::of("test")).await.unwrap();
    let said = sequences(&mut one, &mut two).await.unwrap();
    assert_eq!(said, ["5 of 7 sequences moved forward"]);
    let next = "SELECT nextval('up'), nextval('\"Down; x\"'), nextval('fresh'), nextval('t_id_seq'), \
         nextval('t_s_seq'), nextval('tenth')";
    assert_eq!(to.sql("shop", next), from.sql("shop", next));
    assert_eq!(to.sql("shop", "SELECT last_value FROM ahead"), "50");
    // Both gave the same numbers: nothing moves.
    assert_eq!(sequences(&mut one, &mut two).await.unwrap(), ["0 of 7 sequences moved forward"]);
    to.sql("shop", "DROP SEQUENCE fresh");
    assert_eq!(sequences(&mut one, &mut two).await.unwrap_err().code, "EXO-PGS-114");
}
