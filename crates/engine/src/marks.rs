//! Stores markers that writes wait for, and clears those that are quiet again. One task does
//! both, so that a marker is never cleared on disk after it was asked for anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use journal::Bucket;

use crate::engine::Engine;
use crate::zoo::Bug;

/// Attempts before waiting writes are told that no marker can be kept.
const ATTEMPTS: u32 = 4;

/// The worker.
pub(crate) async fn run(engine: Arc<Engine>) {
    let journal = &engine.parts.journal;
    let markers = journal.markers();
    let mut tick = tokio::time::interval(engine.parts.config.marker_quiet);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut quiet_before = HashSet::new();
    loop {
        tokio::select! {
            biased;
            wanted = markers.next_wanted() => {
                for attempt in 1.. {
                    match engine.parts.progress.set_markers(&wanted).await {
                        Ok(()) => {
                            markers.mark_durable(&wanted);
                            break;
                        }
                        Err(error) => engine.store_failed(&error),
                    }
                    if attempt == ATTEMPTS {
                        tracing::error!(code = "EXO-ENG-004", "no marker can be stored any more");
                        markers.fail();
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                }
            }
            _ = tick.tick() => {
                if engine.recheck.is_idle() && engine.is_ready() {
                    quiet_before = clear(&engine, &quiet_before).await;
                }
            }
        }
    }
}

/// Clears what was quiet at the last look and still is; returns what is quiet now.
async fn clear(engine: &Engine, before: &HashSet<Bucket>) -> HashSet<Bucket> {
    let journal = &engine.parts.journal;
    if engine.parts.config.has(Bug::ClearBusyMarkers) {
        let all = journal.markers().set_buckets();
        let _ = engine.parts.progress.clear_markers(&all).await;
        return HashSet::new();
    }
    let now = journal.quiet(&journal.markers().set_buckets());
    let twice: Vec<_> = now.iter().copied().filter(|b| before.contains(b)).collect();
    let cleared = journal.clear_quiet(&twice);
    if !cleared.is_empty()
        && let Err(error) = engine.parts.progress.clear_markers(&cleared).await
    {
        // They stay set on disk: more than needed is looked at after a restart.
        engine.store_failed(&error);
    }
    now.into_iter().collect()
}
