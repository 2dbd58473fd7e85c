//! Copying history and following live changes.

mod rig;

use std::time::Duration;

use engine::{Config, Filter, WorkState};
use family::Trouble;
use family_fake::{Call, Fault, Gate, Value};
use model::{ConflictPolicy, Side};
use rig::{Rig, key, quick, value};

#[tokio::test(start_paused = true)]
async fn history_and_live_writes_end_equal() {
    let rig = Rig::new(quick());
    for i in 0..500 {
        rig.source.put(&key(&format!("old:{i}")), value("old"));
    }
    rig.start().await;
    rig.engine.start_backfill(Filter::default()).expect("the policy is built");
    for i in 0..300 {
        rig.write(&format!("old:{}", i * 7 % 500), &format!("new {i}")).await;
        rig.delete(&format!("old:{}", i * 3 % 500)).await;
        rig.source.put(&key(&format!("foreign:{i}")), value("by somebody else"));
    }
    rig.until_in_step().await;
    rig.assert_equal().await;
    let status = rig.engine.status();
    assert_eq!(status.backfill.state, WorkState::Done);
    assert_eq!(status.backfill.records_done, status.backfill.records_total);
    assert!(status.undo.ready, "{:?}", status.in_step);
    assert_eq!(status.undo.writes_at_risk, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_once_the_secondary_has_its_write() {
    let rig = Rig::following(quick()).await;
    for i in 0..50 {
        let settlement = rig.write("a", &i.to_string()).await;
        rig.journal.copied(settlement).await;
        assert_eq!(rig.target.get(&key("a")), value(&i.to_string()));
        assert!(!rig.journal.unsettled(&key("other")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_moves_while_it_is_copied_is_copied_again() {
    let rig = Rig::following(quick()).await;
    let gate = Gate::new();
    rig.target.faults.script(Call::Apply, 0, Fault::HoldAnswer(gate.clone()));
    rig.write("a", "1").await;
    gate.arrived().await;
    // Silently, but for the feed.
    rig.source.put(&key("a"), value("2"));
    gate.release();
    rig.assert_equal().await;
    assert_eq!(rig.target.get(&key("a")), value("2"));
    assert!(rig.engine.status().totals.moved > 0);
}

#[tokio::test(start_paused = true)]
async fn an_apply_whose_answer_was_lost_cannot_run_after_its_successor() {
    let rig = Rig::following(quick()).await;
    rig.target.faults.script(Call::Apply, 0, Fault::Zombie);
    // The server cannot be asked for a while.
    for _ in 0..6 {
        rig.target.faults.script(Call::Reap, 0, Fault::Error(Trouble::Unreachable));
    }
    rig.write("a", "1").await;
    rig.until("quarantine", || rig.engine.status().sides[1].quarantined == 1).await;
    rig.write("a", "2").await;
    assert!(rig.engine.status().depth.live > 0, "its key is not copied before the proof");
    assert!(rig.engine.drain(Duration::from_millis(1)).await.is_err());
    rig.assert_equal().await;
    assert_eq!(rig.target.run_zombies(), 0, "it was killed");
    assert_eq!(rig.target.get(&key("a")), value("2"));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_server_is_abandoned_and_its_apply_killed() {
    let rig = Rig::following(quick()).await;
    let gate = Gate::new();
    rig.target.faults.script(Call::Apply, 0, Fault::Hold(gate.clone()));
    rig.write("a", "1").await;
    gate.arrived().await;
    rig.write("a", "2").await;
    rig.assert_equal().await;
    gate.release();
    assert_eq!(rig.target.run_zombies(), 0);
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn one_poison_record_is_parked_and_the_others_flow() {
    let rig = Rig::following(quick()).await;
    rig.target.reject(&key("poison"), true);
    for i in 0..100 {
        rig.write(&format!("k{i}"), "x").await;
        rig.write("poison", &i.to_string()).await;
    }
    rig.until("parked", || rig.engine.status().depth.parked == 1).await;
    rig.until("drained", || rig.engine.status().depth.drained()).await;
    let status = rig.engine.status();
    assert_eq!(status.parked[0].0, key("poison"));
    assert_eq!(status.parked[0].1.attempts, quick().reject_attempts);
    assert!(status.in_step.reasons.iter().any(|(word, _)| *word == "parked"));
    assert!(rig.journal.unsettled(&key("poison")));
    for i in 0..100 {
        assert_eq!(rig.target.get(&key(&format!("k{i}"))), value("x"));
    }
    rig.target.reject(&key("poison"), false);
    assert!(rig.engine.unpark(&key("poison"), true));
    rig.until_in_step().await;
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_secondary_that_is_down_or_full_costs_lag_and_nothing_else() {
    let rig = Rig::following(quick()).await;
    rig.target.set_down(true);
    for i in 0..100 {
        rig.write(&format!("k{i}"), "x").await;
    }
    rig.until("the breaker opens", || {
        rig.engine.in_step().reasons.iter().any(|(word, _)| *word == "side_down")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(rig.engine.status().lag_ms >= 4_000);
    rig.target.set_down(false);
    rig.until_in_step().await;
    rig.target.set_full(true);
    rig.write("big", "x").await;
    rig.until("it fails", || rig.engine.status().sides[1].last_error.is_some()).await;
    rig.target.set_full(false);
    rig.until_in_step().await;
    rig.assert_equal().await;
    assert!(rig.engine.status().totals.retries > 0);
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_move_is_named_after_a_minute() {
    let rig = Rig::following(quick()).await;
    rig.target.set_down(true);
    rig.write("a", "1").await;
    assert!(rig.engine.status().stalled.is_none());
    tokio::time::sleep(Duration::from_secs(70)).await;
    let stalled = rig.engine.status().stalled.expect("a stall is named");
    assert!(stalled.contains("EXO-ENG-007") && stalled.contains("target"), "{stalled}");
    rig.target.set_down(false);
    rig.until_in_step().await;
    assert!(rig.engine.status().stalled.is_none());
}

#[tokio::test(start_paused = true)]
async fn authority_moves_there_and_back_under_writes() {
    let rig = Rig::following(quick()).await;
    for round in 0..6 {
        for i in 0..40 {
            rig.write(&format!("k{}", i % 13), &format!("{round}.{i}")).await;
        }
        rig.flip().await;
        rig.assert_equal().await;
    }
    assert_eq!(rig.authority(), Side::Source);
    rig.until_in_step().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_applied_while_a_hold_lives() {
    let rig = Rig::following(quick()).await;
    let held = rig.engine.drain_and_hold(Duration::from_secs(5)).await;
    let (_, hold) = held.unwrap_or_else(|not| panic!("{not}"));
    rig.source.put(&key("a"), value("1"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.target.get(&key("a")), None);
    drop(hold);
    rig.assert_equal().await;
    assert_eq!(rig.target.get(&key("a")), value("1"));
}

#[tokio::test(start_paused = true)]
async fn the_conflict_policy_decides_about_history_only_and_only_once() {
    for policy in [ConflictPolicy::Fail, ConflictPolicy::KeepTarget, ConflictPolicy::Overwrite] {
        let rig = Rig::new(Config { conflict: policy, ..quick() });
        for name in ["both", "both, and written", "source only"] {
            rig.source.put(&key(name), value("source"));
        }
        for name in ["both", "both, and written", "target only"] {
            rig.target.put(&key(name), value("target"));
        }
        rig.start().await;
        rig.until("ready", || {
            !rig.engine.in_step().reasons.iter().any(|(word, _)| *word == "starting")
        })
        .await;
        let settlement = rig.write("both, and written", "live").await;
        rig.journal.copied(settlement).await;
        rig.engine.start_backfill(Filter::default()).expect("the policy is built");
        rig.until("copied", || rig.engine.status().backfill.state == WorkState::Done).await;
        let now = |name: &str| rig.target.get(&key(name));
        assert_eq!(now("both, and written"), value("live"), "{policy}: a live write follows");
        assert_eq!(now("source only"), value("source"));
        assert_eq!(now("target only"), value("target"));
        let totals = rig.engine.status().totals;
        let (both, counts) = match policy {
            ConflictPolicy::Overwrite => ("source", (0, 0)),
            ConflictPolicy::KeepTarget => ("target", (1, 0)),
            _ => ("target", (0, 1)),
        };
        assert_eq!(now("both"), value(both), "{policy}");
        assert_eq!((totals.conflicts_kept, totals.conflicts_failed), counts, "{policy}");
        let parked = rig.engine.status().parked;
        assert_eq!(parked.iter().any(|(_, p)| p.code == "EXO-ENG-002"), counts.1 == 1);
        // The record's later changes follow, whatever was decided about its history.
        rig.write("both", "later").await;
        rig.until("it follows", || now("both") == value("later")).await;
    }
    let rig = Rig::new(Config { conflict: ConflictPolicy::Merge, ..quick() });
    rig.start().await;
    let refused = rig.engine.start_backfill(Filter::default()).expect_err("it is not built");
    assert_eq!(refused.code(), "EXO-ENG-005");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_goes_on_where_a_crash_left_it() {
    let mut rig =
        Rig::new(Config { bulk_rate_max: Some(500), bulk_outstanding_max: 32, ..quick() });
    for i in 0..2_000 {
        rig.source.put(&key(&format!("{i:05}")), value("x"));
    }
    rig.start().await;
    rig.engine.start_backfill(Filter::default()).expect("the policy is built");
    rig.until("half", || rig.engine.status().backfill.records_done > 900).await;
    assert_eq!(rig.engine.status().throttle.reason, "rate");
    rig.crash().await;
    rig.start().await;
    rig.engine.start_backfill(Filter::default()).expect("the policy is built");
    let resumed = rig.engine.status().backfill.records_done;
    assert!(resumed > 700, "began anew: {resumed}");
    rig.until_in_step().await;
    rig.assert_equal().await;
    let again = rig.engine.status().totals.copied;
    assert!(again < 1_400, "{again} records were copied again");
    rig.crash().await;
    rig.start().await;
    assert_eq!(rig.engine.status().backfill.state, WorkState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_paused_backfill_leaves_live_changes_alone() {
    let rig = Rig::new(Config { bulk_outstanding_max: 16, ..quick() });
    for i in 0..2_000 {
        rig.source.put(&key(&format!("{i}")), value("x"));
    }
    rig.start().await;
    rig.engine.pause_backfill();
    rig.engine.start_backfill(Filter::default()).expect("the policy is built");
    let settlement = rig.write("live", "1").await;
    rig.journal.copied(settlement).await;
    assert_eq!(rig.target.get(&key("live")), value("1"));
    assert_eq!(rig.engine.status().backfill.state, WorkState::Paused);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(rig.target.records().len() < 100);
    rig.engine.resume_backfill();
    rig.until_in_step().await;
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn expiry_is_carried_over_and_needs_no_explanation() {
    let rig = Rig::following(quick()).await;
    let at = rig.source.now_ms() + 1_000;
    let expiring = Value { expires_at: Some(at), ..Value::plain(b"x") };
    let settlement = rig.put("a", Some(expiring.clone())).await;
    rig.journal.copied(settlement).await;
    assert_eq!(rig.target.get(&key("a")), Some(expiring));
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.assert_equal().await;
    assert_eq!(rig.target.get(&key("a")), None);
    assert_eq!(rig.engine.status().depth.parked, 0);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_backfill_begins_anew() {
    let rig = Rig::new(Config { bulk_rate_max: Some(200), bulk_outstanding_max: 32, ..quick() });
    for i in 0..400 {
        rig.source.put(&key(&format!("{i:03}")), value("x"));
    }
    rig.start().await;
    rig.engine.start_backfill(Filter::default()).expect("the policy is built");
    rig.until("some", || rig.engine.status().backfill.records_done > 50).await;
    rig.engine.forget_backfill().await.expect("the store works");
    let status = rig.engine.status().backfill;
    assert_eq!((status.state, status.records_done), (WorkState::Idle, 0));
    rig.engine.set_bulk_rate(None);
    rig.fill().await;
    assert_eq!(rig.engine.status().backfill.records_done, 400);
    rig.engine.forget_backfill().await.expect("the store works");
    rig.target.replace(Default::default());
    rig.fill().await;
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn only_what_the_filter_wants_is_moved() {
    let rig = Rig::new(quick());
    let wanted = |k: &model::Key| !k.as_bytes().ends_with(b"not");
    rig.engine.set_filter(Filter { keys: Some(std::sync::Arc::new(wanted)), ..Filter::default() });
    for name in ["a", "a not", "b", "b not"] {
        rig.source.put(&key(name), value("x"));
    }
    rig.start().await;
    let filter = Filter { keys: Some(std::sync::Arc::new(wanted)), ..Filter::default() };
    rig.engine.start_backfill(filter).expect("the policy is built");
    rig.write("c not", "x").await;
    rig.write("c", "x").await;
    rig.until_in_step().await;
    rig.until("followed", || rig.engine.status().depth.drained()).await;
    let moved: Vec<_> = rig.target.records().into_keys().collect();
    assert_eq!(moved, ["a", "b", "c"].map(key));
}

#[tokio::test(start_paused = true)]
async fn tenants_are_copied_from_whichever_side_decides_about_them() {
    let rig = Rig::new(Config { tenant_rule: Some("prefix::".into()), ..quick() });
    for name in ["one:a", "two:a", "nobody"] {
        rig.source.put(&key(name), value("history"));
    }
    rig.start().await;
    rig.fill().await;
    let mut table = (**rig.table.load()).clone();
    table.epoch = table.epoch.next();
    table.authority.moved.insert(model::Tenant::new(b"two"));
    rig.engine.open_feed(Side::Target).await.expect("it opens");
    rig.table.store(std::sync::Arc::new(table));
    for i in 0..50 {
        rig.source.put(&key("one:a"), value(&format!("source {i}")));
        rig.target.put(&key("two:a"), value(&format!("target {i}")));
        rig.target.put(&key(&format!("two:{i}")), value("new"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    rig.target.put(&key("two:7"), None);
    rig.engine.feed_fence(Side::Target, Duration::from_secs(5)).await.expect("it is open");
    rig.assert_equal().await;
    assert_eq!(rig.source.get(&key("two:a")), value("target 49"));
    assert_eq!(rig.target.get(&key("one:a")), value("source 49"));
    assert_eq!(rig.source.get(&key("two:7")), None);
    rig.until_in_step().await;
    rig.engine.close_feed(Side::Target).await;
    let words: Vec<_> = rig.engine.in_step().reasons.into_iter().map(|(word, _)| word).collect();
    assert_eq!(words, ["no_feed"], "both sides decide, both have to be heard");
}
