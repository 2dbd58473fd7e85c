//! Background passes that take no input: sampling, healing a failed side, storing what changed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Side;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::parts::PARKED_MAX;
use crate::throttle::Sample;

/// What is measured over time.
pub(crate) struct Meter {
    state: Mutex<Measured>,
}

#[derive(Clone, Copy)]
pub(crate) struct Measured {
    /// Records copied per second, smoothed.
    pub(crate) copied_per_second: f64,
    /// When a record was last copied, or there was last nothing to do.
    pub(crate) progressed: Instant,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let state = Measured { copied_per_second: 0.0, progressed: Instant::now() };
        Self { state: Mutex::new(state) }
    }

    pub(crate) fn progressed(&self) {
        self.state.lock().progressed = Instant::now();
    }

    pub(crate) fn read(&self) -> Measured {
        *self.state.lock()
    }

    fn rate(&self, rate: f64) {
        let mut state = self.state.lock();
        state.copied_per_second = state.copied_per_second * 0.7 + rate * 0.3;
    }
}

/// Samples rates and pings, adapts the throttle, stores the list of parked records.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut tick = tokio::time::interval(engine.parts.config.sample_every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut copied, mut bulk, mut last) = (0, 0, Instant::now());
    let mut parked_stored = Vec::new();
    let mut existing_stored = Instant::now();
    loop {
        tick.tick().await;
        let seconds = last.elapsed().as_secs_f64().max(0.001);
        last = Instant::now();
        let copied_now = engine.totals.copied.load(Ordering::Relaxed);
        let bulk_now = engine.totals.bulk.load(Ordering::Relaxed);
        engine.meter.rate((copied_now - copied) as f64 / seconds);
        let bulk_rate = (bulk_now - bulk) as f64 / seconds;
        engine.backfill.sampled(bulk_rate);
        (copied, bulk) = (copied_now, bulk_now);
        let depth = engine.parts.journal.depth();
        if depth.live == 0 && depth.bulk == 0 {
            engine.meter.progressed();
        }
        tokio::join!(ping(&engine, Side::Source), ping(&engine, Side::Target));
        engine.throttle.adapt(&Sample {
            ping_us: [Side::Source, Side::Target].map(|s| engine.side(s).ping_now_us()),
            ping_max: engine.parts.config.ping_p99_max,
            live_depth: depth.live,
            live_depth_max: engine.parts.config.live_depth_max,
            bulk_rate,
        });
        let parked = engine.parts.journal.parked(PARKED_MAX);
        if parked != parked_stored {
            match engine.parts.progress.save_parked(&parked).await {
                Ok(()) => parked_stored = parked,
                Err(error) => engine.store_failed(&error),
            }
        }
        store_existing(&engine, &mut existing_stored).await;
    }
}

/// Stores which records of the target are still undecided. A restart asks about those decided
/// since the last time once more, so a large list may be stored seldom.
async fn store_existing(engine: &Engine, last: &mut Instant) {
    let left = engine.existing.lock().len();
    let spacing = Duration::from_secs(1 + left as u64 / 20_000);
    if last.elapsed() < spacing || !engine.existing_changed.swap(false, Ordering::Relaxed) {
        return;
    }
    *last = Instant::now();
    let hashes: Vec<u64> = engine.existing.lock().iter().copied().collect();
    if let Err(error) = engine.parts.progress.save_existing(&hashes).await {
        engine.existing_changed.store(true, Ordering::Relaxed);
        engine.store_failed(&error);
    }
}

async fn ping(engine: &Engine, side: Side) {
    if !engine.side(side).is_well() {
        return;
    }
    match engine.bounded(side, engine.database(side).ping()).await {
        Ok(took) => engine.side(side).pinged(took),
        Err(error) => engine.port_failed(side, &error),
    }
}

/// Waits for a side to fail, then probes it until it answers, and looks whether it is still the
/// same before anybody uses it again.
pub(crate) async fn heal(engine: Arc<Engine>, side: Side) {
    let state = engine.side(side);
    loop {
        state.ill().await;
        if let Some(at) = state.open_until() {
            tokio::time::sleep_until(at).await;
        }
        match engine.bounded(side, engine.database(side).probe()).await {
            Ok(probe) => {
                engine.meet(side, &probe.incarnation).await;
                state.recovered();
            }
            Err(error) => state.still_failing(&error, engine.parts.config.backoff),
        }
    }
}

/// A sentence for work that is outstanding and does not move.
pub(crate) fn stalled(engine: &Engine) -> Option<String> {
    let idle = engine.meter.read().progressed.elapsed();
    if engine.streams.is_some() {
        let waits = engine.log_status().is_some_and(|log| log.head > log.applied);
        let held = waits && idle >= engine.parts.config.stall_after;
        return held.then(|| format!("EXO-ENG-007: {}", engine.stream_cause()));
    }
    let depth = engine.parts.journal.depth();
    if idle < engine.parts.config.stall_after || depth.live + depth.bulk == 0 {
        return None;
    }
    let cause = likely_cause(engine);
    let waiting = depth.live + depth.bulk;
    Some(format!("EXO-ENG-007: {waiting} records wait, none moved for {}: {cause}", show(idle)))
}

/// What most likely holds the copiers.
pub(crate) fn likely_cause(engine: &Engine) -> String {
    for side in [Side::Source, Side::Target] {
        let status = engine.side(side).status();
        if status.quarantined > 0 {
            let n = status.quarantined;
            return format!(
                "EXO-ENG-003: {n} records wait until old connections on the {side} are proved dead"
            );
        }
        if let Some(error) = status.last_error.filter(|_| !engine.side(side).is_well()) {
            return format!("the {side} fails: {error}");
        }
    }
    if !engine.is_ready() {
        return "the engine is still starting".into();
    }
    let throttle = engine.throttle.status();
    if throttle.reason != "none" && engine.parts.journal.depth().live == 0 {
        return throttle.detail;
    }
    let (totals, depth) = (engine.totals.read(), engine.parts.journal.depth());
    if depth.in_flight > 0 && depth.live + depth.bulk == 0 {
        return "writes are in flight at the authority".into();
    }
    if engine.parts.journal.anything_pending() {
        return "a write that names no keys is not yet covered by the change feed".into();
    }
    format!(
        "records change faster than they are copied ({} voided, {} retried)",
        totals.moved, totals.retries
    )
}

fn show(time: Duration) -> String {
    format!("{} s", time.as_secs())
}
