//! The HTTP API: routes, access, answers.
//!
//! Constraints: every answer is an envelope or a problem; a body is bounded; nothing here decides.
//!
//! Layout: `access` finds out who asks, `answer` builds answers and errors, `fleet`, `migration`,
//! `data`, `queue`, `events`, `people`, `reports` are the resources, `page` the dashboard's files.

mod access;
mod answer;
pub(crate) mod data;
pub(crate) mod events;
mod fleet;
mod migration;
mod openapi;
mod page;
mod people;
mod queue;
mod reports;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// Largest body, in bytes: a configuration.
const BODY_MAX: usize = 1 << 20;

/// What every handler holds.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) server: Arc<Server>,
    /// Streams end when it does.
    pub(crate) quit: CancellationToken,
}

/// All routes.
pub(crate) fn router(server: Arc<Server>, quit: CancellationToken) -> Router {
    let one = Router::new()
        .route("/status", get(migration::status))
        .route("/config", get(migration::config))
        .route("/plan", post(migration::plan))
        .route("/verbs/{verb}", post(migration::verb))
        .route("/runs", get(migration::runs))
        .route("/checks", get(migration::checks))
        .route("/gates", get(migration::gates))
        .route("/criteria", get(migration::criteria))
        .route("/evidence", get(migration::evidence))
        .route("/datasets", get(migration::datasets))
        .route("/divergences", get(data::divergences))
        .route("/divergences/export", get(data::export_divergences))
        .route("/failures", get(data::failures))
        .route("/queue", get(queue::queue))
        .route("/queue/entries", get(queue::entries))
        .route("/queue/export", get(queue::export_entries))
        .route("/verify", get(data::verify))
        .route("/traffic", get(data::traffic))
        .route("/tenants", get(data::tenants))
        .route("/compare", get(data::compare))
        .route("/analysis", get(data::analysis))
        .route("/samples", get(data::samples))
        .route("/runbook", get(reports::runbook))
        .route("/reports/{kind}", get(reports::report))
        .route("/bundle", get(reports::bundle));
    let api = Router::new()
        .route("/openapi.json", get(openapi::document))
        .route("/whoami", get(people::whoami))
        .route("/login", post(people::login))
        .route("/logout", post(people::logout))
        .route("/verbs", get(people::verbs))
        .route("/codes", get(people::codes))
        .route("/codes/{code}", get(people::code))
        .route("/validate", post(fleet::validate))
        .route("/migrations", get(fleet::list).post(fleet::create))
        .route("/migrations/{id}", get(fleet::show))
        .nest("/migrations/{id}", one)
        .route("/endpoints", get(fleet::endpoints))
        .route("/interlays", get(fleet::interlays))
        .route("/events", get(events::events))
        .route("/audit", get(events::audit))
        .route("/audit/verify", get(events::verify_audit))
        .route("/tokens", get(people::tokens).post(people::issue))
        .route("/tokens/{token}", delete(people::revoke))
        .fallback(answer::not_found);
    Router::new()
        .route("/healthz", get(fleet::healthz))
        .route("/readyz", get(fleet::readyz))
        .route("/metrics", get(fleet::metrics))
        .route("/authority", get(fleet::authority))
        .nest("/api/v1", api)
        .fallback(page::file)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(App { server, quit })
}
