//! What a transition leaves in the store besides the state: events for everybody, audit entries
//! for those who ask later who decided what, and why.

use serde_json::{Map, Value, json};
use store::{Change, Kind, NewAudit, NewEvent};
use workflow::{Action, RunState};

use super::handle::Ask;
use crate::dto;
use crate::events;

/// The state itself.
pub(super) fn state(run: &RunState, replaces: u64) -> Change {
    Change::Put {
        kind: Kind::Run,
        scope: run.migration.clone(),
        id: run.run.clone(),
        version: run.version,
        expect: Some(replaces),
        body: dto::encode(run),
    }
}

/// Events and audit entries of a transition.
pub(super) fn told(
    migration: &str,
    old: &RunState,
    new: &RunState,
    actions: &[Action],
    ask: Option<&Ask>,
    now_ms: u64,
) -> Vec<Change> {
    let mut out = Vec::new();
    let mut event = |kind: &str, payload: Value| {
        out.push(Change::Event(NewEvent {
            scope: migration.to_owned(),
            at_ms: now_ms,
            kind: kind.to_owned(),
            payload: payload.to_string(),
        }));
    };
    for action in actions {
        match action {
            Action::Emit { name, fields } => {
                let fields: Map<_, _> =
                    fields.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
                event(name, events::payload(name, fields));
            }
            Action::Notify { urgent, text } => event("notice", events::notice(*urgent, text)),
            Action::AskApproval { gate, roles, missing, digest } => {
                let roles: Vec<_> = roles.iter().map(|r| r.as_str()).collect();
                let fields = json!({
                    "gate": gate.as_str(), "roles": roles, "missing": missing, "digest": digest,
                });
                let Value::Object(fields) = fields else { continue };
                event("approval_wanted", events::payload("approval_wanted", fields));
            }
            Action::PublishTable(table) => {
                let fields = json!({
                    "epoch": table.epoch.0,
                    "authority": table.authority.default.as_str(),
                    "frozen": table.freeze == routing::Freeze::Writes,
                    "reads": table.reads.mode.as_str(),
                    "percent": table.reads.percent,
                });
                let Value::Object(fields) = fields else { continue };
                event("table_published", events::payload("table_published", fields));
            }
            _ => {}
        }
    }
    if let Some(entry) = audited(migration, old, new, ask, !out.is_empty(), now_ms) {
        out.push(Change::Audit(entry));
    }
    out
}

/// Who decided. Automatic decisions are entered with their numbers; mere passing on is not.
fn audited(
    migration: &str,
    old: &RunState,
    new: &RunState,
    ask: Option<&Ask>,
    emitted: bool,
    now_ms: u64,
) -> Option<NewAudit> {
    let moved = old.step != new.step || old.authority != new.authority || old.held != new.held;
    let (actor, action, reason) = match ask {
        Some(ask) => {
            let action = ask.verb.as_ref().map_or("start", |v| v.kind().as_str());
            (format!("{} ({})", ask.by.who, ask.by.role), action, ask.by.reason.clone())
        }
        None if moved && emitted => {
            let held = new.held.as_ref().filter(|_| old.held.is_none());
            let reason = held.map(|h| h.reason.clone()).unwrap_or_default();
            ("exodus".to_owned(), "automatic", reason)
        }
        None => return None,
    };
    let payload = json!({
        "run": new.run,
        "version": new.version,
        "from": old.place().as_str(),
        "to": new.place().as_str(),
        "authority": new.authority.default.as_str(),
        "epoch": new.epoch.0,
    });
    Some(NewAudit {
        scope: migration.to_owned(),
        at_ms: now_ms,
        actor,
        action: action.to_owned(),
        reason,
        payload: payload.to_string(),
    })
}
