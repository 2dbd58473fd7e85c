//! What an operator asks: what is it waiting for, what may I do, can I undo, is this plan sound.

mod support;

use model::{Side, Strategy, WritePolicy};
use support::{Desk, World, dev, prod};
use workflow::{
    Criterion, Environment, Fact, FamilyCaps, Gate, GateSpec, LagFacts, Place, Plan, Role, Verb,
    VerbKind, allowed_actions, check_change, check_plan, legal_policy, next, undo, waiting_on,
    wake_at_ms,
};

const CAPS: FamilyCaps = FamilyCaps { two_phase_commit: false, reverse: true, tenant_filter: true };
const LAG: LagFacts = LagFacts { source_healthy: true, pending: 0, drained_per_s: 0 };

#[test]
fn next_is_a_command_that_leads_forward() {
    let mut desk = Desk::new(dev(Strategy::BigBang), World::Obliging);
    assert_eq!(next(&desk.plan, &desk.run).command, "exodus advance --yes -m shop");
    let waits = waiting_on(&desk.plan, &desk.run).what;
    assert_eq!(waits, "a decision to go on: the run goes to tap");
    desk.go_to(Place::Rehearsal);
    let step = next(&desk.plan, &desk.run);
    assert_eq!(step.effect, "writes are noted and the data is copied to the target");
    desk.go_to(Place::ReadyToCutover);
    let step = next(&desk.plan, &desk.run);
    assert!(step.effect.contains("at most 1000 ms"), "{}", step.effect);
    desk.must(Verb::Advance);
    assert_eq!(next(&desk.plan, &desk.run).verb, VerbKind::Commit);
    desk.must(Verb::Commit { typed: "shop".to_owned() });
    assert_eq!(next(&desk.plan, &desk.run).verb, VerbKind::Finalize);
    desk.must(Verb::Finalize);
    assert_eq!(next(&desk.plan, &desk.run).command, "exodus cleanup --yes -m shop");
}

#[test]
fn waiting_names_what_who_and_how() {
    let mut desk = Desk::new(prod(Strategy::BigBang), World::Obliging);
    let waiting = waiting_on(&desk.plan, &desk.run);
    assert_eq!(waiting.what, "there is no preflight_start evidence yet");
    assert_eq!(
        (waiting.who.as_str(), waiting.command.as_str()),
        ("operator", "exodus preflight run -m shop")
    );
    desk.must(Verb::Hold);
    let waiting = waiting_on(&desk.plan, &desk.run);
    assert_eq!(waiting.what, "hold by ada: because");
    assert_eq!(waiting.command, "exodus release -m shop");
}

#[test]
fn the_forward_verb_is_offered_first_and_refused_ones_not_at_all() {
    let mut desk = Desk::new(dev(Strategy::BigBang), World::Obliging);
    let verbs = |desk: &Desk| -> Vec<VerbKind> {
        allowed_actions(&desk.plan, &desk.run).into_iter().map(|a| a.verb).collect()
    };
    assert_eq!(verbs(&desk)[0], VerbKind::Advance);
    desk.must(Verb::Hold);
    let offered = verbs(&desk);
    assert!(!offered.contains(&VerbKind::Advance) && offered.contains(&VerbKind::Release));
    assert!(offered.contains(&VerbKind::Rollback) && offered.contains(&VerbKind::Panic));
}

#[test]
fn the_undo_meter_is_truthful() {
    let mut desk = Desk::new(dev(Strategy::BigBang), World::Obliging);
    let meter = undo(&desk.run, &LAG);
    assert_eq!((meter.ready, meter.estimated_ms, meter.writes_at_risk), (true, Some(0), 0));
    assert_eq!(meter.last_rehearsal_ms, None);
    desk.go_to(Place::Rehearsal);
    desk.must(Verb::Rehearse);
    assert!(undo(&desk.run, &LAG).last_rehearsal_ms.is_some());
    desk.go_to(Place::ServingTarget);
    let late = LagFacts { pending: 500, drained_per_s: 1_000, ..LAG };
    let meter = undo(&desk.run, &late);
    assert!(meter.ready && meter.estimated_ms.is_some_and(|ms| ms >= 500));
    assert_eq!(meter.writes_at_risk, 500);
    let unmeasured = LagFacts { pending: 500, ..LAG };
    assert_eq!(undo(&desk.run, &unmeasured).estimated_ms, None, "not guessed");
    let dead = LagFacts { source_healthy: false, ..late };
    assert!(!undo(&desk.run, &dead).ready);
    desk.tell(Fact::InStep { in_step: false, lag_ms: 9_000, pending: 500 });
    assert!(!undo(&desk.run, &late).ready);
    desk.tell(Fact::InStep { in_step: true, lag_ms: 0, pending: 0 });
    desk.tell(Fact::FeedLost { side: Side::Target });
    assert!(!undo(&desk.run, &late).ready);
    desk.tell(Fact::FeedRestored { side: Side::Target });
    desk.tell(Fact::InStep { in_step: true, lag_ms: 0, pending: 0 });
    desk.must(Verb::Rollback { accept_loss: false });
    assert_eq!(desk.run.place(), Place::RolledBack);
    assert!(undo(&desk.run, &LAG).ready);
}

#[test]
fn time_is_asked_for_only_when_it_matters() {
    let mut desk = Desk::new(dev(Strategy::BigBang), World::Obliging);
    assert_eq!(wake_at_ms(&desk.plan, &desk.run), None);
    desk.go_to(Place::ReadyToCutover);
    desk.world = World::Silent;
    desk.must(Verb::Advance);
    let at = wake_at_ms(&desk.plan, &desk.run).expect("the barrier has a deadline");
    assert_eq!(at, desk.now + workflow::PREPARE_MS);
}

#[test]
fn write_policies_that_cannot_be_kept_are_refused_with_their_reason() {
    use WritePolicy as W;
    let (before, after) = (Side::Source, Side::Target);
    let code = |side, policy, caps: &FamilyCaps, promised| {
        legal_policy(side, policy, caps, promised).err().map(|no| no.code)
    };
    for (side, policy, expected) in [
        (before, W::BothRequired, None),
        (before, W::OldAuthoritative, None),
        (before, W::BestEffort, None),
        (before, W::NewAuthoritative, Some("EXO-RUN-021")),
        (before, W::TwoPhaseCommit, Some("EXO-RUN-020")),
        (after, W::BothRequired, None),
        (after, W::NewAuthoritative, None),
        (after, W::OldAuthoritative, Some("EXO-RUN-022")),
        (after, W::BestEffort, Some("EXO-RUN-023")),
        (after, W::TwoPhaseCommit, Some("EXO-RUN-020")),
    ] {
        assert_eq!(code(side, policy, &CAPS, true), expected, "{policy} while {side} decides");
    }
    assert_eq!(code(after, W::BestEffort, &CAPS, false), None);
    let two_phase = FamilyCaps { two_phase_commit: true, ..CAPS };
    assert_eq!(code(before, W::TwoPhaseCommit, &two_phase, true), None);
    let one_way = FamilyCaps { reverse: false, ..CAPS };
    assert_eq!(code(after, W::BothRequired, &one_way, true), Some("EXO-RUN-024"));
    for side in Side::ALL {
        for policy in W::ALL {
            if let Err(no) = legal_policy(*side, *policy, &CAPS, true) {
                assert!(legal_policy(*side, no.instead, &CAPS, true).is_ok(), "advice that works");
            }
        }
    }
}

#[test]
fn a_plan_may_change_only_where_the_run_allows_it() {
    let mut desk = Desk::new(dev(Strategy::Canary), World::Obliging);
    let big_bang = dev(Strategy::BigBang);
    desk.go_to(Place::Verifying);
    assert_eq!(check_change(&desk.run, &desk.plan, &big_bang), []);
    desk.go_to(Place::Reads);
    let faults = check_change(&desk.run, &desk.plan, &big_bang);
    assert_eq!(faults[0].code, "EXO-RUN-037");
    desk.must(Verb::Advance);
    let shorter = Plan { canary_steps: vec![100], ..desk.plan.clone() };
    assert_eq!(check_change(&desk.run, &desk.plan, &shorter).len(), 1);

    let plan = Plan { batches: support::batches(&["a", "b"]), ..dev(Strategy::UserByUser) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Tenants);
    desk.must(Verb::Advance);
    let without = Plan { batches: support::batches(&["b"]), ..desk.plan.clone() };
    assert_eq!(check_change(&desk.run, &desk.plan, &without).len(), 1);
}

#[test]
fn plans_that_cannot_run_say_so_before() {
    let codes = |plan: &Plan| -> Vec<&'static str> {
        check_plan(plan, &CAPS).into_iter().map(|fault| fault.code).collect()
    };
    for strategy in [Strategy::BigBang, Strategy::Canary, Strategy::BlueGreen, Strategy::Shadow] {
        for environment in Environment::ALL {
            let plan = Plan::new(*environment, strategy);
            assert_eq!(codes(&plan), [""; 0], "defaults of {strategy} in {environment}");
        }
    }
    let dev = || dev(Strategy::Canary);
    for steps in [vec![], vec![0, 5], vec![50, 25], vec![50, 101]] {
        assert_eq!(codes(&Plan { canary_steps: steps, ..dev() }), ["EXO-RUN-030"]);
    }
    let by_user = Plan::new(Environment::Dev, Strategy::UserByUser);
    assert_eq!(codes(&by_user), ["EXO-RUN-031"]);
    let twice = Plan {
        batches: [support::batches(&["a"]), support::batches(&["a"])].concat(),
        ..by_user.clone()
    };
    assert_eq!(codes(&twice), ["EXO-RUN-031"]);
    let blind = FamilyCaps { tenant_filter: false, ..CAPS };
    let fine = Plan { batches: support::batches(&["a", "b"]), ..by_user };
    assert_eq!(check_plan(&fine, &blind)[0].code, "EXO-RUN-032");
    let mut nobody = dev();
    let spec = GateSpec { quorum: 0, ..GateSpec::one_of(&[Role::Operator]) };
    nobody.gates.insert(Gate::Migrate, spec);
    assert_eq!(codes(&nobody), ["EXO-RUN-033"]);
    let never = Criterion { fail_after: 6, ..Criterion::shift("c") };
    assert_eq!(codes(&Plan { criteria: vec![never], ..dev() }), ["EXO-RUN-034"]);
    let mut open = prod(Strategy::Canary);
    open.gates.clear();
    assert_eq!(codes(&open), ["EXO-RUN-035", "EXO-RUN-035"]);
    let mut mute = prod(Strategy::Canary);
    mute.criteria.iter_mut().for_each(|c| c.enforce = false);
    assert_eq!(codes(&mute), ["EXO-RUN-036"]);
    let both = Plan { policy_before: WritePolicy::NewAuthoritative, ..dev() };
    assert_eq!(codes(&both), ["EXO-RUN-021"]);
}
