//! Tokens: who may do what.
//!
//! A secret is `exo_<id>_<random>`; only the hash of the whole is stored. The random part has 256
//! bits, so a plain hash is enough and a slow one would only help an attacker load the server.

use std::sync::Arc;

use api::{IssuedToken, NewToken, Problem, Role, Token, Verb, Whoami};
use serde::{Deserialize, Serialize};
use store::{Batch, Change, Kind, NewAudit, Store};
use subtle::ConstantTimeEq;

use crate::clock::{now_ms, rfc3339};

/// Most tokens a server keeps.
const TOKENS_MAX: usize = 1_000;

/// Somebody whose token was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Id of the token.
    pub token_id: String,
    /// Name of the token; what the audit log says.
    pub name: String,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The only migrations it may touch; empty means all.
    pub migrations: Vec<String>,
}

impl Caller {
    /// Whether it may see and touch this migration.
    #[must_use]
    pub fn reaches(&self, migration: &str) -> bool {
        self.migrations.is_empty() || self.migrations.iter().any(|m| m == migration)
    }

    /// Whether it may use this verb on this migration.
    ///
    /// # Errors
    /// `EXO-API-403` with the roles that would do.
    pub fn may(&self, verb: Verb, migration: &str) -> Result<(), Problem> {
        if self.reaches(migration) && verb.permits(&self.roles) {
            return Ok(());
        }
        let needed: Vec<_> = verb.info().roles.iter().map(|r| r.as_str()).collect();
        Err(Problem::new(
            "EXO-API-403",
            format!(
                "{} may not use {} on {migration}; that takes {} or admin",
                self.name,
                verb.as_str(),
                needed.join(", ")
            ),
        ))
    }

    /// Whether it may manage the server.
    ///
    /// # Errors
    /// `EXO-API-403`.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        if self.roles.contains(&Role::Admin) && self.migrations.is_empty() {
            return Ok(());
        }
        Err(Problem::new("EXO-API-403", format!("{} is not an unscoped admin", self.name)))
    }

    /// As shown.
    #[must_use]
    pub fn whoami(&self) -> Whoami {
        Whoami {
            name: self.name.clone(),
            roles: self.roles.clone(),
            migrations: self.migrations.clone(),
        }
    }
}

/// A token as it is stored.
#[derive(Serialize, Deserialize)]
struct TokenDoc {
    name: String,
    roles: Vec<Role>,
    migrations: Vec<String>,
    created_ms: u64,
    expires_ms: Option<u64>,
    hash: [u8; 32],
}

impl TokenDoc {
    fn shown(&self, id: &str) -> Token {
        Token {
            id: id.to_owned(),
            name: self.name.clone(),
            roles: self.roles.clone(),
            migrations: self.migrations.clone(),
            created: rfc3339(self.created_ms),
            expires: self.expires_ms.map(rfc3339),
        }
    }
}

/// The tokens of a server.
#[derive(Clone)]
pub struct People {
    store: Arc<dyn Store>,
}

impl People {
    /// Over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Makes the first admin token when there is no token at all; the secret is returned once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn first_admin(&self) -> Result<Option<String>, Problem> {
        let any = self.store.list(Kind::Token, Some(""), None, 1).await.map_err(store_problem)?;
        if !any.is_empty() {
            return Ok(None);
        }
        let wanted = NewToken {
            name: "admin".to_owned(),
            roles: vec![Role::Admin],
            migrations: Vec::new(),
            expires_in_s: None,
        };
        Ok(Some(self.issue(wanted, "exodus").await?.secret))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `EXO-API-422` without name or roles, or the store's.
    pub async fn issue(&self, wanted: NewToken, by: &str) -> Result<IssuedToken, Problem> {
        if wanted.name.trim().is_empty() || wanted.name.len() > 100 || wanted.roles.is_empty() {
            return Err(Problem::new(
                "EXO-API-422",
                "a token needs a name of 1 to 100 bytes and at least one role",
            ));
        }
        let kept = self.list().await?.len();
        if kept >= TOKENS_MAX {
            return Err(Problem::new("EXO-API-409", format!("{kept} tokens exist; revoke some")));
        }
        let id = random_hex::<6>()?;
        let secret = format!("exo_{id}_{}", random_hex::<32>()?);
        let now = now_ms();
        let doc = TokenDoc {
            name: wanted.name,
            roles: wanted.roles,
            migrations: wanted.migrations,
            created_ms: now,
            expires_ms: wanted.expires_in_s.map(|s| now.saturating_add(s.saturating_mul(1_000))),
            hash: *blake3::hash(secret.as_bytes()).as_bytes(),
        };
        let body = serde_json::to_vec(&doc).map_err(internal)?;
        let audit = self.audit(by, "token_issue", &id, &doc.name);
        let put = Change::put(Kind::Token, "", &id, body);
        self.store.commit(Batch::decision(vec![put, audit])).await.map_err(store_problem)?;
        Ok(IssuedToken { token: doc.shown(&id), secret })
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// `EXO-API-404`, or the store's.
    pub async fn revoke(&self, id: &str, by: &str) -> Result<Token, Problem> {
        let doc = self.load(id).await?.ok_or_else(|| {
            Problem::new("EXO-API-404", format!("there is no token {id}")).fix("exodus token list")
        })?;
        let audit = self.audit(by, "token_revoke", id, &doc.name);
        let delete = Change::delete(Kind::Token, "", id);
        self.store.commit(Batch::decision(vec![delete, audit])).await.map_err(store_problem)?;
        Ok(doc.shown(id))
    }

    /// Every token, without secrets.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<Token>, Problem> {
        let docs = self
            .store
            .list(Kind::Token, Some(""), None, TOKENS_MAX)
            .await
            .map_err(store_problem)?;
        docs.iter().map(|d| Ok(decode(&d.body)?.shown(&d.id))).collect()
    }

    /// Whose secret this is, if anybody's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn authenticate(&self, secret: &str) -> Result<Option<Caller>, Problem> {
        let Some(id) = secret.strip_prefix("exo_").and_then(|s| s.split_once('_')).map(|s| s.0)
        else {
            return Ok(None);
        };
        let Some(doc) = self.load(id).await? else { return Ok(None) };
        let given = blake3::hash(secret.as_bytes());
        let same: bool = given.as_bytes()[..].ct_eq(&doc.hash[..]).into();
        Ok(same.then(|| live(id, doc)).flatten())
    }

    /// The holder of a token that was authenticated before, if it is still good.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn by_id(&self, id: &str) -> Result<Option<Caller>, Problem> {
        Ok(self.load(id).await?.and_then(|doc| live(id, doc)))
    }

    async fn load(&self, id: &str) -> Result<Option<TokenDoc>, Problem> {
        let doc = self.store.get(Kind::Token, "", id).await.map_err(store_problem)?;
        doc.map(|d| decode(&d.body)).transpose()
    }

    fn audit(&self, actor: &str, action: &str, id: &str, name: &str) -> Change {
        Change::Audit(NewAudit {
            scope: String::new(),
            at_ms: now_ms(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            reason: String::new(),
            payload: serde_json::json!({ "token": id, "name": name }).to_string(),
        })
    }
}

fn live(id: &str, doc: TokenDoc) -> Option<Caller> {
    doc.expires_ms.is_none_or(|at| at > now_ms()).then(|| Caller {
        token_id: id.to_owned(),
        name: doc.name,
        roles: doc.roles,
        migrations: doc.migrations,
    })
}

fn decode(body: &[u8]) -> Result<TokenDoc, Problem> {
    serde_json::from_slice(body).map_err(internal)
}

/// `N` random bytes as hex.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn random_hex<const N: usize>() -> Result<String, Problem> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(internal)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

pub(crate) fn internal(error: impl std::fmt::Display) -> Problem {
    Problem::new("EXO-API-500", error.to_string())
}

/// A store's failure as an answer.
pub(crate) fn store_problem(error: store::StoreError) -> Problem {
    Problem::new("EXO-API-503", error.to_string())
        .fix(format!("exodus explain {}", error.code()))
        .impact("nothing was changed; traffic is not affected")
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::MemoryStore;

    fn people() -> People {
        People::new(Arc::new(MemoryStore::new()))
    }

    fn wanted(expires_in_s: Option<u64>) -> NewToken {
        NewToken {
            name: "ann".to_owned(),
            roles: vec![Role::Operator],
            migrations: vec!["m".to_owned()],
            expires_in_s,
        }
    }

    #[tokio::test]
    async fn a_secret_is_good_until_revoked() {
        let people = people();
        let issued = people.issue(wanted(None), "t").await.unwrap();
        let caller = people.authenticate(&issued.secret).await.unwrap().unwrap();
        assert_eq!(caller.name, "ann");
        assert!(caller.reaches("m") && !caller.reaches("other"));
        let mut wrong = issued.secret.clone();
        wrong.pop();
        assert_eq!(people.authenticate(&wrong).await.unwrap(), None);
        people.revoke(&issued.token.id, "t").await.unwrap();
        assert_eq!(people.authenticate(&issued.secret).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_expired_token_is_nobody() {
        let people = people();
        let issued = people.issue(wanted(Some(0)), "t").await.unwrap();
        assert_eq!(people.authenticate(&issued.secret).await.unwrap(), None);
        assert_eq!(people.by_id(&issued.token.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn only_an_empty_server_makes_an_admin() {
        let people = people();
        assert!(people.first_admin().await.unwrap().is_some());
        assert!(people.first_admin().await.unwrap().is_none());
    }

    /// Every role against every verb: exactly what the table of verbs says.
    #[test]
    fn rights_follow_the_table() {
        for verb in Verb::ALL {
            for role in Role::ALL {
                let caller = Caller {
                    token_id: String::new(),
                    name: "x".to_owned(),
                    roles: vec![*role],
                    migrations: vec!["m".to_owned()],
                };
                let expected = *role == Role::Admin || verb.info().roles.contains(role);
                assert_eq!(caller.may(*verb, "m").is_ok(), expected, "{role:?} {verb:?}");
                assert!(caller.may(*verb, "other").is_err(), "{role:?} {verb:?}");
            }
        }
    }
}
