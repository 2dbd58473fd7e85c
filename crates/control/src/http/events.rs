//! The event log as a page or as a stream, and the audit log.

use std::convert::Infallible;
use std::time::Duration;

use api::{AuditEntry, AuditVerdict, Page};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Sse as Stream};
use futures_util::stream;
use serde::Deserialize;
use store::EventQuery;
use tokio::sync::watch;

use super::App;
use super::access::Who;
use super::answer::{Answer, Refusal, plain};
use crate::clock::rfc3339;
use crate::events::shown;

/// Largest page.
const PAGE_MAX: usize = 1_000;
/// Events fetched at a time by a stream.
const BATCH: usize = 256;
/// A stream without news says so this often.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Deserialize, Default)]
pub(super) struct Filter {
    migration: Option<String>,
    kind: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
    from: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn events(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Answer {
    let reaches = |m: &String| who.0.reaches(m);
    if filter.migration.as_ref().map_or(!who.0.migrations.is_empty(), |m| !reaches(m)) {
        let detail = "name a migration that your token reaches: ?migration=";
        return Err(Refusal::new("EXO-API-403", detail));
    }
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    if accept.contains("text/event-stream") {
        return follow(app, &headers, filter);
    }
    let after = filter.cursor.as_deref().and_then(|c| c.parse().ok()).or(filter.after);
    let limit = filter.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let newest = after.is_none() && filter.from.as_deref() != Some("start");
    let query = EventQuery {
        scope: filter.migration,
        kind: filter.kind,
        after: after.unwrap_or(0),
        limit,
        newest,
    };
    let found = app.server.common.store.events(query).await?;
    let next =
        (!newest && found.len() == limit).then(|| found.last().map(|e| e.id.to_string())).flatten();
    plain(Page { items: found.into_iter().map(shown).collect(), next })
}

/// Where a stream stands.
struct Cursor {
    app: App,
    query: EventQuery,
    ready: std::collections::VecDeque<store::Event>,
    newest: watch::Receiver<u64>,
}

impl Cursor {
    /// The next event; waits for it. `None` when the server stops.
    async fn next(&mut self) -> Option<store::Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.query.after = event.id;
                return Some(event);
            }
            // Seen before the look, so that nothing that comes in between is missed.
            let now = *self.newest.borrow_and_update();
            match self.app.server.common.store.events(self.query.clone()).await {
                Ok(found) if !found.is_empty() => self.ready.extend(found),
                Ok(_) => {
                    // Nothing that fits up to here: older ones need not be looked at again.
                    self.query.after = self.query.after.max(now);
                    tokio::select! {
                        () = self.app.quit.cancelled() => return None,
                        changed = self.newest.changed() => changed.ok()?,
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "an event stream ended");
                    return None;
                }
            }
            let now = self.app.server.common.clock.now_ms();
            let scope = self.query.scope.as_deref();
            for migration in self.app.server.all() {
                if scope.is_none_or(|s| s == migration.world.id) {
                    migration.world.seen.observer(now);
                }
            }
        }
    }
}

fn follow(app: App, headers: &HeaderMap, filter: Filter) -> Answer {
    let newest = app.server.common.store.newest_event();
    let resumed = headers.get("last-event-id").and_then(|v| v.to_str().ok()?.parse().ok());
    let live = filter.from.as_deref() == Some("live");
    let after = resumed.or(filter.after).unwrap_or(if live { *newest.borrow() } else { 0 });
    let query = EventQuery {
        scope: filter.migration,
        kind: filter.kind,
        after,
        limit: BATCH,
        newest: false,
    };
    let cursor = Cursor { app, query, ready: std::collections::VecDeque::new(), newest };
    let events = stream::unfold(cursor, |mut cursor| async move {
        let event = cursor.next().await?;
        let id = event.id.to_string();
        let event = shown(event);
        let sse = Sse::default().id(id).event(&event.kind);
        let sse = sse.json_data(&event).unwrap_or_else(|_| Sse::default().comment("unreadable"));
        Some((Ok::<_, Infallible>(sse), cursor))
    });
    let alive = KeepAlive::new().interval(HEARTBEAT).text("alive");
    Ok(Stream::new(events).keep_alive(alive).into_response())
}

pub(super) async fn audit(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Answer {
    if filter.migration.as_ref().map_or(!who.0.migrations.is_empty(), |m| !who.0.reaches(m)) {
        let detail = "name a migration that your token reaches: ?migration=";
        return Err(Refusal::new("EXO-API-403", detail));
    }
    let after = filter.cursor.as_deref().and_then(|c| c.parse().ok()).unwrap_or(0);
    let limit = filter.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let scope = filter.migration.as_deref();
    let found = app.server.common.store.audit(scope, after, limit).await?;
    let next = (found.len() == limit).then(|| found.last().map(|e| e.id.to_string())).flatten();
    plain(Page { items: found.into_iter().map(entry).collect(), next })
}

/// A stored entry as the API shows it.
pub(crate) fn entry(stored: store::AuditEntry) -> AuditEntry {
    let hex = |bytes: &[u8; 32]| blake3::Hash::from_bytes(*bytes).to_hex().to_string();
    let entry = stored.entry;
    AuditEntry {
        id: stored.id,
        at: rfc3339(entry.at_ms),
        migration: (!entry.scope.is_empty()).then_some(entry.scope),
        actor: entry.actor,
        action: entry.action,
        reason: (!entry.reason.is_empty()).then_some(entry.reason),
        payload: serde_json::from_str(&entry.payload).unwrap_or_default(),
        previous: hex(&stored.previous),
        hash: hex(&stored.hash),
    }
}

pub(super) async fn verify_audit(State(app): State<App>, _: Who) -> Answer {
    let verdict = app.server.common.store.verify_audit().await?;
    plain(AuditVerdict {
        intact: verdict.broken_at.is_none(),
        entries: verdict.entries,
        broken_at: verdict.broken_at,
    })
}
