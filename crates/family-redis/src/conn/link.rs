//! How to reach one endpoint, and the first words said to it.

use std::sync::Arc;
use std::time::Duration;

use family::{EndpointSpec, PortError, Trouble};
use model::Side;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire_redis::Value;
use zeroize::Zeroizing;

use super::Conn;
use super::abandoned::Abandoned;
use super::stream::Stream;
use crate::clients;
use crate::database::Incarnation;
use crate::error::{self, code};
use crate::tls;

/// One endpoint as workers reach it. Shared by all connections to it.
pub(crate) struct Link {
    side: Side,
    address: String,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    tag: String,
    timeout: Duration,
    application_users: Vec<String>,
    abandoned: Arc<Abandoned>,
    /// What the last feed knew of the server, for the next one.
    last_seen: Mutex<Option<Incarnation>>,
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
            return Err(bad(format!("session tag {:?} cannot name a client", spec.session_tag)));
        }
        Ok(Arc::new(Self {
            side: spec.side,
            address: spec.address.clone(),
            user: spec.user.clone(),
            password: spec.password.as_deref().map(|p| Zeroizing::new(p.to_owned())),
            tls,
            tag: spec.session_tag.clone(),
            timeout: spec.timeout,
            application_users: spec.application_users.clone(),
            abandoned,
            last_seen: Mutex::new(None),
        }))
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn tag(&self) -> &str {
        &self.tag
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

    /// Remembers what a feed knows of the server now; hands out what one knew before.
    pub(crate) fn saw(&self, now: Incarnation) -> Option<Incarnation> {
        self.last_seen.lock().replace(now)
    }

    /// A connection ready for use: authenticated, named, its id known, and every connection
    /// abandoned earlier proved dead.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Conn, PortError> {
        let mut conn = match tokio::time::timeout(self.timeout, self.greet()).await {
            Ok(conn) => conn?,
            Err(_) => {
                let why = format!("no connection within {} ms", self.timeout.as_millis());
                return Err(error::unreachable(&self.address, why));
            }
        };
        let abandoned = self.abandoned.all();
        if !abandoned.is_empty() {
            clients::kill(&mut conn, |row| row.name == self.tag && abandoned.contains(&row.id))
                .await?;
            self.abandoned.settled(&abandoned);
        }
        Ok(conn)
    }

    async fn greet(self: &Arc<Self>) -> Result<Conn, PortError> {
        let lost = |e: std::io::Error| error::unreachable(&self.address, e);
        let tcp = TcpStream::connect(&self.address).await.map_err(lost)?;
        tcp.set_nodelay(true).map_err(lost)?;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                Stream::Tls(Box::new(connector.connect(name.clone(), tcp).await.map_err(lost)?))
            }
        };
        let mut conn = Conn::new(self.clone(), stream);
        if let Some(password) = &self.password {
            let secret = password.as_bytes();
            match &self.user {
                Some(user) => conn.queue(&[b"AUTH", user.as_bytes(), secret]),
                None => conn.queue(&[b"AUTH", secret]),
            }
            let reply = conn.next().await?;
            error::checked(reply, "AUTH", &self.address)?;
        }
        conn.queue(&[b"CLIENT", b"SETNAME", self.tag.as_bytes()]);
        conn.queue(&[b"CLIENT", b"ID"]);
        // Servers that know it do not count our reads as uses of the key (7.2 and later).
        conn.queue(&[b"CLIENT", b"NO-TOUCH", b"ON"]);
        let named = conn.next().await?;
        error::checked(named, "CLIENT SETNAME", &self.address)?;
        match conn.next().await? {
            Value::Int(id) => conn.id = id,
            reply => {
                error::checked(reply, "CLIENT ID", &self.address)?;
                return Err(error::unexpected("CLIENT ID", &self.address));
            }
        }
        conn.next().await?;
        // A server that is still loading takes ACL SETUSER, and would then refuse transactions
        // of its own append-only file: fencing `default`, as which it loads, loses them.
        conn.queue(&[b"PING"]);
        let awake = conn.next().await?;
        error::checked(awake, "PING", &self.address)?;
        Ok(conn)
    }
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
        assert_eq!(host_of("db.example:6379").unwrap(), "db.example");
        assert_eq!(host_of("[::1]:6379").unwrap(), "::1");
        for wrong in ["", "host", ":1", "host:x", "host:70000"] {
            assert!(host_of(wrong).is_err(), "{wrong}");
        }
    }
}
