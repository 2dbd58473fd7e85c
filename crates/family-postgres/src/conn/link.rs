//! How to reach one endpoint, and the first words said to it.

use std::sync::Arc;
use std::time::Duration;

use family::{EndpointSpec, PortError, TlsMode, Trouble};
use model::Side;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire_postgres::encode;
use xxhash_rust::xxh3::xxh3_64;
use zeroize::Zeroizing;

use super::Conn;
use super::abandoned::Abandoned;
use super::stream::Stream;
use crate::error::{self, code};
use crate::tls;

/// A server cuts names of applications there (`NAMEDATALEN - 1`).
const NAME_BYTES_MAX: usize = 63;
/// What a tag may use of it; the rest is the connection's purpose.
const TAG_BYTES_MAX: usize = 48;
/// The database that every cluster is made with, for endpoints that name none.
const DATABASE: &str = "postgres";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purpose {
    /// One word, last part of the name of the connection on the server.
    pub(crate) name: &'static str,
    /// It is to a WAL sender of the database, which also answers plain queries.
    pub(crate) replication: bool,
    /// Longest wait for a lock; `None` waits for ever.
    pub(crate) lock_timeout: Option<Duration>,
}

impl Purpose {
    /// A connection for statements.
    pub(crate) const fn of(name: &'static str) -> Self {
        Self { name, replication: false, lock_timeout: Some(Duration::from_secs(5)) }
    }

    /// A connection for a replication stream.
    pub(crate) const fn replication(name: &'static str) -> Self {
        Self { name, replication: true, lock_timeout: None }
    }

    /// The same with another longest wait for locks.
    pub(crate) const fn with_lock_timeout(self, lock_timeout: Option<Duration>) -> Self {
        Self { lock_timeout, ..self }
    }
}

/// One endpoint as workers reach it. Shared by all connections to it.
pub(crate) struct Link {
    side: Side,
    address: Arc<str>,
    host: String,
    database: String,
    user: String,
    password: Option<Zeroizing<String>>,
    tls_mode: TlsMode,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    tag: String,
    /// The migration's id, as the tag says it.
    run: String,
    timeout: Duration,
    application_users: Vec<String>,
    abandoned: Arc<Abandoned>,
}

impl Link {
    /// Prepares an endpoint; connects to nothing. `abandoned` outlives the link, so that a
    /// database opened again still kills what an earlier one gave up.
    pub(crate) fn new(
        spec: &EndpointSpec,
        abandoned: Arc<Abandoned>,
    ) -> Result<Arc<Self>, PortError> {
        let host = host_of(&spec.address)?;
        let tls = match tls::client_config(&spec.tls)? {
            None => None,
            Some(config) => Some((TlsConnector::from(config), tls::server_name(host)?)),
        };
        if spec.session_tag.is_empty() || spec.session_tag.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err(bad(format!("session tag {:?} cannot name a session", spec.session_tag)));
        }
        Ok(Arc::new(Self {
            side: spec.side,
            address: Arc::from(spec.address.as_str()),
            host: host.to_owned(),
            database: spec.database.clone().unwrap_or_else(|| DATABASE.to_owned()),
            user: spec.user.clone().unwrap_or_else(|| DATABASE.to_owned()),
            password: spec.password.as_deref().map(|p| Zeroizing::new(p.to_owned())),
            tls_mode: spec.tls.clone(),
            tls,
            tag: short_tag(&spec.session_tag),
            run: run_of(&spec.session_tag).to_owned(),
            timeout: spec.timeout,
            application_users: spec.application_users.clone(),
            abandoned,
        }))
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// `host:port`, for messages.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|p| p.as_str())
    }

    pub(crate) fn tls_mode(&self) -> &TlsMode {
        &self.tls_mode
    }

    /// First part of the names of our connections; carries migration and boot.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// Front of the names of all connections of this migration, whatever their boot.
    pub(crate) fn family_tag(&self) -> String {
        format!("{}:", self.tag.rsplit_once(':').map_or(self.tag.as_str(), |(front, _)| front))
    }

    /// Front of the names of the connections of one boot of this migration.
    pub(crate) fn boot_tag(&self, boot: &str) -> String {
        format!("{}:", short_tag(&format!("exodus:{}:{boot}", self.run)))
    }

    /// The migration's id.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn application_users(&self) -> &[String] {
        &self.application_users
    }

    pub(crate) fn abandoned(&self) -> &Abandoned {
        &self.abandoned
    }

    /// A connection ready for use, and every connection abandoned earlier proved dead.
    pub(crate) async fn connect(self: &Arc<Self>, purpose: Purpose) -> Result<Conn, PortError> {
        let opened = Box::pin(Conn::greet(self.clone(), purpose));
        let mut conn = match tokio::time::timeout(self.timeout, opened).await {
            Ok(conn) => conn?,
            Err(_) => {
                let why = format!("no connection within {} ms", self.timeout.as_millis());
                return Err(error::unreachable(&self.address, why));
            }
        };
        self.abandoned.bury(&mut conn, &self.tag).await?;
        Ok(conn)
    }

    /// The settings a session begins with. Given at the start, they rank above what the server,
    /// the database and the role say, and `RESET` comes back to them.
    pub(super) fn settings(&self, purpose: Purpose) -> Vec<(&'static str, String)> {
        let name = format!("{}:{}", self.tag, purpose.name);
        let name: String = name.chars().take(NAME_BYTES_MAX).collect();
        let lock = purpose.lock_timeout.map_or(0, |wait| wait.as_millis().max(1));
        let mut settings = vec![
            ("user", self.user.clone()),
            ("database", self.database.clone()),
            ("application_name", name),
            ("lock_timeout", lock.to_string()),
        ];
        if purpose.replication {
            settings.push(("replication", "database".into()));
        }
        settings.extend(SETTINGS.iter().map(|(name, value)| (*name, (*value).to_owned())));
        settings
    }

    pub(super) async fn dial(&self) -> Result<Stream, PortError> {
        let lost = |e: std::io::Error| error::unreachable(&self.address, e);
        let mut tcp = TcpStream::connect(&*self.address).await.map_err(lost)?;
        tcp.set_nodelay(true).map_err(lost)?;
        keep_alive(&tcp).map_err(lost)?;
        let Some((connector, name)) = &self.tls else { return Ok(Stream::Plain(tcp)) };
        let mut ask = bytes::BytesMut::new();
        encode::ssl_request(&mut ask);
        tcp.write_all(&ask).await.map_err(lost)?;
        // One byte and no more: what came behind it in plain text must not pass for encrypted.
        match tcp.read_u8().await.map_err(lost)? {
            b'S' => {}
            b'N' => return Err(bad(format!("{}: the server does not speak TLS", self.address))),
            _ => {
                return Err(error::unreachable(&self.address, "no answer to the request for TLS"));
            }
        }
        let stream = connector.connect(name.clone(), tcp).await.map_err(lost)?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// What makes text canonical, names explicit and nothing time out behind our back.
const SETTINGS: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("standard_conforming_strings", "on"),
    ("search_path", ""),
    // A table whose rows are hidden from us is an error then, not a shorter table.
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
];

/// Statements may run for hours without a byte moving; the peer's death must show nevertheless.
fn keep_alive(tcp: &TcpStream) -> std::io::Result<()> {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket2::SockRef::from(tcp).set_tcp_keepalive(&probes)
}

/// A tag that fits into a name on the server. A long one keeps its boot id and has a hash for
/// the rest, so that two boots of one migration still have the front in common.
fn short_tag(tag: &str) -> String {
    if tag.len() <= TAG_BYTES_MAX {
        return tag.to_owned();
    }
    let (front, boot) = tag.rsplit_once(':').unwrap_or((tag, ""));
    let boot: String = boot.chars().take(24).collect();
    format!("exodus:{:016x}:{boot}", xxh3_64(front.as_bytes()))
}

/// The migration in `exodus:<migration>:<boot>`.
fn run_of(tag: &str) -> &str {
    let inner = tag.strip_prefix("exodus:").unwrap_or(tag);
    inner.rsplit_once(':').map_or(inner, |(run, _)| run)
}

fn host_of(address: &str) -> Result<&str, PortError> {
    let (host, port) = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| bad(format!("address {address} is not host:port")))?;
    port.parse::<u16>().map_err(|_| bad(format!("address {address} has no valid port")))?;
    Ok(host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host))
}

fn bad(message: String) -> PortError {
    PortError::new(Trouble::Denied, code::ENDPOINT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(host_of("db.example:5432").unwrap(), "db.example");
        assert_eq!(host_of("[::1]:5432").unwrap(), "::1");
        for wrong in ["", "host", ":1", "host:x", "host:70000"] {
            assert!(host_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tag_says_its_migration() {
        assert_eq!(run_of("exodus:orders:b1"), "orders");
        assert_eq!(run_of("exodus:a:b:b1"), "a:b");
        assert_eq!(run_of("odd"), "odd");
    }

    #[test]
    fn long_tags_keep_their_boot_and_a_common_front() {
        assert_eq!(short_tag("exodus:orders:b1"), "exodus:orders:b1");
        let long = format!("exodus:{}", "m".repeat(60));
        let (one, two) = (short_tag(&format!("{long}:b1")), short_tag(&format!("{long}:b2")));
        assert!(one.len() <= TAG_BYTES_MAX && one.ends_with(":b1") && two.ends_with(":b2"));
        assert_eq!(one.rsplit_once(':').unwrap().0, two.rsplit_once(':').unwrap().0);
    }
}
