//! The pump of a side's change feed: keeps it open, turns events into journal marks.
//!
//! Whose events mark keys is asked of the table per key: those of the key's authority do; those
//! of the other side are echoes of our own copies, or somebody else's writes, and are audited.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use family::{Doubt, Feed, FeedEvent, PortError};
use journal::Cause;
use model::{Key, Side};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::status::FeedState;
use crate::zoo::Bug;

/// Fence requests that may wait for one pump.
const FENCES: usize = 64;

/// A side's feed, as far as others see it.
#[derive(Default)]
pub(crate) struct FeedSlot {
    inner: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    running: Option<Running>,
    state: Option<FeedState>,
    /// It was open, is not, and nothing was asked to be looked at again yet.
    lost: bool,
}

#[derive(Clone)]
struct Running {
    fences: mpsc::Sender<oneshot::Sender<()>>,
    stop: CancellationToken,
}

impl FeedSlot {
    pub(crate) fn state(&self) -> FeedState {
        self.inner.lock().state.clone().unwrap_or(FeedState::Closed)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state() == FeedState::Open
    }

    /// Whether changes are being missed right now.
    pub(crate) fn is_lost(&self) -> bool {
        self.inner.lock().lost
    }

    pub(crate) fn say(&self, state: FeedState) {
        self.inner.lock().state = Some(state);
    }

    fn lose(&self, lost: bool) {
        self.inner.lock().lost = lost;
    }
}

impl Engine {
    pub(crate) async fn feed_open(self: &Arc<Self>, side: Side) -> Result<(), EngineError> {
        let (fences, requests) = mpsc::channel(FENCES);
        let stop = self.stop.child_token();
        let (opened, first) = oneshot::channel();
        {
            let mut slot = self.side(side).feed.inner.lock();
            if slot.running.as_ref().is_some_and(|r| !r.fences.is_closed()) {
                return Ok(());
            }
            slot.running = Some(Running { fences, stop: stop.clone() });
            slot.state = Some(FeedState::Opening(String::new()));
        }
        let pump = Pump {
            engine: Arc::clone(self),
            side,
            requests,
            stop,
            waiting: HashMap::new(),
            next_token: 0,
        };
        self.tasks.spawn(pump.run(opened));
        first.await.map_err(|_| EngineError::Closed)?.map_err(EngineError::Port)
    }

    pub(crate) async fn feed_close(&self, side: Side) {
        let running = self.side(side).feed.inner.lock().running.take();
        if let Some(running) = running {
            running.stop.cancel();
            running.fences.closed().await;
        }
        self.side(side).feed.say(FeedState::Closed);
        self.side(side).feed.lose(false);
        self.refresh_certainty();
    }

    /// One attempt: fails when the feed is closed or is lost meanwhile.
    pub(crate) async fn fence_once(&self, side: Side) -> bool {
        let running = self.side(side).feed.inner.lock().running.clone();
        let Some(running) = running else { return false };
        let (done, fenced) = oneshot::channel();
        running.fences.send(done).await.is_ok() && fenced.await.is_ok()
    }

    /// Changes of a side may have been missed.
    pub(crate) fn gap(self: &Arc<Self>, side: Side, doubt: Doubt, why: &str) {
        self.totals.gaps.fetch_add(1, Ordering::Relaxed);
        let news = self.side(side).doubted(doubt);
        if news {
            self.remember_side(side);
        }
        let decides = self.decides(side);
        let data = crate::decide::is_serious(Some(doubt));
        tracing::warn!(code = "EXO-ENG-006", %side, ?doubt, decides, why, "changes may be missing");
        if (decides || data) && !self.parts.config.has(Bug::IgnoreGap) {
            self.verify.require(format!("{side}: {why}"));
            self.recheck_everything(Cause::Feed, &format!("{side}: {why}"));
        }
    }
}

struct Pump {
    engine: Arc<Engine>,
    side: Side,
    requests: mpsc::Receiver<oneshot::Sender<()>>,
    stop: CancellationToken,
    waiting: HashMap<u64, oneshot::Sender<()>>,
    next_token: u64,
}

enum Lost {
    Stopped,
    Failed(PortError),
}

impl Pump {
    async fn run(mut self, opened: oneshot::Sender<Result<(), PortError>>) {
        let mut opened = Some(opened);
        let mut failures = 0;
        loop {
            let stop = self.stop.clone();
            let feed = tokio::select! {
                feed = self.engine.open_feed_of(self.side) => feed,
                () = stop.cancelled() => return,
            };
            let error = match feed {
                Ok(feed) => {
                    failures = 0;
                    self.engine.side(self.side).feed.say(FeedState::Open);
                    match opened.take() {
                        Some(opened) => {
                            let _ = opened.send(Ok(()));
                        }
                        None => {
                            let why = "the feed was lost and opened again";
                            self.engine.gap(self.side, Doubt::ConnectionOnly, why);
                            self.engine.side(self.side).feed.lose(false);
                            self.engine.refresh_certainty();
                        }
                    }
                    match self.deliver(feed).await {
                        Lost::Stopped => return,
                        Lost::Failed(error) => {
                            self.engine.side(self.side).feed.lose(true);
                            self.engine.refresh_certainty();
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            // Whoever waits for a fence asks again.
            self.waiting.clear();
            let slot = &self.engine.side(self.side).feed;
            if let Some(opened) = opened.take() {
                slot.say(FeedState::Closed);
                let _ = opened.send(Err(error));
                return;
            }
            slot.say(FeedState::Opening(error.to_string()));
            self.engine.side(self.side).failed(&error, self.engine.parts.config.backoff);
            failures += 1;
            let (first, most) = self.engine.parts.config.backoff;
            let delay = first.saturating_mul(1 << failures.min(20)).min(most);
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn deliver(&mut self, mut feed: Box<dyn Feed>) -> Lost {
        loop {
            tokio::select! {
                event = feed.next() => match event {
                    Ok(event) => self.take(event),
                    Err(error) => return Lost::Failed(error),
                },
                Some(done) = self.requests.recv() => {
                    self.next_token += 1;
                    self.waiting.insert(self.next_token, done);
                    if let Err(error) = feed.request_fence(self.next_token).await {
                        return Lost::Failed(error);
                    }
                }
                () = self.stop.cancelled() => return Lost::Stopped,
            }
        }
    }

    fn take(&mut self, event: FeedEvent) {
        match event {
            FeedEvent::Stale(keys) => self.stale(keys),
            FeedEvent::StaleAll => self.stale_all(),
            FeedEvent::Gap(doubt) => {
                self.engine.gap(self.side, doubt, "the feed reported a gap");
            }
            FeedEvent::Fenced(token) => {
                if let Some(done) = self.waiting.remove(&token) {
                    let _ = done.send(());
                }
            }
        }
    }

    fn stale(&self, mut keys: Vec<(Key, std::time::Instant)>) {
        let engine = &self.engine;
        let filter = engine.filter.load();
        if !filter.is_everything() {
            // What is not moved is neither to be copied nor to be wondered about.
            keys.retain(|(key, _)| filter.wants(engine.parts.family.as_ref(), key));
        }
        let table = engine.parts.table.load();
        let (ours, others): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(key, _)| engine.authority_of(&table, key) == self.side);
        let now = Instant::now().into_std();
        engine.parts.journal.reported(ours, table.epoch.0, now);
        let side = engine.side(self.side);
        for (key, _) in others {
            if side.explains(engine.parts.family.reported_as(&key)) {
                engine.totals.echoes.fetch_add(1, Ordering::Relaxed);
            } else {
                engine.verify.suspect(key);
            }
        }
    }

    fn stale_all(&self) {
        let engine = &self.engine;
        if !engine.decides(self.side) {
            // Somebody emptied the secondary: write it again.
            engine.gap(self.side, Doubt::Flushed, "everything may have changed at once");
        } else if engine.parts.journal.anything_pending() {
            // A flush through an interlay: its absences are explained.
            engine.recheck_everything(Cause::OwnWrite, "a write through an interlay touched all");
        } else {
            engine.gap(self.side, Doubt::Flushed, "everything may have changed at once");
        }
    }
}

/// Drives the fences that cover writes which name no keys.
pub(crate) async fn cover_unnamed_writes(engine: Arc<Engine>) {
    let journal = &engine.parts.journal;
    loop {
        journal.unnamed().await;
        let mark = journal.anything_mark();
        let mut covered = true;
        for side in [Side::Source, Side::Target] {
            if engine.decides(side) {
                covered &= engine.fence_once(side).await;
            }
        }
        // A flush shows as "everything" before the fence: its recheck has to end first.
        if covered && engine.recheck.is_idle() {
            journal.anything_fenced(mark);
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
