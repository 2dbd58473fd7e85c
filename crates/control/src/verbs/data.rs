//! Verbs that the engine carries out.

use std::sync::Arc;

use api::{Problem, Verb};
use engine::{Engine, EngineError, RepairPlan, RepairScope, VerifyScope};
use model::Key;
use serde_json::{Value, json};
use store::{Batch, Change, Kind};

use super::{Asked, Done, Outcome, audit, problem, stored};
use crate::dto::{from_text, to_text};
use crate::progress::put_aside;

/// Most records one call may name.
const IDS_MAX: usize = 10_000;
/// Records of a repair that are shown.
const SHOWN: usize = 100;

fn engine(asked: &Asked<'_>) -> Result<Arc<Engine>, Box<Problem>> {
    let engine = asked.migration.world.engine();
    engine.ok_or_else(|| problem("EXO-API-503", "source and target are not both connected yet"))
}

fn failed(error: &EngineError) -> Box<Problem> {
    let mut out = Problem::new("EXO-API-409", error.to_string());
    out.code = error.code().to_owned();
    out.kind = format!("urn:exodus:error:{}", error.code());
    Box::new(out)
}

/// Pauses, resumes, starts.
pub(super) async fn workers(asked: &Asked<'_>) -> Outcome {
    let engine = engine(asked)?;
    let message = match asked.verb {
        Verb::BackfillPause => {
            engine.pause_backfill();
            "the backfill is paused; live changes go on"
        }
        Verb::BackfillResume => {
            engine.resume_backfill();
            "the backfill goes on"
        }
        Verb::VerifyPause => {
            engine.pause_verify();
            "verify is paused"
        }
        Verb::VerifyResume => {
            engine.resume_verify();
            "verify goes on"
        }
        _ => {
            let scope = match asked.text("scope")?.as_deref() {
                None | Some("full" | "all") => VerifyScope::All,
                Some("suspects") => VerifyScope::Suspects,
                Some(dataset) => VerifyScope::Dataset(model::Dataset::new(dataset)),
            };
            engine.resume_verify();
            engine.start_verify(scope).map_err(|e| failed(&e))?;
            "verify was started"
        }
    };
    audit(asked, json!({})).await?;
    Ok(Done::said(message))
}

/// The records a verb names; every open difference for `all`.
fn keys(asked: &Asked<'_>, all: impl FnOnce() -> Vec<Key>) -> Result<Vec<Key>, Box<Problem>> {
    let ids = asked.texts("ids")?;
    if asked.flag("all")? {
        return Ok(all());
    }
    if ids.is_empty() || ids.len() > IDS_MAX {
        let detail = format!("`ids` names 1 to {IDS_MAX} records, or `all` is true");
        return Err(problem("EXO-API-422", detail));
    }
    ids.iter()
        .map(|id| {
            let bytes = from_text(id).ok_or_else(|| {
                problem("EXO-API-422", format!("`{id}` is not an id; see `exodus diff list`"))
            })?;
            Ok(Key::new(&bytes))
        })
        .collect()
}

fn open_differences(engine: &Engine) -> Vec<Key> {
    use model::DivergenceState as S;
    let all = engine.divergences(None, engine::DIVERGENCES_MAX);
    let open = all.into_iter().filter(|d| matches!(d.state, S::Suspected | S::Confirmed));
    open.map(|d| d.key).collect()
}

async fn repairing(asked: &Asked<'_>, dry_run: bool) -> Result<RepairPlan, Box<Problem>> {
    let engine = engine(asked)?;
    let scope = match asked.flag("all")? {
        true => RepairScope::All,
        false => RepairScope::Keys(keys(asked, Vec::new)?),
    };
    engine.repair(scope, dry_run).await.map_err(|e| failed(&e))
}

/// The first records of a repair, values masked.
fn shown(asked: &Asked<'_>, plan: &RepairPlan) -> Value {
    let family = asked.migration.world.plugin.family();
    let one = |r: &engine::RepairStep| json!({ "key": family.show_key(&r.key), "before": r.before, "after": r.after });
    let records: Vec<_> = plan.records.iter().take(SHOWN).map(one).collect();
    json!({ "count": plan.records.len(), "removals": plan.removals, "records": records })
}

/// What a repair would write, and over what.
pub(super) async fn repair_plan(asked: &Asked<'_>) -> Result<Value, Box<Problem>> {
    let plan = repairing(asked, true).await?;
    Ok(shown(asked, &plan))
}

pub(super) async fn repair(asked: &Asked<'_>) -> Outcome {
    let plan = repairing(asked, false).await?;
    audit(asked, json!({ "records": plan.records.len(), "removals": plan.removals })).await?;
    Ok(Done {
        message: format!("{} records written again; they are compared next", plan.records.len()),
        undo: None,
        result: Some(shown(asked, &plan)),
    })
}

pub(super) async fn accept(asked: &Asked<'_>) -> Outcome {
    let engine = engine(asked)?;
    let keys = keys(asked, || open_differences(&engine))?;
    let reason = asked.request.reason.clone().unwrap_or_default();
    let mut accepted = 0;
    for key in &keys {
        accepted += usize::from(engine.accept(key, &reason).await.map_err(|e| failed(&e))?);
    }
    audit(asked, json!({ "accepted": accepted })).await?;
    Ok(Done::said(format!("{accepted} of {} differences accepted", keys.len())))
}

/// How long a difference is ignored when nothing is said: a day.
const IGNORED_S: u64 = 24 * 3_600;

pub(super) async fn ignore(asked: &Asked<'_>) -> Outcome {
    let engine = engine(asked)?;
    let keys = keys(asked, || open_differences(&engine))?;
    let world = &asked.migration.world;
    let reason = asked.request.reason.clone().unwrap_or_default();
    let seconds = asked.number("expires_in_s")?.unwrap_or(IGNORED_S);
    let expires_ms = world.clock.now_ms().saturating_add(seconds.saturating_mul(1_000));
    let mut ignored = Vec::new();
    for key in &keys {
        // The end is stored first: nothing is ever ignored for good.
        let put = crate::ignored::put(&world.id, key, expires_ms);
        world.store.commit(Batch::decision(vec![put])).await.map_err(|e| stored(&e))?;
        world.ignore_until([(key.clone(), expires_ms)]);
        if engine.ignore(key, &reason).await.map_err(|e| failed(&e))? {
            ignored.push(to_text(key.as_bytes()));
        }
    }
    let until = crate::clock::rfc3339(expires_ms);
    audit(asked, json!({ "records": ignored, "until": until })).await?;
    Ok(Done::said(format!(
        "{} of {} differences are ignored until {until}, or until they change their class; the \
         next verification counts without them",
        ignored.len(),
        keys.len()
    )))
}

pub(super) async fn recheck(asked: &Asked<'_>) -> Outcome {
    let engine = engine(asked)?;
    engine.resume_verify();
    engine.start_verify(VerifyScope::Suspects).map_err(|e| failed(&e))?;
    audit(asked, json!({})).await?;
    Ok(Done::said("suspects are compared again"))
}

/// Sets queued records aside: nothing copies them until they are retried.
pub(super) async fn park(asked: &Asked<'_>) -> Outcome {
    engine(asked)?;
    let keys = keys(asked, Vec::new)?;
    let (world, journal) = (&asked.migration.world, &asked.migration.journal);
    if journal.depth().parked + keys.len() > engine::PARKED_MAX {
        let detail = format!("no more than {} records can be parked", engine::PARKED_MAX);
        return Err(problem("EXO-API-409", detail));
    }
    let reason = asked.request.reason.clone().unwrap_or_default();
    let at = crate::clock::rfc3339(world.clock.now_ms());
    let aside: Vec<_> = keys.iter().filter(|key| journal.set_aside(key, &reason)).collect();
    let puts = aside.iter().map(|key| put_aside(&world.id, key, &reason, at.clone()));
    if let Err(error) = world.store.commit(Batch::decision(puts.collect())).await {
        // What is not stored would come back by itself after a restart: then it is not done.
        for key in &aside {
            journal.unpark(key, true, std::time::Instant::now());
        }
        return Err(stored(&error));
    }
    let ids: Vec<_> = aside.iter().map(|key| to_text(key.as_bytes())).collect();
    audit(asked, json!({ "records": ids })).await?;
    if aside.is_empty() {
        let detail = "none of them waits in the queue now; see `exodus queue peek`";
        return Err(problem("EXO-API-409", detail));
    }
    Ok(Done {
        message: format!(
            "{} of {} records are set aside; the other side is not in step without them",
            aside.len(),
            keys.len()
        ),
        undo: Some("exodus queue retry ID".to_owned()),
        result: Some(json!({ "ids": ids })),
    })
}

/// Tries parked records again, or gives them up.
pub(super) async fn unpark(asked: &Asked<'_>, retry: bool) -> Outcome {
    let engine = engine(asked)?;
    let parked = || {
        let all = asked.migration.journal.parked(usize::MAX);
        all.into_iter().map(|(key, _)| key).collect()
    };
    let keys = keys(asked, parked)?;
    let mut done = Vec::new();
    for key in &keys {
        if engine.unpark(key, retry) {
            done.push(to_text(key.as_bytes()));
        }
    }
    if !retry {
        let scope = &asked.migration.world.id;
        let gone = done.iter().map(|id| Change::delete(Kind::Parked, scope, id)).collect();
        let dropped = asked.migration.world.store.commit(Batch::decision(gone)).await;
        dropped.map_err(|e| stored(&e))?;
    }
    audit(asked, json!({ "records": done })).await?;
    let what = if retry { "are tried again" } else { "were given up" };
    Ok(Done::said(format!("{} of {} records {what}", done.len(), keys.len())))
}
