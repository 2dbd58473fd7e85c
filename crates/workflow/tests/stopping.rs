//! Hold, panic, step-back, retry, abandon, incidents, failing workers.

mod support;

use model::{Side, Strategy, WritePolicy};
use support::{Desk, World, check, dev, verified};
use workflow::{
    Environment, Fact, OnStepFailure, Place, Plan, Verb, Window, Worker, table_for, workers,
};

fn canary() -> Desk {
    let plan = Plan { canary_steps: vec![5, 50], ..dev(Strategy::Canary) };
    Desk::new(plan, World::Obliging)
}

fn fails(desk: &mut Desk) {
    desk.tell(Fact::WorkerFailed {
        worker: "backfill".to_owned(),
        code: "EXO-ENG-001".to_owned(),
        why: "connection reset".to_owned(),
    });
}

#[test]
fn held_means_nothing_goes_forward_and_everything_flows() {
    let mut desk = canary();
    desk.go_to(Place::Reads);
    let before = (table_for(&desk.plan, &desk.run), workers(&desk.plan, &desk.run));
    desk.must(Verb::Hold);
    assert_eq!(before, (table_for(&desk.plan, &desk.run), workers(&desk.plan, &desk.run)));
    let no = desk.refused(Verb::Advance);
    assert_eq!(no.code, "EXO-RUN-003");
    assert_eq!(no.instead, ["exodus release -m shop", "exodus rollback -m shop"]);
    desk.must(Verb::Release);
    assert_eq!(desk.refused(Verb::Release).code, "EXO-RUN-001");
    desk.must(Verb::Advance);
}

#[test]
fn a_copy_that_ends_while_held_goes_on_after_the_release() {
    let mut desk = canary();
    desk.go_to(Place::Rehearsal);
    desk.world = World::Silent;
    desk.must(Verb::Advance);
    desk.must(Verb::Hold);
    desk.tell(Fact::BackfillDone);
    desk.tell(Fact::InStep { in_step: true, lag_ms: 0, pending: 0 });
    let epoch = desk.run.epoch;
    desk.tell(Fact::NodeAcked { node: support::node(), epoch, txn_wait_ms: 0 });
    assert_eq!(desk.run.place(), Place::Seeding);
    desk.must(Verb::Release);
    assert_eq!(desk.run.place(), Place::Verifying);
}

#[test]
fn the_copy_begins_only_after_every_node_notes_writes() {
    let mut desk = canary();
    desk.go_to(Place::Rehearsal);
    desk.world = World::Silent;
    desk.must(Verb::Advance);
    assert!(!workers(&desk.plan, &desk.run).contains(&Worker::Backfill));
    let epoch = desk.run.epoch;
    desk.tell(Fact::NodeAcked { node: support::node(), epoch, txn_wait_ms: 0 });
    assert!(workers(&desk.plan, &desk.run).contains(&Worker::Backfill));
    desk.restart();
    assert!(
        !workers(&desk.plan, &desk.run).contains(&Worker::Backfill),
        "a new process has to acknowledge anew"
    );
}

#[test]
fn panic_passes_through_and_release_brings_the_step_back() {
    let mut desk = canary();
    desk.go_to(Place::Reads);
    let before = table_for(&desk.plan, &desk.run);
    desk.must(Verb::Panic);
    let table = table_for(&desk.plan, &desk.run);
    assert!(!table.reads.secondary_ready && table.compare.is_none() && table.capture);
    assert_eq!(table.writes, WritePolicy::OldAuthoritative);
    let running = workers(&desk.plan, &desk.run);
    assert!(running.contains(&Worker::Replay) && !running.contains(&Worker::Verify));
    desk.must(Verb::Release);
    let after = table_for(&desk.plan, &desk.run);
    assert_eq!(before.reads, after.reads);
    assert!(after.epoch > before.epoch);
}

#[test]
fn steps_back_lead_all_the_way_to_the_beginning() {
    let mut desk = canary();
    desk.go_to(Place::ReadyToCutover);
    let mut way = Vec::new();
    desk.world = World::Silent;
    while desk.run.place() != Place::Setup {
        desk.must(Verb::StepBack);
        way.push(format!("{} {}%", desk.run.place(), desk.run.reads_percent));
    }
    check(
        &way.join("\n"),
        "reads 50%
         reads 5%
         verifying 0%
         seeding 0%
         rehearsal 0%
         smoke 0%
         compare 0%
         analyze 0%
         tap 0%
         setup 0%",
    );
    assert_eq!(desk.refused(Verb::StepBack).code, "EXO-RUN-001");
    assert!(desk.run.capture.is_none() && !desk.run.backfilled);
    assert_eq!(desk.run.copy_round, 2, "one when capture began, one asked for by stepping back");
}

#[test]
fn notes_that_were_interrupted_mean_a_new_copy() {
    let mut desk = canary();
    desk.go_to(Place::Verifying);
    desk.must(Verb::Rollback { accept_loss: false });
    assert!(desk.run.capture.is_some(), "a rolled-back run still notes writes");
    desk.must(Verb::Retry);
    assert_eq!((desk.run.place(), desk.run.copy_round), (Place::Verifying, 1));
    desk.world = World::Silent;
    for _ in 0..6 {
        desk.must(Verb::StepBack);
    }
    assert!(desk.run.capture.is_none());
    desk.world = World::Obliging;
    desk.go_to(Place::Verifying);
    assert!(desk.run.copy_round > 1);
}

#[test]
fn a_differing_verification_takes_reads_back_at_once() {
    let mut desk = canary();
    desk.go_to(Place::Reads);
    assert!(table_for(&desk.plan, &desk.run).reads.secondary_ready);
    desk.world = World::Silent;
    desk.tell(Fact::VerifyDone { digest: "d".to_owned(), clean: false, open: 3 });
    assert!(!table_for(&desk.plan, &desk.run).reads.secondary_ready);
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-005");
    desk.tell(verified("d2"));
    assert!(table_for(&desk.plan, &desk.run).reads.secondary_ready);
}

#[test]
fn a_lost_feed_takes_reads_back_until_it_delivers() {
    let mut desk = canary();
    desk.go_to(Place::Reads);
    desk.tell(Fact::FeedLost { side: Side::Target });
    assert!(table_for(&desk.plan, &desk.run).reads.secondary_ready, "nobody decides there");
    desk.tell(Fact::FeedLost { side: Side::Source });
    assert!(!table_for(&desk.plan, &desk.run).reads.secondary_ready);
    desk.tell(Fact::FeedRestored { side: Side::Source });
    assert!(table_for(&desk.plan, &desk.run).reads.secondary_ready);
}

#[test]
fn a_failed_step_goes_all_the_way_back_by_default() {
    let mut desk = canary();
    desk.go_to(Place::Reads);
    fails(&mut desk);
    assert_eq!(desk.run.place(), Place::RolledBack);
}

#[test]
fn a_failed_worker_never_moves_authority() {
    let mut desk = canary();
    desk.go_to(Place::ServingTarget);
    fails(&mut desk);
    assert_eq!(desk.run.place(), Place::ServingTarget);
    let commit = Verb::Commit { typed: "shop".to_owned() };
    assert_eq!(desk.refused(commit.clone()).code, "EXO-RUN-012");
    desk.must(Verb::Retry);
    desk.must(commit);
}

#[test]
fn a_failure_before_anything_moved_waits_for_a_person() {
    let mut desk = canary();
    desk.go_to(Place::Compare);
    fails(&mut desk);
    assert_eq!(desk.run.place(), Place::Compare);
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-012");
    desk.must(Verb::Retry);
    assert_eq!(desk.refused(Verb::Retry).code, "EXO-RUN-001");
    desk.must(Verb::Advance);
}

#[test]
fn a_failed_step_is_retried_as_often_as_the_plan_says_then_goes_back() {
    let on_step_failure = OnStepFailure::Retry { times: 2, backoff_ms: 1_000 };
    let plan = Plan { on_step_failure, ..dev(Strategy::BigBang) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Verifying);
    for wait in [1_000, 2_000] {
        fails(&mut desk);
        assert!(!workers(&desk.plan, &desk.run).contains(&Worker::Verify));
        let due = desk.run.retry_at_ms.expect("it is tried again");
        assert_eq!(due - desk.run.now_ms, wait);
        desk.pass(wait);
        assert!(desk.run.failure.is_none());
        assert!(workers(&desk.plan, &desk.run).contains(&Worker::Verify));
    }
    fails(&mut desk);
    assert_eq!(desk.run.place(), Place::RolledBack);
}

#[test]
fn an_incident_keeps_retries_waiting() {
    let on_step_failure = OnStepFailure::Retry { times: 1, backoff_ms: 1_000 };
    let plan = Plan { on_step_failure, ..dev(Strategy::BigBang) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Verifying);
    fails(&mut desk);
    desk.must(Verb::IncidentHold);
    desk.pass(60_000);
    assert!(desk.run.failure.is_some());
    desk.must(Verb::IncidentRelease);
    desk.pass(1);
    assert!(desk.run.failure.is_none());
}

#[test]
fn a_partial_failure_stays_until_it_is_retried() {
    let plan = Plan { on_step_failure: OnStepFailure::AllowPartial, ..dev(Strategy::BigBang) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Verifying);
    fails(&mut desk);
    assert_eq!(desk.run.place(), Place::Verifying);
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-012");
    desk.must(Verb::Retry);
    desk.must(Verb::Advance);
}

#[test]
fn an_incident_blocks_finalize_and_cleanup() {
    let mut desk = canary();
    desk.go_to(Place::ServingTarget);
    desk.must(Verb::Commit { typed: "shop".to_owned() });
    desk.must(Verb::IncidentHold);
    assert_eq!(desk.refused(Verb::Finalize).code, "EXO-RUN-011");
    desk.must(Verb::IncidentRelease);
    desk.must(Verb::Finalize);
    desk.must(Verb::IncidentHold);
    assert_eq!(desk.refused(Verb::Cleanup).code, "EXO-RUN-011");
    desk.must(Verb::IncidentRelease);
    desk.must(Verb::Cleanup);
}

#[test]
fn a_final_run_says_what_is_left() {
    let mut desk = canary();
    desk.must(Verb::Rollback { accept_loss: false });
    desk.must(Verb::Abandon);
    for verb in [Verb::Advance, Verb::Rollback { accept_loss: false }, Verb::Panic, Verb::Hold] {
        let no = desk.refused(verb);
        assert_eq!(
            (no.code, no.instead),
            ("EXO-RUN-002", vec!["exodus cleanup --yes -m shop".to_owned()])
        );
    }
}

#[test]
fn a_new_run_follows_an_abandoned_one_and_never_a_finalized_one() {
    let mut desk = canary();
    assert!(desk.run.after("run-2", "ada", 5).is_err(), "it is not over");
    desk.go_to(Place::ServingTarget);
    let mut other = canary();
    other.must(Verb::Rollback { accept_loss: false });
    other.must(Verb::Abandon);
    let next = other.run.after("run-2", "ada", 5).expect("it was abandoned");
    assert!(next.epoch > other.run.epoch && next.place() == Place::Setup);
    desk.must(Verb::Commit { typed: "shop".to_owned() });
    desk.must(Verb::Finalize);
    let no = desk.run.after("run-2", "ada", 5).expect_err("the target is the only system");
    assert_eq!(no.instead, ["exodus init --reverse"]);
}

#[test]
fn reads_go_up_in_bounded_steps_and_down_at_once() {
    let set = |reads_percent, forced| Verb::SetTraffic { mode: None, reads_percent, forced };
    let mut desk = canary();
    desk.go_to(Place::Reads);
    let no = desk.refused(set(60, false));
    assert_eq!((no.code, no.instead.len()), ("EXO-RUN-013", 1));
    desk.must(set(30, false));
    desk.must(set(100, true));
    desk.must(set(0, false));
    assert_eq!(desk.refused(set(101, true)).code, "EXO-RUN-013");
    let all =
        Verb::SetTraffic { mode: Some(model::ReadMode::Target), reads_percent: 0, forced: false };
    assert_eq!(desk.refused(all).code, "EXO-RUN-013", "a mode is a share too");

    let mut desk = Desk::new(dev(Strategy::BigBang), World::Obliging);
    desk.go_to(Place::ReadyToCutover);
    assert_eq!(desk.refused(set(5, false)).code, "EXO-RUN-013");
}

#[test]
fn an_operators_pin_wins_over_the_plans() {
    let plan = Plan { pins: vec![(b"etl".to_vec(), Side::Target)], ..dev(Strategy::Canary) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Reads);
    let pins = |desk: &Desk| table_for(&desk.plan, &desk.run).reads.pins;
    desk.must(Verb::Pin { attribute: b"etl".to_vec(), side: Some(Side::Source) });
    assert_eq!(pins(&desk), [(b"etl".to_vec(), Side::Source)]);
    desk.must(Verb::Pin { attribute: b"etl".to_vec(), side: None });
    assert_eq!(pins(&desk), [(b"etl".to_vec(), Side::Target)]);
}

#[test]
fn a_step_may_only_be_entered_in_its_window() {
    // 20 November 2026 is a Friday; 02:00 to 04:00 UTC on Saturdays.
    let friday = 1_795_132_800_000;
    let window = Window { days: 1 << 5, from_minute: 120, minutes: 120 };
    assert!(!window.contains(friday) && !window.contains(friday + 3 * 3_600_000));
    assert!(window.contains(friday + 27 * 3_600_000));
    assert!(!window.contains(friday + 28 * 3_600_000));
    let late = Window { days: 1 << 4, from_minute: 1_380, minutes: 120 };
    assert!(late.contains(friday + 24 * 3_600_000), "past midnight");
    assert!(!late.contains(friday + 25 * 3_600_000));

    let mut plan = Plan::new(Environment::Dev, Strategy::BigBang);
    plan.windows.insert(Place::CuttingOver, vec![window]);
    let mut desk = Desk::new(plan, World::Obliging);
    desk.now = friday;
    desk.go_to(Place::ReadyToCutover);
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-015");
    desk.now = friday + 27 * 3_600_000;
    desk.tell(verified("fresh"));
    desk.must(Verb::Advance);
    assert_eq!(desk.run.place(), Place::ServingTarget);
}
