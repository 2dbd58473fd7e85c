//! An exhaustive model of the flip: the machine of `saga` itself, two proxies with one writer
//! each, two databases, a controller that may be killed between any two actions and goes on from
//! what it stored, messages that are late, lost or told twice, and timeouts at any moment.
//!
//! Laws: nothing is executed by the old authority after the new one acknowledged anything, and
//! nothing of the old authority is acknowledged after that (I1); every acknowledged write is on
//! the authority (I2); no table of the old authority is published after one of the new. The second
//! half of I1 holds for nodes that acknowledged the freeze: a stalled node that a fence shut out
//! may still deliver a reply it had already received; that write is on both sides by then.
//! Three broken twins have to be refuted: acknowledgements counted
//! instead of collected as a set; an undo after the moved authority was stored; a node that did
//! not acknowledge taken for quiet although no fence shuts it out.

use std::collections::BTreeSet;

use model::{Epoch, Side};
use stateright::{Checker, HasDiscoveries, Model, Property};
use workflow::{
    FlipAction, FlipInput, FlipKind, FlipState, FlipStep, FlipTerms, Flipped, Node, flip,
};

/// Writes a proxy's client sends, one after the other.
const WRITES: u8 = 2;
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    Real,
    CountedAcks,
    UndoAfterStored,
    SilenceIsQuiet,
}

struct Flip {
    rules: Rules,
    fence: bool,
    /// How often the controller is killed.
    kills: u8,
}

/// A table as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Table {
    epoch: Epoch,
    frozen: bool,
    moved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Write {
    None,
    /// On its way to this side.
    Sent(Side),
    /// Executed there, not yet acknowledged to the client.
    Executed(Side),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Proxy {
    table: Table,
    write: Write,
    left: u8,
}

/// The controller's memory: lost when it is killed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Memory {
    flip: FlipState,
    todo: Vec<FlipAction>,
    answers: BTreeSet<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Answer {
    Opened,
    Fenced,
    FenceFailed,
    Lifted,
    FeedFenced,
    Drained,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    stored: FlipState,
    memory: Option<Memory>,
    kills: u8,
    proxies: [Proxy; 2],
    published: BTreeSet<Table>,
    /// Acknowledgements sent; any may arrive at any time, and again.
    acks: BTreeSet<(usize, Epoch)>,
    fenced: bool,
    /// Bit sets of writes, per database, and of those acknowledged to a client.
    on: [u8; 2],
    acked: u8,
    /// The new authority acknowledged something.
    new_spoke: bool,
    /// The old authority executed something after that.
    old_wrote_late: bool,
    /// Something of the old authority was acknowledged after that.
    old_spoke_late: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    Receive(usize, Table),
    Send(usize),
    Execute(usize),
    Acknowledge(usize),
    Ack(usize),
    HearAck(usize, Epoch),
    Act,
    FailFence,
    Hear(Answer),
    InStep,
    Timeout,
    Kill,
    Resume,
}

fn node(i: usize) -> Node {
    Node(format!("n{i}"))
}

fn nodes() -> BTreeSet<Node> {
    [node(0), node(1)].into()
}

impl Flip {
    /// The machine, or a broken twin of it.
    fn drive(&self, state: &FlipState, input: &FlipInput, now: u64) -> Flipped {
        match (self.rules, input, state.step) {
            (Rules::CountedAcks, FlipInput::Acked { epoch, .. }, FlipStep::AwaitQuiet) => {
                let uncounted = state.live.difference(&state.acked).next().cloned();
                let node = uncounted.unwrap_or_else(|| node(0));
                let counted = FlipInput::Acked { node, epoch: *epoch, txn_wait_ms: 0 };
                flip(state, &counted, now)
            }
            (Rules::SilenceIsQuiet, FlipInput::Tick, FlipStep::AwaitQuiet) => {
                let all = FlipState { acked: state.live.clone(), ..state.clone() };
                let nobody = FlipInput::NodeGone { node: node(9) };
                flip(&all, &nobody, now)
            }
            (Rules::UndoAfterStored, FlipInput::Tick, FlipStep::AwaitRehomed) => {
                let mut undone = state.clone();
                undone.step = FlipStep::Undone;
                undone.epoch = undone.epoch.next();
                let back = FlipAction::Publish { epoch: undone.epoch, frozen: false, moved: false };
                Flipped { state: undone, actions: vec![back], durable: true }
            }
            _ => flip(state, input, now),
        }
    }

    fn hear(&self, world: &mut World, input: &FlipInput, now: u64) -> Option<()> {
        let memory = world.memory.as_mut()?;
        let next = self.drive(&memory.flip, input, now);
        memory.flip = next.state;
        memory.todo.extend(next.actions);
        if next.durable {
            world.stored = memory.flip.clone();
        }
        Some(())
    }

    fn act(world: &mut World, fence_fails: bool) -> Option<()> {
        let memory = world.memory.as_mut()?;
        if memory.todo.is_empty() {
            return None;
        }
        let answer = match memory.todo.remove(0) {
            FlipAction::Publish { epoch, frozen, moved } => {
                world.published.insert(Table { epoch, frozen, moved });
                return (!fence_fails).then_some(());
            }
            FlipAction::Fence { .. } if fence_fails => Answer::FenceFailed,
            _ if fence_fails => return None,
            FlipAction::Fence { .. } => {
                world.fenced = true;
                Answer::Fenced
            }
            FlipAction::LiftFence { .. } => {
                world.fenced = false;
                Answer::Lifted
            }
            FlipAction::Drain { .. } => {
                world.on[1] |= world.on[0];
                Answer::Drained
            }
            FlipAction::OpenFeed { .. } => Answer::Opened,
            FlipAction::FeedFence { .. } => Answer::FeedFenced,
            FlipAction::Quiesce { .. } | FlipAction::CloseFeed { .. } => return Some(()),
        };
        memory.answers.insert(answer);
        Some(())
    }
}

fn bit(proxy: usize, left: u8) -> u8 {
    1 << (proxy as u8 * WRITES + left)
}

impl Model for Flip {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let terms = FlipTerms {
            kind: FlipKind::Cutover,
            from: Side::Source,
            to: Side::Target,
            attempt: 1,
            budget_ms: 1_000,
            txn_deadline_ms: 0,
            fence: self.fence,
            lift_new: false,
            accept_loss: false,
        };
        let begun = FlipState::begin(terms, Epoch(1), nodes(), 0);
        let table = Table { epoch: Epoch(1), frozen: false, moved: false };
        let proxy = Proxy { table, write: Write::None, left: WRITES };
        vec![World {
            stored: begun.state.clone(),
            memory: Some(Memory {
                flip: begun.state,
                todo: begun.actions,
                answers: BTreeSet::new(),
            }),
            kills: self.kills,
            proxies: [proxy.clone(), proxy],
            published: [table].into(),
            acks: BTreeSet::new(),
            fenced: false,
            on: [0, 0],
            acked: 0,
            new_spoke: false,
            old_wrote_late: false,
            old_spoke_late: false,
        }]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        for (i, proxy) in world.proxies.iter().enumerate() {
            let newer = world.published.iter().filter(|t| t.epoch > proxy.table.epoch);
            moves.extend(newer.map(|t| Move::Receive(i, *t)));
            match proxy.write {
                Write::None if proxy.left > 0 && !proxy.table.frozen => moves.push(Move::Send(i)),
                Write::Sent(_) => moves.push(Move::Execute(i)),
                Write::Executed(_) => moves.push(Move::Acknowledge(i)),
                Write::None => {}
            }
            let told = world.acks.contains(&(i, proxy.table.epoch));
            if proxy.table.frozen && proxy.write == Write::None && !told {
                moves.push(Move::Ack(i));
            }
        }
        let Some(memory) = &world.memory else {
            moves.push(Move::Resume);
            return;
        };
        if !memory.todo.is_empty() {
            moves.push(Move::Act);
            if matches!(memory.todo[0], FlipAction::Fence { .. }) {
                moves.push(Move::FailFence);
            }
        }
        moves.extend(memory.answers.iter().map(|a| Move::Hear(*a)));
        if memory.flip.step == FlipStep::CatchUp {
            moves.push(Move::InStep);
        }
        if !memory.flip.over() {
            moves.extend(world.acks.iter().map(|(i, e)| Move::HearAck(*i, *e)));
            if memory.flip.deadline_ms.is_some() {
                moves.push(Move::Timeout);
            }
        }
        if world.kills > 0 {
            moves.push(Move::Kill);
        }
    }

    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        let mut world = last.clone();
        match action {
            Move::Receive(i, table) => world.proxies[i].table = table,
            Move::Send(i) => {
                let proxy = &mut world.proxies[i];
                proxy.left -= 1;
                let moved = proxy.table.moved;
                proxy.write = Write::Sent(if moved { Side::Target } else { Side::Source });
            }
            Move::Execute(i) => {
                let proxy = &mut world.proxies[i];
                let Write::Sent(side) = proxy.write else { return None };
                if side == Side::Source && world.fenced {
                    // The database refuses; the client gets a definite error.
                    proxy.write = Write::None;
                } else {
                    proxy.write = Write::Executed(side);
                    world.old_wrote_late |= side == Side::Source && world.new_spoke;
                    world.on[side.index()] |= bit(i, proxy.left);
                }
            }
            Move::Acknowledge(i) => {
                let proxy = &mut world.proxies[i];
                let Write::Executed(side) = proxy.write else { return None };
                proxy.write = Write::None;
                world.acked |= bit(i, proxy.left);
                world.new_spoke |= side == Side::Target;
                world.old_spoke_late |= side == Side::Source && world.new_spoke;
            }
            Move::Ack(i) => {
                world.acks.insert((i, world.proxies[i].table.epoch));
            }
            Move::HearAck(i, epoch) => {
                let input = FlipInput::Acked { node: node(i), epoch, txn_wait_ms: 0 };
                self.hear(&mut world, &input, 0)?;
            }
            Move::Act => Self::act(&mut world, false)?,
            Move::FailFence => Self::act(&mut world, true)?,
            Move::Hear(answer) => {
                world.memory.as_mut()?.answers.remove(&answer);
                let why = String::new();
                let input = match answer {
                    Answer::Opened => FlipInput::FeedOpened,
                    Answer::Fenced => FlipInput::Fenced,
                    Answer::FenceFailed => FlipInput::FenceFailed { why },
                    Answer::Lifted => FlipInput::FenceLifted { side: Side::Source },
                    Answer::FeedFenced => FlipInput::FeedFenced,
                    Answer::Drained => FlipInput::Drained,
                };
                self.hear(&mut world, &input, 0)?;
            }
            Move::InStep => self.hear(&mut world, &FlipInput::InStep, 0)?,
            Move::Timeout => {
                let at = world.memory.as_ref()?.flip.deadline_ms?;
                self.hear(&mut world, &FlipInput::Tick, at)?;
            }
            Move::Kill => {
                world.kills -= 1;
                world.memory = None;
            }
            Move::Resume => {
                let flip = world.stored.clone();
                world.memory = Some(Memory { flip, todo: Vec::new(), answers: BTreeSet::new() });
                self.hear(&mut world, &FlipInput::Resumed { live: nodes() }, 0)?;
                republish(&mut world);
            }
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one authority (I1)", |flip: &Self, w: &World| {
                !w.old_wrote_late && (flip.fence || !w.old_spoke_late)
            }),
            Property::always("no acknowledged write lost (I2)", |_, w: &World| {
                let authority = if w.stored.moved() { w.on[1] } else { w.on[0] };
                w.acked & !authority == 0
            }),
            Property::always("no way back from a stored authority", |_, w: &World| {
                let moved = w.published.iter().filter(|t| t.moved).map(|t| t.epoch).min();
                moved.is_none_or(|at| w.published.iter().all(|t| t.moved || t.epoch < at))
            }),
            Property::sometimes("authority moves", |_, w: &World| w.stored.moved() && w.new_spoke),
            Property::sometimes("it is undone", |_, w: &World| {
                w.stored.step == FlipStep::Undone && !w.fenced && w.acked != 0
            }),
        ]
    }
}

/// A restarted controller publishes the table that follows from what it stored.
fn republish(world: &mut World) {
    let Some(memory) = &mut world.memory else { return };
    if memory.todo.iter().any(|a| matches!(a, FlipAction::Publish { .. })) {
        return;
    }
    let f = &memory.flip;
    let table = FlipAction::Publish { epoch: f.epoch, frozen: f.frozen(), moved: f.moved() };
    memory.todo.push(table);
}

const LAWS: [&str; 3] = [
    "one authority (I1)",
    "no acknowledged write lost (I2)",
    "no way back from a stored authority",
];

fn holds(fence: bool, kills: u8) {
    let checker = Flip { rules: Rules::Real, fence, kills }.checker().spawn_bfs().join();
    println!("fence {fence}: {} states", checker.unique_state_count());
    checker.assert_properties();
}

fn refuted(rules: Rules) {
    let found = HasDiscoveries::AnyFailures;
    let checker =
        Flip { rules, fence: false, kills: 1 }.checker().finish_when(found).spawn_bfs().join();
    let broken: Vec<_> = LAWS.iter().filter(|law| checker.discovery(law).is_some()).collect();
    println!("{} states, broken: {broken:?}", checker.unique_state_count());
    assert!(!broken.is_empty(), "the model did not notice the planted bug");
}

#[test]
fn the_flip_keeps_its_laws_without_a_fence() {
    holds(false, 2);
}

#[test]
fn the_flip_keeps_its_laws_with_a_fence() {
    holds(true, 1);
}

#[test]
fn counting_acknowledgements_is_refuted() {
    refuted(Rules::CountedAcks);
}

#[test]
fn undoing_a_stored_authority_is_refuted() {
    refuted(Rules::UndoAfterStored);
}

#[test]
fn taking_silence_for_quiet_is_refuted() {
    refuted(Rules::SilenceIsQuiet);
}
