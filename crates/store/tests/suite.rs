//! One suite, run against every store.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use store::{
    Batch, Change, EventQuery, Kind, MemoryStore, NewAudit, NewEvent, Options, SqliteStore, Store,
    StoreError,
};

fn put(id: &str, version: u64, expect: Option<u64>, body: &[u8]) -> Change {
    Change::Put {
        kind: Kind::Run,
        scope: "m".to_owned(),
        id: id.to_owned(),
        version,
        expect,
        body: body.to_vec(),
    }
}

fn event(scope: &str, kind: &str) -> Change {
    Change::Event(NewEvent {
        scope: scope.to_owned(),
        at_ms: 1,
        kind: kind.to_owned(),
        payload: "{}".to_owned(),
    })
}

fn audit(action: &str) -> Change {
    Change::Audit(NewAudit {
        scope: "m".to_owned(),
        at_ms: 1,
        actor: "ann".to_owned(),
        action: action.to_owned(),
        reason: String::new(),
        payload: "{}".to_owned(),
    })
}

/// Opens a store; the second argument says whether to open it again as after a restart.
struct Bench {
    directory: tempfile::TempDir,
    memory: Option<Arc<MemoryStore>>,
}

impl Bench {
    fn each() -> [Self; 2] {
        let new = |memory| Self { directory: tempfile::tempdir().unwrap(), memory };
        [new(Some(Arc::new(MemoryStore::new()))), new(None)]
    }

    fn open(&self) -> Arc<dyn Store> {
        match &self.memory {
            Some(memory) => Arc::clone(memory) as Arc<dyn Store>,
            None => SqliteStore::open(self.directory.path(), &Options::default()).unwrap(),
        }
    }
}

#[tokio::test]
async fn documents_are_kept_replaced_and_removed() {
    for bench in Bench::each() {
        let store = bench.open();
        store.commit(Batch::decision(vec![put("a", 1, None, b"one")])).await.unwrap();
        store.commit(Batch::decision(vec![put("a", 2, Some(1), b"two")])).await.unwrap();
        store.commit(Batch::data(vec![put("b", 7, Some(0), b"bee")])).await.unwrap();
        drop(store);
        let store = bench.open();
        let a = store.get(Kind::Run, "m", "a").await.unwrap().unwrap();
        assert_eq!((a.version, a.body.as_slice()), (2, &b"two"[..]));
        let ids = |docs: Vec<store::Doc>| docs.into_iter().map(|d| d.id).collect::<Vec<_>>();
        assert_eq!(ids(store.list(Kind::Run, Some("m"), None, 9).await.unwrap()), ["a", "b"]);
        assert_eq!(ids(store.list(Kind::Run, Some("m"), Some("a"), 9).await.unwrap()), ["b"]);
        assert_eq!(ids(store.list(Kind::Run, None, None, 1).await.unwrap()), ["a"]);
        assert!(store.list(Kind::Run, Some("other"), None, 9).await.unwrap().is_empty());
        store.commit(Batch::data(vec![Change::delete(Kind::Run, "m", "a")])).await.unwrap();
        store.commit(Batch::data(vec![Change::delete(Kind::Run, "m", "a")])).await.unwrap();
        assert_eq!(store.get(Kind::Run, "m", "a").await.unwrap(), None);
        let expire = Change::Expire { kind: Kind::Run, below: 8 };
        store.commit(Batch::data(vec![expire])).await.unwrap();
        assert_eq!(store.get(Kind::Run, "m", "b").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_stale_version_refuses_the_whole_batch_and_nothing_else() {
    for bench in Bench::each() {
        let store = bench.open();
        store.commit(Batch::decision(vec![put("a", 5, None, b"five")])).await.unwrap();
        let stale = Batch::decision(vec![event("m", "lost"), put("a", 6, Some(4), b"six")]);
        let fine = Batch::decision(vec![event("m", "kept")]);
        let (stale, fine) = tokio::join!(store.commit(stale), store.commit(fine));
        assert!(matches!(stale, Err(StoreError::Conflict { expected: 4, found: 5 })), "{stale:?}");
        fine.unwrap();
        let events = store.events(EventQuery { limit: 9, ..Default::default() }).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event.kind, "kept");
        let exists = store.commit(Batch::decision(vec![put("a", 6, Some(0), b"")])).await;
        assert!(matches!(exists, Err(StoreError::Conflict { expected: 0, found: 5 })));
    }
}

#[tokio::test]
async fn events_are_numbered_and_followed() {
    for bench in Bench::each() {
        let store = bench.open();
        let mut newest = store.newest_event();
        let done = store
            .commit(Batch::decision(vec![event("m", "x"), event("n", "y"), event("m", "z")]))
            .await
            .unwrap();
        assert_eq!(done.events, [1, 2, 3]);
        newest.changed().await.unwrap();
        assert_eq!(*newest.borrow_and_update(), 3);
        let query = |after, limit, newest| EventQuery {
            scope: Some("m".to_owned()),
            kind: None,
            after,
            limit,
            newest,
        };
        let ids = |events: Vec<store::Event>| events.into_iter().map(|e| e.id).collect::<Vec<_>>();
        assert_eq!(ids(store.events(query(0, 9, false)).await.unwrap()), [1, 3]);
        assert_eq!(ids(store.events(query(1, 9, false)).await.unwrap()), [3]);
        assert_eq!(ids(store.events(query(0, 1, true)).await.unwrap()), [3]);
        drop(store);
        let store = bench.open();
        assert_eq!(*store.newest_event().borrow(), 3);
        let done = store.commit(Batch::data(vec![event("m", "w")])).await.unwrap();
        assert_eq!(done.events, [4]);
    }
}

#[tokio::test]
async fn the_audit_log_is_chained() {
    for bench in Bench::each() {
        let store = bench.open();
        store.commit(Batch::decision(vec![audit("start"), audit("advance")])).await.unwrap();
        store.commit(Batch::decision(vec![audit("rollback")])).await.unwrap();
        let entries = store.audit(None, 0, 9).await.unwrap();
        assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(entries[1].previous, entries[0].hash);
        assert_eq!(store.audit(Some("m"), 2, 9).await.unwrap().len(), 1);
        let verdict = store.verify_audit().await.unwrap();
        assert_eq!((verdict.entries, verdict.broken_at), (3, None));
    }
}

#[tokio::test]
async fn markers_and_samples() {
    for bench in Bench::each() {
        let store = bench.open();
        let set = |buckets: &[u16]| Change::SetMarkers {
            scope: "m".to_owned(),
            buckets: buckets.to_vec(),
        };
        store.commit(Batch::data(vec![set(&[0, 7, 16_383]), set(&[9])])).await.unwrap();
        let clear = Change::ClearMarkers { scope: "m".to_owned(), buckets: vec![7] };
        store.commit(Batch::data(vec![clear])).await.unwrap();
        drop(store);
        let store = bench.open();
        assert_eq!(store.markers("m").await.unwrap(), [0, 9, 16_383]);
        assert!(store.markers("n").await.unwrap().is_empty());
        for at_s in [100, 105, 110] {
            let sample =
                Change::Sample { scope: "m".to_owned(), at_s, body: vec![at_s as u8], keep_s: 5 };
            store.commit(Batch::data(vec![sample])).await.unwrap();
        }
        let rows = store.samples("m", 0, u64::MAX).await.unwrap();
        assert_eq!(rows, [(105, vec![105]), (110, vec![110])]);
    }
}

#[tokio::test]
async fn many_writers_at_once() {
    for bench in Bench::each() {
        let store = bench.open();
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    store.commit(Batch::data(vec![put(&format!("{n:02}"), 1, None, b"")])).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(store.list(Kind::Run, Some("m"), None, 99).await.unwrap().len(), 64);
    }
}
