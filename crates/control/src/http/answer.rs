use api::{Envelope, Problem};
use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::migration::Migration;
use crate::status::{self, Look};

/// A problem on its way to a client.
pub(super) struct Refusal(pub(super) Box<Problem>);

/// What every handler returns.
pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }
}

impl From<Box<Problem>> for Refusal {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new("EXO-API-500", format!("{error:#}"))
    }
}

impl From<store::StoreError> for Refusal {
    fn from(error: store::StoreError) -> Self {
        let mut problem = Problem::new("EXO-API-503", error.to_string());
        problem.code = error.code().to_owned();
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&*self.0)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// An answer that concerns no migration.
pub(super) fn plain<T: Serialize>(data: T) -> Answer {
    Ok(Json(Envelope::plain(data)).into_response())
}

/// An answer about a migration, with what it waits for and what may be done.
pub(super) fn about<T: Serialize>(migration: &Migration, data: T) -> Answer {
    let look = Look::at(migration);
    let envelope = Envelope {
        state_version: look.version(),
        waiting_on: status::waiting(&look),
        allowed_actions: status::allowed_actions(&look),
        warnings: Vec::new(),
        next_steps: status::next_steps(&look),
        data,
    };
    let mut response = Json(envelope).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", look.version())) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// A text of some kind.
pub(super) fn text(kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

pub(super) async fn not_found() -> Refusal {
    Refusal::new("EXO-API-404", "there is no such route; see /api/v1/openapi.json")
}

/// A JSON body whose errors are problems.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|e| {
            match e.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    Refusal::new("EXO-API-413", "the body is larger than 1 MiB")
                }
                _ => Refusal::new("EXO-API-400", "the body could not be read"),
            }
        })?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let parsed = serde_json::from_slice(bytes);
        parsed.map(Body).map_err(|e| Refusal::new("EXO-API-400", e.to_string()))
    }
}
