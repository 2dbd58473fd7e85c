//! The one mutation of a migration: a verb.

use api::{Envelope, Problem, Verb, VerbOutcome, VerbRequest};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use store::{Batch, Change, Kind};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Known, reach};
use super::answer::{Sorry, about, body};
use super::app::App;
use crate::clock::now_ms;
use crate::desk::{MigrationDesk, Order};
use crate::people::{internal, store_problem};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// How long the answer to an idempotency key is kept, in seconds.
const KEPT_S: u64 = 24 * 3_600;
/// Longest idempotency key, in bytes.
const KEY_MAX: usize = 200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(act))
}

/// Carries a verb out, or narrates it.
#[utoipa::path(
    post,
    path = "/api/v1/migrations/{id}/verbs/{verb}",
    params(
        ("id" = String, Path),
        ("verb" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the state version that was looked at"),
        ("Idempotency-Key" = Option<String>, Header, description = "the same key gets the same answer")
    ),
    request_body = VerbRequest,
    responses(
        (status = 200, body = Envelope<VerbOutcome>),
        (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, body = Problem),
        (status = 412, body = Problem),
        (status = 422, body = Problem),
        (status = 428, body = Problem)
    )
)]
async fn act(
    State(app): State<App>,
    Known(caller): Known,
    Path((id, verb)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Sorry> {
    let desk = reach(&app, &caller, &id)?;
    let verb = Verb::parse(&verb).ok_or_else(|| {
        Problem::new("EXO-API-404", format!("there is no verb {verb}")).fix("exodus help")
    })?;
    caller.may(verb, &id)?;
    let request: VerbRequest =
        if bytes.is_empty() { VerbRequest::default() } else { body(&bytes)? };
    let expected = if_match(&headers)?;
    let order = Order { verb, request, caller, expected };
    demand(&order, &id, &*desk)?;
    match key_of(&headers)? {
        None => carry_out(&*desk, order).await,
        Some(key) => once(&app, &*desk, &id, key, order).await,
    }
}

/// What a verb needs before anybody looks at the state.
fn demand(order: &Order, id: &str, desk: &dyn MigrationDesk) -> Result<(), Sorry> {
    let info = order.verb.info();
    let narrate = order.narrate_only(id);
    let reason = order.request.reason.as_deref().map_or("", str::trim);
    if info.reason_required && !narrate && reason.is_empty() {
        return Err(Sorry(Problem::new(
            "EXO-API-504",
            format!("{} is stored with its reason, and none was given", info.name),
        )));
    }
    if info.if_match && !narrate && order.expected.is_none() {
        let version = desk.head().state_version;
        return Err(Sorry(
            Problem::new("EXO-API-428", format!("{} needs If-Match", info.name)).version(version),
        ));
    }
    Ok(())
}

async fn carry_out(desk: &dyn MigrationDesk, order: Order) -> Result<Response, Sorry> {
    let outcome: VerbOutcome = desk.act(order).await?;
    Ok(about(desk.head(), outcome).into_response())
}

/// Carries a verb out once per key; later requests get the stored answer.
async fn once(
    app: &App,
    desk: &dyn MigrationDesk,
    id: &str,
    key: &str,
    order: Order,
) -> Result<Response, Sorry> {
    let kept = blake3::hash(
        format!("{}\0{key}\0{}", order.caller.token_id, order.verb.as_str()).as_bytes(),
    )
    .to_hex()
    .to_string();
    if let Some(doc) = app.store.get(Kind::Idempotency, id, &kept).await.map_err(store_problem)? {
        return Ok(([(header::CONTENT_TYPE, "application/json")], doc.body).into_response());
    }
    let Some(_mine) = UnderWay::begin(app, format!("{id}/{kept}")) else {
        return Err(Sorry(Problem::new(
            "EXO-API-409",
            "a request with this Idempotency-Key is still being carried out",
        )));
    };
    let outcome: VerbOutcome = desk.act(order).await?;
    let answer = serde_json::to_vec(&about(desk.head(), outcome).0).map_err(internal)?;
    let now_s = now_ms() / 1_000;
    let changes = vec![
        Change::Expire { kind: Kind::Idempotency, below: now_s.saturating_sub(KEPT_S) },
        Change::Put {
            kind: Kind::Idempotency,
            scope: id.to_owned(),
            id: kept,
            version: now_s,
            expect: None,
            body: answer.clone(),
        },
    ];
    // The decision is stored already; an answer that cannot be kept must not look like a failure.
    if let Err(error) = app.store.commit(Batch::data(changes)).await {
        tracing::warn!(%error, "the answer to an idempotency key could not be kept");
    }
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::OK, headers, answer).into_response())
}

/// A key whose first request is being carried out; forgotten when dropped.
struct UnderWay<'a> {
    app: &'a App,
    key: String,
}

impl<'a> UnderWay<'a> {
    fn begin(app: &'a App, key: String) -> Option<Self> {
        app.under_way.lock().insert(key.clone()).then_some(Self { app, key })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.app.under_way.lock().remove(&self.key);
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Sorry> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|v| v.trim().trim_matches('"').parse().ok())
        .map(Some)
        .ok_or_else(|| Sorry(Problem::new("EXO-API-400", "If-Match is not a state version")))
}

fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Sorry> {
    match headers.get(IDEMPOTENCY_KEY).map(|v| v.to_str()) {
        None => Ok(None),
        Some(Ok(key)) if !key.is_empty() && key.len() <= KEY_MAX => Ok(Some(key)),
        Some(_) => Err(Sorry(Problem::new(
            "EXO-API-400",
            format!("an Idempotency-Key has 1 to {KEY_MAX} bytes of visible ASCII"),
        ))),
    }
}
