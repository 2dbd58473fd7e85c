//! The dashboard, embedded in the binary.

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::answer::Sorry;
use super::app::App;

#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
struct Files;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/", get(index)).route("/assets/{*path}", get(asset))
}

async fn index() -> Response {
    file("index.html")
}

async fn asset(Path(path): Path<String>) -> Response {
    file(&format!("assets/{path}"))
}

fn file(path: &str) -> Response {
    match Files::get(path) {
        Some(file) => {
            ([(header::CONTENT_TYPE, kind(path))], file.data.into_owned()).into_response()
        }
        None => {
            let detail = format!("this build has no {path}");
            Sorry(api::Problem::new("EXO-API-404", detail)).into_response()
        }
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
