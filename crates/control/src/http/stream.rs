//! Events: a page of them, or a stream that goes on where the last one ended.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use api::{Envelope, Event, Page, Problem};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use store::EventQuery;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Known, reach};
use super::answer::{Sorry, plain};
use super::app::App;
use super::shown::shown;
use crate::desk::PAGE_MAX;
use crate::people::{Caller, store_problem};

/// Comments are sent this often, so that both ends notice a dead connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events read from the log at a time.
const BATCH: usize = 200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Which events.
#[derive(Debug, Clone, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// Only of this migration.
    migration: Option<String>,
    /// Only of this kind.
    kind: Option<String>,
    /// Only those after this number.
    after: Option<u64>,
    /// Events per page, 1 to 1,000; 100 when absent.
    limit: Option<usize>,
    /// `now`: a stream begins with what comes next instead of the oldest; a page holds the newest.
    from: Option<String>,
}

/// The event log, as a page or (for `Accept: text/event-stream`) as a stream.
#[utoipa::path(get, path = "/api/v1/events", params(EventsQuery, ("Last-Event-ID" = Option<String>, Header)), responses((status = 200, body = Envelope<Page<Event>>), (status = 404, body = Problem)))]
async fn events(
    State(app): State<App>,
    Known(caller): Known,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    if let Some(migration) = &query.migration {
        reach(&app, &caller, migration)?;
    }
    let newest = match query.from.as_deref() {
        None => false,
        Some("now") => true,
        Some(other) => {
            let detail = format!("from is `now` or absent, not `{other}`");
            return Err(Sorry(Problem::new("EXO-API-422", detail)));
        }
    };
    let streams = headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.contains("text/event-stream"));
    if streams {
        let after = resume_at(&headers, &query, newest, *app.store.newest_event().borrow())?;
        let stream = follow(app, caller, query, after);
        let beat = KeepAlive::new().interval(HEARTBEAT).text("beat");
        return Ok(Sse::new(stream).keep_alive(beat).into_response());
    }
    Ok(plain(page(&app, &caller, query, newest).await?).into_response())
}

/// After which event a stream goes on: `Last-Event-ID` wins, because a browser sends it when it
/// reconnects with the address it first used.
fn resume_at(
    headers: &HeaderMap,
    query: &EventsQuery,
    from_now: bool,
    newest: u64,
) -> Result<u64, Sorry> {
    match headers.get("last-event-id") {
        Some(id) => id.to_str().ok().and_then(|v| v.trim().parse().ok()).ok_or_else(|| {
            Sorry(Problem::new("EXO-API-400", "Last-Event-ID is not the number of an event"))
        }),
        None if from_now => Ok(newest),
        None => Ok(query.after.unwrap_or(0)),
    }
}

async fn page(
    app: &App,
    caller: &Caller,
    query: EventsQuery,
    newest: bool,
) -> Result<Page<Event>, Sorry> {
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let wanted = EventQuery {
        scope: query.migration,
        kind: query.kind,
        after: query.after.unwrap_or(0),
        limit,
        newest,
    };
    let found = app.store.events(wanted).await.map_err(store_problem)?;
    let next =
        (found.len() == limit && !newest).then(|| found.last().map(|e| e.id.to_string())).flatten();
    let items = found.into_iter().filter(|e| visible(caller, e)).map(shown).collect();
    Ok(Page { items, next })
}

fn visible(caller: &Caller, event: &store::Event) -> bool {
    caller.migrations.is_empty()
        || (!event.event.scope.is_empty() && caller.reaches(&event.event.scope))
}

struct Following {
    app: App,
    caller: Caller,
    query: EventsQuery,
    after: u64,
    ready: VecDeque<store::Event>,
    newest: watch::Receiver<u64>,
}

impl Following {
    /// The next event that the caller may see; `None` when the server stops or the log fails. The
    /// client then reconnects and goes on after the last event it got.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.id;
                if visible(&self.caller, &event) {
                    return Some(shown(event));
                }
                continue;
            }
            // Seen before reading, so that an event in between wakes us again.
            self.newest.borrow_and_update();
            let wanted = EventQuery {
                scope: self.query.migration.clone(),
                kind: self.query.kind.clone(),
                after: self.after,
                limit: BATCH,
                newest: false,
            };
            self.ready = self.app.store.events(wanted).await.ok()?.into();
            if self.ready.is_empty() {
                tokio::select! {
                    changed = self.newest.changed() => changed.ok()?,
                    () = self.app.stop.cancelled() => return None,
                }
            }
        }
    }
}

fn follow(
    app: App,
    caller: Caller,
    query: EventsQuery,
    after: u64,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let newest = app.store.newest_event();
    let state = Following { app, caller, query, after, ready: VecDeque::new(), newest };
    futures_util::stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        let data = serde_json::to_string(&event).unwrap_or_default();
        let message = sse::Event::default().id(event.id.to_string()).event(event.kind).data(data);
        Some((Ok(message), state))
    })
}
