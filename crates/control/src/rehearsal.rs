//! The rollback rehearsal: the real barrier, authority there and back, under load, on scratch
//! records that belong to nobody, through a shadow interlay. Production records, tables and fences
//! are not touched; what it finds is dated evidence.
//!
//! Layout: `stage` is a listener, an engine and a load of its own; `drive` turns the workflow's
//! flip machine by hand; this file is the play.

mod drive;
mod stage;

use std::sync::Arc;

use model::Side;
use serde_json::{Value, json};
use workflow::{EvidenceKind, EvidenceOutcome};

use crate::evidence;
use crate::world::World;
use stage::Stage;

/// Begins a rehearsal beside everything else; an older one ends.
pub(crate) fn begin(world: &Arc<World>) {
    let token = world.new_rehearsal();
    world.spawn(async move |world| {
        let played = tokio::select! {
            () = token.cancelled() => return,
            played = play(&world) => played,
        };
        let (outcome, report) = match played {
            Ok(report) => (EvidenceOutcome::Pass, report),
            Err(why) => (EvidenceOutcome::Fail, json!({ "summary": why })),
        };
        let digest = evidence::keep(&world, EvidenceKind::Rehearsal, outcome, &report).await;
        world.emit("rehearsal_done", report).await;
        world.rehearsed(digest, outcome);
    });
}

async fn play(world: &Arc<World>) -> Result<Value, String> {
    let mut stage = Stage::build(world).await?;
    let played = there_and_back(world, &mut stage).await;
    let wrong = match &played {
        Ok(_) => stage.check().await,
        Err(_) => Ok((0, Vec::new())),
    };
    stage.clear().await;
    let ([there, back], (checked, wrong)) = (played?, wrong?);
    if let Some(first) = wrong.first() {
        return Err(format!("{} of {checked} scratch records are wrong: {first}", wrong.len()));
    }
    let [first, second] = [&there, &back].map(|f| f.pause_ms);
    Ok(json!({
        "summary": format!("there in {first} ms, back in {second} ms, {checked} records right"),
        "there": { "pause_ms": first, "took_ms": there.took_ms },
        "back": { "pause_ms": second, "took_ms": back.took_ms },
        "records": checked,
    }))
}

async fn there_and_back(world: &Arc<World>, stage: &mut Stage) -> Result<[drive::Flip; 2], String> {
    let plan = world.snapshot().ok_or("the run is gone")?.plan.clone();
    stage.load().await?;
    let there = drive::flip(world, stage, Side::Target, plan.pause_budget_ms, &plan).await?;
    stage.load().await?;
    let back = drive::flip(world, stage, Side::Source, plan.rollback_budget_ms, &plan).await?;
    Ok([there, back])
}
