use std::collections::BTreeSet;

use routing::RoutingTable;

use super::Out;
use super::moves::copy_anew;
use crate::action::{Action, Transition, Worker};
use crate::derive::{table_for, wants_capture, workers};
use crate::evidence::{Evidence, EvidenceKind};
use crate::gate::{GateVerdict, gate_digest, gate_verdict};
use crate::needs::gate_at;
use crate::plan::Plan;
use crate::run::RunState;
use crate::saga::{FlipAction, FlipStep};

/// Turns the difference of two states into actions: stop, publish, flip, start, tell.
pub(super) fn settle(
    plan: &Plan,
    old: &RunState,
    mut new: RunState,
    out: Out,
    resumed: bool,
) -> Transition {
    if !wants_capture(plan, &new) {
        new.capture = None;
    } else if new.capture.is_none() {
        new.capture = Some(new.epoch.max(old.epoch).next());
        copy_anew(&mut new, "notes were not taken all the time");
    }
    let same_table = unstamped(plan, old) == unstamped(plan, &new);
    if new.epoch == old.epoch && (!same_table || out.republish) {
        new.epoch = new.epoch.next();
    }
    if let Some(saga) = &mut new.saga {
        // The barrier counts on from the newest table, whoever caused it: an acknowledgement of
        // an older one must never pass for one of the freeze.
        saga.flip.epoch = new.epoch;
    }
    let published = new.epoch != old.epoch || resumed;

    let (before, after) = (workers(plan, old), workers(plan, &new));
    let mut actions = Vec::new();
    let epoch = new.epoch;
    let stop = |worker: &Worker| Action::Stop { worker: *worker, epoch };
    actions.extend(before.difference(&after).map(stop));
    if published {
        actions.push(Action::PublishTable(table_for(plan, &new)));
    }
    let quiet_again = quiet_again(old, &new).filter(|_| published);
    actions.extend(out.flips.into_iter().map(|action| stamped(action, &new)).chain(quiet_again));
    let mut started: BTreeSet<Worker> =
        if resumed { after.clone() } else { after.difference(&before).copied().collect() };
    if after.contains(&Worker::Verify) && proved(old) && !proved(&new) {
        // Starting a worker that runs makes it begin a pass now.
        started.insert(Worker::Verify);
    }
    actions.extend(started.into_iter().map(|worker| Action::Start { worker, epoch }));
    actions.extend(asked_approval(plan, old, &new));
    actions.extend(out.actions);

    let changed = worth_storing(old, &new);
    if changed {
        new.version = old.version + 1;
    }
    let durable = changed && (out.durable || !only_saga_changed(old, &new));
    Transition { state: new, actions, notes: out.notes, changed, durable }
}

/// A frozen table that replaces a frozen one, for another reason than the barrier's, has to be
/// acknowledged like the one before.
fn quiet_again(old: &RunState, new: &RunState) -> Option<Action> {
    let flip = &new.saga.as_ref()?.flip;
    let waited_before = old.saga.as_ref().is_some_and(|s| s.flip.step == FlipStep::AwaitQuiet);
    if !waited_before || flip.step != FlipStep::AwaitQuiet {
        return None;
    }
    let txn_deadline_ms = flip.frozen_ms.unwrap_or(new.now_ms) + flip.terms.txn_deadline_ms;
    let (attempt, epoch) = (flip.terms.attempt, new.epoch);
    let action = FlipAction::Quiesce { epoch, txn_deadline_ms };
    Some(Action::Flip { attempt, epoch, action })
}

/// A barrier's action with the newest epoch.
fn stamped(action: Action, run: &RunState) -> Action {
    match action {
        Action::Flip { attempt, action, .. } => Action::Flip { attempt, epoch: run.epoch, action },
        Action::BeginSaga(mut saga) => {
            saga.flip.epoch = run.epoch;
            Action::BeginSaga(saga)
        }
        other => other,
    }
}

/// The table without its epoch, to see whether anything else differs.
fn unstamped(plan: &Plan, run: &RunState) -> RoutingTable {
    RoutingTable { epoch: model::Epoch(0), ..table_for(plan, run) }
}

fn proved(run: &RunState) -> bool {
    run.evidence.get(&EvidenceKind::Verify).is_some_and(Evidence::holds)
}

/// Whether nothing but a barrier's own progress changed, so that a restart takes it up earlier.
fn only_saga_changed(old: &RunState, new: &RunState) -> bool {
    let mut like_new = old.clone();
    if old.saga.is_some() && new.saga.is_some() {
        like_new.saga.clone_from(&new.saga);
    }
    !worth_storing(&like_new, new)
}

/// Whether more changed than what a restart learns again by itself.
fn worth_storing(old: &RunState, new: &RunState) -> bool {
    let mut like_new = old.clone();
    like_new.now_ms = new.now_ms;
    like_new.lift_again_ms = new.lift_again_ms;
    like_new.nodes.clone_from(&new.nodes);
    like_new.following.lag_ms = new.following.lag_ms;
    like_new.following.pending = new.following.pending;
    for (name, judged) in &mut like_new.criteria {
        if let Some(newer) = new.criteria.get(name)
            && newer.verdict == judged.verdict
        {
            judged.clone_from(newer);
        }
    }
    like_new != *new
}

/// Asks people once per digest: when a gate stands here that did not stand there, or when what
/// they would sign has changed.
fn asked_approval(plan: &Plan, old: &RunState, new: &RunState) -> Option<Action> {
    let gate = gate_at(new.place())?;
    let GateVerdict::Closed { missing, roles, .. } = gate_verdict(plan, new, gate) else {
        return None;
    };
    let digest = gate_digest(plan, new, gate);
    let asked_before = gate_at(old.place()) == Some(gate)
        && old.step == new.step
        && gate_digest(plan, old, gate) == digest
        && !gate_verdict(plan, old, gate).open();
    (!asked_before).then_some(Action::AskApproval { gate, roles, missing, digest })
}
