use std::sync::Arc;

use async_trait::async_trait;
use model::Side;
use routing::{Freeze, RoutingTable};
use workflow::{Action, EvidenceOutcome, Fact, FlipAction, RunState, Saga};

use super::{Act, barrier, fence};
use crate::rehearsal;
use crate::world::World;

/// Acts on the real world.
pub(crate) struct Doer {
    world: Arc<World>,
}

impl Doer {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self { world })
    }

    fn publish(&self, table: RoutingTable, saga: Option<&Saga>) {
        let world = &self.world;
        let (epoch, frozen) = (table.epoch, table.freeze == Freeze::Writes);
        if !world.interlays.publish(table) {
            return;
        }
        // Copiers may go on: under the table that now says where to.
        world.hold.lock().take();
        if !frozen {
            world.ack(epoch, 0);
        } else if saga.is_some_and(|s| s.flip.moved()) {
            barrier::rehome(world, epoch);
        }
    }

    fn flip(&self, run: &RunState, attempt: u64, action: FlipAction) {
        let Some(saga) = run.saga.as_ref().filter(|s| s.flip.terms.attempt == attempt) else {
            return;
        };
        let piece = barrier::Piece::of(&self.world, saga, run.now_ms);
        match action {
            FlipAction::LiftFence { side } => fence::lift_in_flip(piece, side),
            FlipAction::OpenFeed { side } => barrier::open_feed(piece, side),
            FlipAction::Quiesce { epoch, txn_deadline_ms } => {
                barrier::quiesce(piece, epoch, txn_deadline_ms);
            }
            FlipAction::Fence { side } => fence::fence(piece, side),
            FlipAction::FeedFence { side } => barrier::feed_fence(piece, side),
            FlipAction::Drain { .. } => barrier::drain(piece),
            // Tables and feeds follow from the state.
            FlipAction::Publish { .. } | FlipAction::CloseFeed { .. } => {}
        }
    }

    fn cleanup(&self) {
        let world = Arc::clone(&self.world);
        world.spawn(async move |world| {
            let mut left = Vec::new();
            // What reads a log has to let go of it first.
            if let Some(engine) = world.engine()
                && let Err(error) = engine.release().await
            {
                left.push(format!("what is kept of the logs: {error}"));
            }
            for side in [Side::Source, Side::Target] {
                let fields = match clean(&world, side).await {
                    Ok(removed) => serde_json::json!({
                        "side": side.as_str(), "removed": removed,
                    }),
                    Err(error) => {
                        left.push(format!("{side}: {error}"));
                        serde_json::json!({ "side": side.as_str(), "error": error })
                    }
                };
                world.emit("cleaned_up", fields).await;
            }
            world.note_cleaned(left).await;
        });
    }
}

/// Lifts the fence of a side and removes what is ours there.
async fn clean(world: &Arc<World>, side: Side) -> Result<Vec<String>, String> {
    fence::lift(world, side).await?;
    world.report(Fact::FenceLifted { side }).await;
    let database = world.database(side).ok_or_else(|| format!("the {side} is not connected"))?;
    world.plugin.family().cleanup(&database).await.map_err(|e| e.to_string())
}

#[async_trait]
impl Act for Doer {
    async fn act(&self, run: &RunState, action: Action) {
        match action {
            Action::PublishTable(table) => self.publish(table, run.saga.as_ref()),
            Action::Start { worker, .. } => {
                self.world.workers.start(&self.world, worker, run.copy_round);
            }
            Action::Stop { worker, .. } => self.world.workers.stop(&self.world, worker),
            Action::Flip { attempt, action, .. } => self.flip(run, attempt, action),
            Action::BeginRehearsal { .. } => rehearsal::begin(&self.world),
            Action::StopRehearsal => self.world.stop_rehearsal(),
            Action::LiftFence { side } => fence::lift_alone(&self.world, side),
            Action::Cleanup { .. } => self.cleanup(),
            // Recorded with the state, or said by the flip's own actions.
            Action::Emit { .. }
            | Action::Notify { .. }
            | Action::AskApproval { .. }
            | Action::BeginSaga(_)
            | Action::ResumeSaga(_) => {}
        }
    }
}

impl World {
    /// Says that this node serves an epoch.
    pub(crate) fn ack(self: &Arc<Self>, epoch: model::Epoch, txn_wait_ms: u64) {
        let node = self.node.clone();
        self.tell(Fact::NodeAcked { node, epoch, txn_wait_ms });
    }

    /// Says how a rehearsal ended.
    pub(crate) fn rehearsed(self: &Arc<Self>, digest: String, outcome: EvidenceOutcome) {
        self.tell(Fact::RehearsalDone { digest, outcome });
    }
}
