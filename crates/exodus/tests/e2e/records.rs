//! What an operator decides about single records: set aside, taken back, ignored.

use std::time::Duration;

use api::{Divergence, Page, QueueEntry, Status};
use chaos::conn::{Address, Conn};
use chaos::value;
use redis::cmd;
use serde::de::DeserializeOwned;

use crate::rig::Rig;

fn ask(address: &Address, words: &[&str]) -> Option<String> {
    let mut conn = Conn::open(address, 0, Duration::from_secs(20)).unwrap();
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    let answer = conn.call(&command).unwrap();
    value::bytes(&answer).map(|b| String::from_utf8_lossy(b).into_owned())
}

/// The items of a list command.
fn list<T: DeserializeOwned>(rig: &Rig, words: &[&str]) -> Vec<T> {
    let output = rig.type_in(&[words, &["-o", "json"]].concat());
    let envelope: api::Envelope<Page<T>> = serde_json::from_slice(&output.stdout).unwrap();
    envelope.data.items
}

fn copied() -> Rig {
    let rig = Rig::start();
    for key in ["hot", "other"] {
        ask(&rig.source.admin(), &["SET", key, "0"]);
    }
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    rig.follow("verifying");
    rig.wait("both servers are known", |s| {
        let known = |e: &api::Endpoint| e.product.is_some() && e.memory_used > Some(0);
        s.endpoints.len() == 2 && s.endpoints.iter().all(known)
    });
    rig
}

#[test]
fn a_queued_record_is_listed_set_aside_over_a_restart_and_taken_back() {
    let mut rig = copied();
    rig.target.freeze().unwrap();
    let application = rig.application();
    for key in ["hot", "other"] {
        ask(&application, &["SET", key, "1"]);
    }
    rig.wait("both wait", |s| s.queue.depth == 2);
    let waiting: Vec<QueueEntry> = list(&rig, &["queue", "peek"]);
    assert_eq!(waiting.len(), 2, "{waiting:#?}");
    assert!(waiting.iter().all(|e| e.cause.is_some() && e.what_to_do.is_some()), "{waiting:#?}");
    let first: Vec<QueueEntry> = list(&rig, &["queue", "peek", "--limit", "1"]);
    assert_eq!(first[0].key, waiting[0].key, "the oldest comes first");
    let hot = waiting.iter().find(|e| e.key.contains("hot")).unwrap().id.clone();
    rig.do_it(&["queue", "park", &hot, "--reason", "it keeps coming"]);

    rig.target.thaw().unwrap();
    let aside = |s: &Status| s.queue.depth == 0 && s.queue.parked == 1;
    rig.wait("the other one passes", aside);
    let target = rig.target.admin();
    assert_eq!(ask(&target, &["GET", "other"]).as_deref(), Some("1"));
    // What was under way when it was set aside may still have arrived.
    let before = ask(&target, &["GET", "hot"]);
    // Written again it is not copied either, and a restart does not take it back.
    ask(&application, &["SET", "hot", "2"]);
    rig.wait("it stays aside", aside);
    rig.node.kill9().unwrap();
    rig.node.restart(crate::journey::PATIENCE).unwrap();
    rig.wait("it is still aside", |s| s.live && aside(s));
    assert_eq!(ask(&target, &["GET", "hot"]), before);
    assert_ne!(before.as_deref(), Some("2"));
    let parked: Vec<QueueEntry> = list(&rig, &["queue", "peek", "--state", "parked"]);
    assert!(parked[0].last_error.as_ref().is_some_and(|e| e.contains("it keeps coming")));
    assert!(rig.do_it(&["queue", "export"]).contains("hot"));

    rig.do_it(&["queue", "retry", &hot]);
    rig.wait("nothing is left", |s| s.queue.depth == 0 && s.queue.parked == 0);
    assert_eq!(ask(&target, &["GET", "hot"]).as_deref(), Some("2"));
}

#[test]
fn an_ignored_difference_is_shown_not_counted_and_counts_again_when_it_changes() {
    let rig = copied();
    let target = rig.target.admin();
    let verify = || rig.type_in(&["verify", "run"]).status.code();
    ask(&target, &["SET", "other", "foreign"]);
    assert_eq!(verify(), Some(4), "a difference is found");
    let open: Vec<Divergence> = list(&rig, &["diff", "list"]);
    let id = open[0].id.clone();
    rig.do_it(&["diff", "ignore", &id, "--reason", "a cache"]);
    assert_eq!(verify(), Some(0), "it does not count");
    assert_eq!(rig.status().divergence.open, 0);
    let all: Vec<Divergence> = list(&rig, &["diff", "list", "--all"]);
    let shown = all.iter().find(|d| d.id == id).unwrap();
    assert_eq!(shown.state, "ignored");
    assert!(shown.reason.as_ref().is_some_and(|r| r.contains("a cache")), "{shown:#?}");

    ask(&target, &["DEL", "other"]);
    assert_eq!(verify(), Some(4), "another class of difference is another difference");
    let open: Vec<Divergence> = list(&rig, &["diff", "list"]);
    assert_eq!((open.len(), open[0].class.as_str()), (1, "missing_on_target"));
    // For a time that is over at once.
    rig.do_it(&["diff", "ignore", &id, "--reason", "a cache", "--expires", "1s"]);
    rig.wait("it counts again", |s| s.divergence.open == 1);
}
