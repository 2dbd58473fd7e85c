//! SCRAM-SHA-256 (RFC 5802, RFC 7677), both ends, without channel binding.
//!
//! The server's end works on a stored verifier and recovers the client's key from its proof: with
//! it the same login can be made again towards a server that has the same verifier, without
//! anybody knowing the password. The client's end works on that key or on a password.
//! Source of what servers do: `src/backend/libpq/auth-scram.c` of PostgreSQL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The only mechanism offered and understood.
pub(super) const MECHANISM: &[u8] = b"SCRAM-SHA-256";
/// `PG_MAX_SASL_MESSAGE_LENGTH`, `src/backend/libpq/auth-sasl.c`.
const MESSAGE_MAX: usize = 1024;
/// Iterations of verifiers that stand for roles without one (`SCRAM_SHA_256_DEFAULT_ITERATIONS`).
const ITERATIONS: u32 = 4096;
/// Most iterations done for a server: about a second of work.
const ITERATIONS_MAX: u32 = 5_000_000;
/// Random bytes of a nonce (`SCRAM_RAW_NONCE_LEN`).
const NONCE_BYTES: usize = 18;

pub(super) type Key = [u8; 32];

/// What a server keeps of a password.
#[derive(Clone)]
pub(super) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    pub(super) server_key: Key,
}

/// The exchange cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not the mechanism's language; a server's words for it.
    Malformed(&'static str),
    /// The other end does not know the password.
    Wrong,
}

impl Verifier {
    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (parameters, keys) = rest.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Some(Self {
            iterations: iterations.parse().ok().filter(|n| *n > 0)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }

    /// Of a password that is known here.
    pub(super) fn of(password: &[u8], salt: [u8; 16]) -> Self {
        let keys = Keys::derive(password, &salt, ITERATIONS);
        Self {
            iterations: ITERATIONS,
            salt: salt.to_vec(),
            stored_key: sha256(&*keys.client),
            server_key: keys.server,
        }
    }

    /// Stands for a role that has none, always the same for the same name, so that nobody can
    /// tell which roles there are. No password fits.
    pub(super) fn mock(secret: &Key, user: &[u8]) -> Self {
        let salt = hmac(secret, &[b"salt", user]);
        Self {
            iterations: ITERATIONS,
            salt: salt[..16].to_vec(),
            stored_key: hmac(secret, &[b"stored", user]),
            server_key: hmac(secret, &[b"server", user]),
        }
    }
}

fn key(text: &str) -> Option<Key> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A server that has sent its first message.
pub(super) struct Server {
    verifier: Verifier,
    /// The client's header in base64, as it has to come again.
    header: &'static [u8],
    nonce: Vec<u8>,
    /// Both first messages with a comma between and behind.
    auth_message: Vec<u8>,
}

impl Server {
    /// Answers a client's first message; the answer is the second value.
    pub(super) fn begin(verifier: Verifier, first: &[u8]) -> Result<(Self, Vec<u8>), Fault> {
        if first.len() > MESSAGE_MAX {
            return Err(Fault::Malformed("malformed SCRAM message"));
        }
        let (header, bare): (&[u8], &[u8]) = match first {
            [b'n', b',', b',', bare @ ..] => (b"biws", bare),
            // It could bind to the channel and believes that we cannot, which is so.
            [b'y', b',', b',', bare @ ..] => (b"eSws", bare),
            [b'p', b'=', ..] => {
                return Err(Fault::Malformed("client requires SCRAM channel binding"));
            }
            [b'n' | b'y', b',', b'a', b'=', ..] => {
                return Err(Fault::Malformed("client uses authorization identity"));
            }
            _ => return Err(Fault::Malformed("malformed SCRAM message")),
        };
        let header: &'static [u8] = if header == b"biws" { b"biws" } else { b"eSws" };
        let mut attributes = bare.split(|b| *b == b',');
        let user = attributes.next().unwrap_or_default();
        let nonce = attributes.next().and_then(|a| a.strip_prefix(b"r="));
        let Some(nonce) = nonce.filter(|n| user.starts_with(b"n=") && is_nonce(n)) else {
            return Err(Fault::Malformed("malformed SCRAM message"));
        };
        let mut both = nonce.to_vec();
        both.extend_from_slice(STANDARD.encode(random::<NONCE_BYTES>()).as_bytes());
        let mut answer = b"r=".to_vec();
        answer.extend_from_slice(&both);
        answer.extend_from_slice(b",s=");
        answer.extend_from_slice(STANDARD.encode(&verifier.salt).as_bytes());
        answer.extend_from_slice(format!(",i={}", verifier.iterations).as_bytes());
        let mut auth_message = bare.to_vec();
        auth_message.push(b',');
        auth_message.extend_from_slice(&answer);
        auth_message.push(b',');
        Ok((Self { verifier, header, nonce: both, auth_message }, answer))
    }

    /// Checks a client's last message. The keys it proved to have, and the last word to it.
    pub(super) fn finish(&self, last: &[u8]) -> Result<(Keys, Vec<u8>), Fault> {
        let malformed = Fault::Malformed("malformed SCRAM message");
        if last.len() > MESSAGE_MAX {
            return Err(malformed);
        }
        let at = memchr::memmem::rfind(last, b",p=").ok_or(malformed)?;
        let (without, proof) = (&last[..at], &last[at + 3..]);
        let mut attributes = without.split(|b| *b == b',');
        if attributes.next().and_then(|a| a.strip_prefix(b"c=")) != Some(self.header) {
            return Err(Fault::Malformed("SCRAM channel binding check failed"));
        }
        if attributes.next().and_then(|a| a.strip_prefix(b"r=")) != Some(&self.nonce) {
            return Err(Fault::Malformed("nonce in SCRAM message does not match"));
        }
        let proof: Key =
            STANDARD.decode(proof).ok().and_then(|p| p.try_into().ok()).ok_or(malformed)?;
        let signature = hmac(&self.verifier.stored_key, &[&self.auth_message, without]);
        let client = Zeroizing::new(xor(&proof, &signature));
        if !bool::from(sha256(&*client).ct_eq(&self.verifier.stored_key)) {
            return Err(Fault::Wrong);
        }
        let signature = hmac(&self.verifier.server_key, &[&self.auth_message, without]);
        let word = format!("v={}", STANDARD.encode(signature)).into_bytes();
        Ok((Keys { client, server: self.verifier.server_key }, word))
    }
}

/// What proves a password, and what proves that a server knows it too.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    client: Zeroizing<Key>,
    server: Key,
}

impl Keys {
    fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        // As servers do: a password that cannot be normalised is taken as it is.
        let text = std::str::from_utf8(password).ok();
        let normal = text.and_then(|text| stringprep::saslprep(text).ok());
        let normal = Zeroizing::new(normal.map(|n| n.into_owned().into_bytes()));
        let password = normal.as_deref().unwrap_or(password);
        let mut block = Zeroizing::new(hmac(password, &[salt, &1u32.to_be_bytes()]));
        let mut salted = block.clone();
        for _ in 1..iterations {
            *block = hmac(password, &[&*block]);
            *salted = xor(&salted, &block);
        }
        let client = Zeroizing::new(hmac(&*salted, &[b"Client Key"]));
        Self { client, server: hmac(&*salted, &[b"Server Key"]) }
    }
}

/// What a client knows.
pub(super) enum Known<'a> {
    Password(&'a [u8]),
    Keys(&'a Keys),
}

/// A client that has sent its first message.
pub(super) struct Client {
    nonce: String,
    server_key: Key,
    auth_message: Vec<u8>,
}

impl Client {
    /// The first message is the second value.
    pub(super) fn begin() -> (Self, Vec<u8>) {
        let nonce = STANDARD.encode(random::<NONCE_BYTES>());
        // The name is that of the startup message; servers do not read it here.
        let first = format!("n,,n=,r={nonce}").into_bytes();
        (Self { nonce, server_key: [0; 32], auth_message: Vec::new() }, first)
    }

    /// Answers the server's first message.
    pub(super) fn prove(&mut self, known: &Known<'_>, first: &[u8]) -> Result<Vec<u8>, Fault> {
        let malformed = Fault::Malformed("malformed SCRAM message");
        let text = std::str::from_utf8(first).map_err(|_| malformed)?;
        let mut attributes = text.split(',');
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(malformed)?;
        let salt = attributes.next().and_then(|a| a.strip_prefix("s=")).ok_or(malformed)?;
        let count = attributes.next().and_then(|a| a.strip_prefix("i=")).ok_or(malformed)?;
        let iterations: u32 = count.parse().map_err(|_| malformed)?;
        let salt = STANDARD.decode(salt).map_err(|_| malformed)?;
        if !nonce.starts_with(&self.nonce) || !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(malformed);
        }
        let keys = match known {
            Known::Password(password) => Keys::derive(password, &salt, iterations),
            Known::Keys(keys) => (*keys).clone(),
        };
        let without = format!("c=biws,r={nonce}");
        self.auth_message = format!("n=,r={},{text},{without}", self.nonce).into_bytes();
        let signature = hmac(&sha256(&*keys.client), &[&self.auth_message]);
        let proof = STANDARD.encode(xor(&keys.client, &signature));
        self.server_key = keys.server;
        Ok(format!("{without},p={proof}").into_bytes())
    }

    /// Checks the server's last message.
    pub(super) fn check(&self, last: &[u8]) -> Result<(), Fault> {
        let said = last.strip_prefix(b"v=").and_then(|v| STANDARD.decode(v).ok());
        let signature = hmac(&self.server_key, &[&self.auth_message]);
        match said {
            Some(said) if bool::from(said.as_slice().ct_eq(&signature)) => Ok(()),
            _ => Err(Fault::Wrong),
        }
    }
}

fn is_nonce(nonce: &[u8]) -> bool {
    !nonce.is_empty() && nonce.iter().all(|b| (0x21..=0x7e).contains(b) && *b != b',')
}

fn xor(a: &Key, b: &Key) -> Key {
    std::array::from_fn(|i| a[i] ^ b[i])
}

fn sha256(data: &[u8]) -> Key {
    Sha256::digest(data).into()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Bytes from the operating system, which has always some.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_agree_and_the_key_logs_in_again() {
        let verifier = Verifier::of("pässwörd".as_bytes(), [7; 16]);
        let exchange = |known: Known<'_>| {
            let (mut client, first) = Client::begin();
            let (server, challenge) = Server::begin(verifier.clone(), &first)?;
            let (keys, word) = server.finish(&client.prove(&known, &challenge)?)?;
            client.check(&word)?;
            Ok::<_, Fault>(keys)
        };
        let keys = exchange(Known::Password("pässwörd".as_bytes())).unwrap();
        exchange(Known::Keys(&keys)).unwrap();
        assert!(matches!(exchange(Known::Password(b"other")), Err(Fault::Wrong)));
        let (_, first) = Client::begin();
        let (server, _) = Server::begin(Verifier::mock(&[1; 32], b"nobody"), &first).unwrap();
        assert!(server.finish(b"c=biws,r=x,p=AAAA").is_err());
    }

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_keys_are_those_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = Keys::derive(b"pencil", &salt, 4096);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                       r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                       c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&sha256(&*keys.client), &[message.as_bytes()]);
        let proof = STANDARD.encode(xor(&keys.client, &signature));
        assert_eq!(proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let word = STANDARD.encode(hmac(&keys.server, &[message.as_bytes()]));
        assert_eq!(word, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn first_messages_that_a_server_refuses() {
        let mock = || Verifier::mock(&[1; 32], b"x");
        for bad in
            [&b""[..], b"n,,", b"n,,n=,r=", b"n,,r=abc", b"p=tls-unique,,n=,r=a", b"n,a=x,n=,r=a"]
        {
            assert!(Server::begin(mock(), bad).is_err(), "{}", bad.escape_ascii());
        }
        assert!(Server::begin(mock(), &[b'n'; 2000]).is_err());
        assert!(Verifier::parse("md5abc").is_none());
        assert!(Verifier::parse("SCRAM-SHA-256$0:AA==$AA==:AA==").is_none());
    }
}
