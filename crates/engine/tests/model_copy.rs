//! An exhaustive model of how one record is kept equal: notes, markers, feed, backfill, copier
//! with fenced reads, lost answers and zombies, a crash of the process, authority moving.
//!
//! Values are versions: every change of the record makes a larger one, so "the secondary never
//! goes backwards" says both that its states are a subsequence of the authority's and that no
//! delete is undone. Each broken twin leaves out one rule and must be refuted.

use stateright::{Checker, Model, Property};

/// Changes of the record besides the one that history holds.
const WRITES: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twin {
    /// As built.
    Sound,
    /// A copy is taken for good without asking whether the record moved.
    SkipConfirm,
    /// The marker becomes durable when the write settles, not before it is sent.
    MarkerAfterWrite,
    /// Two copiers may hold one key.
    TwoCopiers,
    /// A key whose apply is unanswered is copied again without proving the connection dead.
    NoReap,
    /// A restart does not kill what the old process left running.
    NoReapAtStart,
    /// A marker is taken back while its key is dirty.
    ClearDirty,
    /// The frontier is stored when a chunk was offered, not when it was finished.
    FrontierEarly,
    /// The note is settled before the write instead of after its reply.
    NoteBeforeWrite,
    /// Authority moves while a copy is under way.
    FlipUnderCopy,
    /// Authority moves without a fence through the feed.
    FlipUnfenced,
    /// What was marked while a copy was under way is forgotten when the copy succeeds.
    ForgetAgain,
    /// Both of the former: neither the fence nor the marks tell that a record moved.
    SkipConfirmAndForgetAgain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writer {
    Idle,
    /// Noted in the journal; the command may be on its way.
    Noted,
    /// The authority has executed it; the reply is on its way.
    Executed,
    /// The process died; the command may still be executed.
    Ghost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Copier {
    Idle,
    Leased,
    /// Read under a fence; from this authority.
    Read(u8, usize),
    /// The secondary has it.
    Applied(u8, usize),
    /// Sent, and no answer came.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fill {
    Pending,
    Offered,
    Finished,
    /// The frontier behind it is durable.
    Stored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Gate {
    Open,
    /// Writes wait; authority may move.
    Frozen,
    /// Drained and fenced, copiers held.
    Held,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    value: [u8; 2],
    authority: usize,
    next: u8,
    writers: [Writer; 2],
    /// A change that the feed has not delivered; and whether it is somebody else's.
    feed: bool,
    feed_foreign: bool,
    dirty: bool,
    /// Marked since the lease.
    again: bool,
    marker: bool,
    copiers: [Copier; 2],
    /// An abandoned apply: where it would run, and what it would write.
    zombie: Option<(usize, u8)>,
    fill: Fill,
    gate: Gate,
    up: bool,
    foreign: u8,
    lost: u8,
    crashes: u8,
    flips: u8,
    /// Something wrote an older version over a newer one.
    backwards: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Begin(usize),
    Execute(usize),
    Settle(usize),
    Foreign,
    Deliver,
    Offer,
    StoreFrontier,
    Lease(usize),
    Read(usize),
    Apply(usize),
    /// Applied, but the answer is lost.
    LoseAnswer(usize),
    /// Not applied yet, and the answer is lost.
    LoseApply(usize),
    ZombieRuns,
    Reap(usize),
    Confirm(usize),
    ClearMarker,
    Crash,
    Restart,
    Freeze,
    Unfreeze,
    Hold,
    Flip,
}

struct Copying(Twin);

impl State {
    fn in_flight(&self) -> bool {
        self.writers.iter().any(|w| matches!(w, Writer::Noted | Writer::Executed))
    }

    fn copying(&self) -> bool {
        self.copiers.iter().any(|c| *c != Copier::Idle)
    }

    fn change(&mut self) {
        self.next += 1;
        self.value[self.authority] = self.next;
        self.feed = true;
    }

    fn mark(&mut self) {
        self.dirty = true;
        self.again = true;
    }

    fn overtaken(&mut self) {
        if self.fill == Fill::Offered {
            self.fill = Fill::Finished;
        }
    }

    fn put(&mut self, side: usize, version: u8) {
        self.backwards |= version < self.value[side];
        self.value[side] = version;
    }

    fn equal(&self) -> bool {
        self.value[0] == self.value[1]
    }

    /// Whether the engine would say that the sides are equal.
    fn claims(&self) -> bool {
        self.up
            && self.fill == Fill::Stored
            && !self.dirty
            && !self.copying()
            && !self.in_flight()
            && !self.feed
    }
}

impl Model for Copying {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            value: [1, 0],
            authority: 0,
            next: 1,
            writers: [Writer::Idle; 2],
            feed: false,
            feed_foreign: false,
            dirty: false,
            again: false,
            marker: false,
            copiers: [Copier::Idle; 2],
            zombie: None,
            fill: Fill::Pending,
            gate: Gate::Open,
            up: true,
            foreign: 0,
            lost: 0,
            crashes: 0,
            flips: 0,
            backwards: false,
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        let twin = self.0;
        let may_write = s.next <= WRITES;
        for (i, writer) in s.writers.iter().enumerate() {
            match writer {
                Writer::Idle if s.up && s.gate == Gate::Open && may_write => {
                    actions.push(Action::Begin(i));
                }
                Writer::Noted | Writer::Ghost if may_write => actions.push(Action::Execute(i)),
                Writer::Executed => actions.push(Action::Settle(i)),
                _ => {}
            }
        }
        if s.feed && s.up {
            actions.push(Action::Deliver);
        }
        if s.zombie.is_some() {
            actions.push(Action::ZombieRuns);
        }
        if !s.up {
            actions.push(Action::Restart);
            return;
        }
        if s.foreign == 0 && s.gate == Gate::Open && may_write {
            actions.push(Action::Foreign);
        }
        if s.fill == Fill::Pending {
            actions.push(Action::Offer);
        }
        if s.fill == Fill::Finished || (twin == Twin::FrontierEarly && s.fill == Fill::Offered) {
            actions.push(Action::StoreFrontier);
        }
        let copiers = if twin == Twin::TwoCopiers { 2 } else { 1 };
        for (i, copier) in s.copiers.iter().enumerate().take(copiers) {
            match copier {
                Copier::Idle if s.dirty && s.gate != Gate::Held => actions.push(Action::Lease(i)),
                Copier::Leased => actions.push(Action::Read(i)),
                Copier::Read(..) => {
                    actions.push(Action::Apply(i));
                    if s.lost == 0 {
                        actions.push(Action::LoseAnswer(i));
                        actions.push(Action::LoseApply(i));
                    }
                }
                Copier::Applied(..) => actions.push(Action::Confirm(i)),
                Copier::Unknown => actions.push(Action::Reap(i)),
                Copier::Idle => {}
            }
        }
        let quiet = !s.dirty && !s.in_flight() && !s.copying();
        if s.marker && (quiet || twin == Twin::ClearDirty && !s.in_flight()) {
            actions.push(Action::ClearMarker);
        }
        // A foreign change that nobody saw before the process died is not promised.
        if s.crashes == 0 && !s.feed_foreign {
            actions.push(Action::Crash);
        }
        match s.gate {
            Gate::Open if s.flips == 0 => actions.push(Action::Freeze),
            Gate::Frozen => {
                actions.push(Action::Unfreeze);
                // A key in a copier's hands is still dirty; the twin looks at the queue only.
                let queue_empty = !s.dirty || (twin == Twin::FlipUnderCopy && s.copying());
                let drained = queue_empty && !s.in_flight() && s.fill == Fill::Stored;
                if drained && (!s.feed || twin == Twin::FlipUnfenced) {
                    actions.push(Action::Hold);
                }
            }
            Gate::Held => actions.push(Action::Flip),
            Gate::Open => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let twin = self.0;
        let mut s = last.clone();
        match action {
            Action::Begin(i) => {
                s.writers[i] = Writer::Noted;
                s.marker |= twin != Twin::MarkerAfterWrite;
                if twin == Twin::NoteBeforeWrite {
                    s.mark();
                    s.overtaken();
                }
            }
            Action::Execute(i) => {
                s.change();
                s.writers[i] = match s.writers[i] {
                    Writer::Ghost => Writer::Idle,
                    _ => Writer::Executed,
                };
            }
            Action::Settle(i) => {
                s.writers[i] = Writer::Idle;
                s.marker = true;
                if twin != Twin::NoteBeforeWrite {
                    s.mark();
                    s.overtaken();
                }
            }
            Action::Foreign => {
                s.change();
                s.foreign += 1;
                s.feed_foreign = true;
            }
            Action::Deliver => {
                s.feed = false;
                // Own writes are covered by their notes; the twin shows that they have to be.
                if s.feed_foreign || twin != Twin::NoteBeforeWrite {
                    s.mark();
                    s.marker = true;
                    s.overtaken();
                }
                s.feed_foreign = false;
            }
            Action::Offer => {
                s.fill = Fill::Offered;
                s.mark();
            }
            Action::StoreFrontier => s.fill = Fill::Stored,
            Action::Lease(i) => {
                s.copiers[i] = Copier::Leased;
                s.again = false;
            }
            Action::Read(i) => s.copiers[i] = Copier::Read(s.value[s.authority], s.authority),
            Action::Apply(i) => {
                let Copier::Read(version, from) = s.copiers[i] else { return None };
                s.put(1 - from, version);
                s.copiers[i] = Copier::Applied(version, from);
            }
            Action::LoseAnswer(i) | Action::LoseApply(i) => {
                let Copier::Read(version, from) = s.copiers[i] else { return None };
                s.lost += 1;
                s.copiers[i] = Copier::Unknown;
                match action {
                    Action::LoseAnswer(_) => s.put(1 - from, version),
                    _ => s.zombie = Some((1 - from, version)),
                }
            }
            Action::ZombieRuns => {
                let (side, version) = s.zombie.take()?;
                s.put(side, version);
            }
            Action::Reap(i) => {
                if twin != Twin::NoReap {
                    s.zombie = None;
                }
                s.copiers[i] = Copier::Idle;
            }
            Action::Confirm(i) => {
                let Copier::Applied(version, from) = s.copiers[i] else { return None };
                s.copiers[i] = Copier::Idle;
                let both = twin == Twin::SkipConfirmAndForgetAgain;
                if s.value[from] == version || twin == Twin::SkipConfirm || both {
                    s.dirty = s.again && twin != Twin::ForgetAgain && !both;
                    s.overtaken();
                }
            }
            Action::ClearMarker => s.marker = false,
            Action::Crash => {
                s.up = false;
                s.crashes += 1;
                for writer in &mut s.writers {
                    *writer = match writer {
                        Writer::Noted => Writer::Ghost,
                        _ => Writer::Idle,
                    };
                }
                for copier in &mut s.copiers {
                    // What it was about to apply may be on its way.
                    if let Copier::Read(version, from) = *copier {
                        s.zombie = Some((1 - from, version));
                    }
                    *copier = Copier::Idle;
                }
                s.dirty = false;
                s.again = false;
                s.feed = false;
                s.gate = Gate::Open;
                if s.fill != Fill::Stored {
                    s.fill = Fill::Pending;
                }
            }
            Action::Restart => {
                s.up = true;
                s.feed = false;
                if twin != Twin::NoReapAtStart {
                    s.zombie = None;
                    s.writers = [Writer::Idle; 2];
                }
                s.dirty = s.marker;
            }
            Action::Freeze => s.gate = Gate::Frozen,
            Action::Unfreeze => s.gate = Gate::Open,
            Action::Hold => s.gate = Gate::Held,
            Action::Flip => {
                s.authority = 1 - s.authority;
                s.flips += 1;
                s.gate = Gate::Open;
            }
        }
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no older version over a newer one", |_, s: &State| !s.backwards),
            Property::always("equal whenever claimed", |_, s: &State| !s.claims() || s.equal()),
            Property::always("equal when authority moves", |_, s: &State| {
                s.gate != Gate::Held || s.equal()
            }),
            Property::sometimes("a cutover, then writes, then equal", |_, s: &State| {
                s.flips == 1 && s.claims() && s.next > 2
            }),
            Property::sometimes("a crash, then equal", |_, s: &State| {
                s.crashes == 1 && s.claims() && s.lost == 1
            }),
        ]
    }
}

fn violations(twin: Twin) -> (Vec<&'static str>, usize) {
    let stop = stateright::HasDiscoveries::AnyFailures;
    let checker = Copying(twin).checker().threads(2).finish_when(stop).spawn_bfs().join();
    let violated =
        checker.discoveries().into_keys().filter(|name| !name.starts_with("a ")).collect();
    (violated, checker.unique_state_count())
}

#[test]
fn the_rules_keep_the_sides_equal() {
    let checker = Copying(Twin::Sound).checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn every_twin_that_leaves_out_a_rule_is_refuted() {
    for twin in [
        Twin::MarkerAfterWrite,
        Twin::TwoCopiers,
        Twin::NoReap,
        Twin::NoReapAtStart,
        Twin::ClearDirty,
        Twin::FrontierEarly,
        Twin::NoteBeforeWrite,
        Twin::FlipUnderCopy,
        Twin::FlipUnfenced,
        Twin::SkipConfirmAndForgetAgain,
    ] {
        let (violated, states) = violations(twin);
        println!("{twin:?}: {violated:?} within {states} states");
        assert!(!violated.is_empty(), "{twin:?} was not refuted");
    }
}

/// A finding of this model: while every change is noted or fed *after* it happened, the fence's
/// answer and the marks since the lease are two lines of defence, and either suffices for
/// equality. The fence is also what lets several records be read as one.
#[test]
fn the_fence_and_the_marks_since_the_lease_each_suffice() {
    for twin in [Twin::SkipConfirm, Twin::ForgetAgain] {
        let (violated, states) = violations(twin);
        assert!(violated.is_empty(), "{twin:?}: {violated:?} within {states} states");
    }
}
