use std::sync::Arc;

use api::{ConfigDocument, ConfigView, Problem, VerbOutcome, VerbRequest};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use serde_json::Value;
use store::{Batch, Change, Kind};
use workflow::{EvidenceKind, Gate, GateVerdict, gate_digest, gate_verdict};

use super::App;
use super::access::Of;
use super::answer::{Answer, Body, Refusal, about};
use crate::clock::rfc3339;
use crate::config;
use crate::migration::Migration;
use crate::status::{self, Look};
use crate::verbs::{self, Asked};
use crate::{dto, evidence, preflight};

/// How long an idempotency key is remembered, in seconds.
const IDEMPOTENT_S: u64 = 24 * 3_600;
/// Longest idempotency key.
const KEY_MAX: usize = 128;

pub(super) async fn status(of: Of) -> Answer {
    let migration = &of.migration;
    migration.world.seen.observer(migration.runner.now_ms());
    about(migration, status::build(migration).await?)
}

pub(super) async fn config(of: Of) -> Answer {
    let world = &of.migration.world;
    let view = ConfigView {
        yaml: of.migration.yaml.load().as_str().to_owned(),
        digest: world.document.load().digest(),
    };
    about(&of.migration, view)
}

pub(super) async fn plan(of: Of, Body(document): Body<ConfigDocument>) -> Answer {
    let then = config::parse(&document.yaml).map_err(|p| Box::new(Problem::from(*p)))?;
    let now = of.migration.world.document.load_full();
    about(&of.migration, config::diff(&now, &then))
}

/// Carries a verb out. A key seen before gives the stored answer again.
pub(super) async fn verb(
    State(app): State<App>,
    Path(path): Path<std::collections::HashMap<String, String>>,
    headers: HeaderMap,
    of: Of,
    Body(request): Body<VerbRequest>,
) -> Answer {
    let name = path.get("verb").map_or("", String::as_str);
    let Some(verb) = api::Verb::parse(name) else {
        return Err(Refusal::new("EXO-API-404", format!("there is no verb `{name}`")));
    };
    if !verb.permits(&of.who.0.roles) {
        let roles: Vec<_> = verb.info().roles.iter().map(|r| r.as_str()).collect();
        let detail = format!("`{name}` needs one of the roles {}", roles.join(", "));
        return Err(Refusal::new("EXO-API-403", detail));
    }
    let key = idempotency_key(&headers)?.map(|k| format!("{}/{name}/{k}", of.who.0.token));
    let scope = of.migration.world.id.clone();
    let store = &app.server.common.store;
    if let Some(key) = &key
        && let Some(doc) = store.get(Kind::Idempotency, &scope, key).await?
        && let Ok(outcome) = serde_json::from_slice::<VerbOutcome>(&doc.body)
    {
        return about(&of.migration, outcome);
    }
    let caller = of.who.caller();
    let version = if_match(&headers)?;
    let asked =
        Asked { migration: &of.migration, verb, caller: &caller, request: &request, version };
    let outcome = verbs::ask(&asked).await?;
    if let Some(key) = key.filter(|_| outcome.applied) {
        let now_s = app.server.common.clock.now_ms() / 1_000;
        let body = serde_json::to_vec(&outcome).unwrap_or_default();
        let put = Change::Put {
            kind: Kind::Idempotency,
            scope,
            id: key,
            version: now_s,
            expect: None,
            body,
        };
        let below = now_s.saturating_sub(IDEMPOTENT_S);
        let expire = Change::Expire { kind: Kind::Idempotency, below };
        store.commit(Batch::decision(vec![expire, put])).await?;
    }
    about(&of.migration, outcome)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|k| !k.is_empty() && k.len() <= KEY_MAX);
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Refusal::new("EXO-API-400", "Idempotency-Key is 1 to 128 printable letters")),
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let number = value.to_str().ok().map(|v| v.trim().trim_start_matches("W/").trim_matches('"'));
    let number = number.and_then(|n| n.parse().ok());
    let detail = "If-Match is the state_version in quotes";
    number.map(Some).ok_or_else(|| Refusal::new("EXO-API-400", detail))
}

/// Every run of a migration, newest first.
pub(super) async fn list_runs(migration: &Arc<Migration>) -> anyhow::Result<Vec<api::Run>> {
    let world = &migration.world;
    let docs = world.store.list(Kind::Run, Some(&world.id), None, 10_000).await?;
    let mut runs = Vec::new();
    for doc in docs.into_iter().rev() {
        let run = match migration.runner.snapshot().run.clone().filter(|r| r.run == doc.id) {
            Some(run) => run,
            None => dto::decode(&doc.body)?,
        };
        let began = run.history.front().map_or(run.since_ms, |a| a.began_ms);
        let over = run.place().is_final();
        runs.push(api::Run {
            id: run.run.clone(),
            started: rfc3339(began.min(run.since_ms)),
            ended: over.then(|| rfc3339(run.since_ms)),
            phase: Some(status::phase(run.step.phase())),
            step: run.place().as_str().to_owned(),
            outcome: run.outcome.map_or("running", |o| o.as_str()).to_owned(),
        });
    }
    Ok(runs)
}

pub(super) async fn runs(of: Of) -> Answer {
    about(&of.migration, list_runs(&of.migration).await?)
}

pub(super) async fn checks(of: Of) -> Answer {
    about(&of.migration, preflight::stored(&of.migration.world).await?)
}

/// A role as the API names it.
fn role(role: workflow::Role) -> api::Role {
    api::Role::parse(role.as_str()).unwrap_or(api::Role::Observer)
}

pub(super) async fn gates(of: Of) -> Answer {
    let look = Look::at(&of.migration);
    let Some(run) = &look.run else { return about(&of.migration, Vec::<api::Gate>::new()) };
    let one = |gate: &Gate| {
        let spec = look.plan.gates.get(gate)?;
        let verdict = gate_verdict(&look.plan, run, *gate);
        let given = run.approvals.get(gate).into_iter().flatten();
        let rejected = run.rejections.get(gate);
        let approvals = given
            .map(|a| api::Approval {
                by: format!("{} ({})", a.who, a.role),
                at: rfc3339(a.at_ms),
                approved: true,
                reason: None,
            })
            .chain(rejected.map(|r| api::Approval {
                by: format!("{} ({})", r.who, r.role),
                at: rfc3339(r.at_ms),
                approved: false,
                reason: Some(r.reason.clone()),
            }));
        let (state, missing) = match (&verdict, rejected) {
            (_, Some(_)) => (api::GateState::Rejected, Vec::new()),
            (GateVerdict::Closed { why, .. }, None) if why.contains("stale") => {
                (api::GateState::Stale, vec![why.clone()])
            }
            (GateVerdict::Closed { why, .. }, None) if why.contains("approvals given") => {
                (api::GateState::Waiting, Vec::new())
            }
            (GateVerdict::Closed { why, .. }, None) => (api::GateState::Pending, vec![why.clone()]),
            _ => (api::GateState::Approved, Vec::new()),
        };
        Some(api::Gate {
            name: gate.as_str().to_owned(),
            state,
            roles: spec.roles.iter().map(|r| role(*r)).collect(),
            quorum: spec.quorum as u32,
            approvals: approvals.collect(),
            missing,
            evidence_digest: gate_digest(&look.plan, run, *gate),
        })
    };
    about(&of.migration, Gate::ALL.iter().filter_map(one).collect::<Vec<_>>())
}

pub(super) async fn criteria(of: Of) -> Answer {
    let look = Look::at(&of.migration);
    let one = |check: &workflow::Criterion| {
        let judged = look.run.as_ref().and_then(|r| r.criteria.get(&check.name));
        let place = look.run.as_ref().map_or(workflow::Place::Setup, |r| r.place());
        api::Criterion {
            name: check.name.clone(),
            kind: match check.at {
                workflow::JudgedAt::Shift => "rollback",
                workflow::JudgedAt::Commit => "commit",
            }
            .to_owned(),
            verdict: match judged.map_or(workflow::Verdict::NoData, |j| j.verdict) {
                workflow::Verdict::Pass => api::Verdict::Pass,
                workflow::Verdict::Fail => api::Verdict::Fail,
                workflow::Verdict::Inconclusive => api::Verdict::Inconclusive,
                workflow::Verdict::NoData => api::Verdict::NoData,
            },
            evidence: judged.map_or(String::new(), |j| j.numbers.clone()),
            on_failure: check.reaction(place).as_str().to_owned(),
            enforced: check.enforce,
        }
    };
    about(&of.migration, look.plan.criteria.iter().map(one).collect::<Vec<_>>())
}

pub(super) async fn evidence(of: Of) -> Answer {
    let look = Look::at(&of.migration);
    let mut out = Vec::new();
    for kind in EvidenceKind::ALL {
        let Some(piece) = look.run.as_ref().and_then(|r| r.evidence.get(kind)) else { continue };
        let report = evidence::report(&of.migration.world, *kind).await.unwrap_or(Value::Null);
        let summary = report["report"]["summary"].as_str().unwrap_or_default().to_owned();
        out.push(api::Evidence {
            kind: kind.as_str().to_owned(),
            at: rfc3339(piece.at_ms),
            passed: piece.outcome == workflow::EvidenceOutcome::Pass,
            summary,
            stale: piece.stale.clone(),
        });
    }
    about(&of.migration, out)
}

pub(super) async fn datasets(of: Of) -> Answer {
    about(&of.migration, status::data(&Look::at(&of.migration)).datasets)
}
