//! The equality check finds every class of difference, and only differences.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::time::Duration;

use chaos::dataset::{self, Dataset};
use chaos::equality::{Class, Options, Report, compare};
use chaos::servers::{Flavor, Server, ServerOptions};
use redis::{Cmd, cmd};

fn pair() -> (Server, Server) {
    let start = |flavor| Server::start(&ServerOptions::new(flavor)).unwrap();
    (start(Flavor::Redis), start(Flavor::Valkey))
}

fn run(server: &Server, db: i64, line: &str) {
    let mut words = line.split(' ');
    let mut c = cmd(words.next().unwrap());
    for word in words {
        c.arg(word);
    }
    run_cmd(server, db, &c);
}

fn run_cmd(server: &Server, db: i64, c: &Cmd) {
    server.connect(db).unwrap().call(c).unwrap();
}

fn check(left: &Server, right: &Server) -> Report {
    // Seeded twice at different moments: relative expiry and delivery times are apart.
    let options =
        Options { ttl_tolerance_ms: 30_000, delivery_tolerance_ms: 30_000, ..Options::default() };
    compare(&left.admin(), &right.admin(), &options).unwrap()
}

#[test]
fn the_same_data_in_two_server_families_is_equal() {
    let (left, right) = pair();
    let data = Dataset::new(4_000, 11);
    dataset::seed(&data, &left.admin()).unwrap();
    dataset::seed(&data, &right.admin()).unwrap();
    let report = check(&left, &right);
    assert!(report.equal(), "{report}");
    assert!(report.compared >= 3_900, "{report}");
}

#[test]
fn nothing_on_both_sides_proves_nothing() {
    let (left, right) = pair();
    assert!(!check(&left, &right).equal());
}

#[test]
fn every_planted_difference_is_found_and_nothing_else() {
    let (left, right) = pair();
    for server in [&left, &right] {
        for line in [
            "RPUSH list a b c",
            "SADD set 1 2 3",
            "SADD words x y z",
            "HSET hash f 1 g 2",
            "ZADD zset 1.5 a 2 b",
            "XADD stream 1-1 f v",
            "XADD stream 2-1 f v",
            "XGROUP CREATE stream g 0",
            "XREADGROUP GROUP g c COUNT 1 STREAMS stream >",
            "XADD stream2 1-1 f v",
            "XADD stream3 1-1 f v",
            "XADD stream4 5-1 f v",
            "SET string v",
            "SET type v",
            "SET ttl v PX 5000000",
            "SET persist v",
            "SET gone v",
            "SET equal v",
            "PFADD hll a b c",
        ] {
            run(server, 0, line);
        }
        run(server, 3, "SET other v");
    }
    assert!(check(&left, &right).equal());
    let planted: &[(i64, &str, Class, &[u8])] = &[
        (0, "LSET list 1 B", Class::Value, b"list"),
        (0, "SADD set 4", Class::Value, b"set"),
        (0, "SMOVE words elsewhere x", Class::Value, b"words"),
        (0, "HSET hash f 3", Class::Value, b"hash"),
        (0, "ZADD zset 1.25 a", Class::Value, b"zset"),
        (0, "XACK stream g 1-1", Class::Value, b"stream"),
        (0, "XGROUP CREATE stream2 g 0", Class::Value, b"stream2"),
        (0, "XSETID stream3 7-1", Class::Value, b"stream3"),
        (0, "XADD stream4 5-2 f w", Class::Value, b"stream4"),
        (0, "APPEND string w", Class::Value, b"string"),
        (0, "PEXPIRE ttl 9000000", Class::Ttl, b"ttl"),
        (0, "PEXPIRE persist 9000000", Class::Ttl, b"persist"),
        (0, "DEL gone", Class::Missing, b"gone"),
        (0, "PFADD hll d", Class::Value, b"hll"),
        (3, "SETRANGE other 0 w", Class::Value, b"other"),
        (5, "SET extra v", Class::Extra, b"extra"),
    ];
    for (db, line, _, _) in planted {
        run(&right, *db, line);
    }
    run(&right, 0, "DEL type");
    run(&right, 0, "RPUSH type v");
    let report = check(&left, &right);
    assert!(!report.equal());
    for (db, line, class, key) in planted {
        let found = report.differences.iter().find(|d| d.key == *key && d.db == *db);
        assert_eq!(found.map(|d| d.class), Some(*class), "{line}: {report}");
    }
    let class = |key: &[u8]| report.differences.iter().find(|d| d.key == key).map(|d| d.class);
    assert_eq!(class(b"type"), Some(Class::Type));
    assert_eq!(class(b"elsewhere"), Some(Class::Extra));
    assert_eq!(report.different(), planted.len() as u64 + 2, "{report}");
}

#[test]
fn a_change_deep_in_a_large_key_is_found() {
    let (left, right) = pair();
    let data = Dataset::new(10, 3);
    dataset::seed(&data, &left.admin()).unwrap();
    dataset::seed(&data, &right.admin()).unwrap();
    for server in [&left, &right] {
        let mut many = cmd("SADD");
        many.arg("bigset").arg((0..5_000).map(|n| format!("m{n}")).collect::<Vec<_>>());
        run_cmd(server, 0, &many);
        let adds: Vec<Cmd> = (1..3_000)
            .map(|n| {
                let mut add = cmd("XADD");
                add.arg("bigstream").arg(format!("{n}-0")).arg("n").arg(n);
                add
            })
            .collect();
        server.connect(0).unwrap().batch_ok(&adds).unwrap();
        run(server, 0, "XGROUP CREATE bigstream g 0");
        run(server, 0, "XREADGROUP GROUP g c COUNT 2500 STREAMS bigstream >");
    }
    let report = check(&left, &right);
    assert!(report.equal(), "{report}");
    let big: [&[u8]; 6] =
        [b"ds:big:string", b"ds:big:hash", b"ds:big:zset", b"ds:big:list", b"bigset", b"bigstream"];
    for line in [
        "SETRANGE ds:big:string 19000000 planted",
        "HSET ds:big:hash field:150000 planted",
        "ZINCRBY ds:big:zset 0.5 member:77777",
        "LSET ds:big:list 49999 planted",
        "SREM bigset m4000",
        "SADD bigset planted",
        "XCLAIM bigstream g thief 0 2400-0",
    ] {
        run(&right, 0, line);
    }
    let report = check(&left, &right);
    for key in big {
        assert!(
            report.differences.iter().any(|d| d.key == key),
            "{}",
            String::from_utf8_lossy(key)
        );
    }
    assert_eq!(report.different(), big.len() as u64, "{report}");
}

#[test]
fn keys_that_expire_meanwhile_and_ignored_keys_are_no_difference() {
    let (left, right) = pair();
    for server in [&left, &right] {
        run(server, 0, "SET stays v");
        for n in 0..2_000 {
            run_cmd(server, 0, cmd("SET").arg(format!("k{n}")).arg("v").arg("PX").arg(200 + n));
            if n % 500 == 0 {
                let report = compare(&left.admin(), &left.admin(), &Options::default()).unwrap();
                assert_eq!(report.different(), 0, "{report}");
            }
        }
    }
    run(&right, 0, "SET marker:1 v");
    let options =
        Options { ignore_prefixes: vec![b"marker:".to_vec(), b"k".to_vec()], ..Options::default() };
    let report = compare(&left.admin(), &right.admin(), &options).unwrap();
    assert!(report.equal(), "{report}");
    assert!(report.took < Duration::from_secs(60));
}
