//! The hot path: clients as their interlay sees them.
//!
//! Constraints: sans-IO; a small request costs no allocation; nothing here is a security
//! boundary: a client's own credentials are what the server sees, on either side.
//!
//! Layout: `client` is one client (its parser and what each request means for its state),
//! `local` what is answered here, `transaction` and `subscriptions` the states that need a
//! connection of their own, `upstream` one server connection, `identity` what shared
//! connections are keyed by, `expect` how replies are recognised, `scripts` what a
//! new authority has to be taught, `compare` when two are equal.

mod client;
mod compare;
mod expect;
mod identity;
mod local;
mod scripts;
mod subscriptions;
mod transaction;
mod upstream;

use std::sync::Arc;

use family::{ClientError, EndpointSpec, Expect, PortError, Protocol, Refused, TlsMode, Verdict};

pub use client::RedisSession;
pub use identity::Identity;
pub use upstream::RedisUpstream;

use crate::commands;

/// The hot path of Redis and compatible systems.
#[derive(Debug, Clone, Default)]
pub struct RedisProtocol {
    tenant_rule: Option<Arc<str>>,
    scripts: Arc<scripts::Scripts>,
}

impl RedisProtocol {
    /// `tenant_rule` names how keys are partitioned where authority moves tenant by tenant.
    #[must_use]
    pub fn new(tenant_rule: Option<&str>) -> Self {
        Self { tenant_rule: tenant_rule.map(Arc::from), scripts: Arc::default() }
    }
}

impl Protocol for RedisProtocol {
    type Identity = Identity;
    type Session = RedisSession;
    type Upstream = RedisUpstream;

    fn classes(&self) -> &[&'static str] {
        commands::names()
    }

    fn session(&self) -> RedisSession {
        RedisSession::new(self.tenant_rule.clone(), Arc::clone(&self.scripts))
    }

    fn upstream(&self, identity: &Identity, tag: &str) -> RedisUpstream {
        RedisUpstream::new(identity.clone(), tag)
    }

    fn worker(&self, endpoint: &EndpointSpec) -> Identity {
        let user = endpoint.user.as_ref().map(|u| u.as_bytes());
        match &endpoint.password {
            Some(password) => Identity::default().with_login(user, password.as_bytes()),
            None => Identity::default(),
        }
    }

    fn tls(&self, mode: &TlsMode) -> Result<Option<Arc<rustls::ClientConfig>>, PortError> {
        crate::tls::client_config(mode)
    }

    fn error(&self, error: &ClientError, out: &mut Vec<u8>) {
        local::error(*error, out);
    }

    fn teach(&self, found: &mut dyn FnMut(&[u8], Expect)) {
        self.scripts.for_each(|body| {
            let mut raw = Vec::new();
            local::command(&mut raw, &[b"SCRIPT", b"LOAD", body]);
            found(&raw, expect::ONE);
        });
    }

    fn unblock(&self, connection: u64, out: &mut Vec<u8>) -> Option<Expect> {
        local::command(out, &[b"CLIENT", b"UNBLOCK", connection.to_string().as_bytes()]);
        Some(expect::ONE)
    }

    fn kill(&self, connection: u64, out: &mut Vec<u8>) -> Option<Expect> {
        local::command(out, &[b"CLIENT", b"KILL", b"ID", connection.to_string().as_bytes()]);
        Some(expect::ONE)
    }

    fn compare(&self, _request: &[u8], class: u16, authority: &[u8], other: &[u8]) -> Verdict {
        compare::replies(commands::row(class).compare, authority, other)
    }

    fn lacks(&self, class: u16, authority: &[u8], other: &[u8]) -> bool {
        compare::lacks(commands::row(class).name, authority, other)
    }

    fn mask(&self, reply: &[u8]) -> String {
        compare::mask(reply)
    }
}

/// The first word clients branch on, where the servers have one for the case.
fn error_word(why: Refused) -> &'static str {
    match why {
        Refused::SpansTenants => "CROSSSLOT",
        Refused::Overloaded => "OOM",
        _ => "ERR",
    }
}
