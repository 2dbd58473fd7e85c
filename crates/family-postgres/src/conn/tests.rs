//! Against real servers.

use std::sync::Arc;
use std::time::Duration;

use family::{EndpointSpec, PortError, TlsMode, Trouble};
use model::Side;
use wire_postgres::replication::{FromServer, Status};
use wire_postgres::session::Transaction;

use super::{Batch, Conn, Link, Outcome, Purpose};
use crate::error::code;
use crate::support::Cluster;

const WORK: Purpose = Purpose::of("test");

fn link(spec: &EndpointSpec) -> Arc<Link> {
    Link::new(spec, Arc::default()).expect("a link")
}

async fn open(spec: &EndpointSpec) -> Result<Conn, PortError> {
    link(spec).connect(WORK).await
}

async fn fresh() -> (Arc<Cluster>, EndpointSpec, Conn) {
    let cluster = Cluster::shared();
    let spec = cluster.spec(Side::Source, &cluster.database());
    let conn = open(&spec).await.expect("let in");
    (cluster, spec, conn)
}

async fn number(conn: &mut Conn, sql: &str) -> i64 {
    conn.query_one(sql).await.expect("a row").number(0).expect("a number")
}

#[tokio::test]
async fn every_way_in_and_no_other() {
    let cluster = Cluster::shared();
    cluster.sql(
        "postgres",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'open') THEN \
         CREATE ROLE open LOGIN; CREATE ROLE plain LOGIN PASSWORD 'exodus-secret'; \
         SET password_encryption = 'md5'; \
         CREATE ROLE hashed LOGIN PASSWORD 'exodus-secret'; END IF; END $$",
    );
    let good = cluster.spec(Side::Source, "postgres");
    for user in ["open", "plain", "hashed", crate::support::OWNER] {
        let spec = EndpointSpec { user: Some(user.into()), ..good.clone() };
        let mut conn = open(&spec).await.expect(user);
        assert_eq!(conn.query_one("SELECT current_user").await.unwrap().text(0).unwrap(), user);
        let bad = EndpointSpec { password: Some(Arc::from("wrong")), ..spec.clone() };
        let none = EndpointSpec { password: None, ..spec };
        for wrong in [bad, none] {
            match open(&wrong).await {
                Ok(_) => assert_eq!(user, "open"),
                Err(error) => {
                    assert_eq!((error.trouble, error.code), (Trouble::Denied, code::DENIED))
                }
            }
        }
    }
    let nowhere = EndpointSpec { database: Some("nowhere".into()), ..good.clone() };
    assert_eq!(open(&nowhere).await.err().unwrap().code, code::ENDPOINT);
    let tls = EndpointSpec { tls: TlsMode::Require, ..good };
    assert_eq!(open(&tls).await.err().unwrap().code, code::ENDPOINT);
}

#[tokio::test]
async fn tls_in_every_mode() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let cluster = Cluster::build().tls(&certificate, &key).start();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &certificate).unwrap();
    let spec = cluster.spec(Side::Source, "postgres");
    let named = format!("localhost:{}", cluster.port);
    let ca = Some(ca);
    for (tls, address, good) in [
        (TlsMode::Require, &spec.address, true),
        (TlsMode::VerifyCa(ca.clone()), &spec.address, true),
        (TlsMode::VerifyFull(ca.clone()), &named, true),
        (TlsMode::VerifyFull(ca), &spec.address, false),
    ] {
        let spec = EndpointSpec { tls, address: address.clone(), ..spec.clone() };
        match open(&spec).await {
            Ok(mut conn) => {
                assert!(good, "{:?} {address}", spec.tls);
                let used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                assert!(conn.query_one(used).await.unwrap().flag(0).unwrap());
            }
            Err(error) => assert!(!good, "{:?} {address}: {error}", spec.tls),
        }
    }
}

#[tokio::test]
async fn a_session_is_named_and_its_settings_are_ours() {
    let (cluster, spec, _) = fresh().await;
    let database = spec.database.as_deref().unwrap();
    cluster.sql(
        "postgres",
        &format!(
            "ALTER DATABASE {database} SET statement_timeout = 1; \
             ALTER DATABASE {database} SET search_path = public; \
             ALTER DATABASE {database} SET default_transaction_read_only = on; \
             ALTER DATABASE {database} SET \"TimeZone\" = 'Asia/Tokyo'"
        ),
    );
    let mut conn = open(&spec).await.unwrap();
    for (name, value) in [
        ("application_name", "exodus:test:boot1:test"),
        ("statement_timeout", "0"),
        ("lock_timeout", "5s"),
        ("search_path", ""),
        ("default_transaction_read_only", "off"),
        ("TimeZone", "UTC"),
        ("row_security", "off"),
    ] {
        let row = conn.query_one(&format!("SHOW {name}")).await.unwrap();
        assert_eq!(row.text(0).unwrap(), value, "{name}");
    }
}

#[tokio::test]
async fn errors_are_typed_and_the_session_goes_on() {
    let (_cluster, _, mut conn) = fresh().await;
    conn.execute("CREATE TABLE public.t (id int PRIMARY KEY, n int CHECK (n > 0))").await.unwrap();
    conn.execute("INSERT INTO public.t VALUES (1, 1)").await.unwrap();
    let error = conn.execute("INSERT INTO public.t VALUES (1, 2)").await.unwrap_err();
    let server = error.server().unwrap();
    assert_eq!(server.sqlstate, "23505");
    assert_eq!(server.constraint.as_deref(), Some("t_pkey"));
    assert_eq!(server.table.as_deref(), Some("t"));
    assert_eq!(PortError::from(error).trouble, Trouble::Rejected);
    let error = conn.query("SELECT 'secret'::int").await.unwrap_err();
    assert!(!PortError::from(error).message.contains("secret"));
    conn.execute("BEGIN").await.unwrap();
    conn.execute("nonsense").await.unwrap_err();
    assert_eq!(conn.transaction(), Transaction::Failed);
    assert_eq!(conn.execute("COMMIT").await.unwrap(), "ROLLBACK");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM public.t").await, 1);
}

#[tokio::test]
async fn batches_answer_step_by_step() {
    let (_cluster, _, mut conn) = fresh().await;
    conn.execute("CREATE TABLE public.t (id int PRIMARY KEY, v text)").await.unwrap();
    let mut batch = Batch::new();
    batch.parse("ins", "INSERT INTO public.t VALUES ($1, $2) RETURNING id, v", &[]);
    batch.run("ins", &[Some(b"1"), Some("täxt".as_bytes())]);
    batch.run("ins", &[Some(b"2"), None]);
    let outcomes = conn.run(batch).await.unwrap();
    let Outcome::Done(answer) = &outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!(answer.tag, "INSERT 0 1");
    assert_eq!((answer.rows[0].text(0).unwrap(), answer.rows[0].opt(1).unwrap()), ("2", None));

    // Two batches on their way at the same time; the first one fails in the middle.
    let mut bad = Batch::new();
    for id in ["3", "1", "4"] {
        bad.run("ins", &[Some(id.as_bytes()), None]);
    }
    let mut good = Batch::new();
    good.run("ins", &[Some(b"5"), None]);
    conn.post(bad).await.unwrap();
    conn.post(good).await.unwrap();
    assert!(conn.is_spent(), "with an answer nobody took");
    let outcomes = conn.settle().await.unwrap();
    assert!(
        matches!(&outcomes[..], [Outcome::Done(_), Outcome::Failed(e), Outcome::Skipped] if e.is("23505"))
    );
    assert!(matches!(&conn.settle().await.unwrap()[..], [Outcome::Done(_)]));
    assert!(!conn.is_spent());
    let left = "SELECT string_agg(id::text, ',' ORDER BY id) FROM public.t";
    assert_eq!(conn.query_one(left).await.unwrap().text(0).unwrap(), "1,2,5");
}

#[tokio::test]
async fn a_commit_that_fails_at_the_end_of_a_batch_is_said() {
    let (_cluster, _, mut conn) = fresh().await;
    conn.execute("CREATE TABLE public.t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    let mut batch = Batch::new();
    batch.parse("ins", "INSERT INTO public.t VALUES (1)", &[]);
    batch.run("ins", &[]);
    batch.run("ins", &[]);
    assert!(conn.run(batch).await.unwrap_err().is("23505"));
    assert_eq!(number(&mut conn, "SELECT count(*) FROM public.t").await, 0);
}

#[tokio::test]
async fn a_pipeline_deeper_than_all_buffers_does_not_stall() {
    let (_cluster, _, mut conn) = fresh().await;
    let mut batch = Batch::new();
    batch.parse("wide", "SELECT repeat($1, 100000)", &[]);
    let padding = "x".repeat(20_000);
    for _ in 0..300 {
        batch.run("wide", &[Some(padding.get(..1).unwrap().as_bytes())]);
        batch.parse("", &format!("SELECT '{padding}'"), &[]);
    }
    let outcomes = conn.run(batch).await.unwrap();
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Done(_))));
}

#[tokio::test]
async fn rows_travel_by_copy_as_text_and_binary() {
    let (_cluster, _, mut conn) = fresh().await;
    conn.execute(
        "CREATE TABLE public.a AS SELECT g AS id, repeat('v', g % 50) AS v FROM generate_series(1, 20000) g; \
         CREATE TABLE public.b (LIKE public.a)",
    )
    .await
    .unwrap();
    for format in ["text", "binary"] {
        let mut chunks = Vec::new();
        let mut out =
            conn.copy_out(&format!("COPY public.a TO STDOUT (FORMAT {format})")).await.unwrap();
        assert_eq!(out.is_binary(), format == "binary");
        while let Some(chunk) = out.next().await.unwrap() {
            chunks.push(chunk);
        }
        let mut copy =
            conn.copy_in(&format!("COPY public.b FROM STDIN (FORMAT {format})")).await.unwrap();
        for chunk in &chunks {
            copy.send(chunk).await.unwrap();
        }
        assert_eq!(copy.finish().await.unwrap(), 20_000);
        let differ = "SELECT count(*) FROM (TABLE public.a EXCEPT ALL TABLE public.b) d";
        assert_eq!(number(&mut conn, differ).await, 0);
        conn.execute("TRUNCATE public.b").await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_copy_leaves_the_connection_free() {
    let (_cluster, _, mut conn) = fresh().await;
    conn.execute("CREATE TABLE public.t (id int)").await.unwrap();
    assert!(conn.copy_out("COPY public.nothing TO STDOUT").await.err().unwrap().is("42P01"));
    let mut copy = conn.copy_in("COPY public.t FROM STDIN").await.unwrap();
    let mut failed = None;
    while failed.is_none() {
        failed = copy.send(b"not a number\n").await.err();
    }
    assert!(failed.unwrap().is("22P02"));
    let mut copy = conn.copy_in("COPY public.t FROM STDIN").await.unwrap();
    copy.send(b"1\n").await.unwrap();
    copy.abort("changed our mind").await.unwrap();
    let mut copy = conn.copy_in("COPY public.t FROM STDIN").await.unwrap();
    copy.send(b"2\nx").await.unwrap();
    assert!(copy.finish().await.unwrap_err().is("22P02"));
    assert_eq!(number(&mut conn, "SELECT count(*) FROM public.t").await, 0);
}

#[tokio::test]
async fn replication_streams_and_takes_statuses() {
    let (_cluster, spec, mut conn) = fresh().await;
    let link = link(&spec);
    let mut walsender = link.connect(Purpose::replication("follow")).await.unwrap();
    let made = "CREATE_REPLICATION_SLOT conn_test TEMPORARY LOGICAL pgoutput";
    let row = walsender.query_one(made).await.unwrap();
    assert_eq!(row.text(0).unwrap(), "conn_test");
    conn.execute("CREATE PUBLICATION p FOR ALL TABLES; CREATE TABLE public.t (id int)")
        .await
        .unwrap();
    let start = "START_REPLICATION SLOT conn_test LOGICAL 0/0 \
         (proto_version '1', publication_names 'p', messages 'true')";
    let mut stream = walsender.replicate(start).await.unwrap();
    conn.query("SELECT pg_logical_emit_message(true, 'exodus', 'hello')").await.unwrap();
    let (mut seen, mut last) = (false, Status::default());
    while !seen {
        let frame = stream.next().await.unwrap().expect("a frame");
        if let FromServer::Wal { start, data, .. } = FromServer::parse(&frame).unwrap() {
            seen = data.first() == Some(&b'M');
            last.flushed = start;
        }
    }
    last.reply_now = true;
    stream.status(&last);
    stream.flush().await.unwrap();
    loop {
        let frame = stream.next().await.unwrap().expect("a frame");
        if matches!(FromServer::parse(&frame).unwrap(), FromServer::Keepalive { .. }) {
            break;
        }
    }
    // Dropping the stream abandons its backend; the next connection proves it dead.
    let pid = stream.pid();
    drop(stream);
    let mut next = link.connect(WORK).await.unwrap();
    let alive = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    assert_eq!(number(&mut next, &alive).await, 0);
}

#[tokio::test]
async fn a_dropped_question_spends_the_connection_and_its_backend_is_killed() {
    let (_cluster, spec, mut watcher) = fresh().await;
    let link = link(&spec);
    let mut conn = link.connect(WORK).await.unwrap();
    let pid = conn.pid();
    watcher.execute("CREATE TABLE public.t (id int)").await.unwrap();
    {
        let slow = conn.execute("SELECT pg_sleep(600); INSERT INTO public.t VALUES (1)");
        tokio::pin!(slow);
        let running = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'"
        );
        loop {
            tokio::select! {
                done = &mut slow => panic!("{done:?}"),
                found = number(&mut watcher, &running) => if found > 0 { break },
            }
        }
    }
    assert!(conn.is_spent());
    assert_eq!(PortError::from(conn.query("SELECT 1").await.unwrap_err()).code, code::UNREACHABLE);
    drop(conn);
    link.connect(WORK).await.unwrap();
    let alive = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    assert_eq!(number(&mut watcher, &alive).await, 0);
    assert_eq!(number(&mut watcher, "SELECT count(*) FROM public.t").await, 0);
}

#[tokio::test]
async fn silence_is_given_up_and_patience_can_be_had() {
    let (_cluster, spec, _) = fresh().await;
    let hasty = EndpointSpec { timeout: Duration::from_millis(200), ..spec };
    let mut conn = open(&hasty).await.unwrap();
    conn.set_patience(None);
    conn.query("SELECT pg_sleep(0.5)").await.unwrap();
    conn.set_patience(Some(hasty.timeout));
    let error = PortError::from(conn.query("SELECT pg_sleep(600)").await.unwrap_err());
    assert_eq!((error.trouble, error.code), (Trouble::Unreachable, code::UNREACHABLE));
    assert!(conn.is_spent());
}

#[tokio::test]
async fn notices_and_notifications_arrive() {
    let (_cluster, spec, mut conn) = fresh().await;
    conn.execute("DO $$ BEGIN RAISE WARNING 'mind the gap'; END $$").await.unwrap();
    assert_eq!(conn.notices()[0].message, "mind the gap");
    conn.execute("LISTEN here").await.unwrap();
    let mut other = open(&spec).await.unwrap();
    other.execute("NOTIFY here, 'now'").await.unwrap();
    let said = conn.notification().await.unwrap();
    assert_eq!((said.channel.as_str(), said.payload.as_str()), ("here", "now"));
    assert_eq!(number(&mut conn, "SELECT 1").await, 1);
}

#[tokio::test]
async fn a_killed_session_is_unreachable_and_spent() {
    let (_cluster, _, mut conn) = fresh().await;
    let (_, _, mut other) = fresh().await;
    other.query(&format!("SELECT pg_terminate_backend({}, 5000)", conn.pid())).await.unwrap();
    let error = PortError::from(conn.query("SELECT 1").await.unwrap_err());
    assert_eq!(error.trouble, Trouble::Unreachable);
    assert!(conn.is_spent());
}
