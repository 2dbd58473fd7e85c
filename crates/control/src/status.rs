//! The status document: the stored run, the engine's and the listeners' own numbers, nothing
//! remembered in between.

mod actions;
mod parts;

use std::sync::Arc;

use model::Side;
use store::EventQuery;
use workflow::{Place, Plan, RunState, table_for, waiting_on};

use crate::clock::rfc3339;
use crate::events;
use crate::migration::Migration;
use crate::observe::Window;
use crate::{preflight, status};

pub(crate) use actions::{allowed_actions, next_steps};
pub(crate) use parts::{data, endpoint, interlays, latency, queue, reads, writes};

/// Events shown with a status.
const EVENTS: usize = 12;

/// A side as the API names it.
pub(crate) const fn side(side: Side) -> api::Side {
    match side {
        Side::Source => api::Side::Source,
        Side::Target => api::Side::Target,
    }
}

/// A phase as the API names it.
pub(crate) const fn phase(phase: model::Phase) -> api::Phase {
    match phase {
        model::Phase::PreTest => api::Phase::PreTest,
        model::Phase::Analyze => api::Phase::Analyze,
        model::Phase::Compare => api::Phase::Compare,
        model::Phase::Test => api::Phase::Test,
        model::Phase::Migrate => api::Phase::Migrate,
        model::Phase::Rollback => api::Phase::Rollback,
        model::Phase::Commit => api::Phase::Commit,
    }
}

/// One look at everything that changes.
pub(crate) struct Look {
    pub(crate) now: u64,
    pub(crate) plan: Plan,
    pub(crate) run: Option<RunState>,
    pub(crate) engine: Option<engine::Status>,
    pub(crate) sum: crate::observe::Sum,
    pub(crate) rates: crate::observe::Rates,
}

impl Look {
    pub(crate) fn at(migration: &Migration) -> Self {
        let world = &migration.world;
        let snapshot = migration.runner.snapshot();
        let now = migration.runner.now_ms();
        let sum = Window::now(&world.interlays);
        let rates = world.seen.window.lock().rates(&sum, now);
        // Time that merely passes is not published, and decides what may be done all the same.
        let mut run = snapshot.run.clone();
        if let Some(run) = &mut run {
            run.now_ms = run.now_ms.max(now);
        }
        Self {
            now,
            plan: snapshot.plan.clone(),
            run,
            engine: world.engine().map(|e| e.status()),
            sum,
            rates,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.run.as_ref().map_or(0, |r| r.version)
    }
}

/// The whole document.
pub(crate) async fn build(migration: &Arc<Migration>) -> anyhow::Result<api::Status> {
    let look = Look::at(migration);
    let world = &migration.world;
    let document = world.document.load_full();
    let query = EventQuery {
        scope: Some(world.id.clone()),
        limit: EVENTS,
        newest: true,
        ..EventQuery::default()
    };
    let events = world.store.events(query).await?.into_iter().map(events::shown).collect();
    let checks = preflight::stored(world).await?;
    Ok(api::Status {
        migration: world.id.clone(),
        run: look.run.as_ref().map(|r| r.run.clone()),
        environment: document.environment.0.as_str().to_owned(),
        family: document.family.clone(),
        strategy: look.plan.strategy.as_str().to_owned(),
        at: rfc3339(look.now),
        state_version: look.version(),
        live: look.engine.is_some(),
        writes: parts::writes(world, &look),
        reads: parts::reads(world, &look),
        undo: parts::undo(&look, parts::rehearsal(world, &look).await),
        phase: phase_status(&look),
        waiting_on: waiting(&look),
        allowed_actions: allowed_actions(&look),
        next_steps: next_steps(&look),
        warnings: warnings(migration, &look, &checks),
        checks: parts::checks(&checks, world.is_checking(), look.now),
        data: parts::data(&look),
        divergence: parts::divergence(world, &look),
        source: parts::source(world, &look),
        queue: parts::queue(&look),
        latency: parts::latency(world, &look),
        events,
    })
}

/// The line of the fleet.
pub(crate) fn summary(migration: &Migration) -> api::MigrationSummary {
    let look = Look::at(migration);
    let world = &migration.world;
    let document = world.document.load();
    let phase = phase_status(&look);
    let writes = parts::writes(world, &look);
    let undo = parts::undo(&look, None);
    api::MigrationSummary {
        id: world.id.clone(),
        family: document.family.clone(),
        environment: document.environment.0.as_str().to_owned(),
        strategy: look.plan.strategy.as_str().to_owned(),
        phase: phase.phase,
        step: phase.title,
        state: phase.state,
        authority: writes.authority,
        epoch: writes.epoch,
        undo_ready: undo.ready,
        divergence_open: look.engine.as_ref().map_or(0, |e| e.verify.open),
        parked: look.engine.as_ref().map_or(0, |e| e.depth.parked as u64),
        waiting_on: waiting(&look),
        since: phase.since,
        state_version: look.version(),
    }
}

/// What the run waits for.
pub(crate) fn waiting(look: &Look) -> Option<api::Waiting> {
    let run = look.run.as_ref()?;
    let waits = waiting_on(&look.plan, run);
    let kind = match (&run.saga, run.place()) {
        (Some(_), _) => "barrier",
        (None, place) if place.is_final() => "nothing",
        _ if run.held.is_some() || run.panicked.is_some() => "hold",
        _ if waits.what.starts_with("gate ") => "gate",
        _ if waits.what.contains("evidence") => "evidence",
        _ if waits.what.contains("s left") => "soak",
        _ if waits.what.starts_with("check ") => "criteria",
        (None, Place::Seeding) => "backfill",
        _ if waits.who == "exodus" => "system",
        _ => "operator",
    };
    let who = if waits.who == "exodus" { "the system".to_owned() } else { waits.who };
    if let Some(parked) = parked_in_the_way(look, run) {
        return Some(api::Waiting {
            kind: "operator".to_owned(),
            what: format!("{parked} parked records keep the other side from being in step"),
            since: rfc3339(waits.since_ms),
            who: "operator".to_owned(),
            command: Some(workflow::command(run, LOOK_AT_PARKED)),
        });
    }
    Some(api::Waiting {
        kind: kind.to_owned(),
        what: waits.what,
        since: rfc3339(waits.since_ms),
        who,
        command: Some(waits.command),
    })
}

/// What shows parked records, with why and what to do.
const LOOK_AT_PARKED: &str = "queue peek";

/// Records that nobody but an operator can move, where nothing else is left to move.
fn parked_in_the_way(look: &Look, run: &RunState) -> Option<usize> {
    let depth = &look.engine.as_ref()?.depth;
    let stands = run.place() == Place::Seeding && run.backfilled && !run.following.in_step;
    let rest = run.following.pending == 0 && depth.parked > 0;
    (stands && rest).then_some(depth.parked)
}

const BAR: [Place; 6] =
    [Place::Setup, Place::Analyze, Place::Compare, Place::Smoke, Place::Seeding, Place::WarmSource];

fn phase_status(look: &Look) -> api::PhaseStatus {
    let Some(run) = &look.run else {
        return api::PhaseStatus {
            phase: None,
            step: "none".to_owned(),
            title: "no run was started".to_owned(),
            state: "waiting".to_owned(),
            since: rfc3339(look.now),
            bar: Vec::new(),
            soak_left_s: None,
            cause: None,
        };
    };
    let place = run.place();
    let now = place.phase();
    let mark = |of: Place| {
        let (of, here) = (of.phase(), now);
        let state = match () {
            () if of == here => "now",
            () if here != model::Phase::Rollback && of < here => "done",
            () => "todo",
        };
        api::PhaseMark { phase: phase(of), state: state.to_owned() }
    };
    let mut bar: Vec<_> = BAR.into_iter().map(mark).collect();
    if now == model::Phase::Rollback {
        let state = "now".to_owned();
        bar.insert(5, api::PhaseMark { phase: api::Phase::Rollback, state });
    }
    let soak_end = run.since_ms + look.plan.soak_ms;
    let soaks = matches!(place, Place::Reads | Place::ServingTarget) && soak_end > look.now;
    api::PhaseStatus {
        phase: Some(phase(now)),
        step: place.as_str().to_owned(),
        title: title(look, run),
        state: state_of(run).to_owned(),
        since: rfc3339(run.since_ms),
        bar,
        soak_left_s: soaks.then(|| (soak_end - look.now).div_ceil(1_000)),
        cause: cause(run),
    }
}

fn state_of(run: &RunState) -> &'static str {
    match run.place() {
        Place::Finalized => "finalized",
        Place::Abandoned => "abandoned",
        Place::RolledBack => "rolled_back",
        Place::RollbackBlocked => "failed",
        _ if run.panicked.is_some() => "panicked",
        _ if run.held.is_some() => "held",
        _ if run.failure.is_some() && run.retry_at_ms.is_none() => "failed",
        _ => "running",
    }
}

fn cause(run: &RunState) -> Option<String> {
    let held = run.panicked.as_ref().or(run.held.as_ref());
    let failed = run.failure.as_ref().map(|f| format!("[{}] {}", f.code, f.why));
    let rolled = run.rollback_asked.as_ref().filter(|a| !a.reason.is_empty());
    let last = run.history.back().and_then(|a| a.reason.clone());
    failed
        .or_else(|| held.map(|h| format!("{}: {}", h.by, h.reason)))
        .or_else(|| rolled.map(|r| format!("{}: {}", r.by, r.reason)))
        .or(last)
}

fn title(look: &Look, run: &RunState) -> String {
    let words = match run.place() {
        Place::Setup => "deployed; nothing is observed yet",
        Place::Tap => "a copy of the traffic is observed",
        Place::Analyze => "traffic passes and is profiled",
        Place::Compare => "reads are mirrored and compared",
        Place::Smoke => "smoke tests on the target",
        Place::Rehearsal => "rehearsing the rollback",
        Place::Seeding => "copying and catching up",
        Place::Verifying => "comparing record by record",
        Place::Tenants => "moving tenants",
        Place::ReadyToCutover => "ready for the authority to move",
        Place::CuttingOver => "the barrier is under way",
        Place::ServingTarget => "the target decides",
        Place::WarmSource => "committed; the source follows until the window ends",
        Place::Finalized => "finalized: the target is the only system",
        Place::RollingBack => "authority returns to the source",
        Place::RolledBack => "rolled back: the source decides",
        Place::RollbackBlocked => "the rollback is blocked",
        Place::Abandoned => "abandoned: the source stays",
        Place::Reads => {
            let percent = table_for(&look.plan, run).reads.percent;
            return format!("{percent} % of the reads on the target");
        }
    };
    words.to_owned()
}

fn warnings(migration: &Migration, look: &Look, checks: &[api::Check]) -> Vec<api::Warning> {
    let mut out = Vec::new();
    let mut warn = |code: &str, message: String| {
        out.push(api::Warning { code: code.to_owned(), message });
    };
    let world = &migration.world;
    let health = world.store.health();
    if let Some(why) = health.poisoned {
        warn("EXO-STO-004", why);
    }
    if health.full {
        warn("EXO-STO-005", "the store is full: progress is not recorded".to_owned());
    }
    for which in [Side::Source, Side::Target] {
        if let Some(error) = world.error(which) {
            warn("EXO-PRE-006", format!("the {which} is not connected: {error}"));
        }
    }
    if let Some(error) = world.engine_error() {
        warn("EXO-ENG-004", error);
    }
    if let Some(engine) = &look.engine {
        if let Some(stalled) = &engine.stalled {
            warn("EXO-ENG-007", stalled.clone());
        }
        if let Some(error) = &engine.store_error {
            warn("EXO-ENG-004", error.clone());
        }
    }
    let blocks = |c: &&api::Check| c.class == api::CheckClass::Blocker && c.waived.is_none();
    for check in checks.iter().filter(blocks) {
        let which = check.side.map_or(String::new(), |s| format!(" ({})", s.as_str()));
        warn(&check.code, format!("{}{which}; required at {}", check.evidence, check.required_at));
    }
    if look.sum.degraded {
        warn("EXO-PXY-030", "degraded: the other side answers too late; writes do not wait".into());
    }
    out
}

/// The line of `/authority`.
pub(crate) fn authority(migration: &Migration) -> api::AuthorityLine {
    let look = Look::at(migration);
    let world = &migration.world;
    let document = world.document.load();
    let writes = status::writes(world, &look);
    let address = match (writes.authority, &document.target) {
        (api::Side::Target, Some(target)) => target.address.clone(),
        _ => document.source.address.clone(),
    };
    api::AuthorityLine {
        migration: world.id.clone(),
        authority: writes.authority,
        address,
        epoch: writes.epoch,
        frozen: writes.frozen,
        measured_by: writes.measured_by,
    }
}

/// The undo meter without the last rehearsal's numbers.
pub(crate) fn undo_now(look: &Look) -> api::Undo {
    parts::undo(look, None)
}
