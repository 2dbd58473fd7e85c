//! Looks at single keys whose change on the secondary nothing of ours explains.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use journal::{Cause, Lane};
use model::Key;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::verify::compare::Comparer;

/// Keys audited together.
const BATCH: usize = 128;

/// The worker. A key that differs at rest was written by somebody else: the authority's state is
/// copied over it, and it is counted (`EXO-ENG-009`). Expiry on both sides ends as equal.
pub(crate) async fn audit(engine: Arc<Engine>) {
    engine.until_ready().await;
    let mut comparer = Comparer::new(&engine);
    loop {
        let keys = take(&engine);
        if keys.is_empty() {
            engine.verify.bell.notified().await;
            // Let what made the change settle, and collect its neighbours.
            tokio::time::sleep(engine.parts.config.verify_pause).await;
            continue;
        }
        if engine.parts.journal.uncertain() {
            give_back(&engine, keys);
            tokio::time::sleep(engine.parts.config.verify_pause).await;
            continue;
        }
        let journal = &engine.parts.journal;
        let (busy, still): (Vec<_>, Vec<_>) = keys.into_iter().partition(|k| journal.is_busy(k));
        let later = match comparer.digests(&still).await {
            Ok(pairs) => {
                let differ = still.into_iter().zip(pairs).filter(|(_, [a, b])| a != b);
                let (moving, foreign): (Vec<_>, Vec<_>) =
                    differ.map(|(key, _)| key).partition(|key| journal.is_busy(key));
                overwrite(&engine, foreign);
                busy.into_iter().chain(moving).collect::<Vec<_>>()
            }
            Err(_) => busy.into_iter().chain(still).collect(),
        };
        let wait = !later.is_empty();
        give_back(&engine, later);
        if wait {
            tokio::time::sleep(engine.parts.config.verify_pause).await;
        }
    }
}

fn take(engine: &Engine) -> Vec<Key> {
    let mut state = engine.verify.state.lock();
    let some: Vec<Key> = state.suspects.iter().take(BATCH).cloned().collect();
    for key in &some {
        state.suspects.remove(key);
    }
    state.auditing = some.len();
    some
}

fn give_back(engine: &Engine, keys: Vec<Key>) {
    let mut state = engine.verify.state.lock();
    state.suspects.extend(keys);
    state.auditing = 0;
}

fn overwrite(engine: &Engine, keys: Vec<Key>) {
    if keys.is_empty() {
        return;
    }
    engine.totals.foreign.fetch_add(keys.len() as u64, Ordering::Relaxed);
    let first = engine.parts.family.show_key(&keys[0]);
    tracing::warn!(
        code = "EXO-ENG-009",
        records = keys.len(),
        first,
        "somebody else writes to the secondary"
    );
    engine.parts.journal.stale(keys, Lane::Bulk, Cause::Scan, None, Instant::now().into_std());
}
