use std::collections::VecDeque;
use std::time::Duration;

use engine::Hold;
use model::{Epoch, Side};
use workflow::{
    FlipAction, FlipInput, FlipKind, FlipState, FlipStep, FlipTerms, Plan, REHOME_MS, flip as turn,
};

use super::stage::{Stage, table};
use crate::world::World;

/// How one way of a rehearsal went.
pub(super) struct Flip {
    pub(super) pause_ms: u64,
    pub(super) took_ms: u64,
}

/// Turns the flip machine until authority is with `to`, or says why it was undone.
pub(super) async fn flip(
    world: &World,
    stage: &Stage,
    to: Side,
    budget_ms: u64,
    plan: &Plan,
) -> Result<Flip, String> {
    let terms = FlipTerms {
        kind: FlipKind::Rehearsal,
        from: to.other(),
        to,
        attempt: 1,
        budget_ms,
        txn_deadline_ms: plan.txn_deadline_ms,
        // A fence would stop production, too.
        fence: false,
        lift_new: false,
        accept_loss: false,
    };
    let now = || world.clock.now_ms();
    let epoch = stage.table.load().epoch;
    let begun = FlipState::begin(terms, epoch, [world.node.clone()].into(), now());
    let mut state = begun.state;
    let mut todo: VecDeque<_> = begun.actions.into();
    let mut hold = None;
    while !state.over() || !todo.is_empty() {
        let input = match todo.pop_front() {
            Some(action) => act(world, stage, &state, action, &mut hold).await,
            None => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let caught_up = state.step == FlipStep::CatchUp && stage.engine.in_step().is();
                Some(if caught_up { FlipInput::InStep } else { FlipInput::Tick })
            }
        };
        let Some(input) = input else { continue };
        let next = turn(&state, &input, now());
        state = next.state;
        todo.extend(next.actions);
    }
    if state.step != FlipStep::Done {
        let why = state.reason.unwrap_or_default();
        return Err(format!("the way to the {to} was undone: {why}"));
    }
    Ok(Flip { pause_ms: state.pause_ms(now()), took_ms: now().saturating_sub(state.began_ms) })
}

async fn act(
    world: &World,
    stage: &Stage,
    state: &FlipState,
    action: FlipAction,
    hold: &mut Option<Hold>,
) -> Option<FlipInput> {
    let left = state.deadline_ms.unwrap_or(0).saturating_sub(world.clock.now_ms());
    let left = Duration::from_millis(left) + Duration::from_millis(100);
    let acked = |epoch: Epoch, txn_wait_ms| FlipInput::Acked {
        node: world.node.clone(),
        epoch,
        txn_wait_ms,
    };
    match action {
        FlipAction::OpenFeed { side } => Some(match stage.engine.open_feed(side).await {
            Ok(()) => FlipInput::FeedOpened,
            Err(error) => FlipInput::FeedFailed { why: error.to_string() },
        }),
        FlipAction::Publish { epoch, frozen, moved } => {
            let from = state.terms.from;
            let side = if moved { state.terms.to } else { from };
            let published = stage.interlay.publish(table(epoch, side, frozen).into());
            hold.take();
            if let Err(error) = published {
                return Some(FlipInput::Undo { why: error.to_string() });
            }
            if !(frozen && moved) {
                return None;
            }
            let _ = stage.interlay.rehomed(epoch, Duration::from_millis(REHOME_MS)).await;
            Some(acked(epoch, 0))
        }
        FlipAction::Quiesce { epoch, txn_deadline_ms } => {
            let wait = txn_deadline_ms.saturating_sub(world.clock.now_ms()).max(20);
            let quiet = stage.interlay.quiet(epoch, Duration::from_millis(wait)).await;
            match quiet {
                Ok(report) if report.quiet => Some(acked(epoch, 0)),
                Ok(report) => Some(FlipInput::Undo {
                    why: format!("the listener did not become quiet: {:?}", report.waiting_on),
                }),
                Err(error) => Some(FlipInput::Undo { why: error.to_string() }),
            }
        }
        FlipAction::FeedFence { side } => Some(match stage.engine.feed_fence(side, left).await {
            Ok(()) => FlipInput::FeedFenced,
            Err(error) => FlipInput::FeedFenceFailed { why: error.to_string() },
        }),
        FlipAction::Drain { .. } => Some(match stage.engine.drain_and_hold(left).await {
            Ok((_, held)) => {
                *hold = Some(held);
                FlipInput::Drained
            }
            Err(not) => FlipInput::DrainFailed {
                why: not.to_string(),
                remaining: (not.live + not.bulk) as u64,
            },
        }),
        FlipAction::CloseFeed { side } => {
            stage.engine.close_feed(side).await;
            None
        }
        FlipAction::Fence { .. } => Some(FlipInput::FenceSkipped),
        FlipAction::LiftFence { side } => Some(FlipInput::FenceLifted { side }),
    }
}
