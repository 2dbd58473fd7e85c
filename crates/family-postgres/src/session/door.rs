//! Letting a client in: its startup packet, then its password against what the authority keeps.
//!
//! Constraints: nothing tells a role that exists from one that does not, unless the server itself
//! would. A password is proved here before anything is opened for it. A role without a stored
//! password is not let in: the server might trust us where it would not trust the client.

use std::sync::Arc;

use wire_postgres::auth::SaslInitial;
use wire_postgres::encode;
use wire_postgres::rows::DataRow;
use wire_postgres::startup::{Startup, StartupPacket, Version};
use wire_postgres::tags::backend as tag;
use wire_postgres::{FrontendPhase, FrontendScanner, Scanned};
use zeroize::Zeroizing;

use super::Shared;
use super::identity::{Identity, Kind, Login, Secret};
use super::local;
use super::login::salted_md5;
use super::scram::{self, Fault, Verifier};

/// Newest version of the protocol that is spoken.
const VERSION_MAX: Version = Version::V3_2;

/// A client that is not in yet, named by what is waited for.
pub(super) enum Door {
    /// The startup packet.
    Packet,
    /// The server's word on the role.
    Role(Box<Asked>),
    /// The client's first SASL message.
    Initial(Box<Asked>, Verifier),
    /// Its proof.
    Proof(Box<Asked>, Box<scram::Server>),
    /// Its answer to an MD5 challenge; what the server keeps, and the salt.
    Hash(Box<Asked>, Zeroizing<Vec<u8>>, [u8; 4]),
    /// The server, for which this is what the client gets first.
    Server(Box<Asked>, Secret, Vec<u8>),
    /// The server that is told to cancel.
    Cancelled,
    /// Nothing any more.
    Shut,
}

/// What a startup packet asked for.
pub(super) struct Asked {
    pub(super) user: Vec<u8>,
    pub(super) database: Vec<u8>,
    pub(super) parameters: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) version: Version,
    /// Replicates: no session of statements.
    pub(super) replication: bool,
    /// NegotiateProtocolVersion, where one is due.
    negotiate: Vec<u8>,
}

/// What a startup packet leads to.
pub(super) enum Packet {
    More,
    Asked(Asked, usize),
    Cancel(Identity, usize),
    /// To be closed after these words.
    Refused(Vec<u8>, usize),
}

/// Looks at the first packet of a session.
pub(super) fn packet(shared: &Shared, input: &[u8]) -> Packet {
    let mut scanner = FrontendScanner::at(FrontendPhase::Startup);
    let len = match scanner.scan(input) {
        Ok(Scanned::Whole(head)) => head.len,
        Ok(_) => return Packet::More,
        Err(error) => return refused("08P01", &error.to_string(), input.len()),
    };
    match StartupPacket::parse(&input[..len]) {
        Ok(StartupPacket::Startup(startup)) => match asked(&startup) {
            Ok(asked) => Packet::Asked(asked, len),
            Err((sqlstate, message)) => refused(sqlstate, &message, len),
        },
        Ok(StartupPacket::Cancel(cancel)) => match shared.registry.find(cancel.pid, cancel.key) {
            Some(backend) => Packet::Cancel(Identity(Kind::Cancel(Arc::new(backend))), len),
            // As a server: not a word to whoever does not know a key.
            None => Packet::Refused(Vec::new(), len),
        },
        // Encryption is settled before a session; who asks for it again is told what it looks
        // like then.
        Ok(StartupPacket::Ssl) => refused("0A000", &version_text(1234, 5679), len),
        Ok(StartupPacket::Gssenc) => refused("0A000", &version_text(1234, 5680), len),
        Err(error) => refused("08P01", &error.to_string(), len),
    }
}

fn refused(sqlstate: &str, message: &str, len: usize) -> Packet {
    let mut words = Vec::new();
    local::fatal(&mut words, sqlstate, message, "");
    Packet::Refused(words, len)
}

fn version_text(major: u16, minor: u16) -> String {
    format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")
}

fn asked(startup: &Startup<'_>) -> Result<Asked, (&'static str, String)> {
    let version = startup.version;
    if version.major() != 3 {
        return Err(("0A000", version_text(version.major(), version.minor())));
    }
    let user = startup.get("user").unwrap_or_default().to_vec();
    if user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(("28000", message.to_owned()));
    }
    let database = startup.get("database").filter(|d| !d.is_empty()).unwrap_or(&user).to_vec();
    let replication = match startup.get("replication") {
        None => false,
        Some(value) => !matches!(value, b"false" | b"off" | b"no" | b"0"),
    };
    let mut negotiate = Vec::new();
    let options: Vec<&[u8]> = startup.protocol_options().collect();
    if version > VERSION_MAX || !options.is_empty() {
        let spoken = version.min(VERSION_MAX);
        local::put(&mut negotiate, |b| encode::negotiate_version(b, spoken, &options));
    }
    // Settings are the server's to judge; what speaks to the protocol is not passed on.
    let parameters = startup
        .parameters()
        .filter(|(name, _)| !matches!(*name, b"user" | b"database"))
        .filter(|(name, _)| !name.starts_with(b"_pq_."))
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    Ok(Asked { user, database, parameters, version, replication, negotiate })
}

impl Asked {
    /// The client with what proves it.
    pub(super) fn login(&self, secret: Secret) -> Login {
        Login {
            user: self.user.clone(),
            database: self.database.clone(),
            parameters: self.parameters.clone(),
            secret,
        }
    }

    /// The question to the authority: what it keeps of the role's password.
    pub(super) fn question(&self) -> Vec<u8> {
        const TEXT: &[u8] = b"SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1";
        let mut out = Vec::new();
        local::put(&mut out, |b| {
            encode::parse(b, b"", TEXT, &[])?;
            let values = [Some(self.user.as_slice())];
            encode::bind(b, &encode::BindMessage { values: &values, ..Default::default() })?;
            encode::execute(b, b"", 1)?;
            encode::sync(b);
            Ok(())
        });
        out
    }

    /// The first words to the client, which ask for its password.
    fn challenge(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.negotiate);
        local::put(out, |b| encode::authentication_sasl(b, &[scram::MECHANISM]));
    }
}

/// What the authority says of a role.
enum Word {
    Stored(String),
    /// No such role, or one without a password: the client is not told which.
    None,
    /// We may not look.
    Denied,
    Failed,
}

fn word(reply: &[u8]) -> Word {
    for (type_byte, body, _) in local::messages(reply) {
        match type_byte {
            tag::DATA_ROW => {
                let row = DataRow::parse(body);
                let value = row.ok().and_then(|row| row.values().next().flatten());
                let text = value.and_then(|v| String::from_utf8(v.to_vec()).ok());
                return text.map_or(Word::None, Word::Stored);
            }
            tag::ERROR => {
                let notice = wire_postgres::notice::Notice::parse(body);
                return match notice.as_ref().map(|n| n.sqlstate()) {
                    Ok(b"42501") => Word::Denied,
                    // A name that is no text in the server's encoding names nobody.
                    Ok([b'2', b'2', ..]) => Word::None,
                    _ => Word::Failed,
                };
            }
            tag::READY => break,
            _ => {}
        }
    }
    Word::None
}

/// The authority's word on the role: asks the client for its password. `Err` are last words.
pub(super) fn role(
    shared: &Shared,
    mut asked: Box<Asked>,
    reply: &[u8],
    out: &mut Vec<u8>,
) -> Result<Door, Vec<u8>> {
    let stored = match word(reply) {
        Word::Stored(stored) => stored,
        Word::None if shared.options.trusts => return Ok(trusted(asked)),
        Word::None => {
            tracing::debug!(user = %asked.user.escape_ascii(), "no stored password");
            String::new()
        }
        Word::Denied => match shared.mapped(&asked.user) {
            Some((verifier, _)) => {
                let verifier = verifier.clone();
                asked.challenge(out);
                return Ok(Door::Initial(asked, verifier));
            }
            None => {
                let mut words = Vec::new();
                let message = "passwords cannot be checked here: the interlay's account may not \
                               read pg_authid";
                local::fatal(&mut words, "28000", message, local::NO_VERIFIER);
                return Err(words);
            }
        },
        Word::Failed => {
            let mut words = Vec::new();
            let why = family::Refused::Unreachable;
            local::fatal(&mut words, "08006", why.message(), why.code());
            return Err(words);
        }
    };
    if stored.starts_with("md5") && stored.len() == 35 {
        let salt = scram::random();
        out.append(&mut asked.negotiate);
        local::put(out, |b| {
            encode::authentication_md5(b, salt);
            Ok(())
        });
        let stored = Zeroizing::new(stored.into_bytes());
        return Ok(Door::Hash(asked, stored, salt));
    }
    let verifier = Verifier::parse(&stored)
        .unwrap_or_else(|| Verifier::mock(&shared.mock_secret, &asked.user));
    asked.challenge(out);
    Ok(Door::Initial(asked, verifier))
}

/// Let in without a password, as far as the server does the same.
fn trusted(mut asked: Box<Asked>) -> Door {
    let mut first = std::mem::take(&mut asked.negotiate);
    local::put(&mut first, |b| {
        encode::authentication_ok(b);
        Ok(())
    });
    Door::Server(asked, Secret::Nothing, first)
}

/// The client's first SASL message.
pub(super) fn initial(
    asked: Box<Asked>,
    verifier: Verifier,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<Door, Vec<u8>> {
    let last_words = |message: &str| {
        let mut words = Vec::new();
        local::fatal(&mut words, "08P01", message, "");
        words
    };
    let first = SaslInitial::parse(body).map_err(|e| last_words(&e.to_string()))?;
    if first.mechanism != scram::MECHANISM {
        return Err(last_words("client selected an invalid SASL authentication mechanism"));
    }
    let response = first.response.ok_or_else(|| last_words("malformed SCRAM message"))?;
    match scram::Server::begin(verifier, response) {
        Ok((server, challenge)) => {
            local::put(out, |b| encode::authentication_sasl_continue(b, &challenge));
            Ok(Door::Proof(asked, Box::new(server)))
        }
        Err(Fault::Malformed(message)) => Err(last_words(message)),
        Err(Fault::Wrong) => Err(wrong(&asked.user)),
    }
}

/// The client's proof. What logs it in onward and what it gets before the server's words.
pub(super) fn proof(
    asked: &Asked,
    server: &scram::Server,
    shared: &Shared,
    body: &[u8],
) -> Result<(Secret, Vec<u8>), Vec<u8>> {
    match server.finish(body) {
        Ok((keys, word)) => {
            let mut first = Vec::new();
            local::put(&mut first, |b| encode::authentication_sasl_final(b, &word));
            admit(&mut first);
            let mapped = shared.mapped(&asked.user).map(|(_, password)| password.clone());
            Ok((mapped.map_or(Secret::Keys(keys), Secret::Password), first))
        }
        Err(Fault::Malformed(message)) => {
            let mut words = Vec::new();
            local::fatal(&mut words, "08P01", message, "");
            Err(words)
        }
        Err(Fault::Wrong) => Err(wrong(&asked.user)),
    }
}

/// The client's answer to an MD5 challenge.
pub(super) fn hash(
    asked: &Asked,
    stored: &Zeroizing<Vec<u8>>,
    salt: [u8; 4],
    body: &[u8],
) -> Result<(Secret, Vec<u8>), Vec<u8>> {
    use subtle::ConstantTimeEq as _;
    let said = wire_postgres::auth::password(body).unwrap_or_default();
    if !bool::from(said.ct_eq(salted_md5(stored, salt).as_slice())) {
        return Err(wrong(&asked.user));
    }
    let mut first = Vec::new();
    admit(&mut first);
    Ok((Secret::Md5(stored.clone()), first))
}

fn admit(out: &mut Vec<u8>) {
    local::put(out, |b| {
        encode::authentication_ok(b);
        Ok(())
    });
}

fn wrong(user: &[u8]) -> Vec<u8> {
    let mut words = Vec::new();
    let user = String::from_utf8_lossy(user);
    local::fatal(
        &mut words,
        "28P01",
        &format!("password authentication failed for user \"{user}\""),
        "",
    );
    words
}

/// One answer to an authentication request at the front of the input: its content and length.
pub(super) fn answer(input: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    let mut scanner = FrontendScanner::at(FrontendPhase::Authentication);
    match scanner.scan(input) {
        Ok(Scanned::Whole(head)) => Ok(Some((&input[5..head.len], head.len))),
        Ok(_) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
