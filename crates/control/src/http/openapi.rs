//! The OpenAPI 3.1 document: schemas from the types, paths from one table.

use axum::Json;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::answer::Answer;

#[derive(OpenApi)]
#[openapi(components(schemas(
    api::Problem,
    api::Whoami,
    api::Login,
    api::VerbRequest,
    api::VerbOutcome,
    api::Status,
    api::MigrationSummary,
    api::MigrationDetail,
    api::ConfigDocument,
    api::ConfigView,
    api::ConfigPlan,
    api::Validation,
    api::Run,
    api::Check,
    api::Gate,
    api::Criterion,
    api::Evidence,
    api::DatasetProgress,
    api::Divergence,
    api::Failure,
    api::Queue,
    api::QueueEntry,
    api::VerifyState,
    api::Traffic,
    api::Tenant,
    api::CompareReport,
    api::Analysis,
    api::Samples,
    api::Report,
    api::Endpoint,
    api::Interlay,
    api::Event,
    api::AuditEntry,
    api::AuditVerdict,
    api::Token,
    api::NewToken,
    api::IssuedToken,
    api::CodePage,
    api::AuthorityLine,
    api::Ready,
    api::Waiting,
    api::AllowedAction,
    api::Warning,
    api::NextStep,
)))]
struct Schemas;

/// How data of an answer is wrapped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    One,
    List,
    Paged,
    /// No envelope: the media type.
    Raw(&'static str),
}

/// One route: method, path below the root, request schema, answer.
struct Route(&'static str, &'static str, Option<&'static str>, &'static str, As);

const M: &str = "/api/v1/migrations/{id}";

/// Every route. `{M}` stands for the path of one migration.
const ROUTES: &[Route] = &[
    Route("get", "/healthz", None, "", As::Raw("text/plain")),
    Route("get", "/readyz", None, "Ready", As::Raw("application/json")),
    Route("get", "/metrics", None, "", As::Raw("text/plain")),
    Route("get", "/authority", None, "AuthorityLine", As::Raw("application/json")),
    Route("get", "/api/v1/openapi.json", None, "", As::Raw("application/json")),
    Route("get", "/api/v1/whoami", None, "Whoami", As::One),
    Route("post", "/api/v1/login", Some("Login"), "Whoami", As::One),
    Route("post", "/api/v1/logout", None, "Whoami", As::One),
    Route("get", "/api/v1/verbs", None, "", As::List),
    Route("get", "/api/v1/codes", None, "", As::List),
    Route("get", "/api/v1/codes/{code}", None, "CodePage", As::One),
    Route("post", "/api/v1/validate", Some("ConfigDocument"), "Validation", As::One),
    Route("get", "/api/v1/migrations", None, "MigrationSummary", As::List),
    Route("post", "/api/v1/migrations", Some("ConfigDocument"), "MigrationSummary", As::One),
    Route("get", "{M}", None, "MigrationDetail", As::One),
    Route("get", "{M}/status", None, "Status", As::One),
    Route("get", "{M}/config", None, "ConfigView", As::One),
    Route("post", "{M}/plan", Some("ConfigDocument"), "ConfigPlan", As::One),
    Route("post", "{M}/verbs/{verb}", Some("VerbRequest"), "VerbOutcome", As::One),
    Route("get", "{M}/runs", None, "Run", As::List),
    Route("get", "{M}/checks", None, "Check", As::List),
    Route("get", "{M}/gates", None, "Gate", As::List),
    Route("get", "{M}/criteria", None, "Criterion", As::List),
    Route("get", "{M}/evidence", None, "Evidence", As::List),
    Route("get", "{M}/datasets", None, "DatasetProgress", As::List),
    Route("get", "{M}/divergences", None, "Divergence", As::Paged),
    Route("get", "{M}/divergences/export", None, "", As::Raw("application/x-ndjson")),
    Route("get", "{M}/failures", None, "Failure", As::Paged),
    Route("get", "{M}/queue", None, "Queue", As::One),
    Route("get", "{M}/queue/entries", None, "QueueEntry", As::Paged),
    Route("get", "{M}/queue/export", None, "", As::Raw("application/x-ndjson")),
    Route("get", "{M}/verify", None, "VerifyState", As::One),
    Route("get", "{M}/traffic", None, "Traffic", As::One),
    Route("get", "{M}/tenants", None, "Tenant", As::List),
    Route("get", "{M}/compare", None, "CompareReport", As::One),
    Route("get", "{M}/analysis", None, "Analysis", As::One),
    Route("get", "{M}/samples", None, "Samples", As::One),
    Route("get", "{M}/runbook", None, "", As::Raw("text/markdown")),
    Route("get", "{M}/reports/{kind}", None, "Report", As::One),
    Route("get", "{M}/bundle", None, "", As::Raw("application/x-tar")),
    Route("get", "/api/v1/endpoints", None, "Endpoint", As::List),
    Route("get", "/api/v1/interlays", None, "Interlay", As::List),
    Route("get", "/api/v1/events", None, "Event", As::Paged),
    Route("get", "/api/v1/audit", None, "AuditEntry", As::Paged),
    Route("get", "/api/v1/audit/verify", None, "AuditVerdict", As::One),
    Route("get", "/api/v1/tokens", None, "Token", As::List),
    Route("post", "/api/v1/tokens", Some("NewToken"), "IssuedToken", As::One),
    Route("delete", "/api/v1/tokens/{token}", None, "Token", As::One),
];

/// Every (method, path) with parameters in braces.
#[cfg(test)]
pub(super) fn routes() -> Vec<(&'static str, String)> {
    ROUTES.iter().map(|r| (r.0, r.1.replace("{M}", M))).collect()
}

fn reference(name: &str) -> Value {
    match name {
        "" => json!({}),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

fn content(route: &Route) -> Value {
    let data = reference(route.3);
    let wrapped = |data: Value| {
        json!({
            "type": "object",
            "required": ["state_version", "data"],
            "properties": {
                "state_version": { "type": "integer" },
                "waiting_on": reference("Waiting"),
                "allowed_actions": { "type": "array", "items": reference("AllowedAction") },
                "warnings": { "type": "array", "items": reference("Warning") },
                "next_steps": { "type": "array", "items": reference("NextStep") },
                "data": data,
            }
        })
    };
    let list = |items: Value| json!({ "type": "array", "items": items });
    match route.4 {
        As::Raw(kind) => json!({ kind: { "schema": data } }),
        As::One => json!({ "application/json": { "schema": wrapped(data) } }),
        As::List => json!({ "application/json": { "schema": wrapped(list(data)) } }),
        As::Paged => json!({ "application/json": { "schema": wrapped(json!({
            "type": "object",
            "properties": { "items": list(data), "next": { "type": "string" } },
        })) } }),
    }
}

fn parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect()
}

/// The whole document.
pub(crate) fn build() -> Value {
    let mut document = serde_json::to_value(Schemas::openapi()).unwrap_or_default();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = route.1.replace("{M}", M);
        let problem = json!({ "application/problem+json": { "schema": reference("Problem") } });
        let mut operation = json!({
            "parameters": parameters(&path),
            "responses": {
                "200": { "description": "done", "content": content(route) },
                "default": { "description": "a problem", "content": problem },
            },
            "security": [{ "bearer": [] }],
        });
        if let Some(body) = route.2 {
            operation["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": reference(body) } },
            });
        }
        let slot = paths.entry(path).or_insert_with(|| json!({}));
        slot[route.0] = operation;
    }
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({ "title": "Exodus", "version": env!("CARGO_PKG_VERSION") });
    document["paths"] = Value::Object(paths);
    document["components"]["securitySchemes"] =
        json!({ "bearer": { "type": "http", "scheme": "bearer" } });
    document
}

pub(super) async fn document() -> Answer {
    Ok(Json(build()).into_response())
}
