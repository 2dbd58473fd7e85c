//! Tokens, audit and the fleet's configs: what only concerns the server.

use api::{AuditEntry, AuditVerdict, Envelope, IssuedToken, NewToken, Page, Problem, Token};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Known, unscoped};
use super::answer::{Answer, Sorry, body, plain};
use super::app::App;
use crate::clock::rfc3339;
use crate::desk::PAGE_MAX;
use crate::people::store_problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, issue))
        .routes(routes!(revoke))
        .routes(routes!(audit))
        .routes(routes!(audit_verify))
}

/// Every token, without secrets.
#[utoipa::path(get, path = "/api/v1/tokens", responses((status = 200, body = Envelope<Vec<Token>>), (status = 403, body = Problem)))]
async fn list(State(app): State<App>, Known(caller): Known) -> Answer<Vec<Token>> {
    caller.must_be_admin()?;
    Ok(plain(app.people.list().await?))
}

/// Makes a token; its secret is shown only now.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = NewToken, responses((status = 200, body = Envelope<IssuedToken>), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn issue(State(app): State<App>, Known(caller): Known, bytes: Bytes) -> Answer<IssuedToken> {
    caller.must_be_admin()?;
    Ok(plain(app.people.issue(body(&bytes)?, &caller.name).await?))
}

/// Takes a token back.
#[utoipa::path(delete, path = "/api/v1/tokens/{token_id}", params(("token_id" = String, Path)), responses((status = 200, body = Envelope<Token>), (status = 404, body = Problem)))]
async fn revoke(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Answer<Token> {
    caller.must_be_admin()?;
    Ok(plain(app.people.revoke(&id, &caller.name).await?))
}

/// Which audit entries.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// Only of this migration.
    migration: Option<String>,
    /// Number of the last entry seen.
    cursor: Option<u64>,
    /// Entries per page, 1 to 1,000; 100 when absent.
    limit: Option<usize>,
}

/// The audit log, oldest first.
#[utoipa::path(get, path = "/api/v1/audit", params(AuditQuery), responses((status = 200, body = Envelope<Page<AuditEntry>>), (status = 403, body = Problem)))]
async fn audit(
    State(app): State<App>,
    Known(caller): Known,
    Query(query): Query<AuditQuery>,
) -> Answer<Page<AuditEntry>> {
    match &query.migration {
        Some(migration) if caller.reaches(migration) => {}
        Some(migration) => {
            return Err(Sorry(Problem::new("EXO-API-403", format!("not for {migration}"))));
        }
        None => unscoped(&caller)?,
    }
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let after = query.cursor.unwrap_or(0);
    let found =
        app.store.audit(query.migration.as_deref(), after, limit).await.map_err(store_problem)?;
    let next = (found.len() == limit).then(|| found.last().map(|e| e.id.to_string())).flatten();
    Ok(plain(Page { items: found.into_iter().map(shown).collect(), next }))
}

/// Whether the audit chain holds.
#[utoipa::path(get, path = "/api/v1/audit/verify", responses((status = 200, body = Envelope<AuditVerdict>)))]
async fn audit_verify(State(app): State<App>, Known(caller): Known) -> Answer<AuditVerdict> {
    unscoped(&caller)?;
    let verdict = app.store.verify_audit().await.map_err(store_problem)?;
    Ok(plain(AuditVerdict {
        intact: verdict.broken_at.is_none(),
        entries: verdict.entries,
        broken_at: verdict.broken_at,
    }))
}

fn shown(entry: store::AuditEntry) -> AuditEntry {
    let hex = |bytes: [u8; 32]| bytes.iter().map(|b| format!("{b:02x}")).collect();
    AuditEntry {
        id: entry.id,
        at: rfc3339(entry.entry.at_ms),
        migration: Some(entry.entry.scope).filter(|s| !s.is_empty()),
        actor: entry.entry.actor,
        action: entry.entry.action,
        reason: Some(entry.entry.reason).filter(|r| !r.is_empty()),
        payload: serde_json::from_str(&entry.entry.payload).unwrap_or_default(),
        previous: hex(entry.previous),
        hash: hex(entry.hash),
    }
}
