//! Laws that hold in every state a run can reach, found by walking all of them.
//!
//! The walk is breadth first over what a person or the world can do, from a new run on; states
//! that differ only in numbers (time, epoch, version, past attempts) count as one. At most one
//! disturbance (a hold, a panic, a lost feed, a failed worker, …) is left standing at a time.

mod support;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use model::{Side, Strategy, Tenant};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use routing::Freeze;
use support::{batches, dev, node, operator, success};
use workflow::{
    Action, Event, Evidence, EvidenceKind, EvidenceOutcome, Fact, FlipAction, FlipInput, Gate,
    Node, Place, Plan, Role, RunState, Verb, VerbKind, Verdict, allowed_actions, forward, gate_at,
    gate_verdict, needs, next, permitted, step, table_for, waiting_on, why_not,
};

const STEP_MS: u64 = 10;
const MOST_DISTURBANCES: usize = 1;

fn verbs(run: &RunState) -> Vec<Verb> {
    vec![
        Verb::Advance,
        Verb::Hold,
        Verb::Release,
        Verb::StepBack,
        Verb::Retry,
        Verb::Rollback { accept_loss: false },
        Verb::Rollback { accept_loss: true },
        Verb::Panic,
        Verb::Commit { typed: run.migration.clone() },
        Verb::Finalize,
        Verb::Abandon,
        Verb::Rehearse,
        Verb::SetTraffic { mode: None, reads_percent: 5, forced: true },
        Verb::TenantMove { tenants: [Tenant::new(b"a")].into() },
        Verb::TenantReturn { tenants: [Tenant::new(b"a")].into() },
        Verb::Cleanup,
    ]
}

fn facts(run: &RunState) -> Vec<Fact> {
    let mut list = vec![
        Fact::Tick,
        Fact::Resumed { nodes: [node()].into() },
        Fact::NodeAcked { node: node(), epoch: run.epoch, txn_wait_ms: 0 },
        Fact::BackfillDone,
        Fact::InStep { in_step: true, lag_ms: 0, pending: 0 },
        Fact::InStep { in_step: false, lag_ms: 9, pending: 9 },
        Fact::VerifyDone { digest: "v".to_owned(), clean: true, open: 0 },
        Fact::VerifyDone { digest: "w".to_owned(), clean: false, open: 1 },
        Fact::FeedLost { side: Side::Source },
        Fact::FeedRestored { side: Side::Source },
        Fact::RehearsalDone { digest: "r".to_owned(), outcome: EvidenceOutcome::Pass },
        Fact::WorkerFailed {
            worker: "backfill".to_owned(),
            code: "EXO-ENG-001".to_owned(),
            why: "x".to_owned(),
        },
    ];
    if run.saga.is_some() {
        list.push(Fact::SagaFailed { attempt: run.attempts, why: "x".to_owned() });
        let side = Side::Source;
        let why = "x".to_owned();
        let heard = [
            FlipInput::FenceLifted { side },
            FlipInput::FenceLifted { side: side.other() },
            FlipInput::LiftFailed { side, why: why.clone() },
            FlipInput::LiftFailed { side: side.other(), why: why.clone() },
            FlipInput::FeedOpened,
            FlipInput::InStep,
            FlipInput::FeedFailed { why: why.clone() },
            FlipInput::Fenced,
            FlipInput::FenceSkipped,
            FlipInput::FenceFailed { why: why.clone() },
            FlipInput::FeedFenced,
            FlipInput::FeedFenceFailed { why: why.clone() },
            FlipInput::Drained,
            FlipInput::DrainFailed { why, remaining: 1 },
        ];
        let attempt = run.attempts;
        list.extend(heard.map(|input| Fact::SagaProgress { attempt, input }));
    }
    list
}

fn told(plan: &Plan, run: &RunState, fact: &Fact) -> workflow::Transition {
    step(plan, run, &Event::told(run.now_ms, fact.clone())).expect("facts are never refused")
}

/// What makes two states different for the purpose of the walk.
fn shape(run: &RunState) -> String {
    let saga = run.saga.as_ref().map(|s| {
        let f = &s.flip;
        let t = &f.terms;
        (t.kind, f.step, t.to, t.accept_loss, f.fenced, f.acked.len(), s.lands.place())
    });
    let proved = run.evidence.get(&EvidenceKind::Verify).map(Evidence::holds);
    format!(
        "{:?}",
        (
            (&run.step.place(), run.reads_percent, &run.authority, saga),
            (run.held.is_some(), run.panicked.is_some(), run.capture.is_some(), run.verified),
            (run.backfilled, run.following.in_step, &run.feeds_lost, &run.fences, proved),
            (run.rollback_asked.as_ref().map(|a| a.accept_loss), run.failure.is_some()),
            (run.rolled_back_from, run.rehearsing_since_ms.is_some()),
            run.capture.is_some_and(|e| run.all_nodes_at(e)),
        )
    )
}

/// How much is wrong at once, besides the barrier's own failures.
fn disturbances(run: &RunState) -> usize {
    let late = run.backfilled && !run.following.in_step;
    [
        run.held.is_some(),
        run.panicked.is_some(),
        !run.feeds_lost.is_empty(),
        run.failure.is_some(),
        late,
        run.rehearsing_since_ms.is_some(),
    ]
    .iter()
    .filter(|wrong| **wrong)
    .count()
}

fn walk(plan: &Plan) -> HashMap<String, RunState> {
    let mut run = RunState::new("run-1", "shop", "ada", 1_000);
    for fact in [Fact::Started, Fact::NodeJoined { node: node() }] {
        run = told(plan, &run, &fact).state;
    }
    let mut seen = HashMap::from([(shape(&run), run.clone())]);
    let mut queue = VecDeque::from([run]);
    while let Some(run) = queue.pop_front() {
        // Time passes before anything else happens, so that every state is judged at rest.
        let now = run.now_ms + STEP_MS;
        let asked = verbs(&run).into_iter().map(|v| Event::asked(now, operator(), v));
        let told = facts(&run).into_iter().map(|f| Event::told(now, f));
        let later = Event::told(now + 120_000, Fact::Tick);
        for event in asked.chain(told).chain([later]) {
            let Ok(done) = step(plan, &run, &event) else { continue };
            judge(plan, &run, &event, &done);
            if disturbances(&done.state) > MOST_DISTURBANCES {
                continue;
            }
            if let Entry::Vacant(new) = seen.entry(shape(&done.state)) {
                new.insert(done.state.clone());
                queue.push_back(done.state);
            }
        }
    }
    seen
}

/// Laws of every transition.
fn judge(plan: &Plan, before: &RunState, event: &Event, done: &workflow::Transition) {
    let run = &done.state;
    let resumed = matches!(event, Event::Told { fact: Fact::Resumed { .. }, .. });
    for action in &done.actions {
        let Action::PublishTable(table) = action else { continue };
        assert!(table.epoch > before.epoch || resumed, "a published table has a new epoch");
        assert_eq!(table.epoch, run.epoch);
        assert_eq!(table.authority, run.authority, "a table never contradicts the run");
        assert!(!table.reads.secondary_ready || run.verified, "no read leaves unverified data");
    }
    let same = table_for(plan, before) == table_for(plan, run);
    assert!(same || run.epoch > before.epoch, "a table changed under its epoch: {event:?}");
    if run.authority != before.authority {
        let saga = before.saga.as_ref().expect("authority moves only behind the barrier");
        assert_eq!(table_for(plan, before).freeze, Freeze::Writes);
        assert_eq!(saga.next, run.authority);
        assert!(done.durable, "moved authority is stored before anybody serves it");
    }
    let flip = run.saga.as_ref().map(|saga| &saga.flip);
    if table_for(plan, run).freeze == Freeze::Writes {
        assert!(flip.is_some());
    }
    assert!(flip.is_none_or(|f| f.epoch == run.epoch), "an old acknowledgement could count");
    for action in &done.actions {
        if let Action::Flip { epoch, action, .. } = action {
            assert_eq!(*epoch, run.epoch);
            if let FlipAction::Quiesce { epoch, .. } = action {
                assert_eq!(*epoch, run.epoch, "nodes are made quiet for the table they get");
            }
        }
    }
    assert!(run.now_ms >= before.now_ms && run.version >= before.version);
}

/// Verbs that may be refused for what they carry.
fn by_its_data(verb: VerbKind) -> bool {
    matches!(verb, VerbKind::SetTraffic | VerbKind::TenantMove | VerbKind::TenantReturn)
}

/// Laws of every state.
fn inspect(plan: &Plan, run: &RunState) {
    // Whatever is due has happened.
    let settled = (0..4).fold(run.clone(), |run, _| told(plan, &run, &Fact::Tick).state);
    let run = &settled;
    let (place, now) = (run.place(), run.now_ms);
    let waiting = waiting_on(plan, run);
    assert!(!waiting.what.is_empty() && waiting.command.starts_with("exodus "), "{waiting:?}");
    assert!(!next(plan, run).command.is_empty());
    let allowed: BTreeSet<VerbKind> =
        allowed_actions(plan, run).into_iter().map(|a| a.verb).collect();
    for verb in verbs(run) {
        let kind = verb.kind();
        let done = step(plan, run, &Event::asked(now, operator(), verb.clone()));
        match &done {
            Ok(_) => {
                assert!(permitted(place, kind), "{kind} at {place} is not in the table");
                assert!(allowed.contains(&kind), "{kind} at {place} is carried out unannounced");
            }
            Err(no) => {
                assert!(!allowed.contains(&kind) || by_its_data(kind), "{no} at {place}");
                assert!(why_not(plan, run, kind).is_some() || by_its_data(kind));
                assert!(no.code.starts_with("EXO-RUN-") && !no.why.is_empty());
            }
        }
        if matches!(kind, VerbKind::Rollback | VerbKind::Panic) && !place.is_final() {
            let once = done.expect("rollback and panic are never refused").state;
            let twice = step(plan, &once, &Event::asked(now, operator(), verb));
            let twice = twice.expect("nor when repeated");
            assert!(
                !twice.changed || place == Place::RollbackBlocked,
                "repeating {kind} at {place}"
            );
        }
    }
    for fact in facts(run) {
        let once = told(plan, run, &fact);
        let twice = told(plan, &once.state, &fact);
        let restarted = matches!(fact, Fact::Resumed { .. });
        assert!(!twice.changed, "{fact:?} told twice at {place}: {:?}", twice.actions);
        let published = twice.actions.iter().any(|a| matches!(a, Action::PublishTable(_)));
        assert!(!published || restarted);
    }
}

/// From everywhere the source gets everything back in a world that works, even if the controller
/// is killed after every single step.
fn comes_back(plan: &Plan, run: &RunState, killed: bool) {
    let ask = Event::asked(run.now_ms, operator(), Verb::Rollback { accept_loss: false });
    let mut run = run.clone();
    let mut todo = VecDeque::new();
    let restored = Fact::FeedRestored { side: Side::Source };
    run = told(plan, &run, &restored).state;
    let in_step = Fact::InStep { in_step: true, lag_ms: 0, pending: 0 };
    let first = told(plan, &run, &in_step);
    run = first.state;
    todo.extend(first.actions);
    let first = step(plan, &run, &ask).expect("rollback is never refused");
    run = first.state;
    todo.extend(first.actions);
    let mut kills = 0;
    for _ in 0..400 {
        if run.place() == Place::RolledBack {
            assert!(!run.target_decides_something());
            assert_eq!(table_for(plan, &run).freeze, Freeze::Open);
            return;
        }
        let Some(action) = todo.pop_front() else {
            // The other side is looked at all the time.
            for (later, fact) in [(0, in_step.clone()), (120_000, Fact::Tick)] {
                let event = Event::told(run.now_ms + later, fact);
                let done = step(plan, &run, &event).expect("facts are never refused");
                run = done.state;
                todo.extend(done.actions);
            }
            continue;
        };
        let fact = match &action {
            Action::PublishTable(t) => {
                Fact::NodeAcked { node: node(), epoch: t.epoch, txn_wait_ms: 0 }
            }
            Action::Flip { attempt, action, .. } => match success(action) {
                Some(input) => Fact::SagaProgress { attempt: *attempt, input },
                None => continue,
            },
            _ => continue,
        };
        let done = told(plan, &run, &fact);
        run = done.state;
        todo.extend(done.actions);
        if killed && kills < 8 {
            kills += 1;
            todo.clear();
            let again = told(plan, &run, &Fact::Resumed { nodes: [node()].into() });
            run = again.state;
            todo.extend(again.actions);
        }
    }
    panic!("the source never got everything back: {:?} {:?}", run.step, run.saga);
}

fn check(plan: Plan) {
    let states = walk(&plan);
    let places: BTreeSet<Place> = states.values().map(RunState::place).collect();
    println!("{}: {} states at {} places", plan.strategy, states.len(), places.len());
    for run in states.values() {
        inspect(&plan, run);
        if !run.place().is_final() {
            comes_back(&plan, run, false);
            comes_back(&plan, run, true);
        }
    }
    assert!(places.contains(&Place::Abandoned));
    let serves = plan.strategy != Strategy::Shadow;
    assert_eq!(places.contains(&Place::Finalized), serves);
    assert_eq!(places.contains(&Place::RollbackBlocked), serves);
}

/// Also blue_green, which differs from it in what is compared, not in where a run can go.
#[test]
fn big_bang() {
    check(dev(Strategy::BigBang));
}

#[test]
fn canary() {
    check(Plan { canary_steps: vec![5, 100], ..dev(Strategy::Canary) });
}

#[test]
fn user_by_user() {
    check(Plan { batches: batches(&["a"]), ..dev(Strategy::UserByUser) });
}

#[test]
fn shadow() {
    check(dev(Strategy::Shadow));
}

/// What else happens in prod: people, proofs, samples, a second node, long waits.
fn more(run: &RunState, pick: usize) -> Event {
    let now = run.now_ms + 1 + (pick as u64 % 7) * 3_000;
    let kinds = EvidenceKind::ALL;
    let kind = kinds[pick % kinds.len()];
    let gate = Gate::ALL[pick % Gate::ALL.len()];
    let roles = [Role::DatabaseOwner, Role::DecisionOwner];
    let by = support::person(["grace", "linus"][pick % 2], roles[(pick / 2) % 2]);
    let other = Node("n2".to_owned());
    let digest = format!("d{pick}");
    let names = ["target_p99", "target_healthy", "nothing_parked", "target_error_rate"];
    match pick % 11 {
        0..=2 => {
            let outcome = EvidenceOutcome::Pass;
            Event::told(now, Fact::EvidenceAdded { kind, digest, outcome })
        }
        3 => {
            let outcome = EvidenceOutcome::Fail;
            Event::told(now, Fact::EvidenceAdded { kind, digest, outcome })
        }
        4 => Event::asked(now, by, Verb::Approve { gate, digest: None }),
        5 => Event::asked(now, by, Verb::Reject { gate }),
        6 => Event::asked(now, by, Verb::Revoke { gate }),
        7 => Event::told(now, Fact::ConfigChanged { digest, affects: [kind].into() }),
        8 => Event::told(now, Fact::NodeJoined { node: other }),
        9 => {
            let epoch = run.epoch;
            Event::told(now, Fact::NodeAcked { node: other, epoch, txn_wait_ms: 1 })
        }
        _ => {
            let name = names[pick % names.len()].to_owned();
            let verdict = Verdict::ALL[(pick / 4) % Verdict::ALL.len()];
            Event::told(now, Fact::CriterionSample { name, verdict, numbers: String::new() })
        }
    }
}

/// What brings the run forward from here, in a world that works.
fn helpful(plan: &Plan, run: &RunState, todo: &mut VecDeque<Action>) -> Event {
    let now = run.now_ms + 1;
    while let Some(action) = todo.pop_front() {
        let fact = match action {
            Action::PublishTable(t) => {
                Fact::NodeAcked { node: node(), epoch: t.epoch, txn_wait_ms: 0 }
            }
            Action::Flip { attempt, action, .. } => match success(&action) {
                Some(input) => Fact::SagaProgress { attempt, input },
                None => continue,
            },
            _ => continue,
        };
        return Event::told(now, fact);
    }
    let Some(need) = needs(plan, run).into_iter().next() else {
        let verb = match forward(run.place()) {
            Some(VerbKind::Commit) => Verb::Commit { typed: run.migration.clone() },
            Some(VerbKind::Finalize) => Verb::Finalize,
            Some(VerbKind::Retry) => Verb::Retry,
            _ => Verb::Advance,
        };
        return Event::asked(now, operator(), verb);
    };
    match (need.code, gate_at(run.place())) {
        ("EXO-RUN-004", Some(gate)) => {
            let roles = &plan.gates[&gate].roles;
            let role = *roles.first().expect("a gate names roles");
            Event::asked(now, support::person("grace", role), Verb::Approve { gate, digest: None })
        }
        ("EXO-RUN-005", _) => Event::told(now, support::verified("v")),
        ("EXO-RUN-006", _) => {
            let failing = |c: &&workflow::Criterion| {
                run.criteria.get(&c.name).is_none_or(|j| j.verdict != Verdict::Pass)
            };
            let name = plan.criteria.iter().find(failing).map_or("", |c| c.name.as_str());
            let (name, verdict) = (name.to_owned(), Verdict::Pass);
            Event::told(now, Fact::CriterionSample { name, verdict, numbers: String::new() })
        }
        ("EXO-RUN-012", _) if run.place() == Place::Seeding && !run.backfilled => {
            Event::told(now, Fact::BackfillDone)
        }
        ("EXO-RUN-012", _) if run.failure.is_some() => Event::asked(now, operator(), Verb::Retry),
        ("EXO-RUN-012", _) => {
            Event::told(now, Fact::InStep { in_step: true, lag_ms: 0, pending: 0 })
        }
        _ => Event::told(now + 1_000, Fact::Tick),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Long random lives under the strictest plan, helped along three times out of four; waivers
    /// stand for what only a real world could prove.
    #[test]
    fn whatever_happens_in_prod(picks in proptest::collection::vec(any::<u16>(), 100..400)) {
        let plan = Plan {
            canary_steps: vec![5, 100],
            soak_ms: 1_000,
            warm_window_ms: 1_000,
            ..support::prod(Strategy::Canary)
        };
        let mut run = RunState::new("run-1", "shop", "ada", 1_000);
        run = told(&plan, &run, &Fact::Started).state;
        for kind in EvidenceKind::ALL.iter().filter(|k| k.waivable()) {
            let waive = Verb::Waive { kind: *kind, expires_ms: u64::MAX };
            let asked = Event::asked(1_000, operator(), waive);
            run = step(&plan, &run, &asked).expect("it can be waived").state;
        }
        let mut todo = VecDeque::new();
        for pick in picks {
            let pick = usize::from(pick);
            let chaos = pick / 64;
            let mut verbs = verbs(&run);
            verbs.retain(|v| chaos % 16 == 0 || !matches!(v, Verb::Abandon));
            let facts = facts(&run);
            let event = match pick % 24 {
                0 => Event::asked(run.now_ms + 1, operator(), verbs[chaos % verbs.len()].clone()),
                1..=2 => Event::told(run.now_ms + 1, facts[chaos % facts.len()].clone()),
                3..=5 => more(&run, chaos),
                _ => helpful(&plan, &run, &mut todo),
            };
            let Ok(done) = step(&plan, &run, &event) else { continue };
            judge(&plan, &run, &event, &done);
            if done.state.place() == Place::Seeding && run.place() == Place::Rehearsal {
                prop_assert!(gate_verdict(&plan, &run, Gate::Migrate).open());
            }
            if done.state.place() == Place::WarmSource && run.place() == Place::ServingTarget {
                prop_assert!(gate_verdict(&plan, &run, Gate::Commit).open());
                prop_assert!(run.verified);
            }
            todo.extend(done.actions);
            run = done.state;
        }
        inspect(&plan, &run);
        if !run.place().is_final() {
            comes_back(&plan, &run, true);
        }
    }
}
