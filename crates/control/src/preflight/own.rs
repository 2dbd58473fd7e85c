use family::{Finding, Severity};
use model::Side;
use workflow::{Environment, check_plan};

use super::{Checked, RequiredAt};
use crate::world::World;

/// A check of our own under construction.
struct Answer {
    code: &'static str,
    at: RequiredAt,
    firm: bool,
    side: Option<Side>,
}

impl Answer {
    const fn new(code: &'static str, at: RequiredAt) -> Self {
        Self { code, at, firm: false, side: None }
    }

    const fn firm(self) -> Self {
        Self { firm: true, ..self }
    }

    const fn on(self, side: Side) -> Self {
        Self { side: Some(side), ..self }
    }

    fn says(
        self,
        severity: Severity,
        evidence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Checked {
        Checked {
            finding: Finding {
                code: self.code,
                severity,
                side: self.side,
                evidence: evidence.into(),
                remedy: fix.into(),
            },
            required_at: self.at,
            firm: self.firm,
        }
    }
}

/// Checks that need no family.
pub(super) fn checks(world: &World) -> Vec<Checked> {
    let mut out =
        vec![owners(world), criteria(world), store(world), observers(world), nodes(world)];
    out.extend([endpoint(world, Side::Source), endpoint(world, Side::Target)]);
    out.extend(policies(world));
    out.extend([fence(world, Side::Source), fence(world, Side::Target)]);
    out
}

fn prod(world: &World) -> bool {
    world.document.load().environment.0 == Environment::Prod
}

fn owners(world: &World) -> Checked {
    let check = Answer::new("EXO-PRE-001", RequiredAt::Start).firm();
    let document = world.document.load();
    let missing: Vec<_> =
        document.owners.all().iter().filter(|(_, name)| name.is_none()).map(|(r, _)| *r).collect();
    if missing.is_empty() {
        return check.says(Severity::Pass, "every owner is named", "");
    }
    let severity = if prod(world) { Severity::Blocker } else { Severity::Advice };
    let evidence = format!("nobody is named as {}", missing.join(", "));
    check.says(severity, evidence, "name them in the config under `owners:`, then `exodus apply`")
}

fn criteria(world: &World) -> Checked {
    let check = Answer::new("EXO-PRE-002", RequiredAt::Migrate).firm();
    let enforced = world.snapshot().map_or(0, |s| {
        s.plan.criteria.iter().filter(|c| c.enforce && c.at == workflow::JudgedAt::Shift).count()
    });
    match (enforced, prod(world)) {
        (0, true) => check.says(
            Severity::Blocker,
            "no rollback criterion is enforced",
            "set `enforce: true` for at least one of `rollback.criteria`",
        ),
        (0, false) => check.says(Severity::Advice, "no rollback criterion is enforced", ""),
        (n, _) => check.says(Severity::Pass, format!("{n} rollback criteria are enforced"), ""),
    }
}

fn store(world: &World) -> Checked {
    let check = Answer::new("EXO-PRE-003", RequiredAt::Start);
    let health = world.store.health();
    match (health.poisoned, health.full) {
        (Some(why), _) => {
            check.says(Severity::Blocker, why, "restart exodus after mending the disk")
        }
        (None, true) => {
            check.says(Severity::Blocker, "the state directory has no room", "free disk space")
        }
        (None, false) => check.says(Severity::Pass, "the state directory takes decisions", ""),
    }
}

fn observers(world: &World) -> Checked {
    let check = Answer::new("EXO-PRE-004", RequiredAt::Migrate);
    let lost = world.document.load().telemetry.lost_after.ms();
    let seen = world.seen.observer_ms();
    let age = world.clock.now_ms().saturating_sub(seen);
    if seen > 0 && age <= lost {
        return check.says(Severity::Pass, format!("last look {} s ago", age / 1_000), "");
    }
    let severity = if prod(world) { Severity::Risk } else { Severity::Advice };
    check.says(
        severity,
        "nobody scrapes /metrics, follows events or watches the status",
        "point a scraper at /metrics, or keep `exodus status --watch` open",
    )
}

fn nodes(world: &World) -> Checked {
    let check = Answer::new("EXO-PRE-005", RequiredAt::Migrate);
    let severity = if prod(world) { Severity::Risk } else { Severity::Advice };
    check.says(
        severity,
        "one exodus process serves this migration: while it restarts, clients cannot connect",
        "run it under a supervisor that restarts at once; several nodes are not built yet",
    )
}

fn endpoint(world: &World, side: Side) -> Checked {
    let at = match side {
        Side::Source => RequiredAt::Start,
        Side::Target => RequiredAt::ConnectTarget,
    };
    let check = Answer::new("EXO-PRE-006", at).firm().on(side);
    if world.database(side).is_some() {
        return check.says(Severity::Pass, format!("the {side} is connected"), "");
    }
    if side == Side::Target && world.document.load().target.is_none() {
        let fix = "add `target:` to the config and restart";
        return check.says(Severity::Blocker, "no target is named yet", fix);
    }
    let why = world.error(side).unwrap_or_else(|| "not connected yet".to_owned());
    check.says(
        Severity::Blocker,
        why,
        format!("check `{side}:` in the config, then `exodus preflight run`"),
    )
}

fn policies(world: &World) -> Vec<Checked> {
    let Some(snapshot) = world.snapshot() else { return Vec::new() };
    let faults = check_plan(&snapshot.plan, &world.plugin.caps());
    if faults.is_empty() {
        let check = Answer::new("EXO-PRE-007", RequiredAt::Start).firm();
        return vec![check.says(Severity::Pass, "strategy and write policies can be kept", "")];
    }
    let one = |fault: workflow::PlanFault| {
        let check = Answer::new(fault.code, RequiredAt::Start).firm();
        check.says(Severity::Blocker, fault.why, fault.fix)
    };
    faults.into_iter().map(one).collect()
}

fn fence(world: &World, side: Side) -> Checked {
    let check = Answer::new("EXO-PRE-008", RequiredAt::Migrate).on(side);
    if !world.document.load().rollback.fence {
        let evidence = "fencing is turned off: a writer that bypasses Exodus is not stopped";
        return check.says(Severity::Risk, evidence, "set `rollback.fence: true`");
    }
    if world.database(side).is_none() {
        return check.says(Severity::NotRun, format!("the {side} is not connected"), "");
    }
    if world.can_fence().contains(&side) {
        return check.says(Severity::Pass, format!("the {side} can be fenced"), "");
    }
    check.says(
        Severity::Risk,
        format!(
            "the {side} cannot be fenced: writers that bypass Exodus are not stopped by a cutover"
        ),
        "give the worker's account the right to change application accounts, and list those under \
         `application_users`",
    )
}
