//! Everything that can be looked at.

use api::{
    Analysis, Check, CompareReport, ConfigDocument, ConfigPlan, ConfigView, Criterion,
    DatasetProgress, Divergence, Endpoint, Envelope, Evidence, Failure, Gate, Interlay,
    MigrationDetail, MigrationSummary, Page, Problem, Queue, QueueEntry, Report, Run, Samples,
    Status, Tenant, Traffic, Validation, VerifyState,
};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Known, reach};
use super::answer::{Answer, ListQuery, Sorry, about, body, lines, plain};
use super::app::App;
use crate::clock::now_ms;
use crate::desk::{Listing, PAGE_MAX};

/// Most items of an export.
const EXPORT_MAX: usize = 1_000_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(fleet, create))
        .routes(routes!(validate))
        .routes(routes!(plan))
        .routes(routes!(endpoints))
        .routes(routes!(interlays))
        .routes(routes!(samples))
        .routes(routes!(report))
        .routes(routes!(runbook))
        .routes(routes!(bundle))
        .routes(routes!(divergences))
        .routes(routes!(divergences_export))
        .routes(routes!(failures))
        .routes(routes!(queue_entries))
        .routes(routes!(queue_export))
        .merge(simple())
}

/// Declares `GET /api/v1/migrations/{id}/…` routes that take nothing and ask one question.
macro_rules! gets {
    ($($(#[doc = $doc:literal])+ $name:ident ( $path:literal ) -> $data:ty;)+) => {
        fn simple() -> OpenApiRouter<App> {
            OpenApiRouter::new()$(.routes(routes!($name)))+
        }
        $(
            $(#[doc = $doc])+
            #[utoipa::path(get, path = $path, params(("id" = String, Path)),
                responses((status = 200, body = Envelope<$data>), (status = 404, body = Problem)))]
            async fn $name(
                State(app): State<App>,
                Known(caller): Known,
                Path(id): Path<String>,
            ) -> Answer<$data> {
                let desk = reach(&app, &caller, &id)?;
                let data = desk.$name().await?;
                Ok(about(desk.head(), data))
            }
        )+
    };
}

gets! {
    /// The document that CLI and dashboard show.
    status("/api/v1/migrations/{id}/status") -> Status;
    /// One migration with what it is made of.
    detail("/api/v1/migrations/{id}") -> MigrationDetail;
    /// The config in force, secrets by reference.
    config("/api/v1/migrations/{id}/config") -> ConfigView;
    /// Its runs, newest first.
    runs("/api/v1/migrations/{id}/runs") -> Vec<Run>;
    /// Answers of its checks.
    checks("/api/v1/migrations/{id}/checks") -> Vec<Check>;
    /// Its gates.
    gates("/api/v1/migrations/{id}/gates") -> Vec<Gate>;
    /// Its criteria.
    criteria("/api/v1/migrations/{id}/criteria") -> Vec<Criterion>;
    /// Its evidence.
    evidence("/api/v1/migrations/{id}/evidence") -> Vec<Evidence>;
    /// The copy of each dataset.
    datasets("/api/v1/migrations/{id}/datasets") -> Vec<DatasetProgress>;
    /// The replay queue in numbers.
    queue("/api/v1/migrations/{id}/queue") -> Queue;
    /// The verifier.
    verify("/api/v1/migrations/{id}/verify") -> VerifyState;
    /// Read and write routing.
    traffic("/api/v1/migrations/{id}/traffic") -> Traffic;
    /// Tenants, where authority moves by tenant.
    tenants("/api/v1/migrations/{id}/tenants") -> Vec<Tenant>;
    /// What comparing reads found.
    compare("/api/v1/migrations/{id}/compare") -> CompareReport;
    /// The workload profile.
    analysis("/api/v1/migrations/{id}/analysis") -> Analysis;
}

/// Every migration.
#[utoipa::path(get, path = "/api/v1/migrations", responses((status = 200, body = Envelope<Vec<MigrationSummary>>)))]
async fn fleet(State(app): State<App>, Known(caller): Known) -> Answer<Vec<MigrationSummary>> {
    let mut fleet = app.desk.fleet();
    fleet.retain(|m| caller.reaches(&m.id));
    Ok(plain(fleet))
}

/// Creates a migration from a config.
#[utoipa::path(post, path = "/api/v1/migrations", request_body = ConfigDocument, responses((status = 200, body = Envelope<MigrationSummary>), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    Known(caller): Known,
    bytes: Bytes,
) -> Answer<MigrationSummary> {
    if !caller.roles.contains(&api::Role::Operator) {
        caller.must_be_admin()?;
    }
    let document: ConfigDocument = body(&bytes)?;
    if let Some(name) = app.desk.validate(&document).migration
        && !caller.reaches(&name)
    {
        return Err(Sorry(Problem::new("EXO-API-403", format!("not for {name}"))));
    }
    Ok(plain(app.desk.create(document, &caller).await?))
}

/// Looks at a config without connecting to anything.
#[utoipa::path(post, path = "/api/v1/validate", request_body = ConfigDocument, responses((status = 200, body = Envelope<Validation>)))]
async fn validate(
    State(app): State<App>,
    Known(_caller): Known,
    bytes: Bytes,
) -> Answer<Validation> {
    Ok(plain(app.desk.validate(&body(&bytes)?)))
}

/// What another config would change.
#[utoipa::path(post, path = "/api/v1/migrations/{id}/plan", params(("id" = String, Path)), request_body = ConfigDocument, responses((status = 200, body = Envelope<ConfigPlan>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn plan(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer<ConfigPlan> {
    let desk = reach(&app, &caller, &id)?;
    let plan = desk.plan(&body(&bytes)?).await?;
    Ok(about(desk.head(), plan))
}

/// Every endpoint.
#[utoipa::path(get, path = "/api/v1/endpoints", responses((status = 200, body = Envelope<Vec<Endpoint>>)))]
async fn endpoints(State(app): State<App>, Known(caller): Known) -> Answer<Vec<Endpoint>> {
    let mut all = app.desk.endpoints();
    all.retain(|e| caller.reaches(&e.migration));
    Ok(plain(all))
}

/// Every interlay.
#[utoipa::path(get, path = "/api/v1/interlays", responses((status = 200, body = Envelope<Vec<Interlay>>)))]
async fn interlays(State(app): State<App>, Known(caller): Known) -> Answer<Vec<Interlay>> {
    let mut all = app.desk.interlays();
    all.retain(|i| caller.reaches(&i.migration));
    Ok(plain(all))
}

/// A span of unix seconds.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Span {
    /// First second; an hour ago when absent.
    from: Option<u64>,
    /// Last second; now when absent.
    to: Option<u64>,
}

/// Metrics history, 5 s apart, 24 h kept.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/samples", params(("id" = String, Path), Span), responses((status = 200, body = Envelope<Samples>), (status = 404, body = Problem)))]
async fn samples(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
    Query(span): Query<Span>,
) -> Answer<Samples> {
    let desk = reach(&app, &caller, &id)?;
    let to = span.to.unwrap_or(now_ms() / 1_000);
    let from = span.from.unwrap_or(to.saturating_sub(3_600));
    let samples = desk.samples(from, to).await?;
    Ok(about(desk.head(), samples))
}

/// A report: `assessment` or `final`.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/reports/{kind}", params(("id" = String, Path), ("kind" = String, Path)), responses((status = 200, body = Envelope<Report>), (status = 404, body = Problem)))]
async fn report(
    State(app): State<App>,
    Known(caller): Known,
    Path((id, kind)): Path<(String, String)>,
) -> Answer<Report> {
    let desk = reach(&app, &caller, &id)?;
    let report = desk.report(&kind).await?;
    Ok(about(desk.head(), report))
}

/// The runbook, Markdown.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/runbook", params(("id" = String, Path)), responses((status = 200, body = String, content_type = "text/markdown"), (status = 404, body = Problem)))]
async fn runbook(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    let text = reach(&app, &caller, &id)?.runbook().await?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response())
}

/// The incident bundle, a tar file.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/bundle", params(("id" = String, Path)), responses((status = 200, body = Vec<u8>, content_type = "application/x-tar"), (status = 404, body = Problem)))]
async fn bundle(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    let bytes = reach(&app, &caller, &id)?.bundle().await?;
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], bytes).into_response())
}

/// Records on which the sides differ.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/divergences", params(("id" = String, Path), ListQuery), responses((status = 200, body = Envelope<Page<Divergence>>), (status = 404, body = Problem)))]
async fn divergences(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer<Page<Divergence>> {
    let desk = reach(&app, &caller, &id)?;
    let page = desk.divergences(query.into()).await?;
    Ok(about(desk.head(), page))
}

/// All of them, one JSON document per line.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/divergences/export", params(("id" = String, Path)), responses((status = 200, body = String, content_type = "application/x-ndjson"), (status = 404, body = Problem)))]
async fn divergences_export(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    let desk = reach(&app, &caller, &id)?;
    let mut all = Vec::new();
    let mut listing = Listing { limit: PAGE_MAX, ..Listing::default() };
    loop {
        let page = desk.divergences(listing.clone()).await?;
        all.extend(page.items);
        if page.next.is_none() || all.len() >= EXPORT_MAX {
            return Ok(lines(&all));
        }
        listing.cursor = page.next;
    }
}

/// Records that could not be moved.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/failures", params(("id" = String, Path), ListQuery), responses((status = 200, body = Envelope<Page<Failure>>), (status = 404, body = Problem)))]
async fn failures(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer<Page<Failure>> {
    let desk = reach(&app, &caller, &id)?;
    let page = desk.failures(query.into()).await?;
    Ok(about(desk.head(), page))
}

/// The replay queue, record by record.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/queue/entries", params(("id" = String, Path), ListQuery), responses((status = 200, body = Envelope<Page<QueueEntry>>), (status = 404, body = Problem)))]
async fn queue_entries(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer<Page<QueueEntry>> {
    let desk = reach(&app, &caller, &id)?;
    let page = desk.queue_entries(query.into()).await?;
    Ok(about(desk.head(), page))
}

/// The replay queue, one JSON document per line.
#[utoipa::path(get, path = "/api/v1/migrations/{id}/queue/export", params(("id" = String, Path)), responses((status = 200, body = String, content_type = "application/x-ndjson"), (status = 404, body = Problem)))]
async fn queue_export(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    let desk = reach(&app, &caller, &id)?;
    let mut all = Vec::new();
    let mut listing = Listing { limit: PAGE_MAX, ..Listing::default() };
    loop {
        let page = desk.queue_entries(listing.clone()).await?;
        all.extend(page.items);
        if page.next.is_none() || all.len() >= EXPORT_MAX {
            return Ok(lines(&all));
        }
        listing.cursor = page.next;
    }
}
