//! Problem documents of the server, turned into errors for people.

use serde_json::Value;

use crate::error::Failure;
use crate::exit::Exit;

/// The error behind an answer that is not a success.
pub(crate) fn failure(
    base: &str,
    path: &str,
    status: u16,
    body: &[u8],
    had_token: bool,
) -> Failure {
    let problem: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |name: &str| problem.get(name).and_then(Value::as_str).map(Box::<str>::from);
    let Some(code) = text("code") else {
        return foreign(base, path, status, had_token);
    };
    let what =
        text("detail").or_else(|| text("title")).unwrap_or_else(|| format!("HTTP {status}").into());
    Failure {
        code,
        what,
        at: text("at").or_else(|| text("instance")),
        impact: text("impact"),
        fix: text("fix"),
        exit: exit(status, &problem),
    }
}

/// The exit code of a refusal: what the server names, else what its status means.
fn exit(status: u16, problem: &Value) -> Exit {
    match problem.get("kind").and_then(Value::as_str) {
        Some("blockers") => return Exit::Blockers,
        Some("gate") => return Exit::Gate,
        Some("open") => return Exit::Open,
        _ => {}
    }
    match status {
        400 | 404 | 405 | 413 | 415 | 422 => Exit::Usage,
        401 | 403 | 429 => Exit::Denied,
        408 | 504 => Exit::TimedOut,
        409 | 412 | 423 | 428 => Exit::Refused,
        502 | 503 => Exit::Unreachable,
        _ => Exit::Internal,
    }
}

/// An answer without our code: something else listens there, or a token is missing.
fn foreign(base: &str, path: &str, status: u16, had_token: bool) -> Failure {
    if matches!(status, 401 | 403) {
        let what = if had_token { "the token is not accepted" } else { "no token was given" };
        return Failure::new("EXO-CLI-005", Exit::Denied, what)
            .at(base)
            .impact("nothing was changed")
            .fix("export EXODUS_TOKEN=…, or --state-dir with the server's state folder");
    }
    let what = format!("the server answered HTTP {status} without an error document");
    Failure::new("EXO-CLI-004", exit(status, &Value::Null), what)
        .at(format!("{base}{path}"))
        .impact("nothing is known to have changed")
        .fix("check that the address is an Exodus server: curl -s <address>/healthz")
}
