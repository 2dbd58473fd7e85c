//! Reading and applying records between a Redis 7.0 and a Valkey 8, both ways.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use chaos::conn::Conn;
use chaos::dataset::{self, Dataset};
use chaos::equality::Options;
use chaos::servers::{Flavor, ServerOptions};
use family::{Applied, Family, Moved, Trouble};
use family_redis::RedisFamily;
use model::{Image, Record, Side};
use support::*;

/// A reader that has met nothing but strings reads the next batch as strings.
#[tokio::test]
async fn what_is_taken_for_strings_and_is_none_arrives_all_the_same() {
    let pair = pair().await;
    let mut names = Vec::new();
    let mut set = |words: &[&str]| {
        run(&pair.source, words);
        names.push(words[1].to_owned());
    };
    set(&["SET", "int", "12345"]);
    set(&["SET", "text", "some text"]);
    set(&["SET", "long", &"x".repeat(16_383)]);
    set(&["SET", "longer", &"x".repeat(16_384)]);
    set(&["SET", "longest", &"x".repeat(100_000)]);
    set(&["SET", "expiring", "v", "PX", "3600000"]);
    set(&["SET", "expiring long", &"y".repeat(300), "PX", "3600000"]);
    set(&["SETRANGE", "binary", "5", "\r\n"]);
    set(&["SET", "empty", ""]);
    set(&["RPUSH", "list", "a", "b"]);
    set(&["HSET", "hash", "f", "v"]);
    set(&["PFADD", "log", "a"]);
    names.push("absent".to_owned());
    run(&pair.target, &["SET", "absent", "extra"]);
    run(&pair.target, &["RPUSH", "text", "another type"]);
    run(&pair.target, &["SET", "int", "1", "PX", "3600000"]);
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    let strings = [key("int"), key("text")];
    let (mut reader, mut writer) =
        (pair.old.reader().await.unwrap(), pair.new.writer().await.unwrap());
    for _ in 0..2 {
        copy_batch(&mut *reader, &mut *writer, &strings).await;
    }
    let failed = || {
        let stats = text(run(&pair.source, &["INFO", "commandstats"]));
        let line = stats.lines().find(|l| l.starts_with("cmdstat_getrange")).unwrap_or_default();
        line.rsplit('=').next().and_then(|n| n.trim().parse::<u64>().ok())
    };
    assert_eq!(failed(), Some(0), "two strings were read as strings, and refused none");
    copy_batch(&mut *reader, &mut *writer, &keys).await;
    assert_eq!(failed(), Some(2), "the list and the hash");
    assert_equal(&pair.source, &pair.target, &Options::default());
    // Not again for a while.
    copy_batch(&mut *reader, &mut *writer, &keys).await;
    assert_eq!(failed(), Some(2));
}

#[tokio::test]
async fn every_type_there_and_back() {
    let pair = pair().await;
    dataset::seed(&Dataset::small(4000, 7), &pair.source.address()).unwrap();
    let keys_old = keys(&pair.old).await;
    assert!(keys_old.len() > 3500);
    copy(&pair.old, &pair.new, &keys_old).await;
    assert_equal(&pair.source, &pair.target, &Options::default());

    let mut a = pair.old.reader().await.unwrap();
    let mut b = pair.new.reader().await.unwrap();
    for batch in keys_old.chunks(200) {
        assert_eq!(a.digest(batch).await.unwrap(), b.digest(batch).await.unwrap());
    }

    // Values written by the target in its own encodings, back into an older server.
    run(&pair.source, &["FLUSHALL"]);
    run(&pair.target, &["FLUSHALL"]);
    dataset::seed(&Dataset::small(4000, 8), &pair.target.address()).unwrap();
    let keys_new = keys(&pair.new).await;
    copy(&pair.new, &pair.old, &keys_new).await;
    assert_equal(&pair.target, &pair.source, &Options::default());
    for batch in keys_new.chunks(200) {
        assert_eq!(a.digest(batch).await.unwrap(), b.digest(batch).await.unwrap());
    }
}

#[tokio::test]
async fn values_too_big_for_one_message() {
    let family = RedisFamily::with_big_bytes(1 << 20);
    let (source, target) = (ServerOptions::new(Flavor::Redis), ServerOptions::new(Flavor::Valkey));
    let pair = pair_of(&source, &target, family).await;
    // Somebody else looks at a side for a moment.
    drop(pair.family.open(spec(&pair.source, Side::Source)).await.unwrap());
    dataset::seed(&Dataset::new(10, 3), &pair.source.address()).unwrap();
    run(&pair.source, &["PEXPIRE", "ds:big:hash", "86400000"]);
    let all = keys(&pair.old).await;
    copy(&pair.old, &pair.new, &all).await;
    assert_equal(&pair.source, &pair.target, &Options::default());
    let mut a = pair.old.reader().await.unwrap();
    let mut b = pair.new.reader().await.unwrap();
    assert_eq!(a.digest(&all).await.unwrap(), b.digest(&all).await.unwrap());
    let described = a.describe(&[key("ds:big:hash")]).await.unwrap();
    assert!(described[0].starts_with("hash, 200000 fields, about "), "{described:?}");
    // Nothing of ours is left behind.
    assert_eq!(keys(&pair.new).await, all);
    assert!(pair.family.cleanup(&pair.new).await.unwrap().iter().all(|l| !l.contains("scratch")));
}

#[tokio::test]
async fn every_type_by_elements() {
    // A bound of one byte sends every value element by element.
    let family = RedisFamily::with_big_bytes(1);
    let (source, target) = (ServerOptions::new(Flavor::Redis), ServerOptions::new(Flavor::Valkey));
    let pair = pair_of(&source, &target, family).await;
    dataset::seed(&Dataset::small(600, 5), &pair.source.address()).unwrap();
    let all = keys(&pair.old).await;
    copy(&pair.old, &pair.new, &all).await;
    let options = Options { delivery_tolerance_ms: 2000, ..Options::default() };
    assert_equal(&pair.source, &pair.target, &options);
    // And over what is there already, the other way.
    copy(&pair.new, &pair.old, &all).await;
    assert_equal(&pair.source, &pair.target, &options);
}

#[tokio::test]
async fn what_moved_is_told() {
    let pair = pair().await;
    for name in ["a", "b", "soon"] {
        run(&pair.source, &["SET", name, "1"]);
    }
    let mut reader = pair.old.reader().await.unwrap();
    let all = [key("a"), key("b"), key("absent")];

    reader.read(&all).await.unwrap();
    assert_eq!(reader.confirm().await.unwrap(), Moved::None);
    // Without a read there is nothing to call unchanged.
    assert_eq!(reader.confirm().await.unwrap(), Moved::Some);

    let writes: [&[&str]; 5] = [
        &["SET", "b", "1"],
        &["PEXPIRE", "a", "100000"],
        &["SET", "absent", "x"],
        &["DEL", "a"],
        &["FLUSHALL"],
    ];
    for write in writes {
        reader.read(&all).await.unwrap();
        run(&pair.source, write);
        assert_eq!(reader.confirm().await.unwrap(), Moved::Some, "{write:?}");
    }
    run(&pair.source, &["SET", "a", "1"]);
    reader.read(&all[..1]).await.unwrap();
    run(&pair.source, &["APPEND", "a", "1"]);
    assert_eq!(reader.confirm().await.unwrap(), Moved::Keys(vec![key("a")]));

    // A second read drops the first one's fence.
    reader.read(&all[..1]).await.unwrap();
    run(&pair.source, &["APPEND", "a", "1"]);
    reader.read(&all[1..2]).await.unwrap();
    assert_eq!(reader.confirm().await.unwrap(), Moved::None);
}

#[tokio::test]
async fn databases_and_absences() {
    let pair = pair().await;
    run_in(&pair.source, 0, &["SET", "k", "zero"]);
    run_in(&pair.source, 5, &["SET", "k", "five"]);
    run_in(&pair.target, 3, &["SET", "k", "stale"]);
    let at = |db| family_redis::key::encode(db, b"k");
    let all = [at(5), at(3), at(0), at(5)];
    copy(&pair.old, &pair.new, &all).await;
    assert_eq!(text(run_in(&pair.target, 0, &["GET", "k"])), "zero");
    assert_eq!(text(run_in(&pair.target, 5, &["GET", "k"])), "five");
    assert_eq!(number(run_in(&pair.target, 3, &["EXISTS", "k"])), 0);
    let mut writer = pair.new.writer().await.unwrap();
    assert_eq!(writer.exists(&all).await.unwrap(), [true, false, true, true]);
    let mut reader = pair.new.reader().await.unwrap();
    let digests = reader.digest(&all).await.unwrap();
    assert!(digests[1].is_none() && digests[0] == digests[3] && digests[0] != digests[2]);
    let names = pair.old.inventory().await.unwrap();
    let names: Vec<_> = names.iter().map(|i| (i.dataset.as_str().to_owned(), i.records)).collect();
    assert_eq!(names, [("db0".to_owned(), 1), ("db5".to_owned(), 1)]);
}

#[tokio::test]
async fn a_full_target_fails_the_call_and_recovers() {
    let pair = pair().await;
    run(&pair.source, &["SET", "k", &"v".repeat(1000)]);
    run(&pair.target, &["CONFIG", "SET", "maxmemory", "1"]);
    let mut reader = pair.old.reader().await.unwrap();
    let mut writer = pair.new.writer().await.unwrap();
    let records = reader.read(&[key("k"), key("absent")]).await.unwrap();
    let error = writer.apply(&records).await.unwrap_err();
    assert_eq!((error.trouble, error.code), (Trouble::Full, "EXO-RED-003"));
    run(&pair.target, &["CONFIG", "SET", "maxmemory", "0"]);
    assert!(writer.apply(&records).await.unwrap().iter().all(|a| matches!(a, Applied::Done)));
    assert_eq!(reader.confirm().await.unwrap(), Moved::None);
}

#[tokio::test]
async fn a_replica_is_not_written() {
    let pair = pair().await;
    run(&pair.source, &["SET", "k", "v"]);
    let mut reader = pair.old.reader().await.unwrap();
    let mut writer = pair.new.writer().await.unwrap();
    let records = reader.read(&[key("k")]).await.unwrap();
    let port = pair.source.port().to_string();
    run(&pair.target, &["REPLICAOF", "127.0.0.1", &port]);
    let error = writer.apply(&records).await.unwrap_err();
    assert_eq!((error.trouble, error.code), (Trouble::Replaced, "EXO-RED-005"));
}

#[tokio::test]
async fn foreign_bytes_are_refused_alone() {
    let pair = pair().await;
    run(&pair.source, &["SET", "good", "v"]);
    let mut reader = pair.old.reader().await.unwrap();
    let mut writer = pair.new.writer().await.unwrap();
    let good = reader.read(&[key("good")]).await.unwrap().remove(0);
    let Image::Present { bytes } = &good.image else { panic!("present") };
    let mut damaged = bytes.to_vec();
    // A type byte nobody knows.
    damaged[14] = 200;
    let image = Image::Present { bytes: damaged.into() };
    let bad = Record { key: key("bad"), image };
    let applied = writer.apply(&[bad, good.clone()]).await.unwrap();
    let Applied::Failed(error) = &applied[0] else { panic!("{applied:?}") };
    assert_eq!((error.trouble, error.code), (Trouble::Rejected, "EXO-RED-013"));
    assert!(matches!(applied[1], Applied::Done));
    let alien = Record { key: key("x"), image: Image::Present { bytes: b"?".as_slice().into() } };
    assert_eq!(writer.apply(&[alien]).await.unwrap_err().code, "EXO-RED-017");
}

#[tokio::test]
async fn use_is_carried_where_the_server_counts_it() {
    for (policy, what) in [("allkeys-lru", "IDLETIME"), ("allkeys-lfu", "FREQ")] {
        let directive = |flavor| ServerOptions::new(flavor).directive("maxmemory-policy", policy);
        let pair =
            pair_of(&directive(Flavor::Redis), &directive(Flavor::Valkey), RedisFamily::new())
                .await;
        run(&pair.source, &["SET", "k", "v"]);
        let payload: Vec<u8> = redis::from_redis_value(run(&pair.source, &["DUMP", "k"])).unwrap();
        let mut restore = redis::cmd("RESTORE");
        restore.arg("k").arg(0).arg(payload).arg("REPLACE").arg(what).arg(77);
        pair.source.connect(0).unwrap().call(&restore).unwrap();
        copy(&pair.old, &pair.new, &[key("k")]).await;
        let got = number(run(&pair.target, &["OBJECT", what, "k"]));
        assert!((70..90).contains(&got), "{what} {got}");
    }
}

/// A server without `PEXPIRETIME` and `MEMORY USAGE`, made by taking the rights away.
#[tokio::test]
async fn older_servers_tell_expiries_another_way() {
    let pair = pair().await;
    run(&pair.source, &["ACL", "SETUSER", "exodus", "-pexpiretime", "-memory"]);
    run(&pair.source, &["SET", "k", "v", "PX", "500000"]);
    run(&pair.source, &["SET", "forever", "v"]);
    let all = [key("k"), key("forever"), key("absent")];
    copy(&pair.old, &pair.new, &all).await;
    let expiry = |server| {
        let mut conn = Conn::open(&as_application(server), 0, LIMIT).unwrap();
        number(conn.call(redis::cmd("PEXPIRETIME").arg("k")).unwrap())
    };
    let (a, b) = (expiry(&pair.source), expiry(&pair.target));
    assert!((a - b).abs() <= 2, "{a} {b}");
    let mut old = pair.old.reader().await.unwrap();
    let mut new = pair.new.reader().await.unwrap();
    assert_eq!(old.digest(&all).await.unwrap(), new.digest(&all).await.unwrap());
}

/// Every ordinary type of the newer server gets into the older one by its payload alone: the
/// writer's family knows no other side from which it could copy by elements.
#[tokio::test]
async fn newer_payloads_are_rewritten_for_an_older_server() {
    let pair = pair().await;
    dataset::seed(&Dataset::small(2000, 11), &pair.target.address()).unwrap();
    let alone = RedisFamily::new();
    let old = alone.open(spec(&pair.source, Side::Source)).await.unwrap();
    let all = keys(&pair.new).await;
    copy(&pair.new, &old, &all).await;
    assert_equal(&pair.target, &pair.source, &Options::default());
}

/// A copy by elements carries the state of its own time, and the fence tells that it moved.
#[tokio::test]
async fn a_big_key_that_moves_is_told() {
    let family = RedisFamily::with_big_bytes(1);
    let (source, target) = (ServerOptions::new(Flavor::Redis), ServerOptions::new(Flavor::Valkey));
    let pair = pair_of(&source, &target, family).await;
    run(&pair.source, &["RPUSH", "k", "a", "b"]);
    run(&pair.target, &["SET", "k", "before"]);
    let mut reader = pair.old.reader().await.unwrap();
    let mut writer = pair.new.writer().await.unwrap();
    let records = reader.read(&[key("k")]).await.unwrap();
    // It moves between the read and the copy, which then carries the newer state.
    run(&pair.source, &["RPUSH", "k", "c"]);
    assert!(matches!(writer.apply(&records).await.unwrap()[0], Applied::Done));
    assert_eq!(reader.confirm().await.unwrap(), Moved::Keys(vec![key("k")]));
    assert_eq!(number(run(&pair.target, &["LLEN", "k"])), 3);
    // Gone by the time it is copied.
    let records = reader.read(&[key("k")]).await.unwrap();
    run(&pair.source, &["DEL", "k"]);
    assert!(matches!(writer.apply(&records).await.unwrap()[0], Applied::Done));
    assert_eq!(reader.confirm().await.unwrap(), Moved::Keys(vec![key("k")]));
    assert_eq!(number(run(&pair.target, &["EXISTS", "k"])), 0);
}
