//! Fences at the databases. The record of a fence is durable before the fence is set and removed
//! only after it was lifted, so that a fresh process can always undo what an old one did. Setting
//! and lifting on one side never overlap, and a fence that comes too late is not set.

use std::sync::Arc;

use family::{FenceRecord, Trouble};
use model::Side;
use store::{Batch, Change, Kind};
use workflow::{Fact, FlipInput, FlipStep};

use super::barrier::Piece;
use crate::world::World;

/// Sets a fence on a side.
pub(super) fn fence(piece: Piece, side: Side) {
    piece.run(async move |world, left| {
        let failed = |why: String| FlipInput::FenceFailed { why };
        let Some(database) = world.database(side) else {
            return failed(format!("the {side} is not connected"));
        };
        let work = async {
            let _alone = world.fencing[side.index()].lock().await;
            if !still_wanted(&world, side) {
                return failed("the barrier was undone meanwhile".to_owned());
            }
            let record = match database.plan_fence().await {
                Ok(record) => record,
                Err(error) if error.trouble == Trouble::Unsupported => {
                    return FlipInput::FenceSkipped;
                }
                Err(error) => return failed(error.to_string()),
            };
            let body = record.0.clone().into_bytes();
            let stored = Change::put(Kind::Fence, &world.id, side.as_str(), body);
            if let Err(error) = world.store.commit(Batch::decision(vec![stored])).await {
                return failed(error.to_string());
            }
            match database.fence(&record).await {
                Ok(()) => FlipInput::Fenced,
                Err(error) => failed(error.to_string()),
            }
        };
        let within = tokio::time::timeout(left, work).await;
        within.unwrap_or_else(|_| failed("it took too long".to_owned()))
    });
}

/// Lifts a fence as part of a flip.
pub(super) fn lift_in_flip(piece: Piece, side: Side) {
    piece.run(async move |world, _| match lift(&world, side).await {
        Ok(()) => FlipInput::FenceLifted { side },
        Err(why) => FlipInput::LiftFailed { side, why },
    });
}

/// Lifts a fence that a crash left behind. Tried again by the workflow when it fails.
pub(super) fn lift_alone(world: &Arc<World>, side: Side) {
    world.spawn(async move |world| match lift(&world, side).await {
        Ok(()) => world.report(Fact::FenceLifted { side }).await,
        Err(why) => tracing::warn!(%side, why, "a fence could not be lifted yet"),
    });
}

/// Whether the barrier under way still waits for this fence.
fn still_wanted(world: &World, side: Side) -> bool {
    let snapshot = world.snapshot();
    let saga = snapshot.as_ref().and_then(|s| s.run.as_ref()?.saga.as_ref());
    saga.is_some_and(|s| s.flip.terms.from == side && s.flip.step == FlipStep::FenceOld)
}

/// Lifts every recorded fence that the run does not know of: a crash came between the record and
/// the run's own state.
pub(crate) async fn reconcile(world: &World, side: Side) {
    let known = world.snapshot().is_some_and(|s| {
        s.run.as_ref().is_some_and(|r| r.fences.contains(&side) || r.saga.is_some())
    });
    if !known && let Err(why) = lift(world, side).await {
        tracing::warn!(%side, why, "a forgotten fence could not be lifted yet");
    }
}

/// Lifts the recorded fence of a side; fine when there is none.
pub(super) async fn lift(world: &World, side: Side) -> Result<(), String> {
    let _alone = world.fencing[side.index()].lock().await;
    let stored = world.store.get(Kind::Fence, &world.id, side.as_str()).await;
    let Some(doc) = stored.map_err(|e| e.to_string())? else { return Ok(()) };
    let record = FenceRecord(String::from_utf8_lossy(&doc.body).into_owned());
    let database = world.database(side).ok_or_else(|| format!("the {side} is not connected"))?;
    database.lift(&record).await.map_err(|e| e.to_string())?;
    let gone = Change::delete(Kind::Fence, &world.id, side.as_str());
    world.store.commit(Batch::decision(vec![gone])).await.map_err(|e| e.to_string())?;
    Ok(())
}
