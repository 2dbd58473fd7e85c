//! Logging in to a server: its authentication requests and our answers.

use bytes::BytesMut;
use md5::{Digest as _, Md5};
use wire_postgres::auth::Authentication;
use wire_postgres::encode;
use zeroize::Zeroizing;

use super::identity::{Login, Secret};
use super::local;
use super::scram;

/// What an authentication request leads to.
pub(super) enum Step {
    /// More will come.
    Answered,
    /// Let in.
    Admitted,
    /// It cannot be done; the error for whoever wants to know.
    Failed(Vec<u8>),
}

/// The exchange so far.
#[derive(Default)]
pub(super) struct Exchange {
    scram: Option<scram::Client>,
}

impl Exchange {
    /// Looks at the content of an authentication request; `out` takes the answer.
    pub(super) fn step(&mut self, login: &Login, body: &[u8], out: &mut Vec<u8>) -> Step {
        let Ok(asked) = Authentication::parse(body) else {
            return failed("the server asks for a login nobody here knows");
        };
        let mut answer = Zeroizing::new(Vec::new());
        match (asked, &login.secret) {
            (Authentication::Ok, _) => return Step::Admitted,
            (Authentication::Cleartext, Secret::Password(password)) => {
                put(&mut answer, |b| encode::password(b, password));
            }
            (Authentication::Md5 { salt }, Secret::Password(password)) => {
                let stored = Zeroizing::new(stored_md5(password, &login.user));
                put(&mut answer, |b| encode::password(b, &salted_md5(&stored, salt)));
            }
            (Authentication::Md5 { salt }, Secret::Md5(stored)) => {
                put(&mut answer, |b| encode::password(b, &salted_md5(stored, salt)));
            }
            (Authentication::Sasl(mechanisms), Secret::Password(_) | Secret::Keys(_)) => {
                if !mechanisms.names().any(|name| name == scram::MECHANISM) {
                    return failed("the server does not offer SCRAM-SHA-256");
                }
                let (client, first) = scram::Client::begin();
                self.scram = Some(client);
                put(&mut answer, |b| encode::sasl_initial(b, scram::MECHANISM, Some(&first)));
            }
            (Authentication::SaslContinue(challenge), secret) => {
                let known = match secret {
                    Secret::Password(password) => scram::Known::Password(password),
                    Secret::Keys(keys) => scram::Known::Keys(keys),
                    _ => return failed("the server goes on with what nobody began"),
                };
                let Some(client) = &mut self.scram else {
                    return failed("the server goes on with what nobody began");
                };
                match client.prove(&known, challenge) {
                    Ok(proof) => put(&mut answer, |b| encode::sasl_response(b, &proof)),
                    Err(_) => return failed("the server's challenge is malformed"),
                }
            }
            (Authentication::SaslFinal(word), _) => {
                if self.scram.as_ref().is_none_or(|client| client.check(word).is_err()) {
                    return failed("the server does not know this password itself");
                }
            }
            _ => return failed("the server asks for a password that is not known here"),
        }
        out.extend_from_slice(&answer);
        Step::Answered
    }
}

fn put(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut BytesMut) -> Result<(), wire_postgres::EncodeError>,
) {
    local::put(out, write);
}

fn failed(why: &str) -> Step {
    let mut words = Vec::new();
    local::fatal(&mut words, "28000", why, local::NO_SECRET);
    Step::Failed(words)
}

/// `md5` and the digest of password and name: what a server stores (`pg_md5_encrypt`).
fn stored_md5(password: &[u8], user: &[u8]) -> Vec<u8> {
    digest(&[password, user])
}

/// What is sent: the stored digest's digits, salted.
pub(super) fn salted_md5(stored: &[u8], salt: [u8; 4]) -> Vec<u8> {
    digest(&[stored.get(3..).unwrap_or_default(), &salt])
}

fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    let mut text = b"md5".to_vec();
    for byte in hasher.finalize() {
        text.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_as_servers_store_it() {
        // SELECT 'md5' || md5('secret' || 'alice')
        let stored = stored_md5(b"secret", b"alice");
        assert_eq!(stored.len(), 35);
        assert_eq!(salted_md5(&stored, *b"abcd").len(), 35);
        assert_ne!(salted_md5(&stored, *b"abcd"), salted_md5(&stored, *b"abce"));
    }
}
