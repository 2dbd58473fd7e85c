//! Scans, fenced reads, digests, descriptions.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Image, Key, Side};

use super::{PATIENCE, Stage, ok};
use crate::Moved;

const SIDES: [Side; 2] = [Side::Source, Side::Target];

pub(super) async fn a_scan_names_every_record_that_stays(stage: &Stage) {
    let names: Vec<String> = (0..150).map(|i| format!("stay:{i}")).collect();
    for name in &names {
        stage.write(Side::Source, name, "value").await;
    }
    let stay: BTreeSet<Key> = names.iter().map(|name| stage.key(name)).collect();
    for limit in [1, 10, 1_000] {
        let mut seen = BTreeSet::new();
        for dataset in stage.datasets(Side::Source).await {
            let mut from = None;
            let mut calls = 0;
            loop {
                let database = stage.database(Side::Source);
                let chunk = ok("scan", database.scan(&dataset, from.as_ref(), limit).await);
                seen.extend(chunk.keys);
                // Others come and go meanwhile.
                stage.write(Side::Source, &format!("go:{limit}:{calls}"), "value").await;
                if calls > 0 {
                    stage.delete(Side::Source, &format!("go:{limit}:{}", calls - 1)).await;
                }
                calls += 1;
                assert!(calls < 100_000, "the scan does not end");
                let Some(next) = chunk.next else { break };
                from = Some(next);
            }
        }
        let missed: Vec<_> = stay.difference(&seen).collect();
        assert!(missed.is_empty(), "a scan by {limit} missed {missed:?}");
    }
}

pub(super) async fn a_fenced_read_confirms_what_did_not_move(stage: &Stage) {
    for side in SIDES {
        stage.write(side, "a", "1").await;
        stage.write(side, "b", "2").await;
        let keys = ["a", "absent", "b"].map(|name| stage.key(name));
        let mut reader = ok("reader", stage.database(side).reader().await);
        for _ in 0..3 {
            let records = ok("read", reader.read(&keys).await);
            let read: Vec<_> = records.iter().map(|r| r.key.clone()).collect();
            assert_eq!(read, keys, "records come in the order asked for");
            assert!(matches!(records[0].image, Image::Present { .. }));
            assert_eq!(records[1].image, Image::Absent);
            // Something else moves.
            stage.write(side, "other", "x").await;
            assert_eq!(ok("confirm", reader.confirm().await), Moved::None, "nothing read moved");
        }
        let empty = ok("read", reader.read(&[]).await);
        assert!(empty.is_empty());
        assert_eq!(ok("confirm", reader.confirm().await), Moved::None);
    }
}

pub(super) async fn a_fenced_read_tells_every_kind_of_move(stage: &Stage) {
    for side in SIDES {
        for kind in ["other value", "same value", "delete", "create", "expire", "rename", "flush"] {
            stage.write(side, "still", "1").await;
            stage.write(side, "moves", "1").await;
            stage.delete(side, "new").await;
            if kind == "expire" && !stage.puppet(side).expire("moves", SHORT).await {
                continue;
            }
            let keys = ["still", "moves", "new"].map(|name| stage.key(name));
            let mut reader = ok("reader", stage.database(side).reader().await);
            ok("read", reader.read(&keys).await);
            match kind {
                "other value" => stage.write(side, "moves", "2").await,
                "same value" => stage.write(side, "moves", "1").await,
                "delete" => stage.delete(side, "moves").await,
                "create" => stage.write(side, "new", "1").await,
                "expire" => until_gone(stage, side, "moves").await,
                "rename" if !stage.puppet(side).rename("moves", "new").await => continue,
                "flush" if !stage.puppet(side).flush().await => continue,
                _ => {}
            }
            let moved = match ok("confirm", reader.confirm().await) {
                Moved::None => false,
                Moved::Some => true,
                Moved::Keys(keys) => keys.iter().any(|k| *k != stage.key("still")),
            };
            assert!(moved, "a fenced read on the {side} did not tell: {kind}");
            // The next fence begins anew.
            ok("read", reader.read(&keys).await);
            assert_eq!(ok("confirm", reader.confirm().await), Moved::None, "after {kind}");
        }
    }
}

pub(super) async fn a_turn_confirms_the_read_before_and_fences_the_next(stage: &Stage) {
    for side in SIDES {
        for name in ["a", "b"] {
            stage.write(side, name, "1").await;
        }
        let (a, b) = ([stage.key("a")], [stage.key("b")]);
        let mut reader = ok("reader", stage.database(side).reader().await);
        ok("read", reader.read(&a).await);
        // What is read next may have moved: it is no part of the fence before.
        stage.write(side, "b", "2").await;
        let (moved, records) = ok("turn", reader.turn(&b).await);
        assert_eq!((moved, records[0].key.clone()), (Moved::None, b[0].clone()));
        // What was read before may move: it is no part of the fence any more.
        stage.write(side, "a", "2").await;
        let (moved, _) = ok("turn", reader.turn(&a).await);
        assert_eq!(moved, Moved::None, "only the last read is fenced");
        stage.write(side, "a", "3").await;
        let (moved, _) = ok("turn", reader.turn(&b).await);
        assert_ne!(moved, Moved::None, "a turn missed a change of the {side}");
        assert_eq!(ok("confirm", reader.confirm().await), Moved::None);
    }
}

/// Long enough to be read before, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

async fn until_gone(stage: &Stage, side: Side, name: &str) {
    let began = tokio::time::Instant::now();
    while stage.puppet(side).read(name).await.is_some() {
        assert!(began.elapsed() < PATIENCE, "`{name}` does not expire on the {side}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn digests_are_equal_exactly_for_equal_records(stage: &Stage) {
    for (name, source, target) in
        [("same", "x", "x"), ("other", "x", "y"), ("longer", "x", "xx"), ("empty", "", "x")]
    {
        stage.write(Side::Source, name, source).await;
        stage.write(Side::Target, name, target).await;
    }
    stage.write(Side::Source, "expiring", "x").await;
    stage.write(Side::Target, "expiring", "x").await;
    let expires = stage.puppet(Side::Target).expire("expiring", Duration::from_secs(3_600)).await;
    let keys = ["same", "other", "longer", "empty", "expiring", "absent"].map(|n| stage.key(n));
    let mut sides = Vec::new();
    for side in SIDES {
        let mut reader = ok("reader", stage.database(side).reader().await);
        let digests = ok("digest", reader.digest(&keys).await);
        assert_eq!(digests, ok("digest", reader.digest(&keys).await), "a digest is stable");
        assert_eq!(digests.len(), keys.len());
        assert!(digests[..5].iter().all(Option::is_some));
        assert!(digests[5].is_none(), "an absent record has no digest");
        sides.push(digests);
    }
    assert_eq!(sides[0][0], sides[1][0], "equal records have equal digests on both sides");
    for (index, name) in ["other", "longer", "empty"].iter().enumerate() {
        assert_ne!(sides[0][index + 1], sides[1][index + 1], "`{name}` differs");
    }
    if expires {
        assert_ne!(sides[0][4], sides[1][4], "an expiry is part of a record");
    }
}

pub(super) async fn a_description_shows_no_value(stage: &Stage) {
    stage.write(Side::Source, "secret", "hunter2-swordfish").await;
    let mut reader = ok("reader", stage.database(Side::Source).reader().await);
    let keys = ["secret", "absent"].map(|n| stage.key(n));
    let shown = ok("describe", reader.describe(&keys).await);
    assert_eq!(shown.len(), 2);
    assert!(!shown[0].contains("hunter2") && !shown[0].contains("swordfish"), "{}", shown[0]);
    assert_ne!(shown[0], shown[1]);
}
