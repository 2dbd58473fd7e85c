//! The pieces of a flip that need nodes and the engine.

use std::sync::Arc;
use std::time::Duration;

use model::{Epoch, Side};
use workflow::{Fact, FlipInput, FlipStep, REHOME_MS, Saga};

use crate::world::World;

/// Grace beyond the barrier's own deadline, so that the barrier's clock decides and not ours.
const GRACE: Duration = Duration::from_millis(500);

/// One piece of work for one attempt.
pub(super) struct Piece {
    pub(super) world: Arc<World>,
    attempt: u64,
    /// How long the barrier gives it.
    left: Duration,
}

impl Piece {
    pub(super) fn of(world: &Arc<World>, saga: &Saga, now_ms: u64) -> Self {
        let terms = &saga.flip.terms;
        let deadline = saga.flip.deadline_ms.unwrap_or(now_ms + terms.budget_ms);
        Self {
            world: Arc::clone(world),
            attempt: terms.attempt,
            left: Duration::from_millis(deadline.saturating_sub(now_ms)) + GRACE,
        }
    }

    /// Runs beside the loop and reports what it returns.
    pub(super) fn run<F>(self, work: impl FnOnce(Arc<World>, Duration) -> F + Send + 'static)
    where
        F: Future<Output = FlipInput> + Send + 'static,
    {
        let Self { world, attempt, left } = self;
        world.spawn(async move |world| {
            let input = work(Arc::clone(&world), left).await;
            world.report(Fact::SagaProgress { attempt, input }).await;
        });
    }
}

pub(super) fn open_feed(piece: Piece, side: Side) {
    piece.run(async move |world, left| match world.engine_within(left).await {
        Err(why) => FlipInput::FeedFailed { why },
        Ok(engine) => match tokio::time::timeout(left, engine.open_feed(side)).await {
            Ok(Ok(())) => FlipInput::FeedOpened,
            Ok(Err(error)) => FlipInput::FeedFailed { why: error.to_string() },
            Err(_) => FlipInput::FeedFailed { why: "it took too long".to_owned() },
        },
    });
}

/// Asks the interlays to become quiet until they are, or until nobody waits for it any more.
pub(super) fn quiesce(piece: Piece, epoch: Epoch, txn_deadline_ms: u64) {
    let Piece { world, attempt, .. } = piece;
    world.spawn(async move |world| {
        loop {
            let left = txn_deadline_ms.saturating_sub(world.clock.now_ms()).max(20);
            let report = world.interlays.quiet(epoch, Duration::from_millis(left)).await;
            if report.quiet {
                let node = world.node.clone();
                let txn_wait_ms = report.txn_wait_ms;
                return world.report(Fact::NodeAcked { node, epoch, txn_wait_ms }).await;
            }
            let waits =
                world.snapshot().and_then(|s| s.run.as_ref()?.saga.clone()).is_some_and(|s| {
                    s.flip.terms.attempt == attempt && s.flip.step == FlipStep::AwaitQuiet
                });
            if !waits {
                return;
            }
            tracing::warn!(attempt, waiting_on = ?report.waiting_on, "interlays are not quiet yet");
        }
    });
}

/// Moves sessions to the authority of the table in force, then acknowledges it.
pub(super) fn rehome(world: &Arc<World>, epoch: Epoch) {
    world.spawn(async move |world| {
        // A session that cannot be moved in time stays frozen and is closed by its interlay.
        world.interlays.rehomed(epoch, Duration::from_millis(REHOME_MS)).await;
        let node = world.node.clone();
        world.report(Fact::NodeAcked { node, epoch, txn_wait_ms: 0 }).await;
    });
}

pub(super) fn feed_fence(piece: Piece, side: Side) {
    piece.run(async move |world, left| match world.engine_within(left).await {
        Err(why) => FlipInput::FeedFenceFailed { why },
        Ok(engine) => match engine.feed_fence(side, left).await {
            Ok(()) => FlipInput::FeedFenced,
            Err(error) => FlipInput::FeedFenceFailed { why: error.to_string() },
        },
    });
}

/// Drains and keeps the copiers still until the next table is published.
pub(super) fn drain(piece: Piece) {
    piece.run(async move |world, left| match world.engine_within(left).await {
        Err(why) => FlipInput::DrainFailed { why, remaining: 0 },
        Ok(engine) => match engine.drain_and_hold(left).await {
            Ok((_, hold)) => {
                *world.hold.lock() = Some(hold);
                FlipInput::Drained
            }
            Err(not) => FlipInput::DrainFailed {
                why: not.to_string(),
                remaining: (not.live + not.bulk + not.in_flight) as u64,
            },
        },
    });
}
