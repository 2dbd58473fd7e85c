//! Dashboard logins: a token is exchanged for a cookie that scripts of other origins cannot use.

use std::net::SocketAddr;

use api::{Envelope, Login, Problem, Whoami};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{COOKIE, Known, by_secret, cookie};
use super::answer::{Sorry, body, plain};
use super::app::{App, Session};
use crate::clock::now_ms;
use crate::people::random_hex;

/// How long a login lasts, in seconds.
const SESSION_S: u64 = 12 * 3_600;
/// Logins at a time; the one that ends first is ended early beyond that.
const SESSIONS_MAX: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(whoami)).routes(routes!(login)).routes(routes!(logout))
}

/// Who the token belongs to.
#[utoipa::path(get, path = "/api/v1/whoami", responses((status = 200, body = Envelope<Whoami>), (status = 401, body = Problem)))]
async fn whoami(Known(caller): Known) -> Json<Envelope<Whoami>> {
    plain(caller.whoami())
}

/// Exchanges a token for a session cookie.
#[utoipa::path(post, path = "/api/v1/login", request_body = Login, responses((status = 200, body = Envelope<Whoami>), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn login(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    bytes: Bytes,
) -> Result<Response, Sorry> {
    let login: Login = body(&bytes)?;
    let caller = by_secret(&app, &login.token, peer.ip()).await?;
    let id = random_hex::<32>()?;
    let now = now_ms();
    {
        let mut sessions = app.sessions.lock();
        sessions.retain(|_, s| s.expires_ms > now);
        if sessions.len() >= SESSIONS_MAX
            && let Some(first) =
                sessions.iter().min_by_key(|(_, s)| s.expires_ms).map(|(k, _)| k.clone())
        {
            sessions.remove(&first);
        }
        sessions.insert(
            id.clone(),
            Session { token_id: caller.token_id.clone(), expires_ms: now + SESSION_S * 1_000 },
        );
    }
    let set = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={SESSION_S}");
    Ok(([(header::SET_COOKIE, set)], plain(caller.whoami())).into_response())
}

/// Ends the session.
#[utoipa::path(post, path = "/api/v1/logout", responses((status = 200, body = Envelope<Whoami>)))]
async fn logout(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Some(id) = cookie(&headers) {
        app.sessions.lock().remove(&id);
    }
    let nobody = Whoami { name: String::new(), roles: Vec::new(), migrations: Vec::new() };
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(header::SET_COOKIE, gone)], plain(nobody)).into_response()
}
