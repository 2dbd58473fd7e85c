//! Who asks: a bearer token or the session cookie.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::Role;
use axum::extract::{ConnectInfo, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use super::App;
use super::answer::Refusal;
use crate::auth::{Denied, Identity};
use crate::migration::Migration;
use crate::verbs::Caller;

/// Name of the session cookie.
pub(super) const COOKIE: &str = "exodus_session";
/// A header that a page of another origin cannot send along.
const CSRF: &str = "x-exodus-csrf";

/// Somebody who may ask.
pub(super) struct Who(pub(super) Identity);

impl Who {
    pub(super) fn has(&self, role: Role) -> bool {
        self.0.roles.iter().any(|r| *r == role || *r == Role::Admin)
    }

    pub(super) fn admin(&self) -> Result<(), Refusal> {
        match self.has(Role::Admin) {
            true => Ok(()),
            false => Err(Refusal::new("EXO-API-403", "this needs the role admin")),
        }
    }

    pub(super) fn caller(&self) -> Caller {
        Caller { name: self.0.name.clone(), roles: self.0.roles.clone() }
    }
}

/// The address of the other end.
pub(super) fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip())
}

/// The session of the cookie header.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = all.flat_map(|v| v.split(';')).filter_map(|p| p.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

impl FromRequestParts<App> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let tokens = &app.server.tokens;
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        if let Some(bearer) = bearer.and_then(|v| v.strip_prefix("Bearer ")) {
            return match tokens.identify(bearer.trim(), peer(parts)) {
                Ok(identity) => Ok(Self(identity)),
                Err(Denied::TooMany) => {
                    Err(Refusal::new("EXO-API-429", "too many failed attempts from this address"))
                }
                Err(Denied::Unknown) => {
                    Err(Refusal::new("EXO-API-401", "the token is unknown, expired or revoked"))
                }
            };
        }
        let session = cookie(&parts.headers).and_then(|s| tokens.session(s));
        let identity =
            session.ok_or_else(|| Refusal::new("EXO-API-401", "no token and no session"))?;
        let safe = matches!(parts.method, Method::GET | Method::HEAD);
        if !safe && !parts.headers.contains_key(CSRF) {
            let detail = "a browser session needs the header X-Exodus-Csrf for this";
            return Err(Refusal::new("EXO-API-403", detail));
        }
        Ok(Self(identity))
    }
}

/// The migration of the path, if whoever asks may see it.
pub(super) struct Of {
    pub(super) who: Who,
    pub(super) migration: Arc<Migration>,
}

impl FromRequestParts<App> for Of {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let who = Who::from_request_parts(parts, app).await?;
        let path =
            Path::<std::collections::HashMap<String, String>>::from_request_parts(parts, app)
                .await
                .map_err(|e| Refusal::new("EXO-API-400", e.to_string()))?;
        let id = path.get("id").map_or("", String::as_str);
        let found = app.server.migration(id).filter(|_| who.0.reaches(id));
        let migration = found
            .ok_or_else(|| Refusal::new("EXO-API-404", format!("there is no migration `{id}`")))?;
        Ok(Self { who, migration })
    }
}
