//! Applying, reaping, and the fence of rights.

use std::time::Duration;

use model::{Image, Key, Record, Side};

use super::{Stage, can, ok};
use crate::{Applied, Writer};

async fn images(stage: &Stage, side: Side, keys: &[Key]) -> Vec<Record> {
    let mut reader = ok("reader", stage.database(side).reader().await);
    ok("read", reader.read(keys).await)
}

async fn apply(writer: &mut Box<dyn Writer>, records: &[Record]) {
    let applied = ok("apply", writer.apply(records).await);
    assert_eq!(applied.len(), records.len(), "one answer per record");
    for (applied, record) in applied.iter().zip(records) {
        if let Applied::Failed(error) = applied {
            panic!("{:?} was not applied: {error}", record.key);
        }
    }
}

async fn assert_equal(stage: &Stage, keys: &[Key], when: &str) {
    let mut sides = Vec::new();
    for side in [Side::Source, Side::Target] {
        let mut reader = ok("reader", stage.database(side).reader().await);
        sides.push(ok("digest", reader.digest(keys).await));
    }
    for ((key, source), target) in keys.iter().zip(&sides[0]).zip(&sides[1]) {
        assert_eq!(source, target, "{key:?} is not equal {when}");
    }
}

pub(super) async fn applying_makes_a_record_equal_in_any_repetition(stage: &Stage) {
    for (from, to) in [(Side::Source, Side::Target), (Side::Target, Side::Source)] {
        stage.write(from, "plain", "1").await;
        stage.write(from, "empty", "").await;
        stage.write(from, "expiring", "1").await;
        stage.puppet(from).expire("expiring", Duration::from_secs(3_600)).await;
        stage.write(to, "plain", "something else, and longer").await;
        stage.delete(from, "gone").await;
        stage.write(to, "gone", "1").await;
        let keys = ["plain", "empty", "expiring", "gone", "never"].map(|n| stage.key(n));
        let records = images(stage, from, &keys).await;
        let mut writer = ok("writer", stage.database(to).writer().await);
        apply(&mut writer, &records).await;
        assert_equal(stage, &keys, "after one application").await;
        apply(&mut writer, &records).await;
        assert_equal(stage, &keys, "after applying it again").await;
        assert_eq!(stage.puppet(to).read("plain").await.as_deref(), Some("1"));
        assert_eq!(stage.puppet(to).read("gone").await, None);
        apply(&mut writer, &[]).await;
    }
}

pub(super) async fn the_last_record_of_a_batch_wins(stage: &Stage) {
    let key = [stage.key("twice")];
    stage.write(Side::Source, "twice", "old").await;
    let old = images(stage, Side::Source, &key).await.remove(0);
    stage.write(Side::Source, "twice", "new").await;
    let new = images(stage, Side::Source, &key).await.remove(0);
    let gone = Record { key: key[0].clone(), image: Image::Absent };
    let mut writer = ok("writer", stage.database(Side::Target).writer().await);
    apply(&mut writer, &[gone.clone(), old.clone(), new.clone()]).await;
    assert_eq!(stage.puppet(Side::Target).read("twice").await.as_deref(), Some("new"));
    apply(&mut writer, &[new, old, gone]).await;
    assert_eq!(stage.puppet(Side::Target).read("twice").await, None);
}

pub(super) async fn exists_tells_what_is_there(stage: &Stage) {
    for side in [Side::Source, Side::Target] {
        stage.write(side, "here", "1").await;
        let mut writer = ok("writer", stage.database(side).writer().await);
        let keys = ["here", "nowhere"].map(|n| stage.key(n));
        assert_eq!(ok("exists", writer.exists(&keys).await), [true, false]);
        assert!(ok("exists", writer.exists(&[]).await).is_empty());
    }
}

pub(super) async fn an_abandoned_apply_is_dead_after_reaping(stage: &Stage) {
    let names: Vec<String> = (0..64).map(|i| format!("zombie:{i}")).collect();
    let keys: Vec<Key> = names.iter().map(|n| stage.key(n)).collect();
    for name in &names {
        stage.write(Side::Source, name, "from an abandoned apply").await;
    }
    let records = images(stage, Side::Source, &keys).await;
    for polls in 1..20 {
        let mut writer = ok("writer", stage.database(Side::Target).writer().await);
        {
            let mut call = writer.apply(&records);
            for _ in 0..polls {
                let once = std::future::poll_fn(|cx| {
                    std::task::Poll::Ready(call.as_mut().poll(cx).is_ready())
                });
                if once.await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        drop(writer);
        ok("reap", stage.database(Side::Target).reap().await);
        for name in &names {
            stage.write(Side::Target, name, "later").await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        for name in &names {
            let now = stage.puppet(Side::Target).read(name).await;
            assert_eq!(now.as_deref(), Some("later"), "an apply ran after it was reaped");
        }
    }
}

pub(super) async fn reaping_kills_older_boots_and_not_this_one(stage: &Stage) {
    let side = Side::Target;
    stage.write(Side::Source, "mine", "1").await;
    let records = images(stage, Side::Source, &[stage.key("mine")]).await;
    let mut ours = ok("writer", stage.database(side).writer().await);
    apply(&mut ours, &records).await;
    let mut older = ok("writer", stage.older[side.index()].writer().await);
    apply(&mut older, &records).await;
    let killed = ok("reap", stage.database(side).reap().await);
    assert!(killed > 0, "the older boot's connection was not found");
    apply(&mut ours, &records).await;
    assert_eq!(ok("reap", stage.database(side).reap().await), 0, "nothing was left");
}

pub(super) async fn a_fence_stops_others_and_not_us(stage: &Stage) {
    let side = Side::Source;
    let database = stage.database(side);
    stage.write(side, "fenced", "before").await;
    stage.write(Side::Target, "fenced", "ours").await;
    let records = images(stage, Side::Target, &[stage.key("fenced")]).await;
    let Some(record) = can("plan_fence", database.plan_fence().await) else { return };
    stage.write(side, "fenced", "planned only").await;
    // Lifting what was never set is fine.
    ok("lift", database.lift(&record).await);
    ok("fence", database.fence(&record).await);
    ok("fence", database.fence(&record).await);
    let refused = stage.puppet(side).write("fenced", "during").await;
    assert!(refused.is_err(), "a foreign client writes through the fence");
    assert_eq!(stage.puppet(side).read("fenced").await.as_deref(), Some("planned only"));
    let mut writer = ok("writer", database.writer().await);
    apply(&mut writer, &records).await;
    assert_eq!(stage.puppet(side).read("fenced").await.as_deref(), Some("ours"));
    ok("lift", database.lift(&record).await);
    ok("lift", database.lift(&record).await);
    stage.write(side, "fenced", "after").await;
}
