//! The road of whole transactions: copy beside the stream, crashes, flips, foreign writers.

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use family_fake::{Call, Fault, Server};
use model::{Key, Side};
use rig::{Rig, Rng, key, quick, value};
use routing::Freeze;

/// Names the load writes to.
const NAMES: u64 = 40;

/// Transfers between two records in one transaction, with inserts and removals between.
fn change(server: &Server, rng: &mut Rng) -> bool {
    let name = |n: u64| key(&format!("k{n:03}"));
    match rng.below(4) {
        0 => server.put(&name(rng.below(NAMES)), None),
        1 => server.put(&name(rng.below(NAMES)), value(&rng.next().to_string())),
        _ => {
            let text = rng.next().to_string();
            let both: Vec<(Key, _)> =
                [rng.below(NAMES), rng.below(NAMES)].map(|n| (name(n), value(&text))).into();
            server.commit(&both)
        }
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Load {
    fn on(server: &Arc<Server>, seed: u64) -> Self {
        let (stop, server) = (Arc::new(AtomicBool::new(false)), Arc::clone(server));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut rng, mut done) = (Rng(seed), 0);
            while !stopped.load(Ordering::SeqCst) {
                done += u64::from(change(&server, &mut rng));
                tokio::time::sleep(Duration::from_micros(200 + rng.below(400))).await;
            }
            done
        });
        Self { stop, task }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("the load does not panic")
    }
}

/// The secondary went through states of the authority only, each key's in their order.
fn assert_subsequence(rig: &Rig) {
    for n in 0..NAMES {
        let key = key(&format!("k{n:03}"));
        let ours = rig.source.history(&key);
        let mut rest = ours.iter();
        for state in rig.target.history(&key) {
            assert!(rest.any(|s| *s == state), "{key:?}: {state:?} came out of order");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn history_is_copied_beside_the_stream_through_crashes() {
    for seed in 0..20 {
        let mut rig = Rig::streaming(quick());
        let mut rng = Rng(seed);
        for n in 0..NAMES {
            rig.source.put(&key(&format!("k{n:03}")), value("history"));
        }
        rig.source.keep_history();
        rig.target.keep_history();
        let load = Load::on(&rig.source, seed);
        rig.start().await;
        rig.engine.start_backfill(engine::Filter::default()).unwrap();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(rng.below(15))).await;
            rig.target.faults.script(Call::Apply, 1, Fault::LoseAnswer);
            rig.crash().await;
            rig.start().await;
            rig.engine.start_backfill(engine::Filter::default()).unwrap();
        }
        rig.until_in_step().await;
        assert!(load.end().await > 0);
        rig.assert_equal().await;
        assert_subsequence(&rig);
    }
}

#[tokio::test(start_paused = true)]
async fn authority_moves_there_and_back_and_nothing_echoes() {
    let rig = Rig::streaming(quick());
    rig.start().await;
    rig.fill().await;
    for round in 0..6 {
        let load = Load::on(rig.server(rig.authority()), round);
        tokio::time::sleep(Duration::from_millis(60)).await;
        load.end().await;
        rig.flip().await;
        rig.assert_equal().await;
    }
    let totals = rig.engine.status().totals;
    assert_eq!((totals.foreign_on_secondary, totals.gaps), (0, 0), "{totals:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_the_flip_goes_on_where_the_other_direction_began() {
    let mut rig = Rig::streaming(quick());
    rig.start().await;
    rig.fill().await;
    rig.source.put(&key("before"), value("1"));
    rig.flip().await;
    rig.target.put(&key("after"), value("2"));
    rig.crash().await;
    rig.start().await;
    rig.target.put(&key("later"), value("3"));
    rig.assert_equal().await;
    assert_eq!(rig.source.get(&key("after")), value("2"));
    assert_eq!(rig.engine.status().totals.foreign_on_secondary, 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_where_nobody_should_is_named_and_overwritten() {
    let rig = Rig::streaming(quick());
    rig.start().await;
    rig.source.put(&key("k"), value("right"));
    rig.fill().await;
    // Its log is read from when it is opened on.
    rig.engine.open_feed(Side::Target).await.unwrap();
    rig.target.put(&key("k"), value("wrong"));
    rig.until("the foreign write", || rig.engine.status().totals.foreign_on_secondary > 0).await;
    rig.until("the repair", || rig.target.get(&key("k")) == value("right")).await;
    rig.until_in_step().await;
}

#[tokio::test(start_paused = true)]
async fn a_verify_finds_a_difference_at_rest_and_none_in_motion() {
    let rig = Rig::streaming(quick());
    rig.start().await;
    for n in 0..NAMES {
        rig.source.put(&key(&format!("k{n:03}")), value("same"));
    }
    rig.source.put(&key("odd"), value("right"));
    rig.fill().await;
    rig.target.put(&key("odd"), value("wrong"));
    let load = Load::on(&rig.source, 7);
    rig.engine.start_verify(engine::VerifyScope::All).unwrap();
    rig.until("the verdict", || rig.engine.status().verify.last.is_some()).await;
    load.end().await;
    let open = rig.engine.divergences(Some(model::DivergenceState::Confirmed), 10);
    let keys: Vec<_> = open.iter().map(|d| d.key.clone()).collect();
    assert_eq!(keys, [key("odd")], "{open:?}");
    let plan = rig.engine.repair(engine::RepairScope::All, false).await.unwrap();
    assert!(plan.done && plan.records.len() == 1, "{plan:?}");
    rig.until("the repair", || {
        rig.engine.divergences(None, 10).iter().all(|d| d.state == model::DivergenceState::Repaired)
    })
    .await;
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_copied_before_the_other_side_is_prepared() {
    let rig = Rig::streaming(quick());
    for n in 0..NAMES {
        rig.source.put(&key(&format!("k{n:03}")), value("history"));
    }
    rig.engine.start().await.unwrap();
    // Nobody has opened the feed: the copy itself has to see to it.
    rig.engine.start_backfill(engine::Filter::default()).unwrap();
    rig.until_in_step().await;
    rig.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_barrier_that_freezes_turns_the_directions_around() {
    let rig = Rig::streaming(quick());
    rig.start().await;
    rig.fill().await;
    let mut table = (**rig.table.load()).clone();
    table.freeze = Freeze::Writes;
    rig.table.store(Arc::new(table));
    // Without the other direction there is no way back, and so no way on.
    let held = rig.engine.drain_and_hold(Duration::from_secs(5)).await;
    assert!(held.is_err_and(|not| not.cause.contains("nothing is captured")));
    rig.engine.open_feed(Side::Target).await.unwrap();
    let held = rig.engine.drain_and_hold(Duration::from_secs(5)).await;
    assert!(held.is_ok());
}
