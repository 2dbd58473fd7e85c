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
        "cleaned_up" if fields.contains_key("error") => "warning",
        "rollback_blocked" => "alarm",
        _ => "notice",
    }
}

fn text(fields: &Map<String, Value>, key: &str) -> String {
    match fields.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(all)) => {
            let all = all.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
            all.collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// What happened, in a sentence. A field that is missing leaves its part of it out.
fn sentence(kind: &str, fields: &Map<String, Value>) -> String {
    let f = |key: &str| text(fields, key);
    // ` word value`, or nothing where there is no value.
    let with = |word: &str, key: &str| match f(key) {
        value if value.is_empty() => String::new(),
        value => format!("{word}{value}"),
    };
    let by = || with(" by ", "by");
    let why = || with(": ", "why");
    match kind {
        "step_entered" => format!("step{} entered{}", with(" ", "step"), with(" from ", "from")),
        "step_retried" => format!("the step is tried again{}", by()),
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
            format!("{} attempt {} undone{}", f("kind"), f("attempt"), with(": ", "reason"))
        }
        "rollback_asked" => {
            let loss =
                if f("accept_loss") == "true" { ", losing what only the target has" } else { "" };
            let (from, reason) = (with(" at step ", "from"), with(": ", "reason"));
            format!("rollback asked{}{from}{loss}{reason}", by())
        }
        "evidence_added" => format!("{} evidence: {}", f("kind"), f("outcome")),
        "evidence_stale" => format!("{} evidence no longer counts", f("kind")),
        "approvals_void" => {
            format!("approvals of gate {} are void: their evidence changed", f("gate"))
        }
        "approval_wanted" => format!("gate {} wants {} approval(s)", f("gate"), f("missing")),
        "approved" | "rejected" => format!("gate {} {kind}{}{}", f("gate"), by(), why()),
        "revoked" => format!("gate {}: approval withdrawn{}{}", f("gate"), by(), why()),
        "waived" => format!("{} evidence waived{}{}", f("kind"), by(), why()),
        "held" => format!("held{}{}", by(), why()),
        "released" => format!("released{}", by()),
        "panicked" => format!("panic{}: everything passes to the {}", by(), f("authority")),
        "incident_held" => format!("incident held open{}{}", by(), why()),
        "incident_released" => format!("incident over{}", by()),
        "criterion_failed" => format!("criterion {} failed: {}", f("name"), f("numbers")),
        "worker_failed" => format!("{} failed: [{}] {}", f("worker"), f("code"), f("why")),
        "feed_lost" => format!("the change feed of the {} is lost", f("side")),
        "feed_restored" => format!("the change feed of the {} delivers again", f("side")),
        "traffic_set" => format!("reads: {} % on the target{}", f("reads_percent"), by()),
        "backfill_done" => "the first copy is complete".to_owned(),
        "resumed" => format!("went on at step {} after a start", f("step")),
        "difference_counts_again" => {
            format!("the difference of {} is no longer ignored", f("key"))
        }
        "config_changed" => format!("the config changed (digest {})", f("digest")),
        "preflight_done" => {
            format!("blockers {}, risks {}, passed {}", f("blocker"), f("risk"), f("pass"))
        }
        "rehearsal_began" => format!("rollback rehearsal began{}", by()),
        "rehearsal_done" => format!("rollback rehearsal{}", with(": ", "summary")),
        "cleaned_up" if fields.contains_key("error") => {
            format!("the {} could not be cleaned up: {}", f("side"), f("error"))
        }
        "cleaned_up" => match f("removed") {
            none if none.is_empty() => format!("nothing of ours was left on the {}", f("side")),
            removed => format!("removed from the {}: {removed}", f("side")),
        },
        _ => {
            let fields = fields.iter().filter(|(k, _)| !f(k).is_empty());
            let fields: Vec<_> = fields.map(|(k, _)| format!("{k} {}", f(k))).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: &str, fields: Value) -> String {
        let Value::Object(fields) = fields else { panic!("not an object") };
        sentence(kind, &fields)
    }

    #[test]
    fn sentences_have_no_holes() {
        let check = |kind, fields: Value, expect: &str| assert_eq!(said(kind, fields), expect);
        check(
            "step_entered",
            json!({"step": "tap", "from": "setup"}),
            "step tap entered from setup",
        );
        check("step_entered", json!({"step": "setup", "from": ""}), "step setup entered");
        check("step_entered", json!({}), "step entered");
        check(
            "rollback_asked",
            json!({"by": "ann", "reason": "", "from": "reads", "accept_loss": "false"}),
            "rollback asked by ann at step reads",
        );
        check("held", json!({"by": "ann", "why": ""}), "held by ann");
        check(
            "cleaned_up",
            json!({"side": "source", "removed": []}),
            "nothing of ours was left on the source",
        );
        check(
            "cleaned_up",
            json!({"side": "source", "removed": ["a", "b"]}),
            "removed from the source: a, b",
        );
        check("something_new", json!({"a": 1, "b": ""}), "something new a 1");
    }
}
