use std::collections::BTreeSet;

use super::{
    FlipAction, FlipInput, FlipState, FlipStep, Flipped, LIFT_MS, Node, PREPARE_MS, REHOME_MS,
};

/// One transition. Inputs that do not concern the present step change nothing.
#[must_use]
pub fn flip(state: &FlipState, input: &FlipInput, now_ms: u64) -> Flipped {
    let s = state.clone();
    match input {
        FlipInput::Resumed { live } => resume(s, live.clone(), now_ms),
        FlipInput::NodeJoined { node } => joined(s, node.clone()),
        FlipInput::NodeGone { node } => gone(s, node, now_ms),
        FlipInput::Acked { node, epoch, txn_wait_ms } if *epoch >= s.epoch => {
            acked(s, node.clone(), *txn_wait_ms, now_ms)
        }
        FlipInput::Acked { .. } => same(s),
        FlipInput::Undo { why } if undoable(&s) => undo(s, why, now_ms),
        FlipInput::Undo { .. } => same(s),
        FlipInput::AcceptLoss => accept_loss(s, now_ms),
        FlipInput::Tick => tick(s, now_ms),
        outcome => finished(s, outcome, now_ms),
    }
}

pub(super) fn begin(mut s: FlipState) -> Flipped {
    if s.terms.lift_new {
        s.step = FlipStep::LiftNew;
        let side = s.terms.to;
        return stored(s, vec![FlipAction::LiftFence { side }]);
    }
    let side = s.terms.to;
    stored(s, vec![FlipAction::OpenFeed { side }])
}

/// The answer to an action.
fn finished(mut s: FlipState, outcome: &FlipInput, now: u64) -> Flipped {
    use FlipInput as I;
    use FlipStep as S;
    match (s.step, outcome) {
        (S::LiftNew, I::FenceLifted { side }) if *side == s.terms.to => {
            s.lifted = true;
            s.step = S::OpenFeed;
            s.deadline_ms = Some(now + PREPARE_MS);
            let side = s.terms.to;
            stored(s, vec![FlipAction::OpenFeed { side }])
        }
        (S::LiftNew, I::LiftFailed { why, .. }) => {
            undo(s, &format!("the fence could not be lifted: {why}"), now)
        }
        (S::OpenFeed, I::FeedOpened) if s.terms.accept_loss => freeze(s, now),
        (S::OpenFeed, I::FeedOpened) => {
            s.step = S::CatchUp;
            s.deadline_ms = Some(now + PREPARE_MS);
            lazy(s, vec![])
        }
        (S::CatchUp, I::InStep) => freeze(s, now),
        (S::OpenFeed, I::FeedFailed { why }) => {
            undo(s, &format!("the feed of the new authority could not be opened: {why}"), now)
        }
        (S::FenceOld, I::Fenced) => feed_fence(s),
        (S::FenceOld, I::FenceSkipped) => {
            s.fenced = false;
            unfenced(s, "there is no right to fence", now)
        }
        (S::FenceOld, I::FenceFailed { why }) if s.terms.accept_loss => unfenced(s, why, now),
        (S::FenceOld, I::FenceFailed { why }) => {
            undo(s, &format!("the old authority could not be fenced: {why}"), now)
        }
        (S::FeedFence, I::FeedFenced) => drain(s),
        (S::FeedFence, I::FeedFenceFailed { why }) => {
            let why = why.clone();
            unless_loss(s, &format!("the feed was lost: {why}"), 0, now)
        }
        (S::Drain, I::Drained) => store_next(s, now),
        (S::Drain, I::DrainFailed { why, remaining }) => {
            unless_loss(s, &format!("the drain failed: {why}"), *remaining, now)
        }
        (S::Undoing, I::FenceLifted { side }) if *side == s.terms.from => {
            s.fenced = false;
            undone(s, now)
        }
        (S::Undoing, I::LiftFailed { side, why }) if *side == s.terms.from => {
            still_fenced(s, why, now)
        }
        _ => same(s),
    }
}

/// Publishes epoch n, frozen.
fn freeze(mut s: FlipState, now: u64) -> Flipped {
    s.step = FlipStep::AwaitQuiet;
    s.epoch = s.epoch.next();
    s.frozen_ms = Some(now);
    s.acked = BTreeSet::new();
    // Where a fence can shut a silent node out, it gets half the budget to do so in.
    let patience = if s.terms.fence { s.terms.budget_ms / 2 } else { s.terms.budget_ms };
    s.deadline_ms = Some(now + s.terms.txn_deadline_ms + patience);
    let actions = vec![
        FlipAction::Publish { epoch: s.epoch, frozen: true, moved: false },
        FlipAction::Quiesce { epoch: s.epoch, txn_deadline_ms: now + s.terms.txn_deadline_ms },
    ];
    let mut next = if s.live.is_empty() { quiet(s, now) } else { stored(s, vec![]) };
    next.actions.splice(0..0, actions);
    next
}

fn acked(mut s: FlipState, node: Node, txn_wait_ms: u64, now: u64) -> Flipped {
    match s.step {
        FlipStep::AwaitQuiet => {
            s.txn_wait_ms = s.txn_wait_ms.max(txn_wait_ms.min(s.terms.txn_deadline_ms));
            s.live.insert(node.clone());
            s.acked.insert(node);
            maybe_quiet(s, now)
        }
        FlipStep::FenceOld | FlipStep::FeedFence | FlipStep::Drain => {
            s.missing.remove(&node);
            lazy(s, vec![])
        }
        FlipStep::AwaitRehomed => {
            s.live.insert(node.clone());
            s.acked.insert(node);
            maybe_rehomed(s, now)
        }
        _ => same(s),
    }
}

fn maybe_quiet(s: FlipState, now: u64) -> Flipped {
    if s.live.is_subset(&s.acked) { quiet(s, now) } else { lazy(s, vec![]) }
}

/// No node has a write in flight, or the silent ones are to be shut out.
fn quiet(mut s: FlipState, now: u64) -> Flipped {
    s.missing = s.live.difference(&s.acked).cloned().collect();
    let frozen = s.frozen_ms.unwrap_or(now);
    let waited = if s.missing.is_empty() { s.txn_wait_ms } else { s.terms.txn_deadline_ms };
    s.deadline_ms = Some(frozen + waited + s.terms.budget_ms);
    if !s.terms.fence {
        return feed_fence(s);
    }
    s.step = FlipStep::FenceOld;
    s.fenced = true;
    let side = s.terms.from;
    stored(s, vec![FlipAction::Fence { side }])
}

/// Goes on without a fence, if every node is known to be quiet.
fn unfenced(s: FlipState, why: &str, now: u64) -> Flipped {
    if s.missing.is_empty() {
        return feed_fence(s);
    }
    let names = s.missing.iter().map(|n| n.0.as_str()).collect::<Vec<_>>().join(", ");
    undo(s, &format!("{names} did not acknowledge the freeze and {why}"), now)
}

fn feed_fence(mut s: FlipState) -> Flipped {
    s.step = FlipStep::FeedFence;
    let side = s.terms.from;
    lazy(s, vec![FlipAction::FeedFence { side }])
}

fn drain(mut s: FlipState) -> Flipped {
    s.step = FlipStep::Drain;
    let from = s.terms.from;
    lazy(s, vec![FlipAction::Drain { from }])
}

/// Epoch n+1: from the moment this state is stored, the new side decides.
fn store_next(mut s: FlipState, now: u64) -> Flipped {
    s.step = FlipStep::AwaitRehomed;
    s.epoch = s.epoch.next();
    s.acked = BTreeSet::new();
    s.deadline_ms = Some(now + REHOME_MS);
    let publish = FlipAction::Publish { epoch: s.epoch, frozen: true, moved: true };
    let mut next = if s.live.is_empty() { done(s, now) } else { stored(s, vec![]) };
    next.actions.insert(0, publish);
    next.durable = true;
    next
}

fn maybe_rehomed(s: FlipState, now: u64) -> Flipped {
    if s.live.is_subset(&s.acked) { done(s, now) } else { lazy(s, vec![]) }
}

/// Epoch n+2: open. It follows from the stored state alone, so a crash repeats it exactly.
fn done(mut s: FlipState, now: u64) -> Flipped {
    s.missing = s.live.difference(&s.acked).cloned().collect();
    s.step = FlipStep::Done;
    s.epoch = s.epoch.next();
    s.deadline_ms = None;
    s.ended_ms = Some(now);
    let publish = FlipAction::Publish { epoch: s.epoch, frozen: false, moved: true };
    lazy(s, vec![publish])
}

fn joined(mut s: FlipState, node: Node) -> Flipped {
    if s.over() {
        return same(s);
    }
    s.live.insert(node);
    lazy(s, vec![])
}

fn gone(mut s: FlipState, node: &Node, now: u64) -> Flipped {
    s.live.remove(node);
    s.acked.remove(node);
    s.missing.remove(node);
    match s.step {
        FlipStep::AwaitQuiet => maybe_quiet(s, now),
        FlipStep::AwaitRehomed => maybe_rehomed(s, now),
        _ => lazy(s, vec![]),
    }
}

/// Goes on although changes may be lost, where an operator accepted that; else undoes.
fn unless_loss(mut s: FlipState, why: &str, remaining: u64, now: u64) -> Flipped {
    if !s.terms.accept_loss {
        return undo(s, why, now);
    }
    s.at_risk = s.at_risk.max(remaining);
    s.reason = Some(format!("went on with accepted loss: {why}"));
    match s.step {
        FlipStep::FeedFence => drain(s),
        _ => store_next(s, now),
    }
}

fn accept_loss(mut s: FlipState, now: u64) -> Flipped {
    if s.moved() || s.over() {
        return same(s);
    }
    s.terms.accept_loss = true;
    if s.step == FlipStep::CatchUp { freeze(s, now) } else { stored(s, vec![]) }
}

fn tick(s: FlipState, now: u64) -> Flipped {
    if s.deadline_ms.is_none_or(|at| now < at) {
        return same(s);
    }
    match s.step {
        FlipStep::AwaitQuiet if s.terms.fence => quiet(s, now),
        FlipStep::FenceOld if s.terms.accept_loss => unfenced(s, "fencing took too long", now),
        FlipStep::FeedFence | FlipStep::Drain => {
            unless_loss(s, "the pause budget is used up", 0, now)
        }
        FlipStep::AwaitRehomed => done(s, now),
        FlipStep::Undoing => still_fenced(s, "it took too long", now),
        FlipStep::CatchUp => undo(s, "the side that will decide did not get in step", now),
        FlipStep::LiftNew | FlipStep::OpenFeed => undo(s, "preparing took too long", now),
        FlipStep::AwaitQuiet | FlipStep::FenceOld => undo(s, "the pause budget is used up", now),
        FlipStep::Done | FlipStep::Undone => same(s),
    }
}

/// A restarted controller does not know what its predecessor's actions did. Before n+1 is stored
/// it takes everything back; afterwards it finishes.
fn resume(mut s: FlipState, live: BTreeSet<Node>, now: u64) -> Flipped {
    s.live = live;
    s.acked = BTreeSet::new();
    match s.step {
        FlipStep::AwaitRehomed => {
            s.deadline_ms = Some(now + REHOME_MS);
            let publish = FlipAction::Publish { epoch: s.epoch, frozen: true, moved: true };
            let mut next = maybe_rehomed(s, now);
            next.actions.insert(0, publish);
            next
        }
        FlipStep::Undoing => {
            s.deadline_ms = Some(now + LIFT_MS);
            let side = s.terms.from;
            lazy(s, vec![FlipAction::LiftFence { side }])
        }
        FlipStep::Done | FlipStep::Undone => same(s),
        _ => undo(s, "interrupted by a restart", now),
    }
}

fn undoable(s: &FlipState) -> bool {
    !s.moved() && !s.over() && s.step != FlipStep::Undoing
}

fn undo(mut s: FlipState, why: &str, now: u64) -> Flipped {
    s.reason = Some(why.to_owned());
    s.acked = BTreeSet::new();
    if !s.fenced {
        return undone(s, now);
    }
    s.step = FlipStep::Undoing;
    s.deadline_ms = Some(now + LIFT_MS);
    let side = s.terms.from;
    stored(s, vec![FlipAction::LiftFence { side }])
}

fn undone(mut s: FlipState, now: u64) -> Flipped {
    s.step = FlipStep::Undone;
    s.missing = BTreeSet::new();
    s.deadline_ms = None;
    s.ended_ms = Some(now);
    let mut actions = Vec::new();
    if s.frozen_ms.is_some() {
        s.epoch = s.epoch.next();
        actions.push(FlipAction::Publish { epoch: s.epoch, frozen: false, moved: false });
    }
    actions.push(FlipAction::CloseFeed { side: s.terms.to });
    stored(s, actions)
}

/// Reopens with the fence still recorded.
fn still_fenced(mut s: FlipState, why: &str, now: u64) -> Flipped {
    let undone_for = s.reason.as_deref().unwrap_or("undone");
    s.reason = Some(format!("{undone_for}; the fence could not be lifted yet: {why}"));
    undone(s, now)
}

const fn same(state: FlipState) -> Flipped {
    lazy(state, Vec::new())
}

const fn lazy(state: FlipState, actions: Vec<FlipAction>) -> Flipped {
    Flipped { state, actions, durable: false }
}

const fn stored(state: FlipState, actions: Vec<FlipAction>) -> Flipped {
    Flipped { state, actions, durable: true }
}
