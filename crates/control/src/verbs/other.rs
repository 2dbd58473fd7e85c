//! Verbs about checks, tunables, the config and listeners.

use std::time::Duration;

use api::{ChangeKind, Problem};
use serde_json::json;
use store::{Batch, Change, Kind};
use workflow::{EvidenceKind, Fact, Plan, Verb as Want, check_change};

use super::{Asked, Done, Outcome, audit, by, problem, stored};
use crate::config::{self, diff};
use crate::preflight::{self, WaiverDoc};
use crate::smoke;

/// How long a drained listener waits for busy clients.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a waiver holds when nothing is said: a week.
const WAIVER_S: u64 = 7 * 24 * 3_600;

pub(super) async fn preflight(asked: &Asked<'_>) -> Outcome {
    let world = &asked.migration.world;
    let failed = |e: anyhow::Error| problem("EXO-API-503", e.to_string());
    let checks = preflight::run(world).await.map_err(failed)?;
    let blocks =
        checks.iter().filter(|c| c.class == api::CheckClass::Blocker && c.waived.is_none());
    let (blocks, all) = (blocks.count(), checks.len());
    audit(asked, json!({ "checks": all, "blockers": blocks })).await?;
    let result = Some(json!({ "checks": checks }));
    Ok(Done { message: format!("{all} checks, {blocks} block"), undo: None, result })
}

/// Waives a check by its code, or a kind of evidence by its name.
pub(super) async fn waive(asked: &Asked<'_>) -> Outcome {
    let world = &asked.migration.world;
    let what = asked.need("check")?;
    let seconds = asked.number("expires_in_s")?.unwrap_or(WAIVER_S);
    let expires_ms = world.clock.now_ms().saturating_add(seconds.saturating_mul(1_000));
    if let Ok(kind) = what.parse::<EvidenceKind>() {
        let want = Want::Waive { kind, expires_ms };
        let asked_for = asked.migration.runner.ask(by(asked), Some(want), asked.version).await;
        asked_for.map_err(|e| super::run::refused(&e))?;
        return Ok(Done::said(format!("{kind} evidence is waived")));
    }
    let checks =
        preflight::stored(world).await.map_err(|e| problem("EXO-API-503", e.to_string()))?;
    let Some(check) = checks.iter().find(|c| c.code == what) else {
        return Err(problem("EXO-API-404", format!("no check `{what}` was run")));
    };
    if !check.waivable {
        let detail = format!("{what} cannot be waived here: {}", check.evidence);
        return Err(Box::new(Problem::new("EXO-API-409", detail).fix(check.remedy.clone())));
    }
    let doc = WaiverDoc {
        reason: asked.request.reason.clone().unwrap_or_default(),
        author: asked.caller.name.clone(),
        expires_ms,
    };
    let body = serde_json::to_vec(&doc).map_err(|e| problem("EXO-API-500", e.to_string()))?;
    let put = Change::put(Kind::Waiver, &world.id, &what, body);
    world.store.commit(Batch::decision(vec![put])).await.map_err(|e| stored(&e))?;
    audit(asked, json!({ "check": what, "expires_ms": expires_ms })).await?;
    let _beside = preflight::begin(world);
    Ok(Done::said(format!("{what} is waived until {}", crate::clock::rfc3339(expires_ms))))
}

pub(super) async fn smoke(asked: &Asked<'_>) -> Outcome {
    smoke::begin(&asked.migration.world);
    audit(asked, json!({})).await?;
    Ok(Done::said("the smoke tests were started"))
}

/// Changes the share of compared reads at once.
pub(super) async fn compare(asked: &Asked<'_>) -> Outcome {
    let percent = asked.float("sample_percent")?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(problem("EXO-API-422", "`sample_percent` lies between 0 and 100"));
    }
    let runner = &asked.migration.runner;
    let sample_per_myriad = (percent * 100.0).round() as u16;
    let plan = Plan { sample_per_myriad, ..runner.snapshot().plan.clone() };
    let digest = asked.migration.world.document.load().digest();
    let fact = Fact::ConfigChanged { digest, affects: [].into() };
    runner.replan(plan, Some(fact)).await;
    audit(asked, json!({ "sample_percent": percent })).await?;
    Ok(Done::said(format!("{percent} % of comparable reads are compared")))
}

/// Bounds the backfill, for a while where a time is given.
pub(super) async fn throttle(asked: &Asked<'_>) -> Outcome {
    let world = &asked.migration.world;
    let rate = asked.number("records_per_s")?;
    let rate = rate.map(|r| u32::try_from(r).unwrap_or(u32::MAX));
    let Some(engine) = world.engine() else {
        return Err(problem("EXO-API-503", "source and target are not both connected yet"));
    };
    engine.set_bulk_rate(rate);
    if let Some(seconds) = asked.number("ttl_s")? {
        world.spawn(async move |world| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if let Some(engine) = world.engine() {
                engine.set_bulk_rate(world.document.load().throttle.records_per_s);
            }
            world.emit("throttle_reverted", json!({})).await;
        });
    }
    audit(asked, json!({ "records_per_s": rate })).await?;
    Ok(Done::said(match rate {
        Some(rate) => format!("background copying is bounded to {rate} records per second"),
        None => "background copying is bounded by the health of both sides only".to_owned(),
    }))
}

/// Applies a config that was planned.
pub(super) async fn apply(asked: &Asked<'_>) -> Outcome {
    let world = &asked.migration.world;
    let (yaml, digest) = (asked.need("yaml")?, asked.need("digest")?);
    let document = config::parse(&yaml).map_err(|p| Box::new(Problem::from(*p)))?;
    let known = [world.plugin.name()];
    if let Some(problem) = config::validate(&yaml, &known).problems.into_iter().next() {
        return Err(Box::new(problem.into()));
    }
    let now = world.document.load_full();
    let planned = diff(&now, &document);
    if planned.digest != digest {
        let detail = format!("the document has digest {}, planned was {digest}", planned.digest);
        return Err(problem("EXO-API-409", detail));
    }
    let late = planned
        .changes
        .iter()
        .find(|c| matches!(c.kind, ChangeKind::Refused | ChangeKind::NeedsDrain));
    if let Some(change) = late {
        let detail = match change.kind {
            ChangeKind::Refused => format!("{} cannot change in a live migration", change.path),
            _ => format!(
                "{} takes effect only at a start: change the file and restart exodus",
                change.path
            ),
        };
        return Err(problem("EXO-API-409", detail));
    }
    let plan = Plan { can_fence: world.can_fence(), ..config::plan(&document) };
    let snapshot = asked.migration.runner.snapshot();
    let faults = snapshot.run.as_ref().map(|run| check_change(run, &snapshot.plan, &plan));
    if let Some(fault) = faults.unwrap_or_default().into_iter().next() {
        let mut refused = Problem::new("EXO-API-409", fault.why).fix(fault.fix);
        refused.code = fault.code.to_owned();
        return Err(Box::new(refused));
    }
    let put = Change::put(
        Kind::Migration,
        "",
        &world.id,
        json!({ "yaml": yaml, "digest": digest }).to_string().into_bytes(),
    );
    world.store.commit(Batch::decision(vec![put])).await.map_err(|e| stored(&e))?;
    world.document.store(std::sync::Arc::new(document));
    asked.migration.yaml.store(std::sync::Arc::new(yaml));
    let affects = if planned.changes.is_empty() {
        [].into()
    } else {
        [EvidenceKind::PreflightMigrate, EvidenceKind::PreflightCommit].into()
    };
    let fact = Fact::ConfigChanged { digest: digest.clone(), affects };
    asked.migration.runner.replan(plan, Some(fact)).await;
    let _beside = preflight::begin(world);
    audit(asked, json!({ "digest": digest, "changes": planned.changes.len() })).await?;
    Ok(Done::said(format!("{} changes applied", planned.changes.len())))
}

pub(super) async fn drain(asked: &Asked<'_>) -> Outcome {
    let world = &asked.migration.world;
    let name = asked.text("interlay")?;
    let known = world.interlays.handles();
    if let Some(name) = &name
        && !known.iter().any(|h| h.name() == name)
    {
        return Err(problem("EXO-API-404", format!("no interlay is called `{name}`")));
    }
    audit(asked, json!({ "interlay": name })).await?;
    world.spawn(async move |world| {
        let drained = world.interlays.drain(name.as_deref(), DRAIN).await;
        world.emit("interlay_drained", json!({ "interlays": drained })).await;
    });
    Ok(Done::said("no new clients are accepted; the present ones finish"))
}
