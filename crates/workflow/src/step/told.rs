use std::collections::BTreeSet;

use model::Epoch;

use super::{Out, barrier, moves};
use crate::action::Action;
use crate::criteria::{Judgement, OnFailure, Verdict};
use crate::event::Fact;
use crate::evidence::{Evidence, EvidenceKind, EvidenceOutcome, age, spoil};
use crate::place::Place;
use crate::plan::{OnStepFailure, Plan};
use crate::run::{Following, Held, RollbackAsked, RunState, StepFailure};
use crate::saga::{FlipInput, LIFT_MS, Node};

/// What time alone does; every event brings some.
pub(super) fn time_passed(plan: &Plan, run: &mut RunState, out: &mut Out) {
    if run.place().is_final() {
        return;
    }
    let stale = age(plan, run);
    moves::reopen(plan, run, &stale, out);
    barrier::hear(plan, run, &FlipInput::Tick, out);
    lift_forgotten(run, out);
    if run.saga.is_some() || run.retry_at_ms.is_none_or(|at| run.now_ms < at) {
        return;
    }
    match run.place() {
        Place::RollbackBlocked => {
            let asked = run.rollback_asked.clone().unwrap_or_else(|| automatic("a retry is due"));
            run.rollback_asked = None;
            moves::rollback(plan, run, asked, out);
        }
        _ if run.incident_hold.is_none() => {
            run.retry_at_ms = None;
            run.failure = None;
            out.emit("step_retried", vec![("retries", run.retries.to_string())]);
        }
        _ => {}
    }
}

/// A fence on a side that decides is one that a crash or a dead server left behind.
fn lift_forgotten(run: &mut RunState, out: &mut Out) {
    let forgotten = run.forgotten_fences();
    if forgotten.is_empty() {
        run.lift_again_ms = None;
    } else if run.lift_again_ms.is_none_or(|at| run.now_ms >= at) {
        run.lift_again_ms = Some(run.now_ms + LIFT_MS);
        out.actions.extend(forgotten.into_iter().map(|side| Action::LiftFence { side }));
    }
}

pub(super) fn told(plan: &Plan, run: &mut RunState, fact: &Fact, out: &mut Out) {
    if run.place().is_final() {
        return in_the_end(run, fact, out);
    }
    match fact {
        Fact::Started | Fact::Tick => {}
        Fact::Resumed { nodes } => resumed(plan, run, nodes, out),
        Fact::NodeJoined { node } => {
            let epoch = run.epoch;
            run.nodes.entry(node.clone()).or_insert(epoch);
            barrier::hear(plan, run, &FlipInput::NodeJoined { node: node.clone() }, out);
        }
        Fact::NodeGone { node } => {
            run.nodes.remove(node);
            barrier::hear(plan, run, &FlipInput::NodeGone { node: node.clone() }, out);
        }
        Fact::NodeAcked { node, epoch, txn_wait_ms } => {
            acked(plan, run, node, *epoch, *txn_wait_ms, out);
        }
        Fact::BackfillDone => backfilled(run, out),
        Fact::InStep { in_step, lag_ms, pending } => {
            run.following = Following { in_step: *in_step, lag_ms: *lag_ms, pending: *pending };
            barrier::caught_up(plan, run, out);
        }
        Fact::VerifyDone { digest, clean, open } => verified(plan, run, digest, *clean, *open, out),
        Fact::Unverified { why } => {
            let stale = spoil(run, [EvidenceKind::Verify], why);
            moves::reopen(plan, run, &stale, out);
        }
        Fact::EvidenceAdded { kind, digest, outcome } => {
            add(plan, run, *kind, digest, *outcome, out);
        }
        Fact::ConfigChanged { digest, affects } => {
            let stale = spoil(run, affects.iter().copied(), "the config changed");
            moves::reopen(plan, run, &stale, out);
            out.republish = true;
            out.emit("config_changed", vec![("digest", digest.clone())]);
        }
        Fact::CriterionSample { name, verdict, numbers } => {
            sampled(plan, run, name, *verdict, numbers, out);
        }
        Fact::SagaProgress { attempt, input } => {
            if is_current(run, *attempt) {
                barrier::hear(plan, run, input, out);
            } else {
                barrier::heard_late(run, *attempt, input);
                lift_forgotten(run, out);
            }
        }
        Fact::SagaFailed { attempt, why } => {
            if is_current(run, *attempt) {
                barrier::undo(plan, run, why, out);
            }
        }
        Fact::RehearsalDone { digest, outcome } => {
            if run.rehearsing_since_ms.take().is_some() {
                add(plan, run, EvidenceKind::Rehearsal, digest, *outcome, out);
            }
        }
        Fact::WorkerFailed { worker, code, why } => {
            failed(plan, run, worker, code, why, out);
        }
        Fact::FeedLost { side } => {
            if run.feeds_lost.insert(*side) {
                run.following.in_step = false;
                out.emit("feed_lost", vec![("side", side.to_string())]);
            }
        }
        Fact::FeedRestored { side } => {
            if run.feeds_lost.remove(side) {
                out.emit("feed_restored", vec![("side", side.to_string())]);
            }
        }
        Fact::FenceLifted { side } => {
            run.fences.remove(side);
        }
    }
}

/// A run that is over still knows its nodes and its fences.
fn in_the_end(run: &mut RunState, fact: &Fact, out: &mut Out) {
    match fact {
        Fact::Resumed { nodes } => {
            run.nodes = nodes.iter().map(|n| (n.clone(), Epoch(0))).collect();
        }
        Fact::NodeJoined { node } => {
            let epoch = run.epoch;
            run.nodes.entry(node.clone()).or_insert(epoch);
        }
        Fact::NodeGone { node } => {
            run.nodes.remove(node);
        }
        Fact::NodeAcked { node, epoch, .. } => note_epoch(run, node, *epoch),
        Fact::FenceLifted { side } => {
            run.fences.remove(side);
        }
        Fact::ConfigChanged { .. } => out.republish = true,
        _ => {}
    }
}

fn is_current(run: &RunState, attempt: u64) -> bool {
    run.saga.as_ref().is_some_and(|saga| saga.flip.terms.attempt == attempt)
}

fn resumed(plan: &Plan, run: &mut RunState, nodes: &BTreeSet<Node>, out: &mut Out) {
    run.nodes = nodes.iter().map(|n| (n.clone(), Epoch(0))).collect();
    run.lift_again_ms = None;
    // What a former process saw says nothing about now: what was under way is looked at again.
    run.following.in_step = false;
    barrier::resume(plan, run, out);
    lift_forgotten(run, out);
    if run.rehearsing_since_ms.is_some() {
        out.actions.push(Action::BeginRehearsal { epoch: run.epoch });
    }
    out.emit("resumed", vec![("step", run.place().to_string())]);
}

fn note_epoch(run: &mut RunState, node: &Node, epoch: Epoch) {
    let known = run.nodes.entry(node.clone()).or_insert(epoch);
    *known = (*known).max(epoch);
}

fn acked(
    plan: &Plan,
    run: &mut RunState,
    node: &Node,
    epoch: Epoch,
    txn_wait_ms: u64,
    out: &mut Out,
) {
    note_epoch(run, node, epoch);
    let input = FlipInput::Acked { node: node.clone(), epoch, txn_wait_ms };
    barrier::hear(plan, run, &input, out);
}

fn backfilled(run: &mut RunState, out: &mut Out) {
    if run.place() == Place::Seeding && !run.backfilled {
        run.backfilled = true;
        out.emit("backfill_done", vec![]);
    }
}

fn verified(plan: &Plan, run: &mut RunState, digest: &str, clean: bool, open: u64, out: &mut Out) {
    if !run.backfilled {
        return;
    }
    let outcome = if clean { EvidenceOutcome::Pass } else { EvidenceOutcome::Fail };
    run.verified = clean;
    add(plan, run, EvidenceKind::Verify, digest, outcome, out);
    if !clean {
        out.notify(true, format!("verification found {open} open differences"));
    }
}

fn add(
    plan: &Plan,
    run: &mut RunState,
    kind: EvidenceKind,
    digest: &str,
    outcome: EvidenceOutcome,
    out: &mut Out,
) {
    let piece = Evidence { digest: digest.to_owned(), at_ms: run.now_ms, outcome, stale: None };
    let told_again = run.evidence.get(&kind).is_some_and(|old| {
        old.stale.is_none() && old.digest == piece.digest && old.outcome == piece.outcome
    });
    run.evidence.insert(kind, piece);
    if told_again {
        return;
    }
    out.emit(
        "evidence_added",
        vec![
            ("kind", kind.to_string()),
            ("outcome", outcome.to_string()),
            ("digest", digest.to_owned()),
        ],
    );
    if outcome != EvidenceOutcome::Pass {
        moves::reopen(plan, run, &[kind], out);
    }
}

/// Takes a sample in, and does what a check that just turned to fail asks for.
pub(super) fn sampled(
    plan: &Plan,
    run: &mut RunState,
    name: &str,
    verdict: Verdict,
    numbers: &str,
    out: &mut Out,
) {
    let Some(spec) = plan.criterion(name).filter(|c| c.judged_in(run.place())) else { return };
    let now = run.now_ms;
    let judged = run.criteria.entry(name.to_owned()).or_insert_with(|| Judgement::blank(now));
    if !judged.take(spec, verdict, numbers, now) {
        return;
    }
    let reaction = spec.reaction(run.step.place());
    if !spec.enforce {
        judged.would_have = Some(reaction);
    }
    out.emit(
        "criterion_failed",
        vec![
            ("name", name.to_owned()),
            ("numbers", numbers.to_owned()),
            ("reaction", reaction.to_string()),
            ("enforced", spec.enforce.to_string()),
        ],
    );
    if spec.enforce {
        react(plan, run, name, numbers, reaction, out);
    }
}

fn react(
    plan: &Plan,
    run: &mut RunState,
    name: &str,
    numbers: &str,
    reaction: OnFailure,
    out: &mut Out,
) {
    let by = format!("criterion {name}");
    let reason = format!("{name} failed: {numbers}");
    out.notify(true, format!("{reason}; {reaction}"));
    if run.incident_hold.is_some() && reaction != OnFailure::Rollback {
        return out.note("an incident is held: nothing was done about it");
    }
    match reaction {
        OnFailure::Rollback => {
            let asked = RollbackAsked { by, reason, accept_loss: false };
            moves::rollback(plan, run, asked, out);
        }
        OnFailure::StepBack if run.place() != Place::RollingBack => {
            moves::step_back(plan, run, &by, &reason, out);
            hold(run, &by, &reason);
        }
        _ => hold(run, &by, &reason),
    }
}

fn hold(run: &mut RunState, by: &str, reason: &str) {
    if run.held.is_none() {
        run.held =
            Some(Held { by: by.to_owned(), reason: reason.to_owned(), since_ms: run.now_ms });
    }
}

fn failed(plan: &Plan, run: &mut RunState, worker: &str, code: &str, why: &str, out: &mut Out) {
    if run.failure.is_some() || matches!(run.place(), Place::RolledBack) {
        return;
    }
    out.emit(
        "worker_failed",
        vec![("worker", worker.to_owned()), ("code", code.to_owned()), ("why", why.to_owned())],
    );
    out.notify(true, format!("{worker} failed: {why}"));
    if matches!(run.place(), Place::RollingBack | Place::RollbackBlocked) {
        return;
    }
    run.failure = Some(StepFailure {
        worker: worker.to_owned(),
        code: code.to_owned(),
        why: why.to_owned(),
        at_ms: run.now_ms,
    });
    let all_back = |run: &mut RunState, out: &mut Out| {
        let asked = automatic(&format!("{worker} failed: {why}"));
        moves::rollback(plan, run, asked, out);
    };
    match plan.on_step_failure {
        // Nothing has moved yet: there is nothing to roll back, and a person knows better.
        _ if !run.place().moves_data() => {}
        // The target decides and serves. Without this worker it still does, and without replay
        // the way back is blocked anyway: authority moves by checks and people only.
        OnStepFailure::RollbackAll if run.target_decides_something() => {}
        OnStepFailure::AllowPartial => {}
        OnStepFailure::RollbackAll => all_back(run, out),
        OnStepFailure::Retry { times, .. } if run.retries >= times => {
            if !run.target_decides_something() {
                all_back(run, out);
            }
        }
        OnStepFailure::Retry { backoff_ms, .. } => {
            let wait = backoff_ms.saturating_mul(1 << run.retries.min(16));
            run.retries += 1;
            run.retry_at_ms = Some(run.now_ms + wait);
        }
    }
}

fn automatic(reason: &str) -> RollbackAsked {
    RollbackAsked { by: "exodus".to_owned(), reason: reason.to_owned(), accept_loss: false }
}
