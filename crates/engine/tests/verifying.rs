//! Comparing, the ledger, and repair.

mod rig;

use engine::{Config, Engine, RepairScope, Verified, VerifyScope, WorkState};
use family::Trouble;
use family_fake::{Call, Fault, Value};
use model::{Dataset, DivergenceClass, DivergenceState};
use rig::{Rig, key, quick, value};

async fn verify(rig: &Rig, scope: VerifyScope) -> Verified {
    rig.engine.start_verify(scope).expect("none runs");
    finished(rig).await
}

async fn finished(rig: &Rig) -> Verified {
    let state = |engine: &Engine| engine.status().verify.state;
    rig.until("verified", || state(&rig.engine) == WorkState::Done).await;
    rig.engine.status().verify.last.expect("it ended")
}

async fn seeded(records: usize) -> Rig {
    let rig = Rig::new(quick());
    for i in 0..records {
        rig.source.put(&key(&format!("k{i}")), value("x"));
    }
    rig.start().await;
    rig.fill().await;
    rig
}

#[tokio::test(start_paused = true)]
async fn equal_sides_are_clean_and_every_record_was_compared() {
    let rig = seeded(300).await;
    let verified = verify(&rig, VerifyScope::All).await;
    assert!(verified.clean && verified.finished, "{verified:?}");
    assert_eq!((verified.compared, verified.open), (300, 0));
    assert_eq!((verified.source_records, verified.target_records), (300, 300));
    let dataset = VerifyScope::Dataset(Dataset::new("d0"));
    assert_eq!(verify(&rig, dataset).await.compared, 300);
}

#[tokio::test(start_paused = true)]
async fn every_class_is_found_repaired_and_cleared_by_a_comparison() {
    let rig = seeded(50).await;
    let at = rig.source.now_ms() + 3_600_000;
    rig.target.put(&key("k1"), None);
    rig.target.put(&key("extra"), value("1"));
    rig.target.put(&key("k2"), value("other"));
    rig.target.put(&key("k3"), Some(Value { kind: "list".into(), ..Value::plain(b"x") }));
    rig.target.put(&key("k4"), Some(Value { expires_at: Some(at), ..Value::plain(b"x") }));
    let verified = verify(&rig, VerifyScope::All).await;
    assert!(!verified.clean);
    assert_eq!(verified.open, 5);
    let found: Vec<_> = rig
        .engine
        .divergences(Some(DivergenceState::Confirmed), 99)
        .into_iter()
        .map(|d| (d.key, d.class))
        .collect();
    let expect = [
        ("extra", DivergenceClass::ExtraOnTarget),
        ("k1", DivergenceClass::MissingOnTarget),
        ("k2", DivergenceClass::Value),
        ("k3", DivergenceClass::Type),
        ("k4", DivergenceClass::Ttl),
    ];
    assert_eq!(found, expect.map(|(name, class)| (key(name), class)));
    assert!(rig.engine.in_step().reasons.iter().any(|(word, _)| *word == "divergence"));

    let plan = rig.engine.repair(RepairScope::All, true).await.expect("both sides answer");
    assert_eq!((plan.records.len(), plan.removals, plan.done), (5, 1, false));
    assert_eq!(rig.target.get(&key("extra")), value("1"), "a dry run changes nothing");

    let plan = rig.engine.repair(RepairScope::All, false).await.expect("both sides answer");
    assert!(plan.done);
    let verified = finished(&rig).await;
    assert_eq!(verified.open, 0);
    assert_eq!(verified.scope, "suspects");
    assert_eq!(rig.engine.divergences(Some(DivergenceState::Repaired), 99).len(), 5);
    rig.until_in_step().await;
    rig.assert_equal().await;
    assert!(verify(&rig, VerifyScope::All).await.clean);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_difference_stays_and_a_healed_one_closes() {
    let rig = seeded(10).await;
    rig.target.put(&key("k1"), value("other"));
    rig.target.put(&key("k2"), value("other"));
    assert_eq!(verify(&rig, VerifyScope::All).await.open, 2);
    assert!(rig.engine.accept(&key("k1"), "known").await.expect("the store works"));
    assert!(!rig.engine.accept(&key("k9"), "unknown").await.expect("the store works"));
    rig.target.put(&key("k2"), value("x"));
    let verified = verify(&rig, VerifyScope::All).await;
    assert!(verified.clean, "{verified:?}");
    assert_eq!(rig.engine.divergences(Some(DivergenceState::Accepted), 9).len(), 1);
    assert_eq!(rig.engine.divergences(Some(DivergenceState::SelfHealed), 9).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_in_motion_are_no_divergence() {
    let rig = seeded(100).await;
    rig.engine.start_verify(VerifyScope::All).expect("none runs");
    let mut i = 0;
    while rig.engine.status().verify.state != WorkState::Done {
        rig.write(&format!("k{}", i % 100), &i.to_string()).await;
        i += 1;
        tokio::time::sleep(std::time::Duration::from_micros(500)).await;
    }
    let verified = rig.engine.status().verify.last.expect("it ended");
    assert_eq!(verified.open, 0, "{:?}", rig.engine.divergences(None, 9));
    assert!(i > 50);
}

#[tokio::test(start_paused = true)]
async fn an_empty_side_beside_a_full_one_is_never_equal() {
    let full = Rig::new(Config { feed_required: false, ..quick() });
    full.engine.start().await.expect("the store works");
    for i in 0..30 {
        full.source.put(&key(&format!("k{i}")), value("x"));
    }
    let verified = verify(&full, VerifyScope::All).await;
    assert!(!verified.clean);
    assert_eq!((verified.open, verified.source_records, verified.target_records), (30, 30, 0));
}

#[tokio::test(start_paused = true)]
async fn a_verify_outlives_errors_and_can_be_paused() {
    let rig = seeded(400).await;
    rig.engine.pause_verify();
    rig.engine.start_verify(VerifyScope::All).expect("none runs");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(rig.engine.status().verify.state, WorkState::Paused);
    assert_eq!(rig.engine.status().verify.compared, 0);
    let refused = rig.engine.start_verify(VerifyScope::All).expect_err("one runs");
    assert_eq!(refused.code(), "EXO-ENG-010");
    for call in [Call::Digest, Call::Scan, Call::Exists, Call::Inventory] {
        rig.target.faults.script(call, 1, Fault::Error(Trouble::Unreachable));
        rig.source.faults.script(call, 1, Fault::LoseAnswer);
    }
    rig.engine.resume_verify();
    let verified = finished(&rig).await;
    assert!(verified.clean, "{verified:?}");
    assert_eq!(verified.compared, 400);
}

#[tokio::test(start_paused = true)]
async fn findings_outlive_the_process() {
    let mut rig = seeded(10).await;
    rig.target.put(&key("k1"), value("other"));
    verify(&rig, VerifyScope::All).await;
    rig.crash().await;
    rig.start().await;
    assert_eq!(rig.engine.divergences(Some(DivergenceState::Confirmed), 9).len(), 1);
    assert_eq!(rig.engine.status().verify.last.map(|v| v.open), Some(1));
}
