//! What goes wrong around a run: it is said with a code, clients are served, nothing is lost.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use chaos::equality::{self, Options as Equality};
use chaos::wait;
use redis::cmd;

use crate::journey::PATIENCE;
use crate::rig::{Rig, said};

/// A client can write and read through the interlay.
fn serves(rig: &Rig) {
    let mut conn =
        chaos::conn::Conn::open(&rig.application(), 0, std::time::Duration::from_secs(10)).unwrap();
    let (mut set, mut get) = (cmd("SET"), cmd("GET"));
    conn.call(set.arg("served").arg("yes")).unwrap();
    let got = conn.call(get.arg("served")).unwrap();
    assert_eq!(chaos::value::bytes(&got), Some(b"yes".as_slice()));
}

/// The checks find a blocker of this code, the run stays before the copy, and clients are served.
fn blocked(rig: &Rig, code: &str) {
    let found = wait::until(PATIENCE, || {
        let output = rig.type_in(&["preflight", "run"]);
        output.status.code() == Some(3) && said(&output).contains(code)
    });
    assert!(found, "{code}: {}", said(&rig.type_in(&["preflight", "run"])));
    rig.follow("analyze");
    let refused = rig.type_in(&["advance", "--yes"]);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(said(&refused).contains("EXO-RUN-"), "{}", said(&refused));
    assert_eq!(rig.status().phase.step, "analyze");
    serves(rig);
}

#[test]
fn a_target_that_is_the_source_stops_the_run_in_every_environment() {
    let rig = Rig::start();
    let port = rig.source.port();
    let same = rig.type_in(&["init", "-", "--source", "a:1", "--target", "a:1", "--no-test"]);
    assert!(said(&same).contains("EXO-CLI-"), "{}", said(&same));
    rig.create(&format!("127.0.0.1:{port}"), &format!("localhost:{port}"));
    blocked(&rig, "EXO-PRE-121");
}

#[test]
fn a_target_that_does_not_answer_or_let_us_in_stops_the_run_until_it_does() {
    let mut rig = Rig::start();
    rig.target.kill9().unwrap();
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    blocked(&rig, "EXO-RED-001");
    rig.target.restart().unwrap();
    rig.follow("ready_to_cutover");
    serves(&rig);
}

#[test]
fn a_target_without_room_is_said_and_costs_no_client_a_write() {
    let rig = Rig::start();
    let mut target = rig.target.connect(0).unwrap();
    let mut limit = |bytes: &str| {
        let mut set = cmd("CONFIG");
        target.call(set.arg("SET").arg("maxmemory").arg(bytes)).unwrap();
    };
    limit("1mb");
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    rig.follow("analyze");
    // What the operator accepted at their own risk.
    let codes: Vec<_> = blockers(&rig);
    for code in codes {
        rig.do_it(&["preflight", "waive", &code, "--reason", "trying", "--expires", "1h"]);
    }
    rig.follow("seeding");
    serves(&rig);
    rig.wait("the target's refusal to be told", |s| s.queue.depth + s.queue.parked > 0);
    limit("0");
    rig.follow("ready_to_cutover");
    serves(&rig);
}

fn blockers(rig: &Rig) -> Vec<String> {
    let said = said(&rig.type_in(&["preflight", "run"]));
    let lines = said.lines().filter_map(|l| l.strip_prefix("BLOCKER"));
    lines.filter_map(|l| l.split_whitespace().next().map(ToOwned::to_owned)).collect()
}

#[test]
fn a_run_that_begins_after_the_checks_has_their_evidence() {
    let rig = Rig::start();
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    rig.wait("the first checks to end", |s| s.checks.pass > 0 && !s.checks.running);
    rig.do_it(&["start"]);
    let told = wait::until(PATIENCE, || rig.evidence("preflight_connect_target").is_some());
    assert!(told, "{:#?}", rig.status());
}

#[test]
fn the_second_of_two_operators_is_told_that_the_state_changed() {
    let rig = Rig::start();
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    rig.do_it(&["start"]);
    let seen = rig.status().state_version;
    rig.do_it(&["advance", "--yes"]);
    let problem = rig.ask("advance", seen);
    assert_eq!(problem["code"], "EXO-API-412", "{problem}");
    assert_eq!(rig.status().phase.step, "tap");
}

#[test]
fn what_the_target_held_before_is_not_overwritten_and_is_said() {
    let rig = Rig::start();
    let (mut source, mut target) = (rig.source.connect(0).unwrap(), rig.target.connect(0).unwrap());
    let set = |key: &str, value: &str| {
        let mut set = cmd("SET");
        set.arg(key).arg(value);
        set
    };
    source.call(&set("both", "ours")).unwrap();
    source.call(&set("mine", "ours")).unwrap();
    target.call(&set("both", "foreign")).unwrap();
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    rig.follow("seeding");
    rig.wait("an operator to be asked", |s| {
        s.queue.parked == 1
            && s.waiting_on.as_ref().is_some_and(|w| {
                w.what.contains("parked")
                    && w.command.as_ref().is_some_and(|c| c.contains("queue peek"))
            })
    });
    let mut get = cmd("GET");
    let kept = target.call(get.arg("both")).unwrap();
    assert_eq!(chaos::value::bytes(&kept), Some(b"foreign".as_slice()));
    serves(&rig);
}

#[test]
fn a_verification_is_repeated_before_changes_are_too_old() {
    let rig = Rig::start();
    rig.init(&rig.source.address().host_port(), &rig.target.address().host_port());
    rig.configure("verify: {dirty_max: 4s}");
    rig.run_it();
    rig.follow("ready_to_cutover");
    let first = rig.evidence("verify");
    assert!(first.is_some(), "{:#?}", rig.status());
    for _ in 0..2 {
        let before = rig.evidence("verify");
        let renewed = || {
            let now = rig.evidence("verify");
            now.is_some() && now != before
        };
        assert!(wait::until(PATIENCE, renewed), "{before:?}: {:#?}", rig.status());
        serves(&rig);
    }
    assert_eq!(rig.status().phase.step, "ready_to_cutover");
}

/// Writes until nothing more fits, and returns where.
fn fill(disk: &Path) -> PathBuf {
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    let piece = [0_u8; 4_096];
    let full = loop {
        if let Err(error) = file.write_all(&piece) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    filler
}

#[test]
fn a_full_disk_is_said_and_stops_neither_clients_nor_the_way_back() {
    let rig = Rig::start_on_disk(64);
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    rig.follow("ready_to_cutover");
    let filler = fill(rig.disk());
    let says = |s: &api::Status| s.warnings.iter().any(|w| w.code == "EXO-STO-005");
    rig.wait("the full disk to be told", says);
    // Decisions live on what was kept back for them.
    rig.follow("serving_target");
    serves(&rig);
    rig.do_it(&["rollback"]);
    rig.wait("the source decides again", |s| s.phase.step == "rolled_back");
    serves(&rig);
    std::fs::remove_file(filler).unwrap();
    rig.wait("room to be noticed", |s| !says(s));
    rig.do_it(&["retry"]);
    rig.follow("serving_target");
    serves(&rig);
    rig.wait("everything drained", |s| s.queue.depth == 0 && s.queue.in_flight == 0);
    let report =
        equality::compare(&rig.source.admin(), &rig.target.admin(), &Equality::default()).unwrap();
    assert!(report.equal(), "{report}");
}
