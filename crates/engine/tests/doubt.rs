//! Feeds, gaps, absences, unclean stops.

mod rig;

use std::time::Duration;

use engine::{FeedState, VerifyScope};
use family::Doubt;
use model::Side;
use rig::{Rig, key, quick, value};

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
async fn a_foreign_delete_is_believed_and_an_eviction_is_not() {
    let rig = seeded(50).await;
    rig.source.put(&key("k1"), None);
    rig.assert_equal().await;
    assert_eq!(rig.target.get(&key("k1")), None);
    rig.source.evict(&key("k2"));
    rig.until("asked", || rig.engine.status().depth.parked == 1).await;
    let status = rig.engine.status();
    assert_eq!(status.parked[0].0, key("k2"));
    assert_eq!(status.parked[0].1.code, "EXO-ENG-001");
    assert_eq!(status.sides[0].doubt, Some(Doubt::Evicted));
    assert_eq!(rig.target.get(&key("k2")), value("x"), "the other side keeps it");
    // A delete through an interlay explains itself, doubt or not.
    let settlement = rig.delete("k3").await;
    rig.journal.copied(settlement).await;
    assert_eq!(rig.target.get(&key("k3")), None);
    rig.engine.clear_doubt(Side::Source).await.expect("the store works");
    rig.until_in_step().await;
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_by_somebody_else_does_not_empty_the_other_side() {
    let rig = seeded(80).await;
    rig.source.flush();
    rig.until("asked", || rig.engine.status().depth.parked == 80).await;
    assert_eq!(rig.target.records().len(), 80);
    assert!(!rig.engine.in_step().is());
    assert_eq!(rig.engine.status().sides[0].doubt, Some(Doubt::Flushed));
}

#[tokio::test(start_paused = true)]
async fn a_flush_through_an_interlay_does() {
    let rig = seeded(80).await;
    let (ticket, marked) = rig.journal.begin(Vec::new(), true);
    if !marked {
        assert!(rig.journal.marked(&ticket).await);
    }
    rig.source.flush();
    let now = tokio::time::Instant::now().into_std();
    rig.journal.settle(ticket, journal::Outcome::Applied, now);
    assert!(rig.journal.unsettled(&key("k1")), "no read leaves the authority meanwhile");
    rig.until_in_step().await;
    rig.assert_equal().await;
    assert!(rig.target.records().is_empty());
    assert!(!rig.journal.unsettled(&key("k1")));
}

#[tokio::test(start_paused = true)]
async fn an_unnamed_write_is_covered_by_a_fence() {
    let rig = seeded(5).await;
    let (ticket, marked) = rig.journal.begin(vec![key("k0")], true);
    if !marked {
        assert!(rig.journal.marked(&ticket).await);
    }
    // A script that touched an undeclared record.
    rig.source.put(&key("undeclared"), value("1"));
    let now = tokio::time::Instant::now().into_std();
    rig.journal.settle(ticket, journal::Outcome::Applied, now);
    assert!(rig.engine.drain(Duration::ZERO).await.is_err());
    rig.assert_equal().await;
    assert_eq!(rig.target.get(&key("undeclared")), value("1"));
    assert!(!rig.journal.anything_pending());
}

#[tokio::test(start_paused = true)]
async fn what_a_gap_hid_is_found() {
    let rig = seeded(60).await;
    for i in 0..30 {
        rig.source.put(&key(&format!("k{i}")), value("hidden"));
        rig.source.put(&key(&format!("new{i}")), value("hidden"));
        rig.source.put(&key(&format!("k{}", i + 30)), None);
    }
    rig.source.gap(Doubt::ConnectionOnly);
    rig.until("noticed", || rig.engine.status().totals.gaps == 1).await;
    assert!(rig.journal.unsettled(&key("k59")));
    assert!(rig.engine.status().verify.required.is_some());
    rig.until_in_step().await;
    rig.assert_equal().await;
    rig.engine.start_verify(VerifyScope::All).expect("none runs");
    rig.until("verified", || rig.engine.status().verify.last.is_some()).await;
    assert!(rig.engine.status().verify.required.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lost_feed_opens_again_and_nothing_is_claimed_meanwhile() {
    let rig = seeded(30).await;
    rig.source.set_down(true);
    rig.until("it is noticed", || {
        matches!(rig.engine.status().sides[0].feed, FeedState::Opening(_))
    })
    .await;
    assert!(rig.journal.uncertain());
    assert!(!rig.engine.in_step().is());
    assert!(rig.engine.feed_fence(Side::Source, Duration::from_secs(1)).await.is_err());
    rig.source.set_down(false);
    rig.source.put(&key("meanwhile"), value("1"));
    rig.until_in_step().await;
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_came_back_empty_takes_nothing_with_it() {
    let rig = seeded(40).await;
    rig.source.replace(Default::default());
    rig.until("asked", || rig.engine.status().depth.parked == 40).await;
    assert_eq!(rig.target.records().len(), 40);
    assert_eq!(rig.engine.status().sides[0].doubt, Some(Doubt::Replaced));
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_restarted_with_its_data_is_believed_again() {
    let rig = seeded(40).await;
    let records = rig.source.records();
    rig.source.replace(records);
    rig.until("it was noticed", || rig.engine.status().totals.gaps > 0).await;
    rig.until_in_step().await;
    assert_eq!(rig.engine.status().sides[0].doubt, None);
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_secondary_that_came_back_empty_is_filled_again() {
    let rig = seeded(40).await;
    rig.target.replace(Default::default());
    rig.write("k1", "new").await;
    rig.until_in_step().await;
    rig.assert_equal().await;
    assert_eq!(rig.target.records().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn somebody_else_on_the_secondary_is_noticed_and_overwritten() {
    let rig = seeded(20).await;
    rig.engine.open_feed(Side::Target).await.expect("it opens");
    rig.write("k1", "ours").await;
    rig.target.put(&key("k2"), value("rogue"));
    rig.until("counted", || rig.engine.status().totals.foreign_on_secondary == 1).await;
    rig.until_in_step().await;
    rig.assert_equal().await;
    assert!(rig.engine.status().totals.echoes > 0);
    assert_eq!(rig.engine.status().totals.foreign_on_secondary, 1, "our copies are echoes");
    rig.target.put(&key("only here"), value("rogue"));
    rig.until("asked", || rig.engine.status().depth.parked == 1).await;
    assert!(rig.target.get(&key("only here")).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unclean_stop_rechecks_what_was_marked() {
    let mut rig = seeded(200).await;
    rig.target.set_down(true);
    for i in 0..20 {
        rig.write(&format!("k{i}"), "written before the crash").await;
        rig.delete(&format!("k{}", i + 20)).await;
        rig.write(&format!("new{i}"), "1").await;
    }
    rig.crash().await;
    rig.target.set_down(false);
    assert!(!rig.journal.markers().set_buckets().is_empty());
    rig.start().await;
    assert!(rig.journal.unsettled(&key("k1")), "uncertain until looked at");
    rig.until_in_step().await;
    rig.assert_equal().await;
    let copied = rig.engine.status().totals.copied;
    assert!(copied < 150, "only marked buckets are looked at: {copied}");
}

#[tokio::test(start_paused = true)]
async fn markers_are_cleared_when_quiet_and_set_again_in_time() {
    let rig = seeded(20).await;
    rig.write("k1", "1").await;
    assert!(!rig.progress.markers().is_empty());
    rig.until("cleared", || rig.progress.markers().is_empty()).await;
    rig.write("k1", "2").await;
    assert!(!rig.progress.markers().is_empty(), "durable before the write was sent");
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_process_cannot_write_after_the_new_one_began() {
    let mut rig = seeded(10).await;
    rig.target.faults.script(family_fake::Call::Apply, 0, family_fake::Fault::Zombie);
    for _ in 0..1_000 {
        let down = family_fake::Fault::Error(family::Trouble::Unreachable);
        rig.target.faults.script(family_fake::Call::Reap, 0, down);
    }
    rig.write("k1", "old process").await;
    rig.until("sent", || rig.target.zombies() == 1).await;
    rig.crash().await;
    rig.start().await;
    rig.write("k1", "new process").await;
    rig.assert_equal().await;
    rig.target.run_zombies();
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn another_engine_on_the_same_journal_takes_over_its_leases() {
    let mut rig = seeded(10).await;
    rig.target.faults.script(family_fake::Call::Apply, 0, family_fake::Fault::Zombie);
    for _ in 0..300 {
        let down = family_fake::Fault::Error(family::Trouble::Unreachable);
        rig.target.faults.script(family_fake::Call::Reap, 0, down);
    }
    rig.write("k1", "1").await;
    rig.until("sent", || rig.target.zombies() == 1).await;
    rig.replace_engine().await;
    assert_eq!(rig.journal.depth().live, 1, "the old engine never learnt how it ended");
    rig.start().await;
    rig.until_in_step().await;
    assert_eq!(rig.target.run_zombies(), 0, "it was killed before the key was copied again");
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn an_evicting_authority_fills_no_list_without_end() {
    let rig = Rig::new(quick());
    let many = engine::PARKED_MAX + 500;
    for i in 0..many {
        rig.source.put(&key(&format!("k{i}")), value("x"));
    }
    rig.start().await;
    rig.fill().await;
    rig.source.evict(&key("k0"));
    for i in 1..many {
        rig.source.put(&key(&format!("k{i}")), None);
    }
    rig.until("settled", || {
        let status = rig.engine.status();
        status.depth.live == 0 && status.totals.absences_left > 0
    })
    .await;
    let status = rig.engine.status();
    assert!(status.depth.parked >= engine::PARKED_MAX);
    assert!(status.depth.parked < many);
    assert!(status.verify.required.is_some());
    assert_eq!(rig.target.records().len(), many, "the other side keeps every record");
}
