//! A controller without a world: performs actions by answering them, and writes down what a
//! person would have seen.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::VecDeque;

use model::{Strategy, Tenant};
use workflow::{
    Action, By, Environment, Event, EvidenceKind, EvidenceOutcome, Fact, FlipAction, FlipInput,
    Gate, Node, Place, Plan, Refused, Role, RunState, TenantBatch, Transition, Verb, Verdict,
    Worker, step,
};

/// Which answers the world gives by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// Everything succeeds at once.
    Obliging,
    /// Nothing is answered; the test tells every fact.
    Silent,
}

pub(crate) struct Desk {
    pub(crate) plan: Plan,
    pub(crate) run: RunState,
    pub(crate) now: u64,
    pub(crate) world: World,
    pub(crate) log: Vec<String>,
    pub(crate) seen: Vec<Action>,
}

pub(crate) fn node() -> Node {
    Node("n1".to_owned())
}

pub(crate) fn dev(strategy: Strategy) -> Plan {
    Plan {
        can_fence: model::Side::ALL.iter().copied().collect(),
        ..Plan::new(Environment::Dev, strategy)
    }
}

pub(crate) fn prod(strategy: Strategy) -> Plan {
    Plan {
        can_fence: model::Side::ALL.iter().copied().collect(),
        ..Plan::new(Environment::Prod, strategy)
    }
}

pub(crate) fn batches(names: &[&str]) -> Vec<TenantBatch> {
    names
        .iter()
        .map(|name| TenantBatch {
            name: (*name).to_owned(),
            tenants: [Tenant::new(name.as_bytes())].into(),
        })
        .collect()
}

pub(crate) fn operator() -> By {
    By::operator("ada", "because")
}

pub(crate) fn person(who: &str, role: Role) -> By {
    By { who: who.to_owned(), role, reason: "because".to_owned() }
}

impl Desk {
    pub(crate) fn new(plan: Plan, world: World) -> Self {
        let run = RunState::new("run-1", "shop", "ada", 1_000);
        let mut desk = Self { plan, run, now: 1_000, world, log: Vec::new(), seen: Vec::new() };
        desk.tell(Fact::Started);
        desk.tell(Fact::NodeJoined { node: node() });
        desk
    }

    pub(crate) fn ask(&mut self, verb: Verb) -> Result<(), Refused> {
        self.ask_as(operator(), verb)
    }

    pub(crate) fn ask_as(&mut self, by: By, verb: Verb) -> Result<(), Refused> {
        self.now += 1;
        let done = step(&self.plan, &self.run, &Event::asked(self.now, by, verb))?;
        self.perform(done);
        Ok(())
    }

    pub(crate) fn must(&mut self, verb: Verb) {
        if let Err(no) = self.ask(verb.clone()) {
            panic!("{verb:?} at {:?}: {no}", self.run.step);
        }
    }

    pub(crate) fn refused(&mut self, verb: Verb) -> Refused {
        let before = self.run.clone();
        let no = self.ask(verb.clone()).expect_err("it should be refused");
        assert_eq!(before, self.run, "a refusal changes nothing");
        no
    }

    pub(crate) fn tell(&mut self, fact: Fact) {
        self.now += 1;
        let done = step(&self.plan, &self.run, &Event::told(self.now, fact));
        self.perform(done.expect("facts are never refused"));
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.tell(Fact::Tick);
    }

    /// Kills the controller and starts it again from what is stored.
    pub(crate) fn restart(&mut self) {
        self.tell(Fact::Resumed { nodes: [node()].into() });
    }

    pub(crate) fn prove(&mut self, kind: EvidenceKind) {
        let digest = format!("{kind}-{}", self.now);
        self.tell(Fact::EvidenceAdded { kind, digest, outcome: EvidenceOutcome::Pass });
    }

    pub(crate) fn sample(&mut self, name: &str, verdict: Verdict) {
        let numbers = "1 of 2".to_owned();
        self.tell(Fact::CriterionSample { name: name.to_owned(), verdict, numbers });
    }

    /// `n` samples of this verdict for every check of the plan.
    pub(crate) fn sample_all(&mut self, n: usize, verdict: Verdict) {
        let names: Vec<_> = self.plan.criteria.iter().map(|c| c.name.clone()).collect();
        for name in names {
            for _ in 0..n {
                self.sample(&name, verdict);
            }
        }
    }

    /// An approval by somebody who is not the operator.
    pub(crate) fn approve(&mut self, gate: Gate, role: Role) {
        let by = person("grace", role);
        self.ask_as(by, Verb::Approve { gate, digest: None }).expect("the approval counts");
    }

    /// Advances until this place.
    pub(crate) fn go_to(&mut self, place: Place) {
        for _ in 0..20 {
            if self.run.place() == place {
                self.transcript();
                return;
            }
            self.must(Verb::Advance);
        }
        panic!("{place} is not ahead: {:?}", self.run.step);
    }

    pub(crate) fn flip(&mut self, input: FlipInput) {
        let attempt = self.run.attempts;
        self.tell(Fact::SagaProgress { attempt, input });
    }

    /// Every line logged since the last call.
    pub(crate) fn transcript(&mut self) -> String {
        let lines = std::mem::take(&mut self.log);
        lines.join("\n")
    }

    fn perform(&mut self, done: Transition) {
        assert_eq!(done.state.version, self.run.version + u64::from(done.changed));
        assert!(done.state.epoch >= self.run.epoch, "epochs only grow");
        self.run = done.state;
        self.log.extend(done.actions.iter().filter_map(line));
        self.seen.extend(done.actions.iter().cloned());
        if self.world == World::Silent {
            return;
        }
        let mut facts: VecDeque<Fact> =
            done.actions.iter().filter_map(|a| self.answer(a)).collect();
        while let Some(fact) = facts.pop_front() {
            self.tell(fact);
        }
    }

    fn answer(&self, action: &Action) -> Option<Fact> {
        match action {
            Action::PublishTable(table) => {
                Some(Fact::NodeAcked { node: node(), epoch: table.epoch, txn_wait_ms: 0 })
            }
            Action::Start { worker: Worker::Replay, .. } => {
                Some(Fact::InStep { in_step: true, lag_ms: 0, pending: 0 })
            }
            Action::Start { worker: Worker::Backfill, .. } => Some(Fact::BackfillDone),
            Action::Start { worker: Worker::Verify, .. } => Some(verified("v1")),
            Action::Flip { attempt, action, .. } => {
                success(action).map(|input| Fact::SagaProgress { attempt: *attempt, input })
            }
            Action::BeginRehearsal { .. } => Some(Fact::RehearsalDone {
                digest: "rehearsed".to_owned(),
                outcome: EvidenceOutcome::Pass,
            }),
            Action::LiftFence { side } => Some(Fact::FenceLifted { side: *side }),
            _ => None,
        }
    }
}

/// Compares line by line, without indentation.
#[track_caller]
pub(crate) fn check(made: &str, expected: &str) {
    let lines = |text: &str| text.lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>();
    let (made, expected) = (lines(made), lines(expected));
    assert!(made == expected, "made:\n{}\n\nexpected:\n{}", made.join("\n"), expected.join("\n"));
}

pub(crate) fn verified(digest: &str) -> Fact {
    Fact::VerifyDone { digest: digest.to_owned(), clean: true, open: 0 }
}

/// The answer of a world in which everything works.
pub(crate) fn success(action: &FlipAction) -> Option<FlipInput> {
    Some(match action {
        FlipAction::LiftFence { side } => FlipInput::FenceLifted { side: *side },
        FlipAction::OpenFeed { .. } => FlipInput::FeedOpened,
        FlipAction::Fence { .. } => FlipInput::Fenced,
        FlipAction::FeedFence { .. } => FlipInput::FeedFenced,
        FlipAction::Drain { .. } => FlipInput::Drained,
        FlipAction::Publish { .. } | FlipAction::Quiesce { .. } | FlipAction::CloseFeed { .. } => {
            return None;
        }
    })
}

/// One action as a person would read it; what is merely told is left out.
fn line(action: &Action) -> Option<String> {
    Some(match action {
        Action::PublishTable(t) => {
            let moved = if t.authority.moved.is_empty() { "" } else { " but some tenants" };
            let frozen = if t.freeze == routing::Freeze::Writes { " frozen" } else { "" };
            let reads = if t.reads.secondary_ready {
                format!(" reads {}%", t.reads.percent)
            } else {
                String::new()
            };
            let capture = if t.capture { " noted" } else { "" };
            format!("publish {}: {}{moved}{frozen}{reads}{capture}", t.epoch, t.authority.default)
        }
        Action::Start { worker, .. } => format!("start {worker}"),
        Action::Stop { worker, .. } => format!("stop {worker}"),
        Action::BeginSaga(saga) => format!("begin {}", saga.flip.terms.kind),
        Action::ResumeSaga(saga) => format!("resume {}", saga.flip.terms.kind),
        Action::Flip { action, .. } => format!("do {action:?}"),
        Action::BeginRehearsal { .. } => "rehearse".to_owned(),
        Action::StopRehearsal => "stop rehearsal".to_owned(),
        Action::LiftFence { side } => format!("lift fence of {side}"),
        Action::Emit { name: "step_entered", fields } => {
            let at = |n: &str| fields.iter().find(|(k, _)| *k == n).map_or("", |(_, v)| v.as_str());
            format!("== {} ==", at("step"))
        }
        Action::Emit { name, .. } => format!("event {name}"),
        Action::Notify { urgent: true, text } => format!("! {text}"),
        Action::Notify { urgent: false, .. } => return None,
        Action::AskApproval { gate, missing, .. } => format!("ask {missing} at gate {gate}"),
        Action::Cleanup { .. } => "cleanup".to_owned(),
    })
}
