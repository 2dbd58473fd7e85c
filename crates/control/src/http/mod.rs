//! The HTTP door.
//!
//! Constraints: rights, scopes, idempotency and limits are decided here; everything else is asked
//! of the [`Desk`]. Every error is a problem document with a code. Nothing here is on the path of
//! a database request.
//!
//! Layout: `app` what handlers share, `access` who asks, `answer` how it is said, `reads` the
//! resources, `verbs` the one mutation of a migration, `tokens`, `session` people, `stream` the
//! events, `open` what needs no token, `page` the dashboard.

mod access;
mod answer;
mod app;
mod limits;
mod open;
mod page;
mod reads;
mod session;
mod shown;
mod stream;
mod tokens;
mod verbs;

use std::net::SocketAddr;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Router, routing};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use app::App;

/// Largest request body, in bytes. Configs and lists of ids are the largest ones.
pub const BODY_MAX: usize = 4 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "Exodus",
    description = "Moves live databases. Every door (CLI, dashboard, agents) stands on this API.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Document;

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(open::routes())
        .merge(session::routes())
        .merge(tokens::routes())
        .merge(reads::routes())
        .merge(verbs::routes())
        .merge(stream::routes())
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().split_for_parts().1
}

/// The whole door.
pub fn router(app: App) -> Router {
    let (routes, document) = described().split_for_parts();
    let document = document.to_json().unwrap_or_default();
    routes
        .route(
            "/api/v1/openapi.json",
            routing::get(move || async move {
                ([(header::CONTENT_TYPE, "application/json")], document)
            }),
        )
        .merge(page::routes())
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(map_response(answer::in_form))
        .layer(map_response(harden))
        .with_state(app)
}

/// Serves until told to stop; open event streams are ended then.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Headers that every answer carries: nothing is framed, sniffed, cached or loaded from elsewhere.
async fn harden(mut response: Response) -> Response {
    const HEADERS: [(&str, &str); 5] = [
        (
            "content-security-policy",
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
