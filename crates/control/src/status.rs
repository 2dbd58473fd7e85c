//! The status document: the stored run, the engine's and the listeners' own numbers, nothing
//! remembered in between.

mod actions;
mod parts;
mod phase;

use std::sync::Arc;

use model::Side;
use store::EventQuery;
use workflow::{Place, Plan, RunState, waiting_on};

use crate::cleaned::Cleaned;
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
    /// The cleanup after this run, once there was one.
    pub(crate) cleaned: Option<Cleaned>,
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
        let over = run.as_ref().filter(|run| run.place().is_final());
        let cleaned = over.and_then(|run| world.cleaned().filter(|c| c.run == run.run));
        Self {
            now,
            cleaned,
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
        phase: phase::status(&look),
        waiting_on: waiting(&look),
        allowed_actions: allowed_actions(&look),
        next_steps: next_steps(&look),
        warnings: warnings(migration, &look, &checks),
        checks: parts::checks(&checks, world.is_checking(), look.now),
        data: parts::data(&look),
        divergence: parts::divergence(world, &look),
        source: parts::source(world, &look),
        endpoints: [Side::Source, Side::Target]
            .into_iter()
            .filter_map(|which| parts::endpoint(world, which))
            .collect(),
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
    let phase = phase::status(&look);
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
    if let Some(cleaned) = &look.cleaned {
        return Some(over(run, cleaned, look.sum.connections));
    }
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

/// A run that is over and was cleaned up waits for nothing, unless something of ours is left.
fn over(run: &RunState, cleaned: &Cleaned, connections: u64) -> api::Waiting {
    let (kind, what, command) = match (cleaned.left.as_slice(), connections) {
        ([], 0) => ("nothing", "nothing: the run is over and nothing of ours is left".into(), None),
        ([], n) => {
            let what = format!(
                "nothing: the run is over and nothing of ours is left on either side; {n} clients \
                 still come through the interlay, which goes on passing them to the {}",
                run.authority.default
            );
            ("nothing", what, None)
        }
        (left, _) => {
            let what = format!("something of ours is left: {}", left.join("; "));
            ("operator", what, Some(workflow::command(run, "cleanup")))
        }
    };
    let who = if command.is_some() { "operator" } else { "nobody" };
    api::Waiting {
        kind: kind.to_owned(),
        what,
        since: rfc3339(cleaned.at_ms),
        who: who.to_owned(),
        command,
    }
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
        for which in [Side::Source, Side::Target] {
            let status = &engine.sides[which.index()];
            if let Some(error) = status.last_error.as_ref().filter(|_| status.failures > 0) {
                let (code, what) = error.split_once(": ").unwrap_or(("EXO-PRE-006", error));
                warn(code, format!("the {which}: {what}"));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_cleanup_nothing_is_asked_for_unless_something_is_left() {
        let run = RunState::new("r", "m", "somebody", 0);
        let cleaned = |left: &[&str]| Cleaned {
            run: "r".to_owned(),
            at_ms: 0,
            left: left.iter().map(|l| (*l).to_owned()).collect(),
        };
        let done = over(&run, &cleaned(&[]), 0);
        assert_eq!((done.kind.as_str(), done.command), ("nothing", None));
        let passing = over(&run, &cleaned(&[]), 3);
        assert_eq!((passing.kind.as_str(), passing.command), ("nothing", None));
        assert!(passing.what.contains("3 clients"), "{}", passing.what);
        let left = over(&run, &cleaned(&["target: it does not answer"]), 0);
        assert_eq!(left.command.as_deref(), Some("exodus cleanup --yes -m m"));
        assert!(left.what.contains("it does not answer"), "{}", left.what);
    }
}
