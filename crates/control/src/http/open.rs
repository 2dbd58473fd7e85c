//! What needs no token: whether the process lives, whether it serves, who decides.

use std::net::SocketAddr;

use api::{AuthorityLine, CODES, CodeInfo, Envelope, Problem, Ready, VERBS, VerbInfo};
use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::Known;
use super::answer::{Answer, Sorry, plain};
use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(authority))
        .routes(routes!(verbs))
        .routes(routes!(codes))
        .routes(routes!(code))
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Every interlay listens and the store works.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = Ready), (status = 503, body = Ready)))]
async fn readyz(State(app): State<App>) -> (StatusCode, Json<Ready>) {
    let ready = app.desk.ready();
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready))
}

/// Metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
async fn metrics(State(app): State<App>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, app.desk.metrics()).into_response()
}

/// Who decides, for scripts and for the bypass. Without a token only on loopback.
#[utoipa::path(get, path = "/authority", responses((status = 200, body = Vec<AuthorityLine>)))]
async fn authority(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    known: Result<Known, Sorry>,
) -> Result<Json<Vec<AuthorityLine>>, Sorry> {
    let mut lines = app.desk.authority();
    match known {
        Ok(Known(caller)) => lines.retain(|l| caller.reaches(&l.migration)),
        Err(_) if peer.ip().is_loopback() => {}
        Err(sorry) => return Err(sorry),
    }
    Ok(Json(lines))
}

/// Everything an operator can do, and who may.
#[utoipa::path(get, path = "/api/v1/verbs", responses((status = 200, body = Envelope<Vec<VerbInfo>>)))]
async fn verbs() -> Json<Envelope<&'static [VerbInfo]>> {
    plain(VERBS)
}

/// The error codes of this API.
#[utoipa::path(get, path = "/api/v1/codes", responses((status = 200, body = Envelope<Vec<CodeInfo>>)))]
async fn codes() -> Json<Envelope<&'static [CodeInfo]>> {
    plain(CODES)
}

/// One error code of this API.
#[utoipa::path(get, path = "/api/v1/codes/{code}", params(("code" = String, Path)), responses((status = 200, body = Envelope<CodeInfo>), (status = 404, body = Problem)))]
async fn code(Path(code): Path<String>) -> Answer<&'static CodeInfo> {
    api::code(&code).map(plain).ok_or_else(|| {
        Sorry(
            Problem::new("EXO-API-404", format!("there is no code {code} of this API"))
                .fix(format!("exodus explain {code}")),
        )
    })
}
