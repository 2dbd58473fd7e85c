use axum::extract::{Path, Query, State};
use axum::http::header;
use serde::Deserialize;

use super::App;
use super::access::Of;
use super::answer::{Answer, Refusal, about, text};
use crate::{bundle, reports};

pub(super) async fn runbook(of: Of) -> Answer {
    Ok(text("text/markdown; charset=utf-8", reports::runbook(&of.migration)))
}

#[derive(Deserialize)]
pub(super) struct Form {
    format: Option<String>,
}

pub(super) async fn report(
    Path(path): Path<std::collections::HashMap<String, String>>,
    of: Of,
    Query(form): Query<Form>,
) -> Answer {
    let kind = path.get("kind").map_or("", String::as_str);
    if !matches!(kind, "assessment" | "final") {
        return Err(Refusal::new("EXO-API-404", "reports are `assessment` and `final`"));
    }
    let report = reports::report(&of.migration, kind).await?;
    match form.format.as_deref() {
        Some("html") => Ok(text("text/html; charset=utf-8", reports::html(&report))),
        _ => about(&of.migration, report),
    }
}

pub(super) async fn bundle(State(app): State<App>, of: Of) -> Answer {
    let bytes = bundle::build(&app.server, &of.migration).await?;
    let mut answer = text("application/x-tar", bytes);
    let name = format!("attachment; filename=\"exodus-{}.tar\"", of.migration.world.id);
    if let Ok(value) = name.parse() {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}
