//! The copy of history, part by part, beside the stream.
//!
//! Which chunks are there is remembered by the target itself, in the transaction that wrote them:
//! after a restart the parts are walked again from their beginning, and what is there passes at
//! the price of a question. A dataset counts as done when everything is, indexes and constraints
//! included.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use family::{FillPart, Follow};
use model::Dataset;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::progress::Fill;

/// How long a copy that may not go on waits before it looks again.
const LOOK: Duration = Duration::from_millis(50);

/// Copies everything the filter wants, then builds what was left out.
pub(crate) async fn fill_all(engine: &Arc<Engine>) -> Result<(), EngineError> {
    let side = engine.deciding();
    // Captured and prepared first, whoever else asks for that: a chunk that came before would
    // stand for rows that were there before us.
    engine.stream_open(side).await?;
    let follow = engine.follow(side).await?;
    let inventory = engine.bounded(side, engine.database(side).inventory()).await?;
    let filter = engine.filter.load_full();
    let wanted: Vec<_> =
        inventory.into_iter().filter(|one| filter.wants_dataset(&one.dataset)).collect();
    let fresh = wanted.iter().map(|one| {
        let fill = Fill { records_total: one.records, bytes_total: one.bytes, ..Fill::default() };
        (one.dataset.clone(), fill)
    });
    engine.backfill.replace(fresh.collect());
    let mut parts = VecDeque::new();
    for one in &wanted {
        parts.extend(follow.split(&one.dataset, engine.parts.config.fills).await?);
    }
    // The largest first, so that none is left alone at the end.
    parts.make_contiguous().sort_by_key(|part| std::cmp::Reverse(part.records));
    let queue = Arc::new(Mutex::new(parts));
    let mut workers = JoinSet::new();
    for _ in 0..engine.parts.config.fills.max(1) {
        workers.spawn(work(Arc::clone(engine), Arc::clone(&follow), Arc::clone(&queue)));
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|_| EngineError::Closed)??;
    }
    engine.backfill.say("building indexes and constraints".into());
    for done in follow.complete().await? {
        tracing::info!(%side, done, "completed");
    }
    finish(engine).await
}

async fn work(
    engine: Arc<Engine>,
    follow: Arc<dyn Follow>,
    queue: Arc<Mutex<VecDeque<FillPart>>>,
) -> Result<(), EngineError> {
    loop {
        let Some(part) = queue.lock().pop_front() else { return Ok(()) };
        fill_part(&engine, follow.as_ref(), &part).await?;
    }
}

async fn fill_part(
    engine: &Engine,
    follow: &dyn Follow,
    part: &FillPart,
) -> Result<(), EngineError> {
    let mut from = None;
    loop {
        may_go_on(engine).await;
        engine.backfill.say(format!("copying {}", part.dataset));
        let filled = follow.fill(part, from.as_ref()).await?;
        let records = usize::try_from(filled.records).unwrap_or(usize::MAX);
        engine.throttle.spend(records);
        engine.backfill.progressed(&part.dataset, filled.records);
        engine.copied(filled.records, filled.records);
        match filled.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

/// Waits while an operator or the traffic wants the copy to wait, or the log kept for us grows
/// towards its limit.
async fn may_go_on(engine: &Engine) {
    let mut paused = engine.backfill.paused();
    // The sender lives in the engine: it cannot have gone.
    let _ = paused.wait_for(|paused| !*paused).await;
    while engine.throttle.permits(1, tokio::time::Instant::now()) == 0 || engine.log_is_scarce() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Only now is every dataset done.
async fn finish(engine: &Engine) -> Result<(), EngineError> {
    let fills: BTreeMap<Dataset, Fill> = engine.backfill.all_done();
    for (dataset, fill) in fills {
        engine.parts.progress.save_fill(&dataset, &fill).await.map_err(|error| {
            engine.store_failed(&error);
            EngineError::Progress(error)
        })?;
    }
    Ok(())
}
