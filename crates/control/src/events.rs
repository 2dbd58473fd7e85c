//! Events as people read them: a severity and a sentence for each kind.

use serde_json::{Map, Value, json};

/// An event's payload: severity, sentence, fields. `v` is the version of the field set.
pub(crate) fn payload(kind: &str, fields: Map<String, Value>) -> Value {
    let (severity, message) = (severity(kind, &fields), sentence(kind, &fields));
    json!({ "v": 1, "severity": severity, "message": message, "fields": fields })
}

/// A message for people.
pub(crate) fn notice(urgent: bool, text: &str) -> Value {
    let severity = if urgent { "warning" } else { "notice" };
    json!({ "v": 1, "severity": severity, "message": text, "fields": { "urgent": urgent } })
}

fn severity(kind: &str, fields: &Map<String, Value>) -> &'static str {
    match kind {
        "table_published" | "evidence_added" | "resumed" => "info",
        "authority_moved" if text(fields, "at_risk") != "0" => "alarm",
        "worker_failed" | "criterion_failed" | "feed_lost" | "flip_undone" => "warning",
        "rollback_blocked" => "alarm",
        _ => "notice",
    }
}

fn text(fields: &Map<String, Value>, key: &str) -> String {
    match fields.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn sentence(kind: &str, fields: &Map<String, Value>) -> String {
    let f = |key: &str| text(fields, key);
    match kind {
        "step_entered" => format!("step {} entered from {}", f("step"), f("from")),
        "table_published" if f("frozen") == "true" => {
            format!("epoch {}: {} decides, writes wait", f("epoch"), f("authority"))
        }
        "table_published" => format!("epoch {}: {} decides", f("epoch"), f("authority")),
        "authority_moved" => format!("authority moved to the {} (epoch {})", f("to"), f("epoch")),
        "flip_began" => format!("{} attempt {} began", f("kind"), f("attempt")),
        "flip_done" => {
            format!("{} attempt {} done, pause {} ms", f("kind"), f("attempt"), f("pause_ms"))
        }
        "flip_undone" => {
            format!("{} attempt {} undone: {}", f("kind"), f("attempt"), f("reason"))
        }
        "evidence_added" => format!("{} evidence: {}", f("kind"), f("outcome")),
        "criterion_failed" => format!("criterion {} failed: {}", f("name"), f("numbers")),
        "worker_failed" => format!("{} failed: [{}] {}", f("worker"), f("code"), f("why")),
        "approval_wanted" => format!("gate {} wants {} approval(s)", f("gate"), f("missing")),
        "backfill_done" => "the first copy is complete".to_owned(),
        "resumed" => format!("went on at step {} after a start", f("step")),
        _ => {
            let fields: Vec<_> = fields.keys().map(|k| format!("{k} {}", f(k))).collect();
            format!("{} {}", kind.replace('_', " "), fields.join(", ")).trim_end().to_owned()
        }
    }
}

/// A stored event as the API shows it.
pub(crate) fn shown(event: store::Event) -> api::Event {
    let mut payload: Value = serde_json::from_str(&event.event.payload).unwrap_or_default();
    let take = |payload: &Value, key: &str, or: &str| {
        payload.get(key).and_then(Value::as_str).unwrap_or(or).to_owned()
    };
    let (severity, message) = (take(&payload, "severity", "info"), take(&payload, "message", ""));
    api::Event {
        id: event.id,
        at: crate::clock::rfc3339(event.event.at_ms),
        migration: (!event.event.scope.is_empty()).then_some(event.event.scope),
        kind: event.event.kind,
        severity,
        message,
        payload: payload.get_mut("fields").map(Value::take).unwrap_or_default(),
    }
}

/// A new event of the control plane itself.
pub(crate) fn new(scope: &str, at_ms: u64, kind: &str, fields: Value) -> store::Change {
    let fields = match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    store::Change::Event(store::NewEvent {
        scope: scope.to_owned(),
        at_ms,
        kind: kind.to_owned(),
        payload: payload(kind, fields).to_string(),
    })
}
