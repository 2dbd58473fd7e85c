//! The copy of history: scans the authority and offers what it finds in the bulk lane.
//!
//! A frontier is stored only when every record before it was copied, parked, or overtaken by a
//! live change whose marker is durable. At most `bulk_outstanding_max` records are on offer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use journal::{Cause, Chunk, Lane};
use model::{ConflictPolicy, Dataset, Frontier, Side};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::parts::Filter;
use crate::progress::Fill;
use crate::scan::Scan;
use crate::status::{BackfillStatus, WorkState};
use crate::stream;
use crate::zoo::Bug;

/// A frontier is stored at most this often (and always at the end of a dataset): a store that
/// syncs each write must not bound the copy. What is redone after a crash is idempotent.
const STORE_EVERY: Duration = Duration::from_millis(100);
/// Before this much time and progress an ETA means nothing.
const ETA_AFTER: Duration = Duration::from_secs(5);

pub(crate) struct Backfill {
    state: Mutex<State>,
    paused: watch::Sender<bool>,
    /// Ends the copy under way.
    stop: Mutex<CancellationToken>,
    /// Held by the copy under way.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    work: WorkState,
    fills: BTreeMap<Dataset, Fill>,
    note: String,
    began: Option<(Instant, u64)>,
    rate: f64,
}

impl Backfill {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            paused: watch::Sender::new(false),
            stop: Mutex::default(),
            turn: Arc::default(),
        }
    }

    pub(crate) fn restore(&self, fills: &BTreeMap<Dataset, Fill>) {
        let mut state = self.state.lock();
        state.fills.clone_from(fills);
        if !fills.is_empty() && fills.values().all(|fill| fill.done) {
            state.work = WorkState::Done;
        }
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Whether an operator wants it to wait.
    pub(crate) fn paused(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }

    /// Counts from the beginning, of what is to be copied.
    pub(crate) fn replace(&self, fills: BTreeMap<Dataset, Fill>) {
        self.state.lock().fills = fills;
    }

    /// More records of a dataset are there.
    pub(crate) fn progressed(&self, dataset: &Dataset, records: u64) {
        self.state.lock().fills.entry(dataset.clone()).or_default().records_done += records;
    }

    /// Everything is there.
    pub(crate) fn all_done(&self) -> BTreeMap<Dataset, Fill> {
        let mut state = self.state.lock();
        for fill in state.fills.values_mut() {
            fill.done = true;
            fill.records_total = fill.records_done;
        }
        state.fills.clone()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.lock().work == WorkState::Done
    }

    pub(crate) fn say(&self, note: String) {
        self.state.lock().note = note;
    }

    fn done_records(&self) -> u64 {
        self.state.lock().fills.values().map(|fill| fill.records_done).sum()
    }

    pub(crate) fn sampled(&self, rate: f64) {
        let mut state = self.state.lock();
        if state.work == WorkState::Running {
            state.rate = if state.rate == 0.0 { rate } else { state.rate * 0.8 + rate * 0.2 };
        }
    }

    pub(crate) fn status(&self) -> BackfillStatus {
        let state = self.state.lock();
        let done: u64 = state.fills.values().map(|f| f.records_done).sum();
        let total: u64 =
            state.fills.values().map(|f| f.records_total.max(f.records_done)).sum::<u64>();
        let running = state.work == WorkState::Running;
        let paused = running && *self.paused.borrow();
        let meaningful = state.began.is_some_and(|(at, from)| {
            at.elapsed() >= ETA_AFTER && done.saturating_sub(from) * 50 >= total
        });
        let eta_seconds = (running && !paused && meaningful && state.rate > 1.0).then(|| {
            let left = (total - done) as f64 / state.rate;
            ((left * 0.8) as u64, (left * 1.5) as u64 + 1)
        });
        BackfillStatus {
            state: if paused { WorkState::Paused } else { state.work },
            records_done: done,
            records_total: total,
            bytes_total: state.fills.values().map(|f| f.bytes_total).sum(),
            rate: if running { state.rate } else { 0.0 },
            eta_seconds,
            datasets: state.fills.clone(),
            note: state.note.clone(),
        }
    }
}

impl Engine {
    pub(crate) fn backfill_start(self: &Arc<Self>, filter: Filter) -> Result<(), EngineError> {
        let policy = self.parts.config.conflict;
        if matches!(policy, ConflictPolicy::KeepNewer | ConflictPolicy::Merge) {
            let message = format!("conflict policy `{policy}` is not built for this family");
            return Err(EngineError::Refused { code: "EXO-ENG-005", message });
        }
        {
            let mut state = self.backfill.state.lock();
            match state.work {
                WorkState::Running | WorkState::Done => return Ok(()),
                _ => state.work = WorkState::Running,
            }
        }
        self.filter.store(Arc::new(filter));
        let engine = Arc::clone(self);
        let (stop, turn) = (self.backfill.stop.lock().clone(), Arc::clone(&self.backfill.turn));
        self.spawn(async move {
            let _turn = turn.lock().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = run(engine) => {}
            }
        });
        Ok(())
    }

    pub(crate) async fn backfill_forget(&self) -> Result<(), EngineError> {
        let fresh = CancellationToken::new();
        std::mem::replace(&mut *self.backfill.stop.lock(), fresh).cancel();
        let _turn = self.backfill.turn.lock().await;
        let datasets: Vec<_> = {
            let mut state = self.backfill.state.lock();
            state.work = WorkState::Idle;
            state.note.clear();
            std::mem::take(&mut state.fills).into_keys().collect()
        };
        for dataset in datasets {
            store(self, &dataset, &Fill::default()).await?;
        }
        Ok(())
    }
}

async fn run(engine: Arc<Engine>) {
    engine.until_ready().await;
    let from = engine.backfill.done_records();
    engine.backfill.state.lock().began = Some((Instant::now(), from));
    let mut failures = 0;
    loop {
        let filled = match engine.streams {
            Some(_) => stream::fill_all(&engine).await,
            None => fill_all(&engine).await,
        };
        match filled {
            Ok(()) => break,
            Err(error @ EngineError::Refused { .. }) => {
                let mut state = engine.backfill.state.lock();
                state.work = WorkState::Failed;
                state.note = error.to_string();
                return;
            }
            Err(error) => {
                failures += 1;
                engine.backfill.say(format!("will try again: {error}"));
                tokio::time::sleep(engine.delay(failures)).await;
            }
        }
    }
    let mut state = engine.backfill.state.lock();
    state.work = WorkState::Done;
    state.note = "all history is copied".into();
}

async fn fill_all(engine: &Engine) -> Result<(), EngineError> {
    let side = engine.parts.table.load().authority.default;
    let inventory = engine.bounded(side, engine.database(side).inventory()).await?;
    let filter = engine.filter.load_full();
    for one in inventory.iter().filter(|one| filter.wants_dataset(&one.dataset)) {
        let mut state = engine.backfill.state.lock();
        let fill = state.fills.entry(one.dataset.clone()).or_default();
        if fill.frontier.is_none() && !fill.done {
            fill.records_total = one.records;
            fill.bytes_total = one.bytes;
        }
    }
    let datasets: Vec<_> = engine.backfill.state.lock().fills.keys().cloned().collect();
    for dataset in datasets {
        fill_one(engine, side, &dataset).await?;
    }
    Ok(())
}

/// What is on offer of one dataset, oldest first.
struct Window {
    chunks: VecDeque<(Arc<Chunk>, usize, Option<Frontier>)>,
    outstanding: usize,
    stored: Instant,
}

async fn fill_one(engine: &Engine, side: Side, dataset: &Dataset) -> Result<(), EngineError> {
    let fill = engine.backfill.state.lock().fills.get(dataset).cloned().unwrap_or_default();
    if fill.done {
        return Ok(());
    }
    let mut paused = engine.backfill.paused.subscribe();
    let mut scan = Scan::new(side, dataset.clone(), fill.frontier);
    let mut window = Window { chunks: VecDeque::new(), outstanding: 0, stored: Instant::now() };
    engine.backfill.say(format!("copying {dataset}"));
    loop {
        // The sender lives in the engine: it cannot have gone.
        let _ = paused.wait_for(|paused| !*paused).await;
        let Some(keys) = scan.next(engine).await? else { break };
        let chunk = Chunk::new(keys.len());
        window.outstanding += keys.len();
        window.chunks.push_back((Arc::clone(&chunk), keys.len(), scan.frontier().cloned()));
        let now = Instant::now().into_std();
        engine.parts.journal.stale(keys, Lane::Bulk, Cause::Scan, Some(&chunk), now);
        while window.outstanding > engine.parts.config.bulk_outstanding_max
            || window.chunks.front().is_some_and(|(chunk, ..)| chunk.outstanding() == 0)
        {
            advance(engine, dataset, &mut window).await?;
        }
    }
    while !window.chunks.is_empty() {
        advance(engine, dataset, &mut window).await?;
    }
    let fill = {
        let mut state = engine.backfill.state.lock();
        let fill = state.fills.entry(dataset.clone()).or_default();
        fill.done = true;
        fill.frontier = None;
        fill.records_total = fill.records_done;
        fill.clone()
    };
    store(engine, dataset, &fill).await.inspect_err(|_| {
        if let Some(fill) = engine.backfill.state.lock().fills.get_mut(dataset) {
            fill.done = false;
        }
    })
}

/// Waits for the oldest chunk and moves the frontier behind it.
async fn advance(
    engine: &Engine,
    dataset: &Dataset,
    window: &mut Window,
) -> Result<(), EngineError> {
    let Some((chunk, keys, frontier)) = window.chunks.pop_front() else { return Ok(()) };
    if !engine.parts.config.has(Bug::EarlyFrontier) {
        chunk.finished().await;
    }
    window.outstanding -= keys;
    let fill = {
        let mut state = engine.backfill.state.lock();
        let fill = state.fills.entry(dataset.clone()).or_default();
        fill.records_done += keys as u64;
        if frontier.is_none() {
            // The last chunk: the end is stored by the caller.
            return Ok(());
        }
        fill.frontier = frontier;
        fill.clone()
    };
    if window.stored.elapsed() >= STORE_EVERY {
        window.stored = Instant::now();
        store(engine, dataset, &fill).await?;
    }
    Ok(())
}

async fn store(engine: &Engine, dataset: &Dataset, fill: &Fill) -> Result<(), EngineError> {
    if !engine.parts.journal.markers().flushed().await {
        let message = "markers cannot be stored: the copy of history would not survive a crash";
        return Err(EngineError::Refused { code: "EXO-ENG-004", message: message.into() });
    }
    engine.parts.progress.save_fill(dataset, fill).await.map_err(|error| {
        engine.store_failed(&error);
        EngineError::Progress(error)
    })
}
