//! How things are said: envelopes, pages and problems.

use api::{Envelope, Problem};
use axum::Json;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::desk::{Head, Listing, PAGE_MAX};

/// A [`Problem`] on its way out.
pub(super) struct Sorry(pub(super) Problem);

impl From<Problem> for Sorry {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

/// What a handler returns.
pub(super) type Answer<T> = Result<Json<Envelope<T>>, Sorry>;

/// Data with what stands around it.
pub(super) fn about<T>(head: Head, data: T) -> Json<Envelope<T>> {
    Json(Envelope {
        state_version: head.state_version,
        waiting_on: head.waiting_on,
        allowed_actions: head.allowed_actions,
        warnings: head.warnings,
        next_steps: head.next_steps,
        data,
    })
}

/// Data that concerns no migration.
pub(super) fn plain<T>(data: T) -> Json<Envelope<T>> {
    Json(Envelope::plain(data))
}

/// One JSON document per line.
pub(super) fn lines<T: Serialize>(items: &[T]) -> Response {
    let mut body = String::new();
    for item in items {
        body.push_str(&serde_json::to_string(item).unwrap_or_default());
        body.push('\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// A request body, strictly.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Sorry> {
    serde_json::from_slice(bytes).map_err(|e| {
        Sorry(
            Problem::new("EXO-API-400", format!("the body is not what is expected: {e}"))
                .at(format!("body:{}:{}", e.line(), e.column())),
        )
    })
}

/// Paging and filters of a list.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items per page, 1 to 1,000; 100 when absent.
    limit: Option<usize>,
    /// Only items in this state.
    state: Option<String>,
    /// Only items of this class.
    class: Option<String>,
}

impl From<ListQuery> for Listing {
    fn from(query: ListQuery) -> Self {
        Self {
            cursor: query.cursor,
            limit: query.limit.unwrap_or(100).clamp(1, PAGE_MAX),
            state: query.state,
            class: query.class,
        }
    }
}

pub(super) async fn no_such_route(method: Method, uri: Uri) -> Sorry {
    Sorry(Problem::new("EXO-API-404", format!("there is no {method} {}", uri.path())))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Sorry {
    let mut problem = Problem::new("EXO-API-400", format!("{} does not take {method}", uri.path()));
    problem.status = 405;
    Sorry(problem)
}

/// Errors of the framework (a body too large, a query that cannot be read) in our own form.
pub(super) async fn in_form(response: Response) -> Response {
    let status = response.status();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t != PLAIN_TEXT);
    if !(status.is_client_error() || status.is_server_error()) || ours {
        return response;
    }
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "EXO-API-413",
        _ if status.is_server_error() => "EXO-API-500",
        _ => "EXO-API-400",
    };
    let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap_or_default();
    let mut problem = Problem::new(code, String::from_utf8_lossy(&body).trim().to_owned());
    problem.status = status.as_u16();
    Sorry(problem).into_response()
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
