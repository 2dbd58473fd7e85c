//! What an interlay is told when it starts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use family::EndpointSpec;
use journal::{Horizon, Journal};
use model::Side;

/// Where and how an interlay listens.
#[derive(Clone)]
pub struct InterlayConfig {
    /// Name for operators and metrics.
    pub name: String,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS towards clients; `None` is plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// Threads that serve clients. 0 takes a default from the number of cores.
    pub shards: usize,
    /// Bounds.
    pub limits: Limits,
}

impl InterlayConfig {
    /// Plain text, default limits.
    #[must_use]
    pub fn new(name: impl Into<String>, listen: SocketAddr) -> Self {
        Self {
            name: name.into(),
            listen,
            tls: None,
            proxy_protocol: ProxyProtocol::Off,
            shards: 0,
            limits: Limits::default(),
        }
    }
}

/// How what clients write gets to the other side, as far as an interlay has a part in it.
#[derive(Clone, Default)]
pub enum Capture {
    /// It does not.
    #[default]
    Nothing,
    /// The interlay notes which records may have changed.
    Notes(Arc<Journal>),
    /// By the server's own log; this says how far it is.
    Log(Arc<Horizon>),
}

impl From<Option<Arc<Journal>>> for Capture {
    fn from(journal: Option<Arc<Journal>>) -> Self {
        journal.map_or(Self::Nothing, Self::Notes)
    }
}

/// Whether clients come through a load balancer that announces their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// Clients connect directly.
    #[default]
    Off,
    /// Every connection begins with a version 1 or 2 header; others are closed.
    Required,
}

/// Bounds of an interlay. Bytes and counts are per interlay unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Clients served at a time; more get a native error.
    pub connections_max: usize,
    /// Bytes of one client's requests kept while they cannot be forwarded yet. A larger request
    /// is streamed.
    pub client_in_bytes_max: usize,
    /// Bytes of replies kept for one client that does not read. Beyond it the client is closed.
    pub client_out_bytes_max: usize,
    /// Bytes kept for all clients together. Beyond it new requests wait.
    pub total_bytes_max: usize,
    /// Unanswered requests of one client; further ones stay unread.
    pub client_pipeline_max: usize,
    /// Bytes waiting to be written to one server connection; beyond it its clients wait.
    pub lane_out_bytes_max: usize,
    /// Bytes of an open transaction kept so that it can be carried over a switch.
    pub transaction_bytes_max: usize,
    /// How long a request may be held by a freeze before it is refused.
    pub hold_max: Duration,
    /// Time for a TLS handshake or a PROXY header.
    pub handshake_timeout: Duration,
    /// Time for a client to say who it is, where its family wants to know.
    pub login_timeout: Duration,
    /// How long a read may wait for the secondary before the authority is asked instead.
    pub secondary_timeout: Duration,
    /// Time for opening a server connection.
    pub connect_timeout: Duration,
    /// How long a client's own server connection is kept after it was last needed.
    pub own_idle: Duration,
    /// How long a client that does not read may make others wait behind its reply.
    pub stall_max: Duration,
    /// Comparisons in progress at a time.
    pub compare_pending_max: usize,
    /// Bytes of one reply kept for comparing; larger ones are not compared.
    pub compare_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            client_in_bytes_max: 1 << 20,
            client_out_bytes_max: 64 << 20,
            total_bytes_max: 1 << 30,
            client_pipeline_max: 16_384,
            lane_out_bytes_max: 4 << 20,
            transaction_bytes_max: 4 << 20,
            hold_max: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(60),
            secondary_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            own_idle: Duration::from_secs(5),
            stall_max: Duration::from_millis(250),
            compare_pending_max: 64,
            compare_bytes_max: 1 << 20,
        }
    }
}

/// How to reach the two sides. A plain interlay has only one.
#[derive(Clone, Default)]
pub struct Upstreams {
    sides: [Option<EndpointSpec>; 2],
}

impl Upstreams {
    /// One side only.
    #[must_use]
    pub fn one(spec: EndpointSpec) -> Self {
        let mut upstreams = Self::default();
        upstreams.set(spec);
        upstreams
    }

    /// Both sides.
    #[must_use]
    pub fn both(source: EndpointSpec, target: EndpointSpec) -> Self {
        let mut upstreams = Self::one(source);
        upstreams.set(target);
        upstreams
    }

    /// Adds or replaces the endpoint of the side it names.
    pub fn set(&mut self, spec: EndpointSpec) {
        let index = spec.side.index();
        self.sides[index] = Some(spec);
    }

    /// The endpoint of a side.
    #[must_use]
    pub fn get(&self, side: Side) -> Option<&EndpointSpec> {
        self.sides[side.index()].as_ref()
    }
}
