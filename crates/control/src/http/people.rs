use api::{CodePage, IssuedToken, Login, NewToken, Whoami};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use serde_json::json;
use std::net::SocketAddr;
use store::{Batch, Change, NewAudit};

use super::App;
use super::access::{COOKIE, Who, cookie};
use super::answer::{Answer, Body, Refusal, plain};
use crate::auth::{Denied, Identity};

/// Longest name of a token.
const NAME_MAX: usize = 64;

fn whoami_of(identity: &Identity) -> Whoami {
    Whoami {
        name: identity.name.clone(),
        roles: identity.roles.clone(),
        migrations: identity.migrations.clone(),
    }
}

pub(super) async fn whoami(who: Who) -> Answer {
    plain(whoami_of(&who.0))
}

pub(super) async fn login(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Body(login): Body<Login>,
) -> Answer {
    let identity = app.server.tokens.identify(login.token.trim(), Some(peer.ip()));
    let identity = identity.map_err(|denied| match denied {
        Denied::TooMany => Refusal::new("EXO-API-429", "too many failed attempts"),
        Denied::Unknown => Refusal::new("EXO-API-401", "the token is unknown, expired or revoked"),
    })?;
    let session = app.server.tokens.open_session(&identity);
    let mut answer = plain(whoami_of(&identity))?;
    let cookie = format!("{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(answer)
}

pub(super) async fn logout(State(app): State<App>, headers: HeaderMap) -> Answer {
    if let Some(session) = cookie(&headers) {
        app.server.tokens.close_session(session);
    }
    let nobody = Whoami { name: String::new(), roles: Vec::new(), migrations: Vec::new() };
    let mut answer = plain(nobody)?.into_response();
    let gone = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    if let Ok(value) = HeaderValue::from_str(&gone) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(answer)
}

pub(super) async fn verbs(_: Who) -> Answer {
    plain(api::VERBS)
}

pub(super) async fn codes(_: Who) -> Answer {
    plain(api::CODES)
}

pub(super) async fn code(_: Who, Path(code): Path<String>) -> Answer {
    let page = crate::pages::page(&code);
    let markdown =
        page.ok_or_else(|| Refusal::new("EXO-API-404", format!("there is no code `{code}`")))?;
    plain(CodePage { code, markdown })
}

pub(super) async fn tokens(State(app): State<App>, who: Who) -> Answer {
    who.admin()?;
    plain(app.server.tokens.list())
}

async fn audit(app: &App, who: &Who, action: &str, about: &api::Token) -> Result<(), Refusal> {
    let entry = NewAudit {
        scope: String::new(),
        at_ms: app.server.common.clock.now_ms(),
        actor: who.0.name.clone(),
        action: action.to_owned(),
        reason: String::new(),
        payload: json!({ "id": about.id, "name": about.name, "roles": about.roles }).to_string(),
    };
    app.server.common.store.commit(Batch::decision(vec![Change::Audit(entry)])).await?;
    Ok(())
}

pub(super) async fn issue(
    State(app): State<App>,
    who: Who,
    Body(body): Body<serde_json::Value>,
) -> Answer {
    who.admin()?;
    let new: NewToken =
        serde_json::from_value(body).map_err(|e| Refusal::new("EXO-API-422", e.to_string()))?;
    let name = new.name.trim();
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Refusal::new("EXO-API-422", "`name` is 1 to 64 printable letters"));
    }
    if new.roles.is_empty() {
        return Err(Refusal::new("EXO-API-422", "`roles` names at least one role"));
    }
    let (token, secret) = app.server.tokens.issue(&new).await?;
    audit(&app, &who, "token_issued", &token).await?;
    plain(IssuedToken { token, secret })
}

pub(super) async fn revoke(State(app): State<App>, who: Who, Path(token): Path<String>) -> Answer {
    who.admin()?;
    let revoked = app.server.tokens.revoke(&token).await?;
    let token = revoked
        .ok_or_else(|| Refusal::new("EXO-API-404", format!("there is no token `{token}`")))?;
    audit(&app, &who, "token_revoked", &token).await?;
    plain(token)
}
