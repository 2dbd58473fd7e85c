//! Scanning, fencing, reaping, probing, TLS.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use chaos::conn::Conn;
use chaos::dataset::{self, Dataset as Seeded};
use chaos::equality::Options;
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions};
use family::{EndpointSpec, Family, FenceRecord, Severity, TlsMode, Trouble};
use family_redis::tap::{self, TapLimits, TapStop};
use family_redis::{RedisFamily, WORKER_RULES};
use model::{Dataset, Side};
use redis::cmd;
use support::*;

#[tokio::test]
async fn a_scan_begins_anew_on_another_process() {
    let mut server = Server::start(&ServerOptions::new(Flavor::Redis).durable()).unwrap();
    let family = RedisFamily::new();
    let database = family.open(spec(&server, Side::Source)).await.unwrap();
    for i in 0..300 {
        run(&server, &["SET", &format!("k{i}"), "v"]);
    }
    let db0 = Dataset::new("db0");
    let first = database.scan(&db0, None, 50).await.unwrap();
    assert!(first.keys.len() >= 50 && first.next.is_some());
    server.restart().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut from = first.next;
    // The first call meets the dead connection.
    assert!(database.scan(&db0, from.as_ref(), 50).await.is_err());
    while let Some(frontier) = from {
        let chunk = database.scan(&db0, Some(&frontier), 50).await.unwrap();
        seen.extend(chunk.keys);
        from = chunk.next;
    }
    assert_eq!(seen.len(), 300);
    assert_eq!(
        database.scan(&Dataset::new("public.t"), None, 1).await.unwrap_err().code,
        "EXO-RED-017"
    );
}

fn acl(server: &Server) -> Vec<String> {
    redis::from_redis_value(run(server, &["ACL", "LIST"])).unwrap()
}

async fn fence_and_lift(flavor: Flavor, rules: &[&str]) {
    let server = Server::start(&ServerOptions::new(flavor)).unwrap();
    let setuser = [&["ACL", "SETUSER", APPLICATION.0], rules].concat();
    run(&server, &setuser);
    let before = acl(&server);
    let database = RedisFamily::new().open(spec(&server, Side::Source)).await.unwrap();
    let mut app = Conn::open(&as_application(&server), 0, LIMIT).unwrap();
    app.call(cmd("SET").arg("k").arg(1)).unwrap();

    let record = database.plan_fence().await.unwrap();
    assert_eq!(acl(&server), before, "planning changes nothing");
    for _ in 0..2 {
        database.fence(&record).await.unwrap();
        let refused = app.call(cmd("SET").arg("k").arg(2)).unwrap_err().to_string();
        assert!(refused.contains("NOPERM") || refused.contains("permissions"), "{refused}");
    }
    assert!(app.call(cmd("GET").arg("k")).is_ok());
    // A fresh process lifts it by the record alone.
    let other = RedisFamily::new().open(spec(&server, Side::Source)).await.unwrap();
    for _ in 0..2 {
        other.lift(&FenceRecord(record.0.clone())).await.unwrap();
        assert_eq!(acl(&server), before);
    }
    app.call(cmd("SET").arg("k").arg(3)).unwrap();
}

#[tokio::test]
async fn fences_on_redis() {
    fence_and_lift(Flavor::Redis, &["+@all"]).await;
    fence_and_lift(Flavor::Redis, &["-@all", "+@read", "+set", "+client|id", "-mget"]).await;
    let selectors = ["-@all", "+get", "(+@all -flushall ~k*)", "(%R~x +@read)"];
    fence_and_lift(Flavor::Redis, &selectors).await;
}

#[tokio::test]
async fn fences_on_valkey() {
    fence_and_lift(Flavor::Valkey, &["+@all"]).await;
    fence_and_lift(Flavor::Valkey, &["-@all", "+get", "(+@all ~k*)"]).await;
}

#[tokio::test]
async fn a_fence_ends_blocked_pops_and_scripts() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let database = RedisFamily::new().open(spec(&server, Side::Source)).await.unwrap();
    let address = as_application(&server);
    let blocked = std::thread::spawn(move || {
        let mut conn = Conn::open(&address, 0, LIMIT).unwrap();
        conn.call(cmd("BLPOP").arg("queue").arg(0)).unwrap_err().to_string()
    });
    assert!(
        chaos::wait::until(LIMIT, || text(run(&server, &["CLIENT", "LIST"])).contains("cmd=blpop"))
    );
    let record = database.plan_fence().await.unwrap();
    database.fence(&record).await.unwrap();
    assert!(blocked.join().unwrap().contains("UNBLOCKED"));
    let mut app = Conn::open(&as_application(&server), 0, LIMIT).unwrap();
    let script = app.call(cmd("EVAL").arg("return redis.call('SET','k',1)").arg(0));
    assert!(script.is_err());
    database.lift(&record).await.unwrap();
}

#[tokio::test]
async fn fences_that_cannot_be() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let family = RedisFamily::new();
    for users in [vec![], vec!["exodus".to_owned()], vec!["nobody".to_owned()]] {
        let spec = EndpointSpec { application_users: users, ..spec(&server, Side::Source) };
        let error = family.open(spec).await.unwrap().plan_fence().await.unwrap_err();
        assert_eq!((error.trouble, error.code), (Trouble::Unsupported, "EXO-RED-014"));
    }
    let database = family.open(spec(&server, Side::Source)).await.unwrap();
    let error = database.fence(&FenceRecord("?".into())).await.unwrap_err();
    assert_eq!(error.code, "EXO-RED-015");
    run(&server, &["ACL", "SETUSER", "exodus", "-acl"]);
    assert_eq!(database.plan_fence().await.unwrap_err().trouble, Trouble::Unsupported);
}

fn named(server: &Server, name: &str) -> usize {
    let list = text(run(server, &["CLIENT", "LIST"]));
    let name = format!(" name={name} ");
    list.lines().filter(|line| line.contains(&name)).count()
}

#[tokio::test]
async fn older_boots_are_reaped() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let family = RedisFamily::new();
    let tagged =
        |tag: &str| EndpointSpec { session_tag: tag.into(), ..spec(&server, Side::Source) };
    let old = family.open(tagged("exodus:test:0")).await.unwrap();
    let _old_writer = old.writer().await.unwrap();
    let _other = family.open(tagged("exodus:other:0")).await.unwrap();
    let new = family.open(tagged("exodus:test:1")).await.unwrap();
    assert_eq!(named(&server, "exodus:test:0"), 2);
    assert_eq!(new.reap().await.unwrap(), 2);
    assert_eq!(named(&server, "exodus:test:0"), 0);
    assert_eq!(named(&server, "exodus:other:0"), 1);
    assert_eq!(new.reap().await.unwrap(), 0);
    let foreign = new.foreign_sessions().await.unwrap();
    assert!(foreign.is_empty(), "{foreign:?}");
    let _app = Conn::open(&as_application(&server), 0, LIMIT).unwrap();
    assert_eq!(new.foreign_sessions().await.unwrap().len(), 1);
}

/// Law 2: a write given up unanswered is proved dead before anything else of ours is used.
#[tokio::test]
async fn abandoned_writes_do_not_run_later() {
    let mut pair = pair().await;
    run(&pair.source, &["SET", "k", "old"]);
    let mut reader = pair.old.reader().await.unwrap();
    let old = reader.read(&[key("k")]).await.unwrap();
    run(&pair.source, &["SET", "k", "new"]);
    let new = reader.read(&[key("k")]).await.unwrap();
    let mut writer = pair.new.writer().await.unwrap();
    pair.target.freeze().unwrap();
    {
        let mut given_up = pair.new.writer();
        // No new connection while it is frozen; the one open is given up half way.
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut given_up).await.is_err());
        let apply = writer.apply(&old);
        assert!(tokio::time::timeout(Duration::from_millis(100), apply).await.is_err());
    }
    pair.target.thaw().unwrap();
    // The same writer connects anew, which first kills what was given up.
    writer.apply(&new).await.unwrap();
    assert_eq!(text(run(&pair.target, &["GET", "k"])), "new");
    pair.new.reap().await.unwrap();
    assert_eq!(text(run(&pair.target, &["GET", "k"])), "new");
}

#[tokio::test]
async fn who_it_is() {
    let pair = pair().await;
    let (a, b) = (pair.old.probe().await.unwrap(), pair.new.probe().await.unwrap());
    assert_eq!((a.product.as_str(), b.product.as_str()), ("redis", "valkey"));
    assert!(b.version.starts_with("8."), "{}", b.version);
    assert_ne!(a.identity, b.identity);
    assert!(a.clock_offset_ms.abs() <= 50 + a.clock_error_ms);
    for name in ["tracking_feed", "scan", "read", "write", "reap", "exact_expiry", "monitor"] {
        assert!(a.can(name) && b.can(name), "{name}: {:?}", a.capabilities);
    }
    assert!(!a.can("field_expiry"));
    run(&pair.source, &["ACL", "SETUSER", "exodus", "-restore", "-monitor"]);
    let less = pair.old.probe().await.unwrap();
    assert!(!less.can("write") && !less.can("monitor") && less.can("read"));
    assert_eq!(number(run(&pair.source, &["DBSIZE"])), 0, "probing writes nothing");
}

#[tokio::test]
async fn what_is_wrong_with_it() {
    let mut pair = pair().await;
    let severity = |findings: &[family::Finding], code: &str| {
        let found: Vec<_> = findings.iter().filter(|f| f.code == code).collect();
        assert_eq!(found.len(), 1, "{code}: {findings:?}");
        found[0].severity
    };
    let good = pair.old.assess().await;
    for code in ["101", "102", "103", "104", "107", "108", "109", "110", "111", "112", "113"] {
        let code = format!("EXO-PRE-{code}");
        assert_eq!(severity(&good, &code), Severity::Pass, "{good:?}");
    }
    assert_eq!(severity(&good, "EXO-PRE-105"), Severity::Risk);
    run(&pair.source, &["CONFIG", "SET", "appendonly", "yes"]);
    assert_eq!(severity(&pair.old.assess().await, "EXO-PRE-113"), Severity::Pass);
    run(&pair.source, &["ACL", "SETUSER", "default", "-@dangerous"]);
    assert_eq!(severity(&pair.old.assess().await, "EXO-PRE-113"), Severity::Risk);

    let port = pair.source.port().to_string();
    run(&pair.target, &["CONFIG", "SET", "maxmemory", "1000000000"]);
    run(&pair.target, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    run(&pair.target, &["ACL", "SETUSER", "exodus", "-client|tracking", "-unlink"]);
    run(&pair.target, &["REPLICAOF", "127.0.0.1", &port]);
    let bad = pair.new.assess().await;
    assert_eq!(severity(&bad, "EXO-PRE-103"), Severity::Blocker);
    assert_eq!(severity(&bad, "EXO-PRE-104"), Severity::Blocker);
    assert_eq!(severity(&bad, "EXO-PRE-106"), Severity::Risk);
    assert_eq!(severity(&bad, "EXO-PRE-108"), Severity::Blocker);
    pair.target.kill9().unwrap();
    assert_eq!(severity(&pair.new.assess().await, "EXO-PRE-101"), Severity::Blocker);
}

#[tokio::test]
async fn both_sides_together() {
    let pair = pair().await;
    run_in(&pair.target, 2, &["SET", "foreign", "1"]);
    let findings = pair.family.compare_endpoints(&pair.old, &pair.new).await;
    let of = |code: &str| {
        let found = findings.iter().filter(|f| f.code == code).map(|f| f.severity);
        found.collect::<Vec<_>>()
    };
    assert_eq!(of("EXO-PRE-121"), [Severity::Pass], "{findings:?}");
    assert_eq!(of("EXO-PRE-122"), [Severity::Pass], "{findings:?}");
    assert_eq!(of("EXO-PRE-123"), [Severity::Pass, Severity::Pass], "{findings:?}");
    assert_eq!(of("EXO-PRE-124"), [Severity::Risk], "{findings:?}");
    assert_eq!(of("EXO-PRE-126"), [Severity::Pass], "{findings:?}");
    assert_eq!(number(run(&pair.source, &["DBSIZE"])), 0, "nothing left behind");
    assert_eq!(number(run(&pair.target, &["DBSIZE"])), 0, "nothing left behind");
}

#[tokio::test]
async fn a_system_is_not_moved_onto_itself() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let family = RedisFamily::new();
    let source = family.open(spec(&server, Side::Source)).await.unwrap();
    let address = format!("localhost:{}", server.port());
    let twin = EndpointSpec { address, ..spec(&server, Side::Target) };
    let target = family.open(twin).await.unwrap();
    let findings = family.compare_endpoints(&source, &target).await;
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].code, findings[0].severity), ("EXO-PRE-121", Severity::Blocker));
}

/// The account that preflight recommends is enough for everything, and for nothing destructive.
#[tokio::test]
async fn the_least_rights_are_enough() {
    let pair = pair().await;
    let family = RedisFamily::new();
    let open = async |server: &Server, side: Side| {
        let mut create: Vec<&str> = vec!["ACL", "SETUSER", "mover", "reset", "on", ">mover-secret"];
        create.extend(WORKER_RULES.split_whitespace());
        run(server, &create);
        let spec = EndpointSpec {
            user: Some("mover".into()),
            password: Some("mover-secret".into()),
            session_tag: "exodus:least:1".into(),
            ..spec(server, side)
        };
        family.open(spec).await.unwrap()
    };
    let old = open(&pair.source, Side::Source).await;
    let new = open(&pair.target, Side::Target).await;
    for database in [&old, &new] {
        let bad: Vec<_> = database.assess().await;
        let bad: Vec<_> = bad.iter().filter(|f| f.severity > Severity::Risk).collect();
        assert!(bad.is_empty(), "{bad:?}");
        let probe = database.probe().await.unwrap();
        let lacks: Vec<_> = probe.capabilities.iter().filter(|c| !c.present).collect();
        assert!(lacks.iter().all(|c| c.name == "field_expiry"), "{lacks:?}");
        let record = database.plan_fence().await.unwrap();
        database.fence(&record).await.unwrap();
        database.lift(&record).await.unwrap();
        database.reap().await.unwrap();
    }
    let findings = family.compare_endpoints(&old, &new).await;
    let bad: Vec<_> = findings.iter().filter(|f| f.severity > Severity::Risk).collect();
    assert!(bad.is_empty(), "{bad:?}");
    dataset::seed(&Seeded::small(300, 2), &pair.source.address()).unwrap();
    copy(&old, &new, &keys(&old).await).await;
    assert_equal(&pair.source, &pair.target, &Options::default());
    family.cleanup(&new).await.unwrap();
    let mut conn =
        Conn::open(&pair.source.address().with_login("mover", "mover-secret"), 0, LIMIT).unwrap();
    for words in [&["FLUSHALL"][..], &["SHUTDOWN"], &["REPLICAOF", "NO", "ONE"], &["KEYS", "*"]] {
        let mut command = redis::Cmd::new();
        command.arg(words);
        assert!(conn.call(&command).unwrap_err().to_string().contains("permissions"), "{words:?}");
    }
}

#[tokio::test]
async fn cleanup_removes_what_is_ours() {
    let pair = pair().await;
    run_in(&pair.target, 1, &["SET", "__exodus:tmp:0:{x}", "1"]);
    run_in(&pair.target, 1, &["SET", "theirs", "1"]);
    run(&pair.target, &["ACL", "SETUSER", "__exodus_scratch_0"]);
    let removed = pair.family.cleanup(&pair.new).await.unwrap().join("; ");
    assert!(removed.contains("1 scratch keys in db1"), "{removed}");
    assert!(removed.contains("scratch account"), "{removed}");
    assert_eq!(number(run_in(&pair.target, 1, &["DBSIZE"])), 1);
}

#[tokio::test]
async fn wrong_credentials_and_addresses() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let family = RedisFamily::new();
    let wrong = EndpointSpec { password: Some("no".into()), ..spec(&server, Side::Source) };
    let Err(error) = family.open(wrong).await else { panic!("let in") };
    assert_eq!((error.trouble, error.code), (Trouble::Denied, "EXO-RED-002"));
    assert!(!error.message.contains("no "), "{error}");
    let nowhere = EndpointSpec { address: "127.0.0.1:1".into(), ..spec(&server, Side::Source) };
    let Err(error) = family.open(nowhere).await else { panic!("reached") };
    assert_eq!((error.trouble, error.code), (Trouble::Unreachable, "EXO-RED-001"));
    let odd = EndpointSpec { address: "nonsense".into(), ..spec(&server, Side::Source) };
    let Err(error) = family.open(odd).await else { panic!("reached") };
    assert_eq!(error.code, "EXO-RED-008");
}

#[tokio::test]
async fn encrypted_in_every_mode() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["db.example".to_owned()]).unwrap();
    let server_cert = params.signed_by(&server_key, &issuer).unwrap();
    let ca_file = file("ca.pem", &ca_cert.pem());
    let cert_file = file("cert.pem", &server_cert.pem());
    let key_file = file("key.pem", &server_key.serialize_pem());
    let stranger = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let stranger_file = file("stranger.pem", &stranger.cert.pem());

    let port = chaos::process::free_port().unwrap();
    let options = ServerOptions::new(Flavor::Redis)
        .directive("tls-port", &port.to_string())
        .directive("tls-cert-file", cert_file.to_str().unwrap())
        .directive("tls-key-file", key_file.to_str().unwrap())
        .directive("tls-auth-clients", "no");
    let server = Server::start(&options).unwrap();
    let family = RedisFamily::new();
    let open = async |host: &str, tls: TlsMode| {
        let address = format!("{host}:{port}");
        family.open(EndpointSpec { address, tls, ..spec(&server, Side::Source) }).await
    };
    let ping = async |tls: TlsMode| {
        let database = open("localhost", tls).await.unwrap();
        database.ping().await.unwrap();
    };
    ping(TlsMode::Require).await;
    ping(TlsMode::VerifyCa(Some(ca_file.clone()))).await;
    // The certificate is for another name.
    let refused = open("localhost", TlsMode::VerifyFull(Some(ca_file))).await;
    assert_eq!(refused.err().unwrap().trouble, Trouble::Unreachable);
    let refused = open("localhost", TlsMode::VerifyCa(Some(stranger_file))).await;
    assert_eq!(refused.err().unwrap().trouble, Trouble::Unreachable);
    let refused = open("localhost", TlsMode::VerifyCa(Some(dir.path().join("none")))).await;
    assert_eq!(refused.err().unwrap().code, "EXO-RED-008");
}

#[tokio::test]
async fn a_tap_profiles_and_stops_by_itself() {
    let server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let limits = TapLimits { commands_max: 300, latency_floor: LIMIT, ..TapLimits::default() };
    let tapped = {
        let spec = spec(&server, Side::Source);
        tokio::spawn(async move { tap::monitor(&spec, limits).await.unwrap() })
    };
    let address = as_application(&server);
    let load = tokio::task::spawn_blocking(move || {
        let mut conn = Conn::open(&address, 3, LIMIT).unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < LIMIT {
            let set = cmd("SET").arg("secret-key").arg("secret \" value").clone();
            let object = cmd("OBJECT").arg("ENCODING").arg("k").clone();
            let script = cmd("EVAL").arg("return redis.call('GET', 'k')").arg(0).clone();
            if conn.batch(&[set, object, script, cmd("FLUSHDB")]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let profile = tapped.await.unwrap();
    drop(server);
    load.await.unwrap();
    assert_eq!(profile.stopped, TapStop::Commands);
    assert!((300..310).contains(&profile.seen), "{}", profile.seen);
    assert_eq!(profile.unparsed, 0);
    for command in ["set", "object encoding", "eval", "get", "flushdb"] {
        assert!(profile.commands.contains_key(command), "{:?}", profile.commands);
    }
    assert!(profile.clients.contains_key("127.0.0.1") && profile.clients.contains_key("lua"));
    assert!(profile.databases.contains_key(&3));
    let risky: Vec<_> = profile.risky.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(risky, ["flushdb", "eval"]);
    assert!(!format!("{profile:?}").contains("secret"));
}

#[tokio::test]
async fn a_tap_ends_with_its_time_and_needs_its_right() {
    let server = Server::start(&ServerOptions::new(Flavor::Valkey)).unwrap();
    let duration = Duration::from_millis(150);
    let limits = TapLimits { duration, latency_floor: LIMIT, ..TapLimits::default() };
    let profile = tap::monitor(&spec(&server, Side::Source), limits).await.unwrap();
    assert_eq!(profile.stopped, TapStop::Duration);
    run(&server, &["ACL", "SETUSER", "exodus", "-monitor"]);
    let error = tap::monitor(&spec(&server, Side::Source), limits).await.unwrap_err();
    assert_eq!((error.trouble, error.code), (Trouble::Unsupported, "EXO-RED-019"));
}

/// The tap leaves a server alone whose latency suffers.
#[tokio::test(flavor = "multi_thread")]
async fn a_tap_stops_when_it_hurts() {
    let mut server = Server::start(&ServerOptions::new(Flavor::Redis)).unwrap();
    let latency_floor = Duration::from_millis(200);
    let limits = TapLimits { duration: LIMIT, latency_floor, ..TapLimits::default() };
    let tapped = {
        let spec = spec(&server, Side::Source);
        tokio::spawn(async move { tap::monitor(&spec, limits).await.unwrap() })
    };
    let listening = || text(run(&server, &["CLIENT", "LIST"])).contains("cmd=monitor");
    assert!(chaos::wait::until(LIMIT, listening));
    // Longer than the time between two of its pings.
    server.freeze().unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    server.thaw().unwrap();
    let profile = tapped.await.unwrap();
    assert!(matches!(profile.stopped, TapStop::Impact { .. }), "{profile:?}");
}
