//! The hot path: clients as their interlay sees them.
//!
//! Constraints: sans-IO; bytes are forwarded as received; nothing here is a security boundary
//! but `door`: behind it a client's own role is what the server sees, on either side. One server
//! session per client session, so that whatever a statement leaves behind is where the next one
//! finds it.
//!
//! Layout: `door` lets a client in (`scram` and `login` prove passwords, to us and to servers),
//! `front` cuts its input into requests, `client` says what each means for its state, `statement`
//! what it does, `local` is what is said in a server's place, `upstream` one server connection,
//! `expect` how replies are recognised, `registry` the keys to cancel with, `identity` what
//! connections are keyed by, `carry` takes a session from one server to another, `compare` when
//! two replies are equal.

mod carry;
mod client;
mod compare;
mod door;
mod expect;
mod front;
mod identity;
mod local;
mod login;
mod registry;
mod scram;
mod statement;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;

use family::{
    ClientError, EndpointSpec, Expect, Offer, Opening, PortError, Protocol, TlsMode, Verdict,
};
use wire_postgres::encode::Severity;
use wire_postgres::limits::TLS_HANDSHAKE;
use wire_postgres::startup::{GSSENC_CODE, SSL_CODE};
use zeroize::Zeroizing;

pub use client::PostgresSession;
pub use identity::Identity;
pub use upstream::PostgresUpstream;

use crate::analysis::Analyzer;
use identity::{Kind, Login, Secret};
use scram::Verifier;

/// The name of the protocol in a TLS handshake: RFC 7301's registry.
const ALPN: &[u8] = b"postgresql";
/// SSLRequest.
const SSL_REQUEST: [u8; 8] = request(SSL_CODE);

const fn request(code: u32) -> [u8; 8] {
    let [a, b, c, d] = code.to_be_bytes();
    [0, 0, 0, 8, a, b, c, d]
}

/// What an operator decides about clients.
#[derive(Clone, Default)]
pub struct ProtocolOptions {
    /// Clients that do not ask for TLS are turned away.
    pub tls_required: bool,
    /// A role without a stored password is let in when the server asks for none. Whoever reaches
    /// the interlay is then whom the server takes the interlay for.
    pub trusts: bool,
    /// Roles and passwords, for where stored passwords cannot be read: clients are checked
    /// against them, and logged in onward with them.
    pub credentials: HashMap<String, Arc<str>>,
    /// What judges the statements of clients, by database. Without one, or while it has no
    /// catalog, every statement counts as a write.
    pub analyzers: HashMap<String, Arc<Analyzer>>,
}

/// The hot path of PostgreSQL and compatible systems.
#[derive(Clone)]
pub struct PostgresProtocol {
    shared: Arc<Shared>,
}

/// What all clients of an interlay share.
struct Shared {
    options: ProtocolOptions,
    mapped: HashMap<Vec<u8>, (Verifier, Zeroizing<Vec<u8>>)>,
    /// Makes up verifiers for roles that have none.
    mock_secret: scram::Key,
    registry: Arc<registry::Registry>,
}

impl Shared {
    fn mapped(&self, user: &[u8]) -> Option<&(Verifier, Zeroizing<Vec<u8>>)> {
        self.mapped.get(user)
    }
}

impl PostgresProtocol {
    /// One interlay's protocol.
    #[must_use]
    pub fn new(options: ProtocolOptions) -> Self {
        let mapped = options.credentials.iter().map(|(user, password)| {
            let password = Zeroizing::new(password.as_bytes().to_vec());
            let verifier = Verifier::of(&password, scram::random());
            (user.clone().into_bytes(), (verifier, password))
        });
        let shared = Shared {
            mapped: mapped.collect(),
            mock_secret: scram::random(),
            registry: Arc::default(),
            options,
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Protocol for PostgresProtocol {
    type Identity = Identity;
    type Session = PostgresSession;
    type Upstream = PostgresUpstream;

    fn classes(&self) -> &[&'static str] {
        statement::CLASSES
    }

    fn session(&self) -> PostgresSession {
        PostgresSession::new(Arc::clone(&self.shared))
    }

    fn upstream(&self, identity: &Identity, tag: &str) -> PostgresUpstream {
        PostgresUpstream::new(identity.clone(), tag)
    }

    fn worker(&self, endpoint: &EndpointSpec) -> Identity {
        let user = endpoint.user.as_deref().unwrap_or("postgres");
        let password = endpoint.password.as_ref();
        let secret = password
            .map_or(Secret::Nothing, |p| Secret::Password(Zeroizing::new(p.as_bytes().to_vec())));
        Identity(Kind::Worker(Arc::new(Login {
            user: user.as_bytes().to_vec(),
            database: endpoint.database.as_deref().unwrap_or("postgres").as_bytes().to_vec(),
            parameters: [("client_encoding", "UTF8"), ("lock_timeout", "5s")]
                .map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec()))
                .to_vec(),
            secret,
        })))
    }

    fn tls(&self, mode: &TlsMode) -> Result<Option<Arc<rustls::ClientConfig>>, PortError> {
        crate::tls::client_config(mode)
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[ALPN]
    }

    fn opening(&self, input: &[u8], offer: Offer) -> Opening {
        let encrypts = offer == Offer::Tls;
        let Some(&first) = input.first() else { return Opening::More(1) };
        if first == TLS_HANDSHAKE && encrypts {
            return Opening::Tls { answer: &[], alpn: Some(ALPN) };
        }
        // Length and code: nothing more is taken, because what follows may have to come
        // encrypted.
        let Some(&[_, _, _, _, a, b, c, d]) = input.first_chunk() else { return Opening::More(8) };
        match (u32::from_be_bytes([a, b, c, d]), input[..4] == [0, 0, 0, 8]) {
            (SSL_CODE, true) if encrypts => Opening::Tls { answer: b"S", alpn: None },
            (SSL_CODE | GSSENC_CODE, true) => Opening::Decline(b"N"),
            // A request to cancel carries nothing that has to be hidden, and is made by clients
            // that cannot do better.
            (code, _) if self.shared.options.tls_required && code >> 16 == 3 => {
                let mut words = Vec::new();
                let message = "connections have to be encrypted here";
                local::fatal(&mut words, "28000", message, local::TLS_REQUIRED);
                Opening::Refuse(words)
            }
            _ => Opening::Session,
        }
    }

    fn asks_for_tls(&self) -> Option<(&'static [u8], u8)> {
        Some((&SSL_REQUEST, b'S'))
    }

    fn error(&self, error: &ClientError, out: &mut Vec<u8>) {
        local::refused(out, Severity::Fatal, *error);
    }

    fn teach(&self, _found: &mut dyn FnMut(&[u8], Expect)) {}

    fn offset(&self, out: &mut Vec<u8>) -> Option<Expect> {
        local::query(out, "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::text");
        Some(expect::QUERY)
    }

    fn offset_of(&self, reply: &[u8]) -> Option<u64> {
        local::single_value(reply)?.parse().ok()
    }

    fn unblock(&self, _connection: u64, _out: &mut Vec<u8>) -> Option<Expect> {
        None
    }

    fn interrupt(&self, connection: u64, out: &mut Vec<u8>) -> Option<Expect> {
        local::query(out, &format!("SELECT pg_catalog.pg_cancel_backend({connection})"));
        Some(expect::QUERY)
    }

    fn kill(&self, connection: u64, out: &mut Vec<u8>) -> Option<Expect> {
        local::query(out, &carry::end_of(connection));
        Some(expect::QUERY)
    }

    fn killed(&self, reply: &[u8]) -> bool {
        !local::is_error(reply)
    }

    fn compare(&self, _request: &[u8], _class: u16, authority: &[u8], other: &[u8]) -> Verdict {
        compare::replies(authority, other)
    }

    fn mask(&self, reply: &[u8]) -> String {
        compare::mask(reply)
    }
}
