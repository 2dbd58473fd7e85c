//! What decides how a server answers: who, in which database, with which settings from the start.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::scram::Keys;

/// The key of server connections. Cheap to clone; secrets are wiped with the last clone and
/// never printed.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Identity(pub(super) Kind);

#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Has not said yet who it is.
    #[default]
    Nobody,
    /// The worker's account, on a connection whose whole opening is ours.
    Worker(Arc<Login>),
    /// A client on its own connection: from AuthenticationOk on the opening is its own.
    Client(Arc<Login>),
    /// A client's reads on a connection that others share.
    Reader(Arc<Login>),
    /// Not a session: cancels what another one is doing.
    Cancel(Arc<Backend>),
}

/// A server's process and what cancels its statement.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) pid: u32,
    pub(super) key: Zeroizing<Vec<u8>>,
}

impl Hash for Backend {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pid.hash(state);
    }
}

/// Who logs in, and how.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Vec<u8>,
    pub(super) database: Vec<u8>,
    /// Further startup parameters in the order they came.
    pub(super) parameters: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) secret: Secret,
}

impl Hash for Login {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The secret stays out of the hash; equality looks at it.
        (&self.user, &self.database, &self.parameters).hash(state);
    }
}

/// What proves who logs in.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) enum Secret {
    /// Nothing: the server has to let it in as it is.
    #[default]
    Nothing,
    Password(Zeroizing<Vec<u8>>),
    /// From the client's own proof.
    Keys(Keys),
    /// `md5…` as a server stores it: enough to answer its challenge.
    Md5(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, login) = match &self.0 {
            Kind::Nobody => ("Nobody", None),
            Kind::Worker(login) => ("Worker", Some(login)),
            Kind::Client(login) => ("Client", Some(login)),
            Kind::Reader(login) => ("Reader", Some(login)),
            Kind::Cancel(_) => ("Cancel", None),
        };
        let user = login.map(|l| l.user.escape_ascii().to_string());
        f.debug_struct(kind).field("user", &user).finish_non_exhaustive()
    }
}
