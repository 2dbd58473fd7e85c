//! The barrier as part of a run: what fails, what is undone, what goes on.

mod support;

use model::{Epoch, Side, Strategy};
use routing::Freeze;
use support::{Desk, World, check, dev, node};
use workflow::{
    Action, Fact, FlipInput, FlipStep, Node, Place, Plan, Verb, table_for, waiting_on, wake_at_ms,
};

/// At the brink of the cutover, with the barrier begun and the new feed open.
fn frozen() -> Desk {
    let mut desk = Desk::new(dev(Strategy::BigBang), World::Obliging);
    desk.go_to(Place::ReadyToCutover);
    desk.world = World::Silent;
    desk.must(Verb::Advance);
    desk.flip(FlipInput::FeedOpened);
    assert_eq!(at(&desk), FlipStep::AwaitQuiet);
    desk.transcript();
    desk
}

fn at(desk: &Desk) -> FlipStep {
    desk.run.saga.as_ref().expect("a barrier is under way").flip.step
}

fn ack(desk: &mut Desk) {
    let epoch = desk.run.epoch;
    desk.tell(Fact::NodeAcked { node: node(), epoch, txn_wait_ms: 0 });
}

/// Until the journal is being drained.
fn draining() -> Desk {
    let mut desk = frozen();
    ack(&mut desk);
    desk.flip(FlipInput::Fenced);
    desk.flip(FlipInput::FeedFenced);
    assert_eq!(at(&desk), FlipStep::Drain);
    desk
}

/// Until the moved authority is stored.
fn moved() -> Desk {
    let mut desk = draining();
    desk.flip(FlipInput::Drained);
    assert_eq!(at(&desk), FlipStep::AwaitRehomed);
    desk.transcript();
    desk
}

fn why() -> String {
    "it broke".to_owned()
}

fn undone(desk: &Desk) {
    assert_eq!(desk.run.place(), Place::ReadyToCutover);
    assert_eq!(desk.run.authority.default, Side::Source);
    assert_eq!(table_for(&desk.plan, &desk.run).freeze, Freeze::Open);
    let last = desk.run.history.back().expect("the attempt is remembered");
    assert!(!last.moved && last.reason.is_some());
}

#[test]
fn a_pause_longer_than_its_budget_is_undone() {
    let mut desk = draining();
    desk.transcript();
    desk.pass(desk.plan.pause_budget_ms);
    check(&desk.transcript(), "do LiftFence { side: Source }");
    desk.flip(FlipInput::FenceLifted { side: Side::Source });
    check(
        &desk.transcript(),
        "stop feed_target
         publish 6: source noted
         event flip_undone
         ! cutover undone: the pause budget is used up
         == ready_to_cutover ==",
    );
    undone(&desk);
    assert!(desk.run.fences.is_empty());
}

#[test]
fn waiting_for_open_transactions_does_not_count_against_the_budget() {
    let mut desk = frozen();
    let (budget, open) = (desk.plan.pause_budget_ms, desk.plan.txn_deadline_ms);
    desk.pass(open - 10);
    let epoch = desk.run.epoch;
    desk.tell(Fact::NodeAcked { node: node(), epoch, txn_wait_ms: open - 10 });
    desk.pass(budget - 20);
    assert_eq!(at(&desk), FlipStep::FenceOld, "still inside the budget");
    desk.pass(40);
    assert_eq!(at(&desk), FlipStep::Undoing);
    desk.flip(FlipInput::FenceLifted { side: Side::Source });
    assert_eq!(desk.run.history.back().expect("remembered").txn_wait_ms, open - 10);
}

#[test]
fn every_failure_before_the_authority_moved_is_undone() {
    let broken: [(fn() -> Desk, FlipInput); 4] = [
        (frozen, FlipInput::Undo { why: why() }),
        (draining, FlipInput::DrainFailed { why: why(), remaining: 3 }),
        (
            || {
                let mut desk = frozen();
                ack(&mut desk);
                desk
            },
            FlipInput::FenceFailed { why: why() },
        ),
        (
            || {
                let mut desk = frozen();
                ack(&mut desk);
                desk.flip(FlipInput::Fenced);
                desk
            },
            FlipInput::FeedFenceFailed { why: why() },
        ),
    ];
    for (until, input) in broken {
        let mut desk = until();
        desk.flip(input.clone());
        desk.flip(FlipInput::FenceLifted { side: Side::Source });
        undone(&desk);
        desk.flip(FlipInput::Drained);
        undone(&desk);
    }
}

#[test]
fn a_fence_that_cannot_be_lifted_does_not_hold_clients_for_ever() {
    let mut desk = draining();
    desk.flip(FlipInput::DrainFailed { why: why(), remaining: 0 });
    desk.flip(FlipInput::LiftFailed { side: Side::Source, why: why() });
    undone(&desk);
    assert!(desk.run.fences.contains(&Side::Source), "it is remembered");
    desk.transcript();
    let at = wake_at_ms(&desk.plan, &desk.run).expect("it is tried again");
    desk.pass(at.saturating_sub(desk.now));
    check(&desk.transcript(), "lift fence of source");
    desk.tell(Fact::FenceLifted { side: Side::Source });
    desk.pass(60_000);
    check(&desk.transcript(), "");
}

#[test]
fn a_silent_node_is_shut_out_by_the_fence_or_the_cutover_is_undone() {
    let silent = Node("n2".to_owned());
    let mut desk = frozen();
    desk.tell(Fact::NodeJoined { node: silent.clone() });
    ack(&mut desk);
    assert_eq!(at(&desk), FlipStep::AwaitQuiet, "one of two is not all");
    ack(&mut desk);
    assert_eq!(at(&desk), FlipStep::AwaitQuiet, "nor is one twice");
    assert!(waiting_on(&desk.plan, &desk.run).what.contains("n2"));
    desk.pass(desk.plan.txn_deadline_ms + desk.plan.pause_budget_ms / 2);
    assert_eq!(at(&desk), FlipStep::FenceOld);
    desk.flip(FlipInput::Fenced);
    desk.flip(FlipInput::FeedFenced);
    desk.flip(FlipInput::Drained);
    assert_eq!(at(&desk), FlipStep::AwaitRehomed);

    let mut desk = frozen();
    desk.tell(Fact::NodeJoined { node: silent.clone() });
    ack(&mut desk);
    desk.pass(desk.plan.txn_deadline_ms + desk.plan.pause_budget_ms / 2);
    desk.flip(FlipInput::FenceSkipped);
    undone(&desk);

    let mut desk = frozen();
    desk.tell(Fact::NodeJoined { node: silent.clone() });
    ack(&mut desk);
    desk.tell(Fact::NodeGone { node: silent });
    assert_eq!(at(&desk), FlipStep::FenceOld, "a node proved dead is not waited for");
}

#[test]
fn an_acknowledgement_of_an_older_table_is_not_one_of_the_freeze() {
    let mut desk = frozen();
    let old = Epoch(desk.run.epoch.0 - 1);
    desk.tell(Fact::NodeAcked { node: node(), epoch: old, txn_wait_ms: 0 });
    assert_eq!(at(&desk), FlipStep::AwaitQuiet);
}

#[test]
fn answers_to_an_earlier_attempt_are_ignored() {
    let mut desk = draining();
    desk.flip(FlipInput::DrainFailed { why: why(), remaining: 0 });
    desk.flip(FlipInput::FenceLifted { side: Side::Source });
    desk.must(Verb::Advance);
    let first = desk.run.attempts - 1;
    desk.tell(Fact::SagaProgress { attempt: first, input: FlipInput::FeedOpened });
    assert_eq!(at(&desk), FlipStep::OpenFeed);
    desk.tell(Fact::SagaFailed { attempt: first, why: why() });
    assert_eq!(at(&desk), FlipStep::OpenFeed);
}

#[test]
fn a_fence_that_comes_late_is_lifted_again() {
    let late = [FlipInput::Fenced, FlipInput::FenceFailed { why: why() }];
    for input in late {
        let mut desk = frozen();
        ack(&mut desk);
        desk.pass(desk.plan.pause_budget_ms);
        desk.flip(FlipInput::FenceLifted { side: Side::Source });
        undone(&desk);
        assert!(desk.run.fences.is_empty());
        desk.transcript();
        desk.flip(input);
        check(&desk.transcript(), "lift fence of source");
        desk.tell(Fact::FenceLifted { side: Side::Source });
        assert!(desk.run.fences.is_empty());
    }
}

#[test]
fn a_table_that_changes_under_the_freeze_is_acknowledged_too() {
    let mut desk = frozen();
    let first = desk.run.epoch;
    let affects = [].into();
    desk.tell(Fact::ConfigChanged { digest: "c".to_owned(), affects });
    assert!(desk.run.epoch > first);
    check(
        &desk.transcript(),
        "publish 6: source frozen noted
         do Quiesce { epoch: Epoch(6), txn_deadline_ms: 1518 }
         event config_changed",
    );
    desk.tell(Fact::NodeAcked { node: node(), epoch: first, txn_wait_ms: 0 });
    assert_eq!(at(&desk), FlipStep::AwaitQuiet);
    ack(&mut desk);
    assert_eq!(at(&desk), FlipStep::FenceOld);
}

#[test]
fn killed_before_the_authority_moved_it_is_undone_and_after_that_finished() {
    for until in [frozen, draining] {
        let mut desk = until();
        desk.restart();
        if desk.run.saga.is_some() {
            desk.flip(FlipInput::FenceLifted { side: Side::Source });
        }
        undone(&desk);
    }
    let mut desk = moved();
    desk.restart();
    check(
        &desk.transcript(),
        "publish 6: target frozen noted
         resume cutover
         start compare
         start replay
         start feed_source
         start feed_target
         start verify
         event resumed",
    );
    ack(&mut desk);
    assert_eq!(desk.run.place(), Place::ServingTarget);
}

#[test]
fn a_node_that_never_moves_its_sessions_does_not_hold_the_others() {
    let mut desk = moved();
    desk.pass(workflow::REHOME_MS);
    assert_eq!(desk.run.place(), Place::ServingTarget);
    assert_eq!(table_for(&desk.plan, &desk.run).freeze, Freeze::Open);
}

#[test]
fn a_rollback_asked_while_it_can_be_undone_undoes_it() {
    let mut desk = draining();
    desk.must(Verb::Rollback { accept_loss: false });
    assert_eq!(desk.run.place(), Place::RollingBack);
    desk.flip(FlipInput::FenceLifted { side: Side::Source });
    assert_eq!(desk.run.place(), Place::RolledBack);
    assert_eq!(desk.run.attempts, 1, "there was nothing to bring back");
}

#[test]
fn a_rollback_asked_too_late_for_that_follows_at_once() {
    let mut desk = moved();
    assert_eq!(desk.refused(Verb::StepBack).code, "EXO-RUN-016");
    desk.must(Verb::Rollback { accept_loss: false });
    assert_eq!(desk.run.place(), Place::RollingBack);
    desk.world = World::Obliging;
    ack(&mut desk);
    assert_eq!(desk.run.place(), Place::RolledBack);
    assert_eq!(desk.run.attempts, 2);
    assert!(!desk.run.target_decides_something());
}

#[test]
fn hold_and_step_back_and_panic_undo_what_can_be_undone() {
    for verb in [Verb::Hold, Verb::StepBack, Verb::Panic] {
        let mut desk = frozen();
        desk.must(verb.clone());
        undone(&desk);
        assert_eq!(desk.run.held.is_some(), verb == Verb::Hold);
        assert_eq!(desk.run.panicked.is_some(), verb == Verb::Panic);
        let mut desk = moved();
        let _ = desk.ask(verb);
        ack(&mut desk);
        assert_eq!(desk.run.place(), Place::ServingTarget, "it is finished, not undone");
    }
}

/// The target is the authority, and dead.
fn dead_target() -> Desk {
    let mut desk = Desk::new(dev(Strategy::BigBang), World::Obliging);
    desk.go_to(Place::ServingTarget);
    desk.world = World::Silent;
    desk
}

fn until_fence(desk: &mut Desk) {
    desk.flip(FlipInput::FenceLifted { side: Side::Source });
    desk.flip(FlipInput::FeedOpened);
    ack(desk);
    assert_eq!(at(desk), FlipStep::FenceOld);
}

#[test]
fn a_rollback_that_would_lose_writes_is_blocked_and_tried_again() {
    let mut desk = dead_target();
    desk.must(Verb::Rollback { accept_loss: false });
    until_fence(&mut desk);
    desk.flip(FlipInput::FenceFailed { why: "connection refused".to_owned() });
    desk.flip(FlipInput::LiftFailed { side: Side::Target, why: "connection refused".to_owned() });
    assert_eq!(desk.run.place(), Place::RollbackBlocked);
    assert_eq!(desk.run.authority.default, Side::Target, "nothing was lost");
    assert_eq!(table_for(&desk.plan, &desk.run).freeze, Freeze::Open);
    assert_eq!(waiting_on(&desk.plan, &desk.run).command, "exodus rollback -m shop");
    let mut waits = Vec::new();
    for _ in 0..3 {
        let due = desk.run.retry_at_ms.expect("it is tried again");
        waits.push(due - desk.run.now_ms);
        desk.pass(due - desk.now);
        assert_eq!(desk.run.place(), Place::RollingBack);
        desk.flip(FlipInput::FeedFailed { why: why() });
        assert_eq!(desk.run.place(), Place::RollbackBlocked);
    }
    assert!(waits[0] < waits[1] && waits[1] < waits[2], "{waits:?}");
}

#[test]
fn a_source_that_is_behind_catches_up_before_clients_wait() {
    let mut desk = dead_target();
    desk.tell(Fact::InStep { in_step: false, lag_ms: 900, pending: 70 });
    desk.must(Verb::Rollback { accept_loss: false });
    desk.flip(FlipInput::FenceLifted { side: Side::Source });
    desk.flip(FlipInput::FeedOpened);
    assert_eq!(at(&desk), FlipStep::CatchUp);
    assert_eq!(table_for(&desk.plan, &desk.run).freeze, Freeze::Open);
    assert!(waiting_on(&desk.plan, &desk.run).what.contains("70 records pending"));
    desk.tell(Fact::InStep { in_step: true, lag_ms: 3, pending: 1 });
    assert_eq!(at(&desk), FlipStep::AwaitQuiet);

    let mut desk = dead_target();
    desk.tell(Fact::InStep { in_step: false, lag_ms: 900, pending: 70 });
    desk.must(Verb::Rollback { accept_loss: false });
    desk.flip(FlipInput::FenceLifted { side: Side::Source });
    desk.flip(FlipInput::FeedOpened);
    desk.pass(workflow::PREPARE_MS);
    assert_eq!(desk.run.place(), Place::RollbackBlocked);
    desk.must(Verb::Rollback { accept_loss: true });
    desk.flip(FlipInput::FeedOpened);
    assert_eq!(at(&desk), FlipStep::AwaitQuiet, "an operator need not wait");
}

#[test]
fn an_operator_may_accept_the_loss() {
    let mut desk = dead_target();
    desk.must(Verb::Rollback { accept_loss: false });
    until_fence(&mut desk);
    desk.must(Verb::Rollback { accept_loss: true });
    desk.flip(FlipInput::FenceFailed { why: why() });
    desk.flip(FlipInput::FeedFenceFailed { why: why() });
    desk.flip(FlipInput::DrainFailed { why: why(), remaining: 7 });
    ack(&mut desk);
    assert_eq!(desk.run.place(), Place::RolledBack);
    assert!(!desk.run.verified, "the target has what the source has not");
    let last = desk.run.history.back().expect("remembered");
    assert!(last.moved && last.reason.as_deref().is_some_and(|r| r.contains("accepted loss")));
}

#[test]
fn a_rollback_killed_half_way_goes_on() {
    let mut desk = dead_target();
    desk.must(Verb::Rollback { accept_loss: false });
    until_fence(&mut desk);
    desk.flip(FlipInput::Fenced);
    desk.restart();
    desk.flip(FlipInput::FenceLifted { side: Side::Target });
    assert_eq!(desk.run.place(), Place::RollbackBlocked);
    assert!(!desk.run.following.in_step, "what a former process saw says nothing about now");
    desk.tell(Fact::InStep { in_step: true, lag_ms: 3, pending: 0 });
    desk.world = World::Obliging;
    let due = desk.run.retry_at_ms.expect("it goes on by itself");
    desk.pass(due - desk.now);
    assert_eq!(desk.run.place(), Place::RolledBack);
}

#[test]
fn one_step_back_from_the_target_lands_before_the_cutover() {
    let mut desk =
        Desk::new(Plan { canary_steps: vec![100], ..dev(Strategy::Canary) }, World::Obliging);
    desk.go_to(Place::ServingTarget);
    desk.must(Verb::StepBack);
    assert_eq!(desk.run.place(), Place::ReadyToCutover);
    assert_eq!(desk.run.authority.default, Side::Source);
    assert_eq!(desk.run.reads_percent, 100, "reads stay, only the authority went back");
    desk.must(Verb::Advance);
    assert_eq!(desk.run.place(), Place::ServingTarget);
}

#[test]
fn without_the_right_to_fence_nothing_is_fenced() {
    let plan = Plan { can_fence: [].into(), ..dev(Strategy::BigBang) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::ServingTarget);
    let fenced = desk
        .seen
        .iter()
        .any(|a| matches!(a, Action::Flip { action: workflow::FlipAction::Fence { .. }, .. }));
    assert!(!fenced && desk.run.fences.is_empty());
}
