//! Criteria: when a check fails or passes, and what a failure does.

mod support;

use model::Strategy;
use support::{Desk, World, dev, person};
use workflow::{
    Action, Criterion, DECISION_OWNER_REJECTS, Gate, GateSpec, Judgement, OnFailure, Place, Plan,
    Role, Verb, Verdict,
};

/// What a sequence of samples makes of `fail_after: 3 of 5, pass_after: 5`: p, f, i, n.
fn judge(samples: &str) -> Verdict {
    let spec = Criterion::shift("c");
    let mut judged = Judgement::blank(0);
    for (at, sample) in samples.chars().enumerate() {
        let verdict = match sample {
            'p' => Verdict::Pass,
            'f' => Verdict::Fail,
            'i' => Verdict::Inconclusive,
            _ => Verdict::NoData,
        };
        judged.take(&spec, verdict, "", at as u64);
    }
    judged.verdict
}

#[test]
fn windows() {
    use Verdict as V;
    for (samples, expected) in [
        ("", V::NoData),
        ("n", V::NoData),
        ("i", V::Inconclusive),
        ("pppp", V::Inconclusive),
        ("ppppp", V::Pass),
        ("ff", V::Inconclusive),
        ("fff", V::Fail),
        ("fpfpf", V::Fail),
        ("ffppppp", V::Pass),
        ("ffpppf", V::Inconclusive),
        // What was not measured neither fails nor passes anything …
        ("fnfnnn", V::NoData),
        ("fnfninf", V::Fail),
        ("ppnpnipp", V::Pass),
        // … nor keeps it passing.
        ("pppppn", V::NoData),
        ("pppppi", V::Inconclusive),
    ] {
        assert_eq!(judge(samples), expected, "{samples}");
    }
}

fn reading(criteria: Vec<Criterion>) -> Desk {
    let plan = Plan { canary_steps: vec![5, 50], criteria, ..dev(Strategy::Canary) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Reads);
    desk
}

fn fail(desk: &mut Desk, name: &str) {
    for _ in 0..3 {
        desk.sample(name, Verdict::Fail);
    }
}

#[test]
fn while_only_reads_moved_a_failure_steps_back_and_holds() {
    let mut desk = reading(vec![Criterion::shift("p99")]);
    desk.sample_all(5, Verdict::Pass);
    desk.must(Verb::Advance);
    assert_eq!(desk.run.reads_percent, 50);
    fail(&mut desk, "p99");
    assert_eq!(desk.run.reads_percent, 5);
    let held = desk.run.held.as_ref().expect("nobody goes on by accident");
    assert_eq!(held.by, "criterion p99");
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-003");
    desk.must(Verb::Release);
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-006", "it is judged anew");
}

#[test]
fn once_writes_moved_a_failure_holds() {
    let plan = Plan { criteria: vec![Criterion::shift("p99")], ..dev(Strategy::BigBang) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::ServingTarget);
    fail(&mut desk, "p99");
    assert_eq!(desk.run.place(), Place::ServingTarget);
    assert!(desk.run.held.is_some());
}

#[test]
fn a_failure_may_roll_everything_back_even_in_an_incident() {
    let spec = Criterion { on_failure: Some(OnFailure::Rollback), ..Criterion::shift("errors") };
    let plan = Plan { criteria: vec![spec], ..dev(Strategy::BigBang) };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::ServingTarget);
    desk.must(Verb::IncidentHold);
    desk.must(Verb::Hold);
    fail(&mut desk, "errors");
    assert_eq!(desk.run.place(), Place::RolledBack);
    let numbers = desk.seen.iter().any(|a| {
        matches!(a, Action::Emit { name: "criterion_failed", fields }
            if fields.iter().any(|(k, v)| *k == "numbers" && v == "1 of 2"))
    });
    assert!(numbers, "an automatic rollback is an event with its numbers");
}

#[test]
fn an_incident_stops_automatic_steps() {
    let mut desk = reading(vec![Criterion::shift("p99")]);
    desk.must(Verb::IncidentHold);
    fail(&mut desk, "p99");
    assert_eq!(desk.run.place(), Place::Reads);
    assert!(desk.run.held.is_none());
}

#[test]
fn what_is_not_enforced_only_says_what_it_would_have_done() {
    let mut desk = reading(vec![Criterion { enforce: false, ..Criterion::shift("p99") }]);
    fail(&mut desk, "p99");
    assert_eq!(desk.run.place(), Place::Reads);
    assert_eq!(desk.run.unenforced_failures(), [("p99", OnFailure::StepBack)]);
    desk.must(Verb::Advance);
}

#[test]
fn samples_out_of_place_or_of_unknown_checks_are_ignored() {
    let plan = Plan { criteria: vec![Criterion::shift("p99")], ..dev(Strategy::BigBang) };
    let mut desk = Desk::new(plan, World::Obliging);
    fail(&mut desk, "p99");
    fail(&mut desk, "nobody knows it");
    assert!(desk.run.criteria.is_empty() && desk.run.held.is_none());
}

#[test]
fn the_decision_owner_may_reject_the_target() {
    let mut plan =
        Plan { criteria: vec![Criterion::veto(OnFailure::Rollback)], ..dev(Strategy::BigBang) };
    plan.gates.insert(Gate::Commit, GateSpec::one_of(&[Role::DecisionOwner]));
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::ServingTarget);
    let owner = person("grace", Role::DecisionOwner);
    desk.ask_as(owner, Verb::Reject { gate: Gate::Commit }).expect("the owner may");
    assert_eq!(desk.run.place(), Place::RolledBack);
    assert!(desk.plan.criterion(DECISION_OWNER_REJECTS).is_some());
}

#[test]
fn read_steps_may_advance_by_themselves_but_never_into_the_cutover() {
    let plan = Plan {
        canary_steps: vec![5, 50, 100],
        soak_ms: 60_000,
        auto_advance: true,
        criteria: vec![Criterion::shift("p99")],
        ..dev(Strategy::Canary)
    };
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Reads);
    for percent in [5, 50] {
        assert_eq!(desk.run.reads_percent, percent);
        desk.sample_all(5, Verdict::Pass);
        assert_eq!(desk.run.reads_percent, percent, "not before the soak is over");
        desk.pass(60_000);
    }
    desk.sample_all(5, Verdict::Pass);
    desk.pass(600_000);
    assert_eq!((desk.run.place(), desk.run.reads_percent), (Place::Reads, 100));
}
