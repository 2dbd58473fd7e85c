//! Freeze, quiet, move, release: what clients in every state see of a flip.

use std::sync::Arc;
use std::time::Duration;

use model::Side;
use routing::{Authority, Freeze};

use crate::rig::{Rig, SOON, eventually, words};

#[test]
fn a_freeze_holds_writes_and_lets_reads_pass() {
    let rig = Rig::new();
    let (mut writer, mut reader) = (rig.client(), rig.client());
    writer.check("SET k 1", "+OK|");
    let epoch = rig.publish(|t| t.freeze = Freeze::Writes);
    writer.send(&words("SET k 2"));
    reader.check("GET k", "$1|1|");
    let quiet = rig.wait(rig.handle.quiet(epoch, SOON)).unwrap();
    assert!(quiet.quiet);
    eventually("the write is held", || rig.handle.stats().held_now == 1);
    assert!(writer.silent_for(Duration::from_millis(50)));
    reader.check("GET k", "$1|1|");
    rig.publish(|t| t.freeze = Freeze::Open);
    assert_eq!(writer.reply(), "+OK|");
    reader.check("GET k", "$1|2|");
    let stats = rig.handle.stats();
    assert_eq!(stats.holds, 1);
    assert!(stats.hold_max >= Duration::from_millis(50));
}

#[test]
fn a_write_held_too_long_is_refused_and_never_sent() {
    let rig = Rig::with(|c| c.limits.hold_max = Duration::from_millis(100));
    let mut client = rig.client();
    rig.publish(|t| t.freeze = Freeze::Writes);
    let reply = client.ask("SET k 1");
    assert!(reply.starts_with("-ERR EXO-PXY-003 "), "{reply}");
    client.check("GET k", "$-1|");
    rig.publish(|t| t.freeze = Freeze::Open);
    client.check("GET k", "$-1|");
    client.check("SET k 2", "+OK|");
}

#[test]
fn writes_after_the_flip_are_on_the_new_authority_only() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.check("SET k old", "+OK|");
    let epoch = rig.publish(|t| t.freeze = Freeze::Writes);
    client.send(&words("SET k new"));
    assert!(rig.wait(rig.handle.quiet(epoch, SOON)).unwrap().quiet);
    let epoch = rig.publish(|t| t.authority = Authority::whole(Side::Target));
    rig.wait(rig.handle.rehomed(epoch, SOON)).unwrap();
    assert!(client.silent_for(Duration::from_millis(20)));
    rig.publish(|t| t.freeze = Freeze::Open);
    assert_eq!(client.reply(), "+OK|");
    rig.at_source().check("GET k", "$3|old|");
    rig.at_target().check("GET k", "$3|new|");
    rig.flip();
    client.check("GET k", "$3|old|");
}

#[test]
fn an_older_table_is_refused() {
    let rig = Rig::new();
    let old = rig.handle.table();
    rig.publish(|_| {});
    assert!(rig.handle.publish(Arc::clone(&old)).is_err());
}

#[test]
fn a_waiting_pop_is_unblocked_and_sent_again() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(&words("BLPOP queue 30"));
    eventually("it waits", || rig.at_source().ask("INFO clients").contains("blocked_clients:1"));
    rig.flip();
    eventually("it waits there", || {
        rig.at_target().ask("INFO clients").contains("blocked_clients:1")
    });
    assert!(rig.at_source().ask("INFO clients").contains("blocked_clients:0"));
    rig.at_source().check("RPUSH queue wrong", ":1|");
    rig.at_target().check("RPUSH queue right", ":1|");
    assert_eq!(client.reply(), "*2|$5|queue|$5|right|");
    client.check("PING", "+PONG|");
}

#[test]
fn a_waiting_pop_keeps_its_own_limit_across_a_flip() {
    let rig = Rig::new();
    let mut client = rig.client();
    let start = std::time::Instant::now();
    client.send(&words("BLPOP queue 1"));
    eventually("it waits", || rig.at_source().ask("INFO clients").contains("blocked_clients:1"));
    rig.flip();
    assert_eq!(client.reply(), "*-1|");
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
}

#[test]
fn a_waiting_stream_read_moves_too() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(&words("XREAD BLOCK 0 STREAMS x 0"));
    eventually("it waits", || rig.at_source().ask("INFO clients").contains("blocked_clients:1"));
    rig.flip();
    eventually("it waits there", || {
        rig.at_target().ask("INFO clients").contains("blocked_clients:1")
    });
    rig.at_target().ask("XADD x 1-1 f v");
    assert_eq!(client.reply(), "*1|*2|$1|x|*1|*2|$3|1-1|*2|$1|f|$1|v|");
}

#[test]
fn an_open_transaction_is_carried_over() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.check("MULTI", "+OK|");
    client.check("INCR n", "+QUEUED|");
    client.check("GET n", "+QUEUED|");
    rig.flip();
    client.check("INCR n", "+QUEUED|");
    client.check("EXEC", "*3|:1|$1|1|:2|");
    rig.at_source().check("GET n", "$-1|");
    rig.at_target().check("GET n", "$1|2|");
    client.check("GET n", "$1|2|");
}

#[test]
fn an_exec_is_held_and_runs_on_the_new_authority() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.check("MULTI", "+OK|");
    client.check("INCR n", "+QUEUED|");
    let epoch = rig.publish(|t| t.freeze = Freeze::Writes);
    client.send(&words("EXEC"));
    let quiet = rig.wait(rig.handle.quiet(epoch, SOON)).unwrap();
    assert_eq!((quiet.quiet, quiet.transactions_open), (true, 1));
    let epoch = rig.publish(|t| t.authority = Authority::whole(Side::Target));
    let moved = rig.wait(rig.handle.rehomed(epoch, SOON)).unwrap();
    assert_eq!(moved.moved, 1);
    rig.publish(|t| t.freeze = Freeze::Open);
    assert_eq!(client.reply(), "*1|:1|");
    rig.at_target().check("GET n", "$1|1|");
}

#[test]
fn a_watch_across_a_flip_fails_its_exec() {
    let rig = Rig::new();
    let (mut before, mut inside) = (rig.client(), rig.client());
    before.check("WATCH k", "+OK|");
    inside.check("WATCH k", "+OK|");
    inside.check("MULTI", "+OK|");
    inside.check("SET k 1", "+QUEUED|");
    rig.flip();
    before.check("MULTI", "+OK|");
    before.check("SET k 2", "+QUEUED|");
    before.check("EXEC", "*-1|");
    inside.check("EXEC", "*-1|");
    rig.at_target().check("GET k", "$-1|");
    for client in [&mut before, &mut inside] {
        client.check("MULTI", "+OK|");
        client.check("SET k 3", "+QUEUED|");
        client.check("EXEC", "*1|+OK|");
    }
}

#[test]
fn subscriptions_follow_the_authority() {
    for hello in ["HELLO 2", "HELLO 3"] {
        let rig = Rig::new();
        let (mut sub, mut publisher) = (rig.client(), rig.client());
        sub.ask(hello);
        sub.ask("SUBSCRIBE a b");
        sub.reply();
        sub.ask("PSUBSCRIBE p*");
        let kind = if hello == "HELLO 3" { ">" } else { "*" };
        publisher.check("PUBLISH a 1", ":1|");
        assert_eq!(sub.reply(), format!("{kind}3|$7|message|$1|a|$1|1|"));
        rig.flip();
        publisher.check("PUBLISH b 2", ":1|");
        publisher.check("PUBLISH pq 3", ":1|");
        assert_eq!(sub.reply(), format!("{kind}3|$7|message|$1|b|$1|2|"));
        assert_eq!(sub.reply(), format!("{kind}4|$8|pmessage|$2|p*|$2|pq|$1|3|"));
        rig.at_source().check("PUBLISH a 4", ":0|");
        let left = sub.ask("UNSUBSCRIBE a b");
        assert_eq!(left, format!("{kind}3|$11|unsubscribe|$1|a|:2|"));
        sub.reply();
        assert!(sub.ask("PUNSUBSCRIBE").ends_with("|:0|"));
        sub.check("GET k", if kind == ">" { "_|" } else { "$-1|" });
    }
}

#[test]
fn a_tracking_client_is_told_to_forget_everything() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.ask("HELLO 3");
    client.check("CLIENT TRACKING ON", "+OK|");
    client.check("GET k", "_|");
    rig.client().check("SET k 1", "+OK|");
    assert_eq!(client.reply(), ">2|$10|invalidate|*1|$1|k|");
    rig.flip();
    assert_eq!(client.reply(), ">2|$10|invalidate|_|");
    client.check("GET k", "_|");
    rig.client().check("SET k 2", "+OK|");
    assert_eq!(client.reply(), ">2|$10|invalidate|*1|$1|k|");
}

#[test]
fn a_monitor_follows_the_authority() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.check("MONITOR", "+OK|");
    rig.client().check("ECHO one", "$3|one|");
    eventually("it is shown", || client.reply().contains("\"one\""));
    rig.flip();
    rig.client().check("ECHO two", "$3|two|");
    eventually("it is shown", || client.reply().contains("\"two\""));
}

#[test]
fn many_flips_under_load_lose_and_repeat_nothing() {
    let rig = Rig::new();
    let address = rig.handle.local_addr();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = crate::rig::Client::connect(address);
                let mut done = 0u32;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if worker % 2 == 0 {
                        assert!(client.ask(&format!("INCR w{worker}")).starts_with(':'));
                    } else {
                        client.check("MULTI", "+OK|");
                        client.check(&format!("INCR w{worker}"), "+QUEUED|");
                        assert!(client.ask("EXEC").starts_with("*1|:"));
                    }
                    done += 1;
                }
                done
            })
        })
        .collect();
    for _ in 0..10 {
        rig.flip();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for (worker, thread) in workers.into_iter().enumerate() {
        let done: i64 = thread.join().unwrap().into();
        let count = |mut client: crate::rig::Client| -> i64 {
            let reply = client.ask(&format!("GET w{worker}"));
            reply.split('|').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        // Nothing copies between the sides here, so each acknowledged write is on exactly one.
        assert_eq!(count(rig.at_source()) + count(rig.at_target()), done, "worker {worker}");
    }
}

#[test]
fn scripts_are_known_to_the_new_authority() {
    let rig = Rig::new();
    let mut client = rig.client();
    let sha = client.ask("SCRIPT LOAD \"return 41+1\"").split('|').nth(1).unwrap().to_owned();
    client.check("EVAL \"return 'x'\" 0", "$1|x|");
    rig.flip();
    client.check(&format!("EVALSHA {sha} 0"), ":42|");
    rig.at_target().check(&format!("SCRIPT EXISTS {sha}"), "*1|:1|");
}
