//! Asks where logs stand, and says which acknowledgements are thereby known to be on the other
//! side.

use std::sync::Arc;
use std::time::Duration;

use model::Side;
use tokio::time::MissedTickBehavior;

use crate::engine::Engine;

/// How often the deciding side is asked where its log stands. Bounds how soon a session may read
/// on the secondary what it was told.
const ASK: Duration = Duration::from_millis(100);
/// How often it is asked how much log is kept for us: every so many of the above.
const RETAINED_EVERY: u32 = 10;
/// Questions whose offset is not applied yet. Older ones settle less and are dropped first.
const ASKED_MAX: usize = 1_024;

impl Engine {
    /// What was asked and has been applied meanwhile is settled.
    pub(super) fn settle(&self, side: Side) {
        let Some(direction) = self.direction(side) else { return };
        let applied = self.parts.horizon.applied(side);
        let mut known = direction.known.lock();
        let mut settled = None;
        while let Some((at, _)) = known.asked.front().filter(|(_, head)| *head <= applied) {
            settled = Some(*at);
            known.asked.pop_front();
        }
        drop(known);
        if let Some(at) = settled {
            self.parts.horizon.set_settled(side, at);
        }
    }

    async fn ask_head(&self, side: Side) {
        let Some(direction) = self.direction(side) else { return };
        let Some(follow) = direction.follow.get() else { return };
        // Before the question: what was acknowledged until here lies behind the answer.
        let at = tokio::time::Instant::now().into_std();
        match self.bounded(side, follow.head()).await {
            Ok(head) => {
                let mut known = direction.known.lock();
                known.head = head.0;
                if known.asked.len() >= ASKED_MAX {
                    known.asked.pop_front();
                }
                known.asked.push_back((at, head.0));
                drop(known);
                self.settle(side);
            }
            Err(error) => self.port_failed(side, &error),
        }
    }

    async fn ask_retained(&self, side: Side) {
        let Some(direction) = self.direction(side) else { return };
        let Some(follow) = direction.follow.get() else { return };
        if !self.side(side).is_well() {
            return;
        }
        match self.bounded(side, follow.retained()).await {
            Ok(retained) => direction.known.lock().retained = retained,
            Err(error) => self.port_failed(side, &error),
        }
    }
}

pub(super) async fn run(engine: Arc<Engine>) {
    let mut tick = tokio::time::interval(ASK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0u32;
    loop {
        tick.tick().await;
        let side = engine.deciding();
        if engine.side(side).feed.is_open() && engine.side(side).is_well() {
            engine.ask_head(side).await;
        }
        if turn.is_multiple_of(RETAINED_EVERY) {
            engine.ask_retained(Side::Source).await;
            engine.ask_retained(Side::Target).await;
        }
        turn = turn.wrapping_add(1);
    }
}
