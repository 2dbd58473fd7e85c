//! An exhaustive model of two-phase commit and its recovery: the machines of `twophase` themselves,
//! one transaction, two servers that may crash, a coordinator that may be killed at every step, a
//! recoverer that runs beside it (a coordinator that is slow, not dead) and may be killed too,
//! answers that are lost, and requests that are executed long after whoever sent them gave up.
//!
//! Laws: never committed on one side and aborted on the other; an OK is on both sides; a NO is on
//! neither, ever; nothing stays prepared when recovery has ended, nor when a coordinator says that
//! it needs none; the decision row agrees with what happened; nobody gets stuck. Each broken twin
//! leaves out one rule and must be refuted.

mod servers;
mod world;

use std::collections::BTreeSet;

use family_postgres::twophase::coordinator::{self, Coordinator};
use family_postgres::twophase::recovery::{Recovery, Scope};
use family_postgres::twophase::{Form, Outcome, Place, SqlState, Verdict};
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::*;

impl Model for Commit {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let (machine, actions) = Coordinator::begin(self.form, XIDS);
        let begun = |other| {
            let server = |tx| Server { tx, session: Session::Live };
            let mut state = State {
                servers: [server(Tx::Open), server(other)],
                row: None,
                row_open: false,
                coordinator: Some(machine.clone()),
                recovery: None,
                pending: [Pending::Nothing, Pending::Nothing],
                zombies: Vec::new(),
                answered: None,
                left: false,
                recovered: false,
                contradiction: false,
                faults: self.faults,
            };
            state.take(self.twin, actions.iter().copied().map(Request::Coordinator).collect());
            state
        };
        vec![begun(Tx::Open), begun(Tx::Failed)]
    }

    fn actions(&self, s: &State, steps: &mut Vec<Step>) {
        for actor in [Actor::Coordinator, Actor::Recovery] {
            let gone = match actor {
                Actor::Coordinator => s.coordinator.is_none(),
                Actor::Recovery => s.recovery.is_none(),
            };
            if gone {
                continue;
            }
            match &s.pending[actor as usize] {
                Pending::Nothing => {}
                Pending::Sent(request) => {
                    if self.execute(&mut s.clone(), request).is_some() {
                        steps.push(Step::Execute(actor));
                    }
                }
                Pending::Answered(..) => steps.push(Step::Deliver(actor)),
            }
            let waits = s.pending[actor as usize] != Pending::Nothing;
            if waits && s.faults.losses > 0 {
                steps.push(Step::Lose(actor));
            }
            if s.faults.deaths[actor as usize] > 0 {
                steps.push(Step::Die(actor));
            }
        }
        if s.coordinator.is_some() {
            if s.faults.refusals > 0 && self.refuse(&mut s.clone()).is_some() {
                steps.push(Step::Refuse);
            }
            let ending = |r: &Request| {
                use coordinator::Action as C;
                let Request::Coordinator(action) = r else { return false };
                matches!(action, C::Fence | C::Bury(_) | C::Finish(..) | C::Status(_))
            };
            if s.faults.deadlines > 0 && matches!(&s.pending[0], Pending::Sent(r) if ending(r)) {
                steps.push(Step::Deadline);
            }
        }
        for (i, zombie) in s.zombies.iter().enumerate() {
            steps.push(Step::DropZombie(i));
            if self.execute(&mut s.clone(), zombie).is_some() {
                steps.push(Step::Zombie(i));
            }
        }
        for p in PLACES {
            let waits = s.zombies.iter().any(|z| z.on_session() && z.at() == p);
            if s.servers[p.index()].session == Session::Orphan && !waits {
                steps.push(Step::Notice(p));
            }
            if s.faults.crashes > 0 {
                steps.push(Step::Crash(p));
            }
        }
        if s.recovery.is_none() && !s.recovered {
            steps.push(Step::Recover);
        }
        if s.faults.hands > 0 && s.servers[1].tx == Tx::Prepared {
            steps.push(Step::Hand);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut s = last.clone();
        match step {
            Step::Execute(actor) => {
                let Pending::Sent(request) = s.pending[actor as usize].clone() else { return None };
                let answer = self.execute(&mut s, &request)?;
                s.pending[actor as usize] = Pending::Answered(request, answer);
            }
            Step::Refuse => {
                let answer = self.refuse(&mut s)?;
                let Pending::Sent(request) = s.pending[0].clone() else { return None };
                s.faults.refusals -= 1;
                s.pending[0] = Pending::Answered(request, answer);
            }
            Step::Deliver(actor) => {
                let pending = std::mem::replace(&mut s.pending[actor as usize], Pending::Nothing);
                let Pending::Answered(request, answer) = pending else { return None };
                // A session that was killed told nothing: its statement may have been executed.
                if request.on_session() && answer == request.lost() {
                    let session = &mut s.servers[request.at().index()].session;
                    if *session == Session::Live {
                        *session = Session::Orphan;
                    }
                }
                self.hear(&mut s, answer);
            }
            Step::Lose(actor) => {
                s.faults.losses -= 1;
                let answer = Self::give_up(&mut s, actor)?;
                self.hear(&mut s, answer);
            }
            Step::Deadline => {
                s.faults.deadlines -= 1;
                Self::give_up(&mut s, Actor::Coordinator)?;
                self.hear(&mut s, Answer::Coordinator(coordinator::Event::Deadline));
            }
            Step::Zombie(i) => {
                let request = s.zombies.remove(i);
                self.execute(&mut s, &request)?;
            }
            Step::DropZombie(i) => {
                s.zombies.remove(i);
            }
            Step::Notice(p) => s.end_session(p),
            Step::Crash(p) => {
                s.faults.crashes -= 1;
                s.end_session(p);
                s.zombies.retain(|z| z.at() != p);
                for pending in &mut s.pending {
                    if let Pending::Sent(request) = pending
                        && request.at() == p
                    {
                        *pending = Pending::Answered(request.clone(), request.lost());
                    }
                }
            }
            Step::Die(actor) => {
                s.faults.deaths[actor as usize] -= 1;
                Self::give_up(&mut s, actor);
                match actor {
                    Actor::Recovery => s.recovery = None,
                    Actor::Coordinator => {
                        s.coordinator = None;
                        for server in &mut s.servers {
                            if server.session == Session::Live {
                                server.session = Session::Orphan;
                            }
                        }
                    }
                }
            }
            Step::Recover => {
                let (live, left) = (BTreeSet::new(), BTreeSet::new());
                let scope = Scope { run: "r".into(), live, left, systems: [1, 2] };
                let (machine, actions) = Recovery::begin(scope);
                s.recovery = Some(machine);
                s.take(self.twin, actions.into_iter().map(Request::Recovery).collect());
            }
            Step::Hand => {
                s.faults.hands -= 1;
                *s.tx(Place::Other) = Tx::Aborted;
            }
        }
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("both sides end alike", |m: &Self, s: &State| {
                m.faults.hands > 0 || !(s.any(Tx::Committed) && s.any(Tx::Aborted))
            }),
            Property::always("an OK is on both sides", |_, s: &State| {
                let open = s.any(Tx::Open) || s.any(Tx::Failed);
                let prepared = s.ended() && s.any(Tx::Prepared);
                s.answered != Some(Outcome::Ok) || !(open || prepared || s.any(Tx::Aborted))
            }),
            Property::always("what is a NO is on neither", |_, s: &State| {
                !matches!(s.answered, Some(Outcome::No(_))) || !s.any(Tx::Committed)
            }),
            Property::always("nothing stays prepared", |_, s: &State| {
                !s.ended() || !s.any(Tx::Prepared)
            }),
            Property::always("what a coordinator ends has ended", |_, s: &State| {
                let over = s.coordinator.as_ref().is_some_and(Coordinator::is_over);
                !over || s.left || !s.any(Tx::Prepared)
            }),
            Property::always("the row agrees", |m: &Self, s: &State| match s.row {
                Some(Verdict::Commit) => m.faults.hands > 0 || !s.any(Tx::Aborted),
                Some(Verdict::Abort) => !s.any(Tx::Committed),
                None => true,
            }),
            Property::always("nobody gets stuck", |m: &Self, s: &State| {
                let mut steps = Vec::new();
                m.actions(s, &mut steps);
                s.ended() || !steps.is_empty()
            }),
            Property::sometimes(
                "a recoverer aborts what a coordinator then may not commit",
                |_, s: &State| {
                    s.recovered
                        && s.row == Some(Verdict::Abort)
                        && s.answered == Some(Outcome::No(SqlState::FENCED))
                },
            ),
            Property::sometimes("a recoverer commits for a dead coordinator", |_, s: &State| {
                s.coordinator.is_none()
                    && s.recovered
                    && s.servers.iter().all(|p| p.tx == Tx::Committed)
            }),
            Property::sometimes("a lost decision is found to be an OK", |m: &Self, s: &State| {
                s.faults.losses < m.faults.losses && s.ended() && s.answered == Some(Outcome::Ok)
            }),
            Property::sometimes("a client is told that nobody knows", |_, s: &State| {
                s.answered == Some(Outcome::Unknown)
            }),
        ]
    }
}

const FAULTS: Faults =
    Faults { losses: 1, deadlines: 1, crashes: 1, refusals: 1, deaths: [1, 0], hands: 0 };
/// Fewer kinds, more often.
const MESSAGES: Faults = Faults { losses: 2, deadlines: 0, crashes: 0, refusals: 0, ..FAULTS };
const DEATHS: Faults = Faults { deadlines: 0, crashes: 0, refusals: 0, deaths: [1, 1], ..FAULTS };

/// The symmetric form prepares on the authority, so its sessions there have to be told and killed.
const FORMS: [(Form, bool); 3] =
    [(Form::AuthorityLast, true), (Form::AuthorityLast, false), (Form::Symmetric, true)];

/// Laws that do not hold.
fn broken(checker: &impl Checker<Commit>) -> Vec<&'static str> {
    checker.discoveries().into_keys().filter(|name| !name.starts_with("a ")).collect()
}

#[test]
fn the_rules_keep_both_sides_alike() {
    for (form, kills_clients) in FORMS {
        for faults in [FAULTS, MESSAGES, DEATHS] {
            let model = Commit { twin: Twin::Sound, form, kills_clients, faults };
            let checker = model.checker().threads(2).spawn_bfs().join();
            let states = checker.unique_state_count();
            println!("{form:?}, kills clients {kills_clients}, {faults:?}: {states} states");
            assert_eq!(broken(&checker), Vec::<&str>::new());
            if faults == FAULTS {
                // What has to be possible is.
                checker.assert_properties();
            }
        }
    }
}

#[test]
fn what_is_rolled_back_by_hand_is_never_called_ok() {
    for (form, kills_clients) in FORMS {
        let none = Faults { losses: 1, deadlines: 0, crashes: 0, refusals: 0, ..FAULTS };
        let faults = Faults { hands: 1, ..none };
        let model = Commit { twin: Twin::Sound, form, kills_clients, faults };
        let violated = broken(&model.checker().threads(2).spawn_bfs().join());
        assert!(violated.is_empty(), "{form:?}: {violated:?}");
    }
}

#[test]
fn every_twin_that_leaves_out_a_rule_is_refuted() {
    use Form::{AuthorityLast, Symmetric};
    for (twin, form, kills_clients) in [
        (Twin::NoAbortRecord, AuthorityLast, false),
        (Twin::NoAbortRecord, Symmetric, true),
        (Twin::ScanBeforeGone, AuthorityLast, true),
        (Twin::ScanBeforeGone, Symmetric, true),
        (Twin::MissingIsDone, AuthorityLast, true),
        (Twin::MissingIsDone, Symmetric, true),
        (Twin::EarlyAnswer, AuthorityLast, true),
        (Twin::EarlyAnswer, Symmetric, true),
        (Twin::TagIgnored, AuthorityLast, true),
        (Twin::TagIgnored, Symmetric, true),
    ] {
        // A burial that fails, and a PREPARE that comes late: two losses.
        let faults = if twin == Twin::MissingIsDone { MESSAGES } else { FAULTS };
        let model = Commit { twin, form, kills_clients, faults };
        let stop = HasDiscoveries::AnyFailures;
        let checker = model.checker().threads(2).finish_when(stop).spawn_bfs().join();
        let (violated, states) = (broken(&checker), checker.unique_state_count());
        println!("{twin:?} of {form:?}: {violated:?} within {states} states");
        assert!(!violated.is_empty(), "{twin:?} of {form:?} was not refuted");
    }
}

/// Findings of this model. Where the recoverer ends the client's own session on the authority
/// before it looks, the abort record is a second line of defence of the authority-last form. Where
/// that session cannot be told from others the record is the only one, and the symmetric form, which
/// prepares in it, may leave something behind.
#[test]
fn what_it_is_worth_to_tell_the_clients_session_on_the_authority() {
    let check = |twin, form, kills_clients| {
        let model = Commit { twin, form, kills_clients, faults: FAULTS };
        let stop = HasDiscoveries::AnyFailures;
        broken(&model.checker().threads(2).finish_when(stop).spawn_bfs().join())
    };
    assert!(check(Twin::NoAbortRecord, Form::AuthorityLast, true).is_empty());
    assert_eq!(check(Twin::Sound, Form::Symmetric, false), ["nothing stays prepared"]);
}
