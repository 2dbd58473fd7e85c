//! Looks at single keys whose change on the secondary nothing of ours explains.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use journal::{Cause, Lane};
use model::Key;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::verify::compare::Comparer;

/// How often a pause looks whether a barrier waits.
const LOOK: Duration = Duration::from_millis(10);
/// Keys audited together.
const BATCH: usize = 128;

/// The worker. A key that differs at rest was written by somebody else: the authority's state is
/// copied over it, and it is counted (`EXO-ENG-009`). Expiry on both sides ends as equal.
pub(crate) async fn audit(engine: Arc<Engine>) {
    engine.until_ready().await;
    let mut comparer = Comparer::new(&engine);
    let mut differed: HashSet<Key> = HashSet::new();
    loop {
        let keys = take(&engine);
        if keys.is_empty() {
            differed.clear();
            engine.verify.bell.notified().await;
            // Let what made the change settle, and collect its neighbours.
            pause(&engine).await;
            continue;
        }
        if engine.parts.journal.uncertain() {
            give_back(&engine, keys);
            pause(&engine).await;
            continue;
        }
        let later = match comparer.at_rest(&keys).await {
            Ok(pairs) => {
                let (mut busy, mut differ) = (Vec::new(), Vec::new());
                for (key, pair) in keys.into_iter().zip(pairs) {
                    match pair {
                        None => busy.push(key),
                        Some([a, b]) if a != b => differ.push(key),
                        Some(_) => {
                            differed.remove(&key);
                        }
                    }
                }
                // A change may have come and gone between the two reads: only a difference that
                // is found twice at rest is somebody else's.
                let (again, foreign): (Vec<_>, Vec<_>) = differ.into_iter().partition(|key| {
                    engine.parts.journal.is_busy(key) || differed.insert(key.clone())
                });
                for key in &foreign {
                    differed.remove(key);
                }
                let lost = overwrite(&engine, foreign).await;
                busy.into_iter().chain(again).chain(lost).collect::<Vec<_>>()
            }
            Err(_) => keys,
        };
        let wait = !later.is_empty();
        give_back(&engine, later);
        if wait {
            pause(&engine).await;
        }
    }
}

/// Lets things settle, unless a barrier waits for the answer.
async fn pause(engine: &Engine) {
    let until = Instant::now() + engine.parts.config.verify_pause;
    while Instant::now() < until && !engine.frozen() {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
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

/// Returns what could not be written and has to be looked at again.
async fn overwrite(engine: &Engine, keys: Vec<Key>) -> Vec<Key> {
    if keys.is_empty() {
        return keys;
    }
    engine.totals.foreign.fetch_add(keys.len() as u64, Ordering::Relaxed);
    let first = engine.parts.family.show_key(&keys[0]);
    tracing::warn!(
        code = "EXO-ENG-009",
        records = keys.len(),
        first,
        "somebody else writes to the secondary"
    );
    if engine.streams.is_some() {
        return match engine.stream_repair(&keys).await {
            Ok(()) => Vec::new(),
            Err(_) => keys,
        };
    }
    engine.parts.journal.stale(keys, Lane::Bulk, Cause::Scan, None, Instant::now().into_std());
    Vec::new()
}
