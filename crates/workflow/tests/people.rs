//! Gates, approvals, evidence and waivers.

mod support;

use model::Strategy;
use support::{Desk, World, person, prod};
use workflow::{
    Action, EvidenceKind as E, EvidenceOutcome, Fact, Gate, GateSpec, GateVerdict, Place, Plan,
    Role, Verb, gate_digest, gate_verdict, waiting_on,
};

fn approve(gate: Gate) -> Verb {
    Verb::Approve { gate, digest: None }
}

/// At the migrate gate with all evidence.
fn at_the_gate(spec: GateSpec) -> Desk {
    let mut plan = prod(Strategy::BigBang);
    plan.gates.insert(Gate::Migrate, spec);
    for place in [Place::Setup, Place::Tap, Place::Analyze, Place::Compare, Place::Smoke] {
        plan.requires.remove(&place);
    }
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Rehearsal);
    for kind in [E::Rehearsal, E::PreflightMigrate, E::Redirect] {
        desk.prove(kind);
    }
    desk
}

fn one() -> GateSpec {
    GateSpec::one_of(&[Role::DatabaseOwner])
}

fn open(desk: &Desk) -> bool {
    gate_verdict(&desk.plan, &desk.run, Gate::Migrate).open()
}

fn denied(desk: &mut Desk, who: &str, role: Role) -> String {
    let no = desk.ask_as(person(who, role), approve(Gate::Migrate)).expect_err("it does not count");
    assert_eq!(no.code, "EXO-RUN-010");
    no.why
}

#[test]
fn a_gate_opens_for_the_right_role_of_another_person() {
    let mut desk = at_the_gate(one());
    assert!(waiting_on(&desk.plan, &desk.run).command.contains("approve migrate"));
    assert!(denied(&mut desk, "grace", Role::Operator).contains("database_owner"));
    assert!(denied(&mut desk, "ada", Role::DatabaseOwner).contains("brought the run here"));
    assert!(!open(&desk));
    desk.ask_as(person("grace", Role::DatabaseOwner), approve(Gate::Migrate)).expect("counts");
    assert!(open(&desk));
    desk.must(Verb::Advance);
}

#[test]
fn a_quorum_counts_people_not_clicks() {
    let spec = GateSpec { quorum: 2, ..one() };
    let mut desk = at_the_gate(spec.clone());
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    assert!(!open(&desk));
    desk.ask_as(person("linus", Role::DatabaseOwner), approve(Gate::Migrate)).expect("counts");
    assert!(open(&desk));

    let mut desk = at_the_gate(GateSpec { distinct_people: false, ..spec });
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    assert!(open(&desk), "where the plan allows it");
}

#[test]
fn an_approval_expires_and_can_be_given_again() {
    let mut desk = at_the_gate(GateSpec { expiry_ms: Some(1_000), ..one() });
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    desk.pass(2_000);
    assert!(!open(&desk));
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    assert!(open(&desk));
}

#[test]
fn stale_evidence_closes_the_gate_and_voids_what_was_signed() {
    let stale: [fn(&mut Desk); 3] = [
        |desk| desk.pass(25 * 3_600_000),
        |desk| {
            let affects = [E::PreflightMigrate].into();
            desk.tell(Fact::ConfigChanged { digest: "c2".to_owned(), affects });
        },
        |desk| {
            let digest = "bad".to_owned();
            let outcome = EvidenceOutcome::Fail;
            desk.tell(Fact::EvidenceAdded { kind: E::PreflightMigrate, digest, outcome });
        },
    ];
    for spoil in stale {
        let mut desk = at_the_gate(GateSpec { expiry_ms: None, ..one() });
        desk.approve(Gate::Migrate, Role::DatabaseOwner);
        assert!(open(&desk));
        desk.seen.clear();
        spoil(&mut desk);
        assert!(!open(&desk));
        assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-005");
        for kind in [E::Rehearsal, E::PreflightMigrate, E::Redirect] {
            desk.prove(kind);
        }
        assert!(!open(&desk), "a new piece needs a new signature");
        let asked = desk.seen.iter().filter(|a| matches!(a, Action::AskApproval { .. })).count();
        assert!(asked > 0, "people are asked again");
    }
}

#[test]
fn a_fresh_pass_over_a_pass_keeps_the_signature() {
    let mut desk = at_the_gate(one());
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    desk.prove(E::PreflightMigrate);
    assert!(open(&desk));
}

#[test]
fn an_approval_of_other_evidence_than_was_looked_at_is_refused() {
    let mut desk = at_the_gate(one());
    let seen = gate_digest(&desk.plan, &desk.run, Gate::Migrate);
    desk.prove(E::PreflightMigrate);
    let by = person("grace", Role::DatabaseOwner);
    let verb = |digest: String| Verb::Approve { gate: Gate::Migrate, digest: Some(digest) };
    assert_eq!(desk.ask_as(by.clone(), verb(seen)).expect_err("it changed").code, "EXO-RUN-010");
    let now = gate_digest(&desk.plan, &desk.run, Gate::Migrate);
    desk.ask_as(by, verb(now)).expect("it is what was looked at");
}

#[test]
fn nothing_is_signed_while_evidence_is_missing() {
    let mut desk = at_the_gate(one());
    desk.tell(Fact::ConfigChanged { digest: "c".to_owned(), affects: [E::Redirect].into() });
    let by = person("grace", Role::DatabaseOwner);
    let no = desk.ask_as(by, approve(Gate::Migrate)).expect_err("redirect is stale");
    assert_eq!(no.code, "EXO-RUN-005");
}

#[test]
fn a_veto_stands_until_its_author_revokes_it() {
    let mut desk = at_the_gate(one());
    let (grace, linus) =
        (person("grace", Role::DatabaseOwner), person("linus", Role::DatabaseOwner));
    desk.ask_as(grace.clone(), approve(Gate::Migrate)).expect("counts");
    let reject = Verb::Reject { gate: Gate::Migrate };
    let silent = workflow::By { reason: String::new(), ..linus.clone() };
    assert_eq!(desk.ask_as(silent, reject.clone()).expect_err("no reason").code, "EXO-RUN-009");
    desk.ask_as(linus.clone(), reject).expect("a veto counts");
    assert!(!open(&desk));
    denied(&mut desk, "grace", Role::DatabaseOwner);
    let revoke = Verb::Revoke { gate: Gate::Migrate };
    assert!(desk.ask_as(person("eve", Role::DatabaseOwner), revoke.clone()).is_err());
    desk.ask_as(linus, revoke.clone()).expect("its author may");
    desk.ask_as(grace.clone(), approve(Gate::Migrate)).expect("counts again");
    assert!(open(&desk));
    desk.ask_as(grace, revoke).expect("an approval can be withdrawn too");
    assert!(!open(&desk));
}

#[test]
fn a_waiver_has_a_reason_an_end_and_limits() {
    let mut desk = at_the_gate(one());
    desk.tell(Fact::ConfigChanged { digest: "c".to_owned(), affects: [E::Redirect].into() });
    let waive = |kind, expires_ms| Verb::Waive { kind, expires_ms };
    let ahead = desk.now + 10_000;
    assert_eq!(desk.refused(waive(E::Verify, ahead)).code, "EXO-RUN-014");
    assert_eq!(desk.refused(waive(E::Redirect, 5)).code, "EXO-RUN-014");
    desk.must(waive(E::Redirect, ahead));
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    assert!(open(&desk));
    desk.pass(20_000);
    assert!(!open(&desk), "it ended");
    desk.prove(E::Redirect);
    assert!(!open(&desk), "and with it what was signed");
}

#[test]
fn a_rollback_asks_for_new_approvals() {
    let mut desk = at_the_gate(one());
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    desk.must(Verb::Advance);
    desk.must(Verb::Rollback { accept_loss: false });
    assert_eq!(desk.refused(Verb::Retry).code, "EXO-RUN-004");
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    desk.must(Verb::Retry);
}

#[test]
fn each_further_share_of_reads_can_have_its_gate() {
    let mut plan = Plan { canary_steps: vec![5, 50], ..support::dev(Strategy::Canary) };
    plan.gates.insert(Gate::Reads, one());
    let mut desk = Desk::new(plan, World::Obliging);
    desk.go_to(Place::Reads);
    for _ in 0..2 {
        assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-004");
        desk.approve(Gate::Reads, Role::DatabaseOwner);
        desk.must(Verb::Advance);
    }
    assert_eq!(desk.run.place(), Place::ReadyToCutover);
}

#[test]
fn a_gate_out_of_place_or_not_configured_takes_no_approval() {
    let mut desk = at_the_gate(one());
    let by = person("grace", Role::DecisionOwner);
    assert!(desk.ask_as(by.clone(), approve(Gate::Commit)).is_err());
    assert!(desk.ask_as(by, approve(Gate::Cutover)).is_err());
    let verdict = gate_verdict(&desk.plan, &desk.run, Gate::Cutover);
    assert_eq!(verdict, GateVerdict::NotConfigured);
}
