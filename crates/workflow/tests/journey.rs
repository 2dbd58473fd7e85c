//! Whole runs, as transcripts of what the controller does.

mod support;

use model::{Side, Strategy};
use support::{Desk, World, batches, check, dev, operator, prod};
use workflow::{EvidenceKind as E, Gate, Outcome, Place, Plan, Role, Verb, Verdict};

fn canary() -> Plan {
    Plan { canary_steps: vec![5, 100], ..dev(Strategy::Canary) }
}

fn commit() -> Verb {
    Verb::Commit { typed: "shop".to_owned() }
}

#[test]
fn forward_to_the_target_and_to_the_end() {
    let mut desk = Desk::new(canary(), World::Obliging);
    for _ in 0..10 {
        desk.must(Verb::Advance);
    }
    desk.must(commit());
    desk.must(Verb::Finalize);
    desk.must(Verb::Cleanup);
    assert_eq!(desk.run.outcome, Some(Outcome::Finalized));
    check(
        &desk.transcript(),
        "publish 1: source
         start tap
         == tap ==
         stop tap
         start profile
         == analyze ==
         stop profile
         publish 2: source
         start compare
         == compare ==
         start smoke
         == smoke ==
         stop smoke
         == rehearsal ==
         stop compare
         publish 3: source noted
         start replay
         start feed_source
         == seeding ==
         start backfill
         stop backfill
         event backfill_done
         publish 4: source noted
         start compare
         start verify
         == verifying ==
         publish 5: source reads 0% noted
         event evidence_added
         publish 6: source reads 5% noted
         == reads ==
         publish 7: source reads 100% noted
         == reads ==
         == ready_to_cutover ==
         begin cutover
         do OpenFeed { side: Target }
         start feed_target
         == cutting_over ==
         event flip_began
         publish 8: source frozen reads 100% noted
         do Quiesce { epoch: Epoch(8), txn_deadline_ms: 1523 }
         do Fence { side: Source }
         do FeedFence { side: Source }
         do Drain { from: Source }
         publish 9: target frozen reads 100% noted
         event authority_moved
         stop feed_source
         publish 10: target reads 100% noted
         start verify
         event flip_done
         event evidence_stale
         == serving_target ==
         event evidence_added
         == warm_source ==
         stop compare
         stop replay
         stop feed_target
         stop verify
         publish 11: target
         == finalized ==
         cleanup",
    );
}

#[test]
fn back_from_the_target_and_forth_again() {
    let mut desk = Desk::new(canary(), World::Obliging);
    for _ in 0..10 {
        desk.must(Verb::Advance);
    }
    desk.transcript();
    desk.must(Verb::Rollback { accept_loss: false });
    assert_eq!(desk.run.place(), Place::RolledBack);
    check(
        &desk.transcript(),
        "stop compare
         stop verify
         publish 11: target noted
         begin rollback
         do LiftFence { side: Source }
         event rollback_asked
         ! rollback asked by ada
         == rolling_back ==
         event flip_began
         do OpenFeed { side: Source }
         start feed_source
         publish 12: target frozen noted
         do Quiesce { epoch: Epoch(12), txn_deadline_ms: 1534 }
         do Fence { side: Target }
         do FeedFence { side: Target }
         do Drain { from: Target }
         publish 13: source frozen noted
         event authority_moved
         stop feed_target
         publish 14: source noted
         event flip_done
         event evidence_stale
         == rolled_back ==",
    );
    assert_eq!(desk.run.fences.iter().copied().collect::<Vec<_>>(), [Side::Target]);
    desk.must(Verb::Retry);
    assert_eq!(desk.run.place(), Place::Verifying, "data stayed in step: nothing is copied again");
    for _ in 0..4 {
        desk.must(Verb::Advance);
    }
    assert_eq!(desk.run.place(), Place::ServingTarget);
    assert_eq!(desk.run.attempts, 3);
    assert_eq!(desk.run.history.iter().filter(|a| a.moved).count(), 3);
}

#[test]
fn by_tenants() {
    let plan = Plan { batches: batches(&["a", "b"]), ..dev(Strategy::UserByUser) };
    let mut desk = Desk::new(plan, World::Obliging);
    for _ in 0..8 {
        desk.must(Verb::Advance);
    }
    desk.transcript();
    desk.must(Verb::Advance);
    check(
        &desk.transcript(),
        "begin tenant_flip
         do OpenFeed { side: Target }
         event flip_began
         publish 8: source but some tenants frozen noted
         do Quiesce { epoch: Epoch(8), txn_deadline_ms: 1525 }
         do FeedFence { side: Source }
         do Drain { from: Source }
         publish 9: source but some tenants frozen noted
         event authority_moved
         publish 10: source but some tenants noted
         event flip_done
         == tenants ==",
    );
    desk.must(Verb::StepBack);
    assert_eq!(desk.run.authority.moved.len(), 1, "one step back is one batch");
    desk.must(Verb::TenantReturn { tenants: desk.run.authority.moved.clone() });
    assert!(!desk.run.target_decides_something());
    desk.must(Verb::TenantMove { tenants: desk.plan.batches[1].tenants.clone() });
    assert!(desk.run.batch_moved(&desk.plan.batches[1]) && desk.run.authority.moved.len() == 1);
    let no = desk.refused(Verb::TenantMove { tenants: desk.plan.batches[1].tenants.clone() });
    assert_eq!(no.code, "EXO-RUN-025");
    desk.must(Verb::Advance);
    desk.must(Verb::Advance);
    assert_eq!(desk.run.place(), Place::ReadyToCutover);
    desk.must(Verb::Advance);
    assert_eq!(desk.run.place(), Place::ServingTarget);
    assert!(desk.run.authority.moved.is_empty());
}

#[test]
fn in_prod_every_step_waits_for_its_proof_and_its_people() {
    let plan = Plan { canary_steps: vec![10, 100], soak_ms: 60_000, ..prod(Strategy::Canary) };
    let mut desk = Desk::new(plan, World::Obliging);
    let before: [(Place, &[E]); 6] = [
        (Place::Setup, &[E::PreflightStart]),
        (Place::Tap, &[E::Tap]),
        (Place::Analyze, &[E::Profile, E::PreflightConnectTarget]),
        (Place::Compare, &[E::Compare]),
        (Place::Smoke, &[E::Smoke]),
        (Place::Rehearsal, &[E::PreflightMigrate, E::Redirect]),
    ];
    for (place, kinds) in before {
        assert_eq!(desk.run.place(), place);
        assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-005");
        for kind in kinds {
            desk.prove(*kind);
        }
        if place != Place::Rehearsal {
            desk.must(Verb::Advance);
        }
    }
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-005", "there is no rehearsal yet");
    desk.must(Verb::Rehearse);
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-004");
    desk.approve(Gate::Migrate, Role::DatabaseOwner);
    desk.must(Verb::Advance);
    assert_eq!(desk.run.place(), Place::Verifying);
    desk.must(Verb::Advance);
    for percent in [10, 100] {
        assert_eq!(desk.run.reads_percent, percent);
        assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-007");
        desk.pass(60_000);
        assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-006");
        desk.sample_all(5, Verdict::Pass);
        desk.must(Verb::Advance);
    }
    desk.must(Verb::Advance);
    assert_eq!(desk.run.place(), Place::ServingTarget);
    desk.pass(60_000);
    desk.sample_all(5, Verdict::Pass);
    assert_eq!(desk.refused(commit()).code, "EXO-RUN-005");
    desk.prove(E::PreflightCommit);
    assert_eq!(desk.refused(commit()).code, "EXO-RUN-004");
    desk.approve(Gate::Commit, Role::DecisionOwner);
    let wrong = Verb::Commit { typed: "shopp".to_owned() };
    assert_eq!(desk.refused(wrong).code, "EXO-RUN-009");
    let silent = workflow::By { reason: String::new(), ..operator() };
    assert_eq!(desk.ask_as(silent, commit()).expect_err("no reason").code, "EXO-RUN-009");
    desk.must(commit());
    desk.prove(E::TargetBackup);
    desk.prove(E::Decommission);
    desk.approve(Gate::Decommission, Role::DecisionOwner);
    assert_eq!(desk.refused(Verb::Finalize).code, "EXO-RUN-018");
    desk.pass(72 * 3_600_000);
    desk.approve(Gate::Decommission, Role::DecisionOwner);
    desk.must(Verb::Finalize);
    assert_eq!(desk.run.outcome, Some(Outcome::Finalized));
}

#[test]
fn a_shadow_run_compares_and_ends() {
    let mut desk = Desk::new(dev(Strategy::Shadow), World::Obliging);
    for _ in 0..6 {
        desk.must(Verb::Advance);
    }
    assert_eq!(desk.run.place(), Place::Verifying);
    assert_eq!(desk.refused(Verb::Advance).code, "EXO-RUN-019");
    desk.must(Verb::Rollback { accept_loss: false });
    let next = workflow::next(&desk.plan, &desk.run);
    assert_eq!(
        (next.verb, next.command.contains("abandon")),
        (workflow::VerbKind::Abandon, true),
        "{next:?}"
    );
    desk.must(Verb::Abandon);
    assert_eq!(desk.run.outcome, Some(Outcome::Abandoned));
    assert!(desk.run.capture.is_none());
}
