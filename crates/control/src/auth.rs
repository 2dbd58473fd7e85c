//! Tokens: who may ask for what. A token is shown once and kept as a hash; looking one up takes
//! the same time whether its secret is right or wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use api::{NewToken, Role, Token};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use store::{Batch, Change, Kind, Store, StoreError};
use subtle::ConstantTimeEq;

use crate::clock::{Clock, rfc3339};

/// Failed attempts per address and minute.
const FAILURES_MAX: u32 = 20;
/// Addresses remembered for that.
const ADDRESSES_MAX: usize = 10_000;
/// The first token's name.
const ADMIN: &str = "admin";

/// Every token of a server.
pub(crate) struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    known: RwLock<BTreeMap<String, TokenDoc>>,
    sessions: Mutex<BTreeMap<String, String>>,
    failures: Mutex<BTreeMap<IpAddr, (u64, u32)>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TokenDoc {
    name: String,
    roles: Vec<Role>,
    migrations: Vec<String>,
    created_ms: u64,
    expires_ms: Option<u64>,
    /// blake3 of the secret, hex. The secret has 256 random bits, so a fast hash is enough.
    hash: String,
}

/// Somebody with a valid token.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) token: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    /// Empty = all.
    pub(crate) migrations: Vec<String>,
}

impl Identity {
    /// Whether it may see this migration.
    pub(crate) fn reaches(&self, migration: &str) -> bool {
        self.migrations.is_empty() || self.migrations.iter().any(|m| m == migration)
    }
}

/// Why nobody was identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Unknown,
    TooMany,
}

/// Random bytes as hex.
pub(crate) fn random_hex(bytes: usize) -> String {
    use std::fmt::Write;
    let mut raw = vec![0; bytes];
    getrandom::fill(&mut raw).expect("the operating system has randomness");
    raw.iter().fold(String::with_capacity(bytes * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

impl Tokens {
    /// Reads the tokens; makes the first one when there is none, and leaves it beside the store
    /// for the local operator.
    pub(crate) async fn load(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        state_dir: &Path,
    ) -> anyhow::Result<Self> {
        let mut known = BTreeMap::new();
        for doc in store.list(Kind::Token, Some(""), None, 100_000).await? {
            known.insert(doc.id, serde_json::from_slice(&doc.body)?);
        }
        let tokens = Self {
            store,
            clock,
            known: RwLock::new(known),
            sessions: Mutex::default(),
            failures: Mutex::default(),
        };
        if tokens.known.read().is_empty() {
            let new = NewToken {
                name: ADMIN.to_owned(),
                roles: vec![Role::Admin],
                migrations: Vec::new(),
                expires_in_s: None,
            };
            let (_, secret) = tokens.issue(&new).await?;
            let path = state_dir.join("admin.token");
            write_private(&path, &secret)?;
            tracing::warn!(path = %path.display(), "first start: the admin token was written there");
        }
        Ok(tokens)
    }

    /// Makes a token. The secret is not kept.
    pub(crate) async fn issue(&self, new: &NewToken) -> Result<(Token, String), StoreError> {
        let (id, secret) = (random_hex(6), random_hex(32));
        let now = self.clock.now_ms();
        let doc = TokenDoc {
            name: new.name.clone(),
            roles: new.roles.clone(),
            migrations: new.migrations.clone(),
            created_ms: now,
            expires_ms: new.expires_in_s.map(|s| now.saturating_add(s.saturating_mul(1_000))),
            hash: hash(&secret),
        };
        let body = serde_json::to_vec(&doc).expect("a token's fields are text and numbers");
        let put = Change::put(Kind::Token, "", &id, body);
        self.store.commit(Batch::decision(vec![put])).await?;
        self.known.write().insert(id.clone(), doc.clone());
        Ok((shown(&id, &doc), format!("exo_{id}_{secret}")))
    }

    /// Revokes a token; none when there is no such.
    pub(crate) async fn revoke(&self, id: &str) -> Result<Option<Token>, StoreError> {
        let Some(doc) = self.known.read().get(id).cloned() else { return Ok(None) };
        let gone = Change::delete(Kind::Token, "", id);
        self.store.commit(Batch::decision(vec![gone])).await?;
        self.known.write().remove(id);
        self.sessions.lock().retain(|_, token| token != id);
        Ok(Some(shown(id, &doc)))
    }

    /// Every token, without secrets.
    pub(crate) fn list(&self) -> Vec<Token> {
        self.known.read().iter().map(|(id, doc)| shown(id, doc)).collect()
    }

    /// Who a bearer token belongs to.
    pub(crate) fn identify(&self, bearer: &str, from: Option<IpAddr>) -> Result<Identity, Denied> {
        let now = self.clock.now_ms();
        if from.is_some_and(|ip| self.blocked(ip, now)) {
            return Err(Denied::TooMany);
        }
        match self.check(bearer, now) {
            Some(identity) => Ok(identity),
            None => {
                if let Some(ip) = from {
                    self.count_failure(ip, now);
                }
                Err(Denied::Unknown)
            }
        }
    }

    fn check(&self, bearer: &str, now: u64) -> Option<Identity> {
        let mut parts = bearer.strip_prefix("exo_").unwrap_or_default().splitn(2, '_');
        let (id, secret) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let given = hash(secret);
        let known = self.known.read();
        let doc = known.get(id);
        let nobody = "0".repeat(64);
        let expected = doc.map_or(nobody.as_str(), |d| d.hash.as_str());
        let right = bool::from(given.as_bytes().ct_eq(expected.as_bytes()));
        let doc = doc.filter(|d| right && d.expires_ms.is_none_or(|at| at > now))?;
        Some(identity(id, doc))
    }

    fn blocked(&self, ip: IpAddr, now: u64) -> bool {
        let failures = self.failures.lock();
        failures.get(&ip).is_some_and(|(at, n)| *n >= FAILURES_MAX && now < at + 60_000)
    }

    fn count_failure(&self, ip: IpAddr, now: u64) {
        let mut failures = self.failures.lock();
        failures.retain(|_, (at, _)| now < *at + 60_000);
        if failures.len() < ADDRESSES_MAX || failures.contains_key(&ip) {
            failures.entry(ip).or_insert((now, 0)).1 += 1;
        }
    }

    /// Opens a browser session for an identity.
    pub(crate) fn open_session(&self, identity: &Identity) -> String {
        let id = random_hex(32);
        self.sessions.lock().insert(id.clone(), identity.token.clone());
        id
    }

    pub(crate) fn close_session(&self, session: &str) {
        self.sessions.lock().remove(session);
    }

    /// Who a browser session belongs to.
    pub(crate) fn session(&self, session: &str) -> Option<Identity> {
        let token = self.sessions.lock().get(session).cloned()?;
        let known = self.known.read();
        let now = self.clock.now_ms();
        let doc = known.get(&token).filter(|d| d.expires_ms.is_none_or(|at| at > now))?;
        Some(identity(&token, doc))
    }
}

fn identity(id: &str, doc: &TokenDoc) -> Identity {
    Identity {
        token: id.to_owned(),
        name: doc.name.clone(),
        roles: doc.roles.clone(),
        migrations: doc.migrations.clone(),
    }
}

fn shown(id: &str, doc: &TokenDoc) -> Token {
    Token {
        id: id.to_owned(),
        name: doc.name.clone(),
        roles: doc.roles.clone(),
        migrations: doc.migrations.clone(),
        created: rfc3339(doc.created_ms),
        expires: doc.expires_ms.map(rfc3339),
    }
}

fn hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// A file that only its owner can read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let _ = std::fs::remove_file(path);
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    async fn tokens(directory: &Path) -> Tokens {
        let store: Arc<dyn Store> = Arc::new(store::MemoryStore::new());
        Tokens::load(store, Arc::new(SystemClock::default()), directory).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_token_is_left_private_and_works() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(directory.path()).await;
        let path = directory.path().join("admin.token");
        let secret = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let identity = tokens.identify(secret.trim(), None).unwrap();
        assert_eq!((identity.name.as_str(), identity.roles), ("admin", vec![Role::Admin]));
        let stored = tokens.store.list(Kind::Token, Some(""), None, 9).await.unwrap();
        let kept = String::from_utf8(stored[0].body.clone()).unwrap();
        assert!(!kept.contains(secret.trim().rsplit('_').next().unwrap()), "the secret is kept");
    }

    #[tokio::test]
    async fn wrong_expired_and_revoked_tokens_are_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(directory.path()).await;
        let mut new = NewToken {
            name: "ann".into(),
            roles: vec![Role::Operator],
            migrations: vec!["m".into()],
            expires_in_s: None,
        };
        let (token, secret) = tokens.issue(&new).await.unwrap();
        let ann = tokens.identify(&secret, None).unwrap();
        assert!(ann.reaches("m") && !ann.reaches("n"));
        let session = tokens.open_session(&ann);
        assert!(tokens.session(&session).is_some());
        for wrong in ["", "exo_", "exo_x_y", &secret[..secret.len() - 1], &format!("{secret}0")] {
            assert_eq!(tokens.identify(wrong, None).unwrap_err(), Denied::Unknown, "{wrong}");
        }
        tokens.revoke(&token.id).await.unwrap().unwrap();
        assert!(tokens.identify(&secret, None).is_err() && tokens.session(&session).is_none());
        new.expires_in_s = Some(0);
        let (_, expired) = tokens.issue(&new).await.unwrap();
        assert!(tokens.identify(&expired, None).is_err());
    }

    #[tokio::test]
    async fn attempts_are_limited_per_address() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(directory.path()).await;
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        for _ in 0..FAILURES_MAX {
            assert_eq!(tokens.identify("no", Some(ip)).unwrap_err(), Denied::Unknown);
        }
        assert_eq!(tokens.identify("no", Some(ip)).unwrap_err(), Denied::TooMany);
        let other = "10.0.0.2".parse().ok();
        assert_eq!(tokens.identify("no", other).unwrap_err(), Denied::Unknown);
    }
}
