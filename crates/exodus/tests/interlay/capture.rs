//! What is noted of writes, and what the client is told when.

use std::time::{Duration, Instant};

use journal::Finished;
use model::{ReadMode, WritePolicy};
use routing::Compare;

use crate::rig::{Client, Rig, eventually, key, words};

/// Copies nothing, but tells the journal that everything dirty was copied.
fn pretend_to_copy(rig: &Rig) {
    loop {
        let leased = rig.journal.lease(0, 100, 100, Instant::now());
        if leased.is_empty() {
            return;
        }
        for one in leased {
            rig.journal.finish(&one, Finished::Equal, Instant::now());
        }
    }
}

#[test]
fn only_what_may_have_changed_is_noted() {
    let rig = Rig::new();
    rig.capture();
    let mut client = rig.client();
    let mut check = |line: &str, noted: &[&str], clean: &[&str]| {
        client.ask(line);
        for name in noted {
            assert!(rig.unsettled(name), "{line}: {name}");
        }
        for name in clean {
            assert!(!rig.unsettled(name), "{line}: {name}");
        }
        pretend_to_copy(&rig);
    };
    check("SET a 1", &["a"], &["b"]);
    check("MSET a 1 b 2", &["a", "b"], &[]);
    check("GET a", &[], &["a"]);
    check("LPUSH a x", &[], &["a"]);
    check("SET a", &[], &["a"]);
    check("INCR n", &["n"], &[]);
    check("BLPOP nothing 0.01", &[], &["nothing"]);
    check("RENAME a c", &["a", "c"], &[]);
    check("SORT c STORE d", &[], &["c"]);
    check("MULTI", &[], &[]);
    check("SET t1 1", &[], &["t1"]);
    check("INCR t2", &[], &["t2"]);
    check("EXEC", &["t1", "t2"], &["a"]);
    check("WATCH w", &[], &[]);
    check("SET w 1", &["w"], &[]);
    check("MULTI", &[], &[]);
    check("SET t3 1", &[], &["t3"]);
    check("EXEC", &[], &["t3"]);
    check("XREADGROUP GROUP g c STREAMS nope >", &[], &["nope"]);
    check("SELECT 3", &[], &[]);
    check("SET a 1", &[], &["a"]);
    assert!(!rig.journal.anything_pending());
    assert_eq!(rig.journal.depth(), journal::Depth::default());
}

#[test]
fn a_script_may_have_changed_more_than_it_declares() {
    let rig = Rig::new();
    rig.capture();
    let mut client = rig.client();
    client.check("EVAL \"return redis.call('set', KEYS[1], 1)\" 1 k", "+OK|");
    assert!(rig.journal.anything_pending());
    let depth = rig.journal.depth();
    assert_eq!((depth.live, depth.in_flight), (1, 0));
    let mark = rig.journal.anything_mark();
    rig.journal.anything_fenced(mark);
    assert!(!rig.journal.anything_pending());
}

#[test]
fn what_cannot_be_kept_is_refused_while_capturing_and_passes_otherwise() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.check("SWAPDB 0 1", "+OK|");
    rig.capture();
    for line in ["SWAPDB 0 1", "CONFIG SET maxmemory 0", "DEBUG SLEEP 0", "ACL DELUSER x"] {
        let reply = client.ask(line);
        assert!(reply.starts_with("-ERR EXO-PXY-004 "), "{line}: {reply}");
    }
    client.check("MULTI", "+OK|");
    assert!(client.ask("SWAPDB 0 1").starts_with("-ERR EXO-PXY-004 "));
    client.check("EXEC", "-EXECABORT Transaction discarded because of previous errors.|");
    client.check("PING", "+PONG|");
    assert_eq!(rig.handle.stats().errors.refused, 5);
}

#[test]
fn both_required_waits_for_the_secondary_then_degrades() {
    let rig = Rig::new();
    rig.publish(|t| {
        t.capture = true;
        t.writes = WritePolicy::BothRequired;
        t.target_timeout_ms = 5_000;
    });
    let mut client = rig.client();
    client.send(&[words("SET k 1"), words("PING")].concat());
    assert!(client.silent_for(Duration::from_millis(50)));
    eventually("it is dirty", || rig.journal.depth().live == 1);
    pretend_to_copy(&rig);
    assert_eq!(client.reply(), "+OK|");
    assert_eq!(client.reply(), "+PONG|");
    assert!(!rig.handle.stats().degraded);

    rig.publish(|t| t.target_timeout_ms = 50);
    client.check("SET k 2", "+OK|");
    let stats = rig.handle.stats();
    assert!(stats.degraded);
    assert_eq!((stats.secondary_waits, stats.secondary_timeouts), (1, 1));
    client.check("SET k 3", "+OK|");
    assert_eq!(rig.handle.stats().secondary_timeouts, 1);
    pretend_to_copy(&rig);
    eventually("it closes by itself", || !rig.handle.stats().degraded);
}

#[test]
fn reads_go_to_the_secondary_only_when_it_has_the_key() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.check("SET k source", "+OK|");
    rig.at_target().check("SET k target", "+OK|");
    rig.publish(|t| {
        t.capture = true;
        t.reads.mode = ReadMode::Target;
        t.reads.secondary_ready = true;
    });
    eventually("the lane is warm", || client.ask("GET k") == "$6|target|");
    client.check("SET k newer", "+OK|");
    client.check("GET k", "$5|newer|");
    rig.at_target().check("SET k copied", "+OK|");
    pretend_to_copy(&rig);
    client.check("GET k", "$6|copied|");
    // A read whose answer is about one server stays with the authority.
    client.check("OBJECT REFCOUNT k", ":1|");
    client.check("MULTI", "+OK|");
    client.check("GET k", "+QUEUED|");
    client.check("EXEC", "*1|$5|newer|");
    let stats = rig.handle.stats();
    assert!(stats.sides[1].reads_served >= 2, "{:?}", stats.sides);
}

#[test]
fn a_read_the_secondary_fails_is_answered_by_the_authority() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    client.check("SET k v", "+OK|");
    rig.at_target().check("SET k v", "+OK|");
    rig.publish(|t| {
        t.reads.mode = ReadMode::Target;
        t.reads.secondary_ready = true;
    });
    eventually("reads go there", || {
        client.ask("GET k");
        rig.handle.stats().sides[1].reads_served > 0
    });
    rig.target.freeze().unwrap();
    client.send(&words("GET k"));
    assert!(client.silent_for(Duration::from_millis(30)));
    // It is given up although it still holds the connection.
    assert_eq!(client.reply(), "$1|v|");
    for _ in 0..5 {
        client.check("GET k", "$1|v|");
    }
    rig.target.kill9().unwrap();
    for _ in 0..5 {
        client.check("GET k", "$1|v|");
    }
    assert!(rig.handle.stats().reads_retried >= 1);
}

#[test]
fn comparing_counts_and_never_changes_an_answer() {
    let rig = Rig::new();
    let mut client = rig.client();
    for (line, expect) in
        [("SET same 1", "+OK|"), ("SET other 1", "+OK|"), ("SADD set a b c", ":3|")]
    {
        client.check(line, expect);
    }
    let mut target = rig.at_target();
    for line in ["SET same 1", "SET other secret", "SADD set c b a"] {
        target.ask(line);
    }
    rig.publish(|t| {
        t.capture = true;
        t.compare = Some(Compare { sample_per_myriad: 10_000 });
    });
    for _ in 0..20 {
        client.check("GET same", "$1|1|");
        client.check("GET other", "$1|1|");
        assert!(client.ask("SMEMBERS set").starts_with("*3|"));
        client.ask("SRANDMEMBER set");
    }
    let count = || rig.handle.stats().compare;
    eventually("all are counted", || {
        let c = count();
        c.equal + c.different + c.skipped >= 60
    });
    let compare = count();
    assert!(compare.different > 0 && compare.equal > 0, "{compare:?}");
    assert!(compare.samples.iter().all(|s| s.key == Some(key("other"))), "{compare:?}");
    assert!(compare.samples.iter().all(|s| !s.secondary.contains("secret")), "{compare:?}");
    // A key that is not settled is not compared.
    client.ask("SET other 2");
    let before = count();
    client.ask("GET other");
    assert_eq!(count().different, before.different);
    assert_eq!(compare.missing, 0);
    // What an incomplete target lacks is neither agreement nor difference; once it is said to be
    // complete, it is a difference.
    rig.at_source().check("SET late 1", "+OK|");
    let late = |client: &mut Client| {
        for _ in 0..20 {
            client.check("GET late", "$1|1|");
        }
    };
    late(&mut client);
    eventually("what is missing is counted apart", || count().missing > 0);
    assert_eq!(count().different, compare.different);
    rig.publish(|t| t.reads.secondary_ready = true);
    late(&mut client);
    eventually("what is missing is a difference", || count().different > compare.different);
}
