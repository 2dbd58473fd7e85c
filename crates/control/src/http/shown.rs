//! Stored events as they are shown.

use api::Event;
use serde_json::Value;

use crate::clock::rfc3339;

/// A stored event as it is shown. Its payload is `{severity, message, fields}`.
pub(super) fn shown(stored: store::Event) -> Event {
    let mut body: Value = serde_json::from_str(&stored.event.payload).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    Event {
        id: stored.id,
        at: rfc3339(stored.event.at_ms),
        migration: Some(stored.event.scope).filter(|s| !s.is_empty()),
        severity: text("severity").unwrap_or_else(|| "info".to_owned()),
        message: text("message").unwrap_or_else(|| stored.event.kind.clone()),
        payload: body.get_mut("fields").map(Value::take).unwrap_or_default(),
        kind: stored.event.kind,
    }
}
