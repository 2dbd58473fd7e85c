//! Keeps one direction's stream open and takes what it says.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use family::{ChangeStream, Doubt, Follow, PortError, StreamEvent, Trouble};
use model::{Key, Side};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::status::FeedState;

impl Engine {
    /// Starts the pump of a direction unless it runs.
    pub(super) fn start_pump(self: &Arc<Self>, side: Side, follow: Arc<dyn Follow>) {
        let Some(direction) = self.direction(side) else { return };
        let mut running = direction.running.lock();
        if running.is_some() {
            return;
        }
        let stop = self.stop.child_token();
        *running = Some(stop.clone());
        drop(running);
        self.side(side).feed.say(FeedState::Opening(String::new()));
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = pump(&engine, side, follow.as_ref(), &stop) => {}
                () = stop.cancelled() => {}
            }
            engine.side(side).feed.say(FeedState::Closed);
        });
    }

    fn take(self: &Arc<Self>, side: Side, event: StreamEvent) {
        match event {
            StreamEvent::Applied { upto, transactions, changes } => {
                self.parts.horizon.set_applied(side, upto.0);
                self.totals.copied.fetch_add(changes, Ordering::Relaxed);
                if let Some(direction) = self.direction(side) {
                    let mut known = direction.known.lock();
                    known.transactions += transactions;
                    known.changes += changes;
                }
                self.meter.progressed();
                self.settle(side);
            }
            StreamEvent::Foreign { at, keys, changes } => {
                let first = keys.first().map(|key| self.parts.family.show_key(key));
                tracing::warn!(code = "EXO-ENG-009", %side, offset = at.0, changes, first,
                    "somebody else writes to the side that does not decide");
                self.totals.foreign.fetch_add(changes, Ordering::Relaxed);
                self.suspect_all(keys);
            }
            StreamEvent::Conflict { key, class, outcome } => {
                let shown = self.parts.family.show_key(&key);
                tracing::warn!(code = "EXO-ENG-015", %side, key = shown, %class, outcome, "conflict");
                self.totals.conflicts_overwritten.fetch_add(1, Ordering::Relaxed);
                self.suspect_all(vec![key]);
            }
            StreamEvent::Stale { dataset, why } => {
                tracing::error!(code = "EXO-ENG-016", %side, %dataset, why, "has to be copied anew");
                if let Some(direction) = self.direction(side) {
                    direction.known.lock().stale.insert(dataset, why);
                }
            }
            StreamEvent::Gap(doubt) => self.stream_lost(side, doubt, "the stream reported a gap"),
        }
    }

    fn suspect_all(&self, keys: Vec<Key>) {
        for key in keys {
            self.verify.suspect(key);
        }
    }

    /// Changes of a side are lost for good: nothing that was copied can be believed.
    fn stream_lost(self: &Arc<Self>, side: Side, doubt: Doubt, why: &str) {
        tracing::error!(code = "EXO-ENG-006", %side, ?doubt, why, "changes are lost");
        self.totals.gaps.fetch_add(1, Ordering::Relaxed);
        if let Some(direction) = self.direction(side) {
            direction.known.lock().lost = Some(doubt);
        }
        if self.side(side).doubted(doubt) {
            self.remember_side(side);
        }
        self.verify.require(format!("{side}: {why}"));
    }
}

async fn pump(engine: &Arc<Engine>, side: Side, follow: &dyn Follow, stop: &CancellationToken) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        let error = match follow.stream().await {
            Ok(stream) => {
                engine.side(side).feed.say(FeedState::Open);
                deliver(engine, side, stream, &mut failures).await
            }
            Err(error) => error,
        };
        tracing::warn!(%side, %error, "the stream ended");
        engine.side(side).feed.say(FeedState::Opening(error.to_string()));
        if error.trouble == Trouble::Replaced {
            engine.stream_lost(side, Doubt::Replaced, &error.message);
        }
        engine.port_failed(side, &error);
        failures += 1;
        tokio::time::sleep(engine.delay(failures)).await;
    }
}

async fn deliver(
    engine: &Arc<Engine>,
    side: Side,
    mut stream: Box<dyn ChangeStream>,
    failures: &mut u32,
) -> PortError {
    loop {
        let event = {
            let Some(direction) = engine.direction(side) else { return closed() };
            let _turn = direction.turn.lock().await;
            engine.set_modes();
            stream.next().await
        };
        match event {
            Ok(event) => {
                *failures = 0;
                engine.take(side, event);
            }
            Err(error) => return error,
        }
    }
}

fn closed() -> PortError {
    PortError::new(Trouble::Unsupported, "EXO-ENG-014", "there is no such direction")
}
