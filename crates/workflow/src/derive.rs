//! What follows from a state alone: the routing table, the workers that run, the next moment at
//! which time matters. Nothing here decides; a restart derives the same again.

use std::collections::BTreeSet;

use routing::{Freeze, RoutingTable, Situation, generate};

use crate::action::Worker;
use crate::evidence::EvidenceKind;
use crate::place::Place;
use crate::plan::Plan;
use crate::run::RunState;
use crate::saga::FlipStep;

/// The table that this state wants all nodes to serve.
#[must_use]
pub fn table_for(plan: &Plan, run: &RunState) -> RoutingTable {
    let place = run.place();
    let situation = Situation {
        epoch: run.epoch,
        authority: run.authority.clone(),
        capture: run.capture.is_some(),
        verified: secondary_ready(run),
        reads_mode: run.reads_mode.unwrap_or(model::ReadMode::Percent),
        reads_percent: run.reads_percent,
        sample_per_myriad: if compares(place) { plan.sample_per_myriad } else { 0 },
        freeze: match &run.saga {
            Some(saga) if saga.flip.frozen() => Freeze::Writes,
            _ => Freeze::Open,
        },
        plain: run.panicked.is_some() || !shifts(place),
        policy_before: plan.policy_before,
        policy_after: plan.policy_after,
        target_timeout_ms: plan.target_timeout_ms,
        lag_ms_max: plan.lag_ms_max,
        pins: pins(plan, run),
    };
    generate(plan.strategy, &situation)
}

/// An operator's pins come first, so that they win over the plan's.
fn pins(plan: &Plan, run: &RunState) -> Vec<(Vec<u8>, model::Side)> {
    let chosen = run.pins.iter().map(|(client, side)| (client.clone(), *side));
    let planned = plan.pins.iter().filter(|(client, _)| !run.pins.contains_key(client));
    chosen.chain(planned.cloned()).collect()
}

/// Whether reads may leave the authority: data verified, and the feeds that tell of foreign
/// changes alive.
fn secondary_ready(run: &RunState) -> bool {
    let followed = run.feeds_lost.iter().all(|side| match side {
        model::Side::Source => !run.source_decides_something(),
        model::Side::Target => !run.target_decides_something(),
    });
    run.verified && followed && run.capture.is_some()
}

const fn compares(place: Place) -> bool {
    matches!(place, Place::Compare | Place::Smoke | Place::Rehearsal) || serves(place)
}

/// Places whose table is more than passing through.
const fn shifts(place: Place) -> bool {
    compares(place) || matches!(place, Place::Seeding)
}

const fn serves(place: Place) -> bool {
    matches!(
        place,
        Place::Verifying
            | Place::Reads
            | Place::Tenants
            | Place::ReadyToCutover
            | Place::CuttingOver
            | Place::ServingTarget
            | Place::WarmSource
    )
}

/// Whether writes have to be noted in this state.
pub(crate) fn wants_capture(plan: &Plan, run: &RunState) -> bool {
    match run.place() {
        Place::Compare | Place::Smoke | Place::Rehearsal => {
            plan.capture_in_compare || run.capture.is_some()
        }
        Place::RollingBack | Place::RolledBack | Place::RollbackBlocked => run.capture.is_some(),
        Place::Setup | Place::Tap | Place::Analyze | Place::Finalized | Place::Abandoned => false,
        _ => true,
    }
}

/// The workers that run in this state.
#[must_use]
pub fn workers(plan: &Plan, run: &RunState) -> BTreeSet<Worker> {
    let place = run.place();
    let mut wanted = BTreeSet::new();
    let calm = run.panicked.is_none() && run.failure.is_none();
    match place {
        Place::Tap if calm => wanted.insert(Worker::Tap),
        Place::Analyze if calm => wanted.insert(Worker::Profile),
        Place::Smoke if calm => wanted.insert(Worker::Smoke),
        Place::Seeding if calm && !run.backfilled && capture_everywhere(run) => {
            wanted.insert(Worker::Backfill)
        }
        p if calm && serves(p) => wanted.insert(Worker::Verify),
        _ => false,
    };
    if table_for(plan, run).compare.is_some() {
        wanted.insert(Worker::Compare);
    }
    if run.capture.is_some() {
        wanted.insert(Worker::Replay);
        let opening = |side| {
            run.saga.as_ref().is_some_and(|saga| {
                let touched = saga.flip.terms.from == side || saga.flip.terms.to == side;
                touched && saga.flip.step != FlipStep::LiftNew
            })
        };
        if run.source_decides_something() || opening(model::Side::Source) {
            wanted.insert(Worker::FeedSource);
        }
        if run.target_decides_something() || opening(model::Side::Target) {
            wanted.insert(Worker::FeedTarget);
        }
    }
    wanted
}

/// Capture has to be active on every node before the copy takes its first look.
pub(crate) fn capture_everywhere(run: &RunState) -> bool {
    run.capture.is_some_and(|epoch| run.all_nodes_at(epoch))
}

/// The next moment at which a [`crate::Fact::Tick`] would change something, in milliseconds since
/// the Unix epoch.
#[must_use]
pub fn wake_at_ms(plan: &Plan, run: &RunState) -> Option<u64> {
    let flip = run.saga.as_ref().and_then(|saga| saga.flip.deadline_ms);
    let soak = (run.place() == Place::Reads && plan.auto_advance)
        .then(|| run.since_ms + plan.soak_ms)
        .filter(|at| *at > run.now_ms);
    let stale = run.evidence.iter().filter(|(_, e)| e.stale.is_none()).filter_map(|(kind, e)| {
        plan.evidence_max_age_ms.get::<EvidenceKind>(kind).map(|max| e.at_ms + max + 1)
    });
    let waivers = run.waivers.values().map(|w| w.expires_ms);
    // A retry of a worker waits for the end of an incident; a rollback does not.
    let retry = run
        .retry_at_ms
        .filter(|_| run.incident_hold.is_none() || run.place() == Place::RollbackBlocked);
    let fence =
        (!run.forgotten_fences().is_empty()).then(|| run.lift_again_ms.unwrap_or(run.now_ms));
    [flip, retry, soak, fence].into_iter().flatten().chain(stale).chain(waivers).min()
}
