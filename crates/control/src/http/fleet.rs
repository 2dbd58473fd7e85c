use std::net::SocketAddr;
use std::sync::Arc;

use api::{ConfigDocument, Ready};
use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::Side;
use serde_json::json;
use store::{Batch, Change, NewAudit};

use super::App;
use super::access::{Of, Who};
use super::answer::{Answer, Body, Refusal, about, plain, text};
use crate::migration::Migration;
use crate::status;

pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Ready when every listener serves and the store takes decisions.
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let mut missing = Vec::new();
    if let Some(why) = app.server.common.store.health().poisoned {
        missing.push(format!("the store: {why}"));
    }
    let ready = Ready { ready: missing.is_empty(), missing };
    let code = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(ready)).into_response()
}

/// Whether a request without a token comes from this machine.
fn local(peer: SocketAddr) -> bool {
    peer.ip().is_loopback()
}

pub(super) async fn metrics(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    who: Result<Who, Refusal>,
) -> Answer {
    if !local(peer) {
        who?;
    }
    let now = app.server.common.clock.now_ms();
    for migration in app.server.all() {
        migration.world.seen.observer(now);
        crate::metrics::gauge(&migration);
    }
    Ok(text("text/plain; version=0.0.4", (app.server.settings.metrics)()))
}

pub(super) async fn authority(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    who: Result<Who, Refusal>,
) -> Answer {
    if !local(peer) {
        who?;
    }
    let lines: Vec<_> = app.server.all().iter().map(|m| status::authority(m)).collect();
    Ok(Json(lines).into_response())
}

pub(super) async fn validate(
    State(app): State<App>,
    _: Who,
    Body(document): Body<ConfigDocument>,
) -> Answer {
    plain(app.server.validate(&document.yaml))
}

/// Migrations that whoever asks may see.
fn seen_by(app: &App, who: &Who) -> Vec<Arc<Migration>> {
    app.server.all().into_iter().filter(|m| who.0.reaches(&m.world.id)).collect()
}

pub(super) async fn list(State(app): State<App>, who: Who) -> Answer {
    plain(seen_by(&app, &who).iter().map(|m| status::summary(m)).collect::<Vec<_>>())
}

pub(super) async fn create(
    State(app): State<App>,
    who: Who,
    Body(document): Body<ConfigDocument>,
) -> Answer {
    if !who.has(api::Role::Operator) {
        return Err(Refusal::new("EXO-API-403", "this needs the role operator"));
    }
    let migration = app.server.create(&document.yaml).await?;
    let world = &migration.world;
    let digest = world.document.load().digest();
    let entry = NewAudit {
        scope: world.id.clone(),
        at_ms: world.clock.now_ms(),
        actor: who.0.name.clone(),
        action: "create".to_owned(),
        reason: String::new(),
        payload: json!({ "digest": digest }).to_string(),
    };
    world.store.commit(Batch::decision(vec![Change::Audit(entry)])).await?;
    about(&migration, status::summary(&migration))
}

pub(super) async fn show(of: Of) -> Answer {
    let migration = &of.migration;
    let world = &migration.world;
    let document = world.document.load_full();
    let owners = document.owners.all().into_iter();
    let owners = owners.filter_map(|(role, name)| Some((role.to_owned(), name?.to_owned())));
    let detail = api::MigrationDetail {
        summary: status::summary(migration),
        endpoints: ends(migration),
        interlays: status::interlays(world),
        config_digest: document.digest(),
        owners: owners.collect(),
        runs: super::migration::list_runs(migration).await?,
    };
    about(migration, detail)
}

fn ends(migration: &Migration) -> Vec<api::Endpoint> {
    let sides = [Side::Source, Side::Target];
    sides.into_iter().filter_map(|s| status::endpoint(&migration.world, s)).collect()
}

pub(super) async fn endpoints(State(app): State<App>, who: Who) -> Answer {
    plain(seen_by(&app, &who).iter().flat_map(|m| ends(m)).collect::<Vec<_>>())
}

pub(super) async fn interlays(State(app): State<App>, who: Who) -> Answer {
    let all = seen_by(&app, &who);
    plain(all.iter().flat_map(|m| status::interlays(&m.world)).collect::<Vec<_>>())
}
