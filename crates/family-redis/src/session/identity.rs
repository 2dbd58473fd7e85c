//! What decides how a server answers: account, database, protocol version.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use zeroize::Zeroizing;

/// The key of shared server connections. Cheap to clone; the secret is wiped with the last
/// clone and never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity {
    login: Option<Arc<Login>>,
    db: u16,
    resp3: bool,
}

#[derive(PartialEq, Eq)]
struct Login {
    /// `None` is the form without a name, for the server's default user.
    user: Option<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// The same, logged in.
    #[must_use]
    pub fn with_login(mut self, user: Option<&[u8]>, password: &[u8]) -> Self {
        self.login = Some(Arc::new(Login {
            user: user.map(<[u8]>::to_vec),
            password: Zeroizing::new(password.to_vec()),
        }));
        self
    }

    pub(super) fn with_db(mut self, db: u16) -> Self {
        self.db = db;
        self
    }

    pub(super) fn with_resp3(mut self, resp3: bool) -> Self {
        self.resp3 = resp3;
        self
    }

    pub(super) const fn db(&self) -> u16 {
        self.db
    }

    pub(super) const fn resp3(&self) -> bool {
        self.resp3
    }

    /// The account's name and secret.
    pub(super) fn login(&self) -> Option<(Option<&[u8]>, &[u8])> {
        self.login.as_ref().map(|l| (l.user.as_deref(), l.password.as_slice()))
    }

    pub(super) fn user(&self) -> Option<String> {
        let user = self.login.as_ref()?.user.as_deref().unwrap_or(b"default");
        Some(String::from_utf8_lossy(user).into_owned())
    }
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The secret stays out of the hash; equality looks at it.
        self.login.as_ref().map(|l| &l.user).hash(state);
        self.db.hash(state);
        self.resp3.hash(state);
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("user", &self.user())
            .field("db", &self.db)
            .field("resp3", &self.resp3)
            .finish_non_exhaustive()
    }
}
