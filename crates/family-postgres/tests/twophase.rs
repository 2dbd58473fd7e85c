//! Two-phase commit and its recovery between two real servers: every step interrupted in every
//! way, then recovered, and what both servers hold compared with what the client was told.

#[allow(dead_code, reason = "each test program uses a part")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use family::EndpointSpec;
use family_postgres::twophase::coordinator::{Action, Event, Xids};
use family_postgres::twophase::recovery::{Report, Scope, Why};
use family_postgres::twophase::{
    Credential, Doubt, Ending, Form, Gid, Hands, Leg, Outcome, Participants, Place, Said, Servers,
    Site, Sites, SqlState, commit, credentials, heard, in_doubt, prune, recover, sweep,
};
use model::{Epoch, Side};
use support::Cluster;
use tokio::sync::Notify;

const RUN: &str = "test";
/// More than any of it takes, less than a test may.
const PATIENCE: Duration = Duration::from_secs(30);
const SCHEMA: &str = "CREATE TABLE ledger (id bigint PRIMARY KEY)";

struct World {
    clusters: [Cluster; 2],
    databases: [String; 2],
    systems: [u64; 2],
    /// As a node that is dead by the time somebody recovers.
    old: Sites,
    /// As the node that recovers.
    new: Sites,
    /// As clients whose sessions do not carry our name.
    clients: Sites,
}

fn tagged(spec: &EndpointSpec, tag: &str) -> EndpointSpec {
    EndpointSpec { session_tag: tag.to_owned(), ..spec.clone() }
}

async fn world() -> World {
    let make = || Cluster::build().setting("max_prepared_transactions=20").start();
    let clusters = [make(), make()];
    let databases = [clusters[0].database(), clusters[1].database()];
    let sides = [Side::Source, Side::Target];
    let specs = sides.map(|side| clusters[side.index()].spec(side, &databases[side.index()]));
    let sites = |tag: &str| {
        Sites(specs.clone().map(|spec| Site::new(&tagged(&spec, tag)).expect("a site")))
    };
    let (old, new) = (sites("exodus:test:old"), sites("exodus:test:new"));
    let mut systems = [0; 2];
    for side in sides {
        clusters[side.index()].sql(&databases[side.index()], SCHEMA);
        new.at(side).create(&[]).await.expect("a decision table");
        // Making it again changes nothing.
        new.at(side).create(&[support::OWNER.to_owned()]).await.expect("a decision table");
        let (system, room) = new.at(side).identity().await.expect("an identity");
        assert_eq!(room, 20);
        systems[side.index()] = system;
    }
    World { clusters, databases, systems, old, new, clients: sites("application:of:somebody") }
}

impl World {
    fn sql(&self, side: Side, sql: &str) -> String {
        self.clusters[side.index()].sql(&self.databases[side.index()], sql)
    }

    fn both(&self, sql: &str) -> [String; 2] {
        [self.sql(Side::Source, sql), self.sql(Side::Target, sql)]
    }

    fn gid(&self, form: Form, boot: &str, number: u64) -> Gid {
        let symmetric = form == Form::Symmetric;
        let participants = Participants { authority: Side::Source, symmetric };
        let (run, boot) = (RUN.to_owned(), boot.to_owned());
        let system = self.systems[0];
        Gid { run, epoch: Epoch(1), boot, participants, system, number }.checked().expect("a gid")
    }

    /// A transaction open on both sides that adds `number` to the ledgers.
    async fn begin(&self, form: Form, boot: &str, number: u64) -> (Gid, Xids, Servers) {
        self.begin_by(&self.old, form, boot, number).await
    }

    async fn begin_by(
        &self,
        by: &Sites,
        form: Form,
        boot: &str,
        number: u64,
    ) -> (Gid, Xids, Servers) {
        let insert = format!("INSERT INTO public.ledger VALUES ({number})");
        let mut source = Leg::begin(by.at(Side::Source), &insert).await.expect("a leg");
        let mut target = Leg::begin(self.old.at(Side::Target), &insert).await.expect("a leg");
        let authority = source.xid().await.expect("an xid");
        let other = target.xid().await.expect("an xid");
        let (gid, xids) = (self.gid(form, boot, number), Xids { authority, other });
        let legs = [Box::new(source) as _, Box::new(target) as _];
        let servers = Servers::new(self.old.clone(), gid.clone(), xids, legs);
        (gid, xids, servers)
    }

    async fn recover(&self) -> Report {
        let live = BTreeSet::from(["new".to_owned()]);
        let scope = Scope { run: RUN.into(), live, left: BTreeSet::new(), systems: self.systems };
        recover(&self.new, scope, PATIENCE).await
    }

    /// What both servers hold of a transaction agrees, with the client and with the decision.
    fn judge(&self, gid: &Gid, outcome: Option<Outcome>, what: &str) -> bool {
        let number = gid.number;
        let [source, target] =
            self.both(&format!("SELECT count(*) FROM ledger WHERE id = {number}"));
        assert_eq!(source, target, "{what}: {outcome:?}");
        let there = source == "1";
        match outcome {
            Some(Outcome::Ok) => assert!(there, "{what}: OK and not there"),
            Some(Outcome::No(why)) => assert!(!there, "{what}: NO ({why}) and there"),
            Some(Outcome::Unknown) | None => {}
        }
        let prepared = self.both("SELECT count(*) FROM pg_prepared_xacts");
        assert_eq!(prepared, ["0", "0"], "{what}: still prepared");
        let row = format!("SELECT state FROM exodus.decision WHERE gid = '{gid}'");
        match self.sql(Side::Source, &row).as_str() {
            "commit" => assert!(there, "{what}: decided and not there"),
            "abort" => assert!(!there, "{what}: aborted and there"),
            "" => assert!(!there, "{what}: there without a decision"),
            other => panic!("{what}: {other}"),
        }
        there
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The coordinator is gone, its connections are closed.
    Dead,
    /// The coordinator is gone, its connections are still open.
    Frozen,
    /// `kill -9` of the server and everything of it, and a new start.
    Crash(Side),
    /// The reply does not arrive.
    Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    /// It has been sent, the answer is not awaited.
    During,
    After,
}

/// Hands that do everything as told but at one step.
struct Faulty<'a> {
    inner: Servers,
    world: &'a World,
    step: usize,
    fault: Fault,
    when: When,
    steps: usize,
    /// The last one that was begun.
    action: Option<Action>,
    reached: Arc<Notify>,
}

impl Faulty<'_> {
    async fn fail(&mut self, action: Action) -> Event {
        let event = match self.when {
            When::Before => None,
            When::During => {
                // One poll sends what there is to send; then it is given up.
                tokio::select! {
                    biased;
                    event = self.inner.act(action) => Some(event),
                    () = tokio::task::yield_now() => None,
                }
            }
            When::After => Some(self.inner.act(action).await),
        };
        match self.fault {
            Fault::Dead | Fault::Frozen => {
                self.reached.notify_one();
                std::future::pending().await
            }
            Fault::Crash(side) => {
                self.world.clusters[side.index()].crash();
                match event {
                    Some(event) => event,
                    None => self.inner.act(action).await,
                }
            }
            Fault::Reply => {
                if let Action::Prepare(place) | Action::Finish(place, _) = action {
                    self.inner.lose(place);
                } else {
                    self.inner.lose(Place::Authority);
                }
                heard(&action, Said::Nothing).unwrap_or(Event::Deadline)
            }
        }
    }
}

#[async_trait]
impl Hands for Faulty<'_> {
    async fn act(&mut self, action: Action) -> Event {
        let step = self.steps;
        self.steps += 1;
        self.action = Some(action);
        match step == self.step {
            true => self.fail(action).await,
            false => self.inner.act(action).await,
        }
    }
}

/// Interrupts one step; says whether there was one, and what became of the transaction.
async fn interrupted(
    world: &World,
    form: Form,
    number: u64,
    step: usize,
    fault: Fault,
    when: When,
) -> Option<(Action, bool)> {
    let (gid, xids, inner) = world.begin(form, "old", number).await;
    let reached = Arc::new(Notify::new());
    let mut hands = Faulty {
        inner,
        world,
        step,
        fault,
        when,
        steps: 0,
        action: None,
        reached: reached.clone(),
    };
    let doubt = Doubt::new(1);
    let ending = tokio::select! {
        ending = commit(&doubt, gid.clone(), form, xids, &mut hands, PATIENCE) => Some(ending),
        () = reached.notified() => None,
    };
    let outcome = ending.map(|ending| ending.outcome);
    if ending.is_some_and(|ending| ending.left.is_none()) {
        assert_eq!(doubt.gauge().count, 0, "a place was kept");
    }
    let (steps, action) = (hands.steps, hands.action);
    let frozen = match fault {
        Fault::Frozen => Some(hands),
        _ => {
            drop(hands);
            None
        }
    };
    let what = format!("{form:?}, {fault:?} {when:?} step {step} ({action:?})");
    if steps <= step {
        assert_eq!(outcome, Some(Outcome::Ok), "{what}");
        assert!(world.judge(&gid, outcome, &what), "{what}");
        return None;
    }
    let report = world.recover().await;
    assert!(report.is_clean(), "{what}: {report:?}");
    let there = world.judge(&gid, outcome, &what);
    println!("{what}: {outcome:?}, {}", if there { "committed" } else { "aborted" });
    drop(frozen);
    Some((action?, there))
}

async fn every_step(form: Form, number: &mut u64, world: &World, faults: &[(Fault, When)]) {
    for &(fault, when) in faults {
        let (mut committed, mut aborted) = (0, 0);
        for step in 0.. {
            *number += 1;
            match interrupted(world, form, *number, step, fault, when).await {
                None => break,
                Some((_, true)) => committed += 1,
                Some((_, false)) => aborted += 1,
            }
        }
        assert!(committed + aborted >= 4, "{form:?} {fault:?} {when:?} has only few steps");
    }
}

async fn every_fault(form: Form) {
    use When::{After, Before, During};
    let (world, mut number) = (world().await, 0);
    let coordinator = [
        (Fault::Dead, Before),
        (Fault::Dead, During),
        (Fault::Dead, After),
        (Fault::Frozen, Before),
        (Fault::Frozen, During),
        (Fault::Frozen, After),
        (Fault::Reply, During),
        (Fault::Reply, After),
    ];
    every_step(form, &mut number, &world, &coordinator).await;
    for side in [Side::Source, Side::Target] {
        let crash = Fault::Crash(side);
        every_step(form, &mut number, &world, &[(crash, Before), (crash, After)]).await;
    }
}

#[tokio::test]
async fn authority_last_survives_every_fault_at_every_step() {
    every_fault(Form::AuthorityLast).await;
}

#[tokio::test]
async fn symmetric_survives_every_fault_at_every_step() {
    every_fault(Form::Symmetric).await;
}

/// Hands that are slow in a way of their own.
struct Jittery {
    inner: Servers,
    random: u64,
    most: u64,
}

fn random(state: &mut u64) -> u64 {
    // xorshift64; the seed is not zero.
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[async_trait]
impl Hands for Jittery {
    async fn act(&mut self, action: Action) -> Event {
        let micros = random(&mut self.random) % self.most;
        tokio::time::sleep(Duration::from_micros(micros)).await;
        self.inner.act(action).await
    }
}

#[tokio::test]
async fn a_recoverer_and_a_coordinator_that_race_agree() {
    let world = world().await;
    let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
    for seed in 1..=60_u64 {
        let form = if seed % 2 == 0 { Form::AuthorityLast } else { Form::Symmetric };
        let by =
            if form == Form::AuthorityLast && seed % 4 == 0 { &world.clients } else { &world.old };
        let (gid, xids, inner) = world.begin_by(by, form, "old", seed).await;
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = random(&mut state) % 10_000;
        let mut hands = Jittery { inner, random: state, most: 20_000 };
        let doubt = Doubt::new(1);
        let race = async {
            tokio::time::sleep(Duration::from_micros(start)).await;
            world.recover().await
        };
        let (ending, report) =
            tokio::join!(commit(&doubt, gid.clone(), form, xids, &mut hands, PATIENCE), race);
        drop(hands);
        let what = format!("seed {seed} {form:?}");
        assert!(report.is_clean(), "{what}: {report:?}");
        assert_eq!(ending.left, None, "{what}: {ending:?}");
        world.judge(&gid, Some(ending.outcome), &what);
        *outcomes.entry(format!("{:?}", ending.outcome)).or_default() += 1;
    }
    println!("{outcomes:?}");
    // Otherwise nobody raced.
    assert!(outcomes.len() > 1, "{outcomes:?}");
}

/// Hands that stop once before a step until they may go on.
struct Held {
    inner: Servers,
    before: Option<Action>,
    arrived: Arc<Notify>,
    go: Arc<Notify>,
}

#[async_trait]
impl Hands for Held {
    async fn act(&mut self, action: Action) -> Event {
        if self.before == Some(action) {
            self.before = None;
            self.arrived.notify_one();
            self.go.notified().await;
        }
        self.inner.act(action).await
    }
}

async fn slow(
    world: &World,
    by: &Sites,
    form: Form,
    before: Action,
    number: u64,
) -> (Ending, bool) {
    let (gid, xids, inner) = world.begin_by(by, form, "old", number).await;
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let before = Some(before);
    let mut hands = Held { inner, before, arrived: arrived.clone(), go: go.clone() };
    let doubt = Doubt::new(1);
    let recovered = async {
        arrived.notified().await;
        assert_eq!(doubt.gauge().count, 1);
        let report = world.recover().await;
        go.notify_one();
        report
    };
    let (ending, report) =
        tokio::join!(commit(&doubt, gid.clone(), form, xids, &mut hands, PATIENCE), recovered);
    drop(hands);
    assert!(report.is_clean(), "{report:?}");
    (ending, world.judge(&gid, Some(ending.outcome), "a slow coordinator"))
}

#[tokio::test]
async fn a_slow_coordinator_finds_the_abort_record() {
    let world = world().await;
    let fenced = Ending { outcome: Outcome::No(SqlState::FENCED), left: None };
    let check = async |by, form, before, number| {
        assert_eq!(slow(&world, by, form, before, number).await, (fenced, false));
    };
    check(&world.clients, Form::AuthorityLast, Action::Decide, 1).await;
    check(&world.old, Form::Symmetric, Action::Record, 2).await;
    // What was decided before is committed by the recoverer, and the coordinator finds it missing.
    let finish = Action::Finish(Place::Other, family_postgres::twophase::Verdict::Commit);
    let done = Ending { outcome: Outcome::Ok, left: None };
    let found = slow(&world, &world.clients, Form::AuthorityLast, finish, 3).await;
    assert_eq!(found, (done, true));
}

#[tokio::test]
async fn a_failed_transaction_prepares_successfully_and_is_a_no() {
    let world = world().await;
    let source = Leg::begin(world.old.at(Side::Source), "INSERT INTO public.ledger VALUES (1)");
    let mut source = source.await.expect("a leg");
    let target = Leg::begin(world.old.at(Side::Target), "INSERT INTO public.ledger VALUES (1)");
    let mut target = target.await.expect("a leg");
    let xids = Xids {
        authority: source.xid().await.expect("an xid"),
        other: target.xid().await.expect("an xid"),
    };
    target.run("SELECT 1/0").await.expect_err("a division by zero");
    let gid = world.gid(Form::AuthorityLast, "old", 1);
    let legs = [Box::new(source) as _, Box::new(target) as _];
    let mut servers = Servers::new(world.old.clone(), gid.clone(), xids, legs);
    let doubt = Doubt::new(1);
    let ending =
        commit(&doubt, gid.clone(), Form::AuthorityLast, xids, &mut servers, PATIENCE).await;
    assert_eq!(ending.outcome, Outcome::No(SqlState::ROLLED_BACK));
    assert!(!world.judge(&gid, Some(ending.outcome), "a failed transaction"));
    // Both sessions go on.
    assert!(servers.into_sessions().iter().all(Option::is_some));
}

#[tokio::test]
async fn what_cannot_be_committed_at_the_end_is_a_no_with_the_servers_reason() {
    let world = world().await;
    world.sql(
        Side::Source,
        "CREATE TABLE public.late (id bigint REFERENCES ledger DEFERRABLE INITIALLY DEFERRED)",
    );
    let number = 7;
    let insert =
        format!("INSERT INTO public.ledger VALUES ({number}); SET LOCAL synchronous_commit = off");
    let mut source = Leg::begin(world.old.at(Side::Source), &insert).await.expect("a leg");
    source.run("INSERT INTO public.late VALUES (4711)").await.expect("not checked yet");
    let mut target = Leg::begin(world.old.at(Side::Target), &insert).await.expect("a leg");
    let xids = Xids {
        authority: source.xid().await.expect("an xid"),
        other: target.xid().await.expect("an xid"),
    };
    let gid = world.gid(Form::AuthorityLast, "old", number);
    let legs = [Box::new(source) as _, Box::new(target) as _];
    let mut servers = Servers::new(world.old.clone(), gid.clone(), xids, legs);
    let doubt = Doubt::new(1);
    let ending =
        commit(&doubt, gid.clone(), Form::AuthorityLast, xids, &mut servers, PATIENCE).await;
    assert_eq!(ending, Ending { outcome: Outcome::No(SqlState::read("23503")), left: None });
    assert!(!world.judge(&gid, Some(ending.outcome), "a deferred constraint"));
}

#[tokio::test]
async fn a_decision_is_durable_whatever_the_client_has_set() {
    let world = world().await;
    let gid = world.gid(Form::AuthorityLast, "old", 1);
    let decide = family_postgres::twophase::decision::decide(&gid, None, 1);
    let said = world.sql(
        Side::Source,
        &format!(
            "BEGIN; SET LOCAL synchronous_commit = off; {decide}; SHOW synchronous_commit; ROLLBACK"
        ),
    );
    assert!(said.contains("on") && !said.contains("off"), "{said}");
}

#[tokio::test]
async fn a_sweep_ends_orphans_and_leaves_the_living_alone() {
    let world = world().await;
    let roles =
        "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; GRANT ALL ON ledger TO app";
    world.sql(Side::Target, roles);
    let prepare = |name: &str, number: u64, role: &str| {
        let sql = format!(
            "SET ROLE {role}; BEGIN; INSERT INTO ledger VALUES ({number}); PREPARE TRANSACTION '{name}'"
        );
        world.sql(Side::Target, &sql);
    };
    let al = Form::AuthorityLast;
    let (dead, decided, living) =
        (world.gid(al, "dead", 1), world.gid(al, "dead", 2), world.gid(al, "new", 3));
    prepare(&dead.to_string(), 1, "app");
    prepare(&decided.to_string(), 2, "app");
    let decide = family_postgres::twophase::decision::decide(&decided, None, 1);
    world.sql(Side::Source, &format!("BEGIN; INSERT INTO ledger VALUES (2); {decide}; COMMIT"));
    prepare(&living.to_string(), 3, support::OWNER);
    let elsewhere = Gid { system: 1, ..world.gid(al, "dead", 4) };
    prepare(&elsewhere.to_string(), 4, support::OWNER);
    prepare("exo:other:1:dead:s-t:1:1", 5, support::OWNER);
    prepare("somebody else's".replace('\'', "''").as_str(), 6, support::OWNER);
    // A coordinator of the living node whose future was dropped.
    let doubt = Doubt::new(2);
    let left = world.gid(al, "new", 7);
    drop(doubt.enter(left.clone(), PATIENCE).await.expect("a place"));
    prepare(&left.to_string(), 7, support::OWNER);
    assert_eq!(doubt.gauge().left, 1);
    let gauge = in_doubt(world.new.at(Side::Target), RUN).await.expect("a gauge");
    assert_eq!(gauge.count, 5);
    assert!(gauge.oldest.is_some());
    let gauge = in_doubt(world.new.at(Side::Source), RUN).await.expect("a gauge");
    assert_eq!((gauge.count, gauge.oldest), (0, None));

    let live = BTreeSet::from(["new".to_owned()]);
    let report = sweep(&world.new, RUN, live.clone(), &doubt, PATIENCE).await.expect("a sweep");
    let ended: Vec<_> = report.ended.iter().map(|(gid, verdict)| (gid.number, *verdict)).collect();
    use family_postgres::twophase::Verdict::{Abort, Commit};
    assert_eq!(ended, [(1, Abort), (2, Commit), (7, Abort)]);
    let open: Vec<_> = report.open.values().cloned().collect();
    assert_eq!(open, [Why::OtherSystem]);
    assert_eq!(world.sql(Side::Target, "SELECT id FROM ledger"), "2");
    assert_eq!(world.sql(Side::Source, "SELECT id FROM ledger"), "2");
    let names = "SELECT string_agg(gid, '|' ORDER BY gid) FROM pg_prepared_xacts";
    let kept = format!("exo:other:1:dead:s-t:1:1|{living}|{elsewhere}|somebody else's");
    let mut kept: Vec<_> = kept.split('|').collect();
    kept.sort_unstable();
    let found = world.sql(Side::Target, names);
    let mut found: Vec<_> = found.split('|').collect();
    found.sort_unstable();
    assert_eq!(found, kept);

    // An operator ends what nobody here may; the next sweep is clean and gives the place back.
    world.sql(Side::Target, &format!("ROLLBACK PREPARED '{elsewhere}'"));
    let report = sweep(&world.new, RUN, live, &doubt, PATIENCE).await.expect("a sweep");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(doubt.gauge().count, 0);
    // Old decisions go, but not of what is still prepared.
    let fence = family_postgres::twophase::decision::fence(&living);
    world.sql(Side::Source, &fence);
    prune(&world.new, RUN, Duration::ZERO).await.expect("pruned");
    let rows = "SELECT gid FROM exodus.decision";
    assert_eq!(world.sql(Side::Source, rows), living.to_string());
    for name in [living.to_string(), "exo:other:1:dead:s-t:1:1".into(), "somebody else''s".into()] {
        world.sql(Side::Target, &format!("ROLLBACK PREPARED '{name}'"));
    }
}

#[tokio::test]
async fn who_may_finish_is_known_beforehand() {
    let world = world().await;
    world.sql(
        Side::Target,
        "CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN; \
         CREATE ROLE finisher LOGIN PASSWORD 'exodus-secret'; GRANT app TO finisher; \
         GRANT ALL ON ledger TO app, stranger; GRANT pg_signal_backend TO finisher",
    );
    let roles = ["app", "stranger", "finisher", "nobody"].map(String::from);
    let of = async |site: &Site| {
        let found = credentials(site, &roles).await.expect("credentials");
        found.into_iter().map(|(_, credential)| credential).collect::<Vec<_>>()
    };
    use Credential::{Itself, Member, NoSuchRole, Nothing, Superuser};
    assert_eq!(of(world.new.at(Side::Target)).await, [Superuser, Superuser, Superuser, NoSuchRole]);
    let spec = world.clusters[1].spec(Side::Target, &world.databases[1]);
    let spec = EndpointSpec { user: Some("finisher".into()), ..tagged(&spec, "exodus:test:new") };
    let finisher = Site::new(&spec).expect("a site");
    assert_eq!(of(&finisher).await, [Member, Nothing, Itself, NoSuchRole]);

    // It is true.
    let form = Form::AuthorityLast;
    let (may, may_not) = (world.gid(form, "dead", 1), world.gid(form, "dead", 2));
    for (gid, role) in [(&may, "app"), (&may_not, "stranger")] {
        let number = gid.number;
        let sql = format!(
            "SET ROLE {role}; BEGIN; INSERT INTO ledger VALUES ({number}); PREPARE TRANSACTION '{gid}'"
        );
        world.sql(Side::Target, &sql);
    }
    let sites = Sites([world.new.at(Side::Source).clone(), finisher]);
    let live = BTreeSet::from(["new".to_owned()]);
    let scope = Scope { run: RUN.into(), live, left: BTreeSet::new(), systems: world.systems };
    let report = recover(&sites, scope, PATIENCE).await;
    assert_eq!(report.ended.len(), 1);
    let open: Vec<_> = report.open.into_iter().collect();
    assert_eq!(open, [((Side::Target, may_not.to_string()), Why::Refused(SqlState::DENIED))]);
    let names = world.sql(Side::Target, "SELECT gid FROM pg_prepared_xacts");
    assert_eq!(names, may_not.to_string());
    assert!(world.recover().await.is_clean());
}
