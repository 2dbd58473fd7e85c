//! Who asks: a bearer token, or the session cookie of a dashboard login.

use std::net::SocketAddr;
use std::sync::Arc;

use api::{Problem, Role};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use super::answer::Sorry;
use super::app::App;
use crate::clock::now_ms;
use crate::desk::MigrationDesk;
use crate::people::Caller;

/// Name of the session cookie.
pub(super) const COOKIE: &str = "exodus_session";
/// A page of another origin cannot set this header without our consent, so a cookie together
/// with it is ours.
const INTENT: &str = "x-exodus-intent";

/// An authenticated caller.
pub(super) struct Known(pub(super) Caller);

impl FromRequestParts<App> for Known {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Sorry> {
        let address = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or_else(|| [0, 0, 0, 0].into(), |c| c.0.ip());
        if let Some(secret) = bearer(&parts.headers) {
            return by_secret(app, secret, address).await.map(Self);
        }
        if let Some(session) = cookie(&parts.headers) {
            let reads = matches!(parts.method, Method::GET | Method::HEAD);
            if !reads && !parts.headers.contains_key(INTENT) {
                return Err(Sorry(Problem::new(
                    "EXO-API-403",
                    format!("a session may change things only with the header {INTENT}"),
                )));
            }
            if let Some(caller) = by_session(app, &session).await? {
                return Ok(Self(caller));
            }
        }
        Err(Sorry(Problem::new("EXO-API-401", "no token was given, or the session ended")))
    }
}

/// The caller with this secret; failures are counted per address.
pub(super) async fn by_secret(
    app: &App,
    secret: &str,
    address: std::net::IpAddr,
) -> Result<Caller, Sorry> {
    if app.attempts.exhausted(address, now_ms()) {
        return Err(Sorry(Problem::new(
            "EXO-API-429",
            format!("too many wrong tokens from {address}"),
        )));
    }
    match app.people.authenticate(secret).await? {
        Some(caller) => Ok(caller),
        None => {
            app.attempts.failed(address, now_ms());
            Err(Sorry(Problem::new("EXO-API-401", "the token is wrong, expired or revoked")))
        }
    }
}

async fn by_session(app: &App, session: &str) -> Result<Option<Caller>, Sorry> {
    let found = app.sessions.lock().get(session).cloned();
    match found {
        Some(s) if s.expires_ms > now_ms() => Ok(app.people.by_id(&s.token_id).await?),
        _ => Ok(None),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The session id in the cookies, if any.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|c| c.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::to_owned))
}

/// The migration, if it exists and the caller may see it. Both answers are the same otherwise,
/// so that a scoped token cannot list what it may not see.
pub(super) fn reach(app: &App, caller: &Caller, id: &str) -> Result<Arc<dyn MigrationDesk>, Sorry> {
    let found = caller.reaches(id).then(|| app.migration(id)).flatten();
    found.ok_or_else(|| {
        Sorry(
            Problem::new("EXO-API-404", format!("there is no migration {id}"))
                .fix("exodus migration list"),
        )
    })
}

/// Whether the caller may read everything of the server, unscoped.
pub(super) fn unscoped(caller: &Caller) -> Result<(), Sorry> {
    if caller.migrations.is_empty() && !caller.roles.iter().all(|r| *r == Role::Agent) {
        return Ok(());
    }
    Err(Sorry(Problem::new("EXO-API-403", format!("{} is scoped to migrations", caller.name))))
}
