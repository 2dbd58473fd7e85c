//! The replay queue: what waits, the oldest first, and what was parked.

use std::time::{Duration, Instant};

use api::{Page, Queue, QueueEntry};
use axum::extract::Query;
use journal::{ASIDE, Cause, Queued};
use model::Key;
use store::Kind;

use super::access::Of;
use super::answer::{Answer, Refusal, about};
use super::data::{Paging, export, failure, page};
use crate::dto::{from_text, pasted, to_text};
use crate::migration::Migration;
use crate::status::{self, Look};

/// Attempts, and changes while it was copied, after which a record is worth a person's look.
const TRIED: u32 = 3;
const MOVED: u32 = 100;

pub(super) async fn queue(of: Of) -> Answer {
    let look = Look::at(&of.migration);
    let from = of.migration.world.interlays.table().authority.default;
    let queue = Queue {
        status: status::queue(&look),
        direction: format!("{from} to {}", from.other()),
        stalled: look.engine.as_ref().and_then(|e| e.stalled.clone()),
    };
    about(&of.migration, queue)
}

/// A record that waits for an operator.
fn parked(migration: &Migration, doc: &store::Doc) -> Option<QueueEntry> {
    let one = failure(migration, doc)?;
    let at = one.at.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    let at = at.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
    let retry = format!("exodus queue retry {}", pasted(&one.id));
    let (cause, what_to_do) = match one.code == ASIDE {
        true => (format!("set aside by an operator: {}", one.reason), retry),
        false => (
            "a server refused it, or nobody can tell what it should be".to_owned(),
            format!("exodus explain {}; put it right, then: {retry}", one.code),
        ),
    };
    Some(QueueEntry {
        id: one.id,
        key: one.key,
        state: "parked".to_owned(),
        age_ms: migration.runner.now_ms().saturating_sub(at),
        attempts: one.attempts,
        last_error: Some(format!("[{}] {}", one.code, one.reason)),
        cause: Some(cause),
        what_to_do: Some(what_to_do),
    })
}

/// A record that waits for a copier.
fn queued(migration: &Migration, one: &Queued, now: Instant) -> QueueEntry {
    let id = to_text(one.key.as_bytes());
    let age = now.saturating_duration_since(one.since);
    QueueEntry {
        key: migration.world.plugin.family().show_key(&one.key),
        state: if one.leased { "copying" } else { "queued" }.to_owned(),
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        attempts: one.attempts,
        last_error: None,
        cause: Some(cause(one.cause).to_owned()),
        what_to_do: Some(advice(one, &id)),
        id,
    }
}

const fn cause(of: Cause) -> &'static str {
    match of {
        Cause::Scan => "offered by the copy of history, or by a verification",
        Cause::Feed => "named by the change feed, or in doubt after a restart",
        Cause::OwnWrite => "written through an interlay, or retried by an operator",
    }
}

fn advice(one: &Queued, id: &str) -> String {
    let why = match (one.attempts >= TRIED, one.moves >= MOVED) {
        (true, _) => format!("it failed {} times and is tried again by itself", one.attempts),
        (_, true) => format!("it changed {} times while it was copied", one.moves),
        _ => return "nothing: it is copied by itself".to_owned(),
    };
    format!("{why}; to let others pass: exodus queue park {} --reason WHY", pasted(id))
}

/// A place in the list of what is queued.
fn place(cursor: &str, born: Instant) -> Option<(Instant, Key)> {
    let (nanos, id) = cursor.split_once('.')?;
    let since = born.checked_add(Duration::from_nanos(nanos.parse().ok()?))?;
    Some((since, Key::new(&from_text(id)?)))
}

fn cursor(one: &Queued, born: Instant) -> String {
    let nanos = one.since.saturating_duration_since(born).as_nanos();
    format!("queued:{nanos}.{}", to_text(one.key.as_bytes()))
}

/// Parked records first, because nothing moves them but a person; then the oldest that wait.
pub(super) async fn entries(of: Of, Query(paging): Query<Paging>) -> Answer {
    let migration = &of.migration;
    let state = paging.state.as_deref();
    if !matches!(state, None | Some("parked" | "queued")) {
        return Err(Refusal::new("EXO-API-422", "`state` is parked or queued"));
    }
    let resumed = paging.cursor.as_deref().and_then(|c| c.strip_prefix("queued:"));
    let mut shown = Page { items: Vec::new(), next: None };
    if state != Some("queued") && resumed.is_none() {
        shown = page(migration, Kind::Parked, &paging, |doc| parked(migration, doc)).await?;
    }
    let left = paging.limit().saturating_sub(shown.items.len());
    if state == Some("parked") || shown.next.is_some() {
        return about(migration, shown);
    }
    let born = migration.world.born;
    let after = match resumed {
        None => None,
        Some(text) => Some(place(text, born).ok_or_else(|| {
            Refusal::new("EXO-API-400", "`cursor` is the `next` of the page before")
        })?),
    };
    let found = migration.journal.queued(after.as_ref(), left + 1);
    let now = Instant::now();
    shown.next = match found.get(left) {
        Some(_) if left == 0 => Some("queued:0.".to_owned()),
        Some(_) => found.get(left - 1).map(|last| cursor(last, born)),
        None => None,
    };
    shown.items.extend(found.iter().take(left).map(|one| queued(migration, one, now)));
    about(migration, shown)
}

pub(super) async fn export_entries(of: Of) -> Answer {
    export(&of.migration, Kind::Parked, |doc| parked(&of.migration, doc)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Lane;

    fn waiting(attempts: u32, moves: u32) -> Queued {
        Queued {
            key: Key::new(b"k"),
            since: Instant::now(),
            lane: Lane::Live,
            cause: Cause::OwnWrite,
            attempts,
            moves,
            leased: false,
        }
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let born = Instant::now();
        let one = Queued { since: born + Duration::from_nanos(1_234_567), ..waiting(0, 0) };
        let text = cursor(&one, born);
        let back = place(text.strip_prefix("queued:").unwrap(), born);
        assert_eq!(back, Some((one.since, one.key)));
        assert_eq!(place("0.", born), Some((born, Key::new(b""))));
        assert_eq!(place("nonsense", born), None);
    }

    #[test]
    fn only_what_does_not_come_through_asks_for_a_person() {
        assert_eq!(advice(&waiting(0, 0), "k"), "nothing: it is copied by itself");
        assert!(advice(&waiting(3, 0), "k").contains("queue park 'k'"));
        assert!(advice(&waiting(0, 100), "k").contains("changed 100 times"));
    }
}
