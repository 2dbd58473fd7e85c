//! The sections about addresses: the databases and the listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalars::{Secret, Span};

/// One database system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointSection {
    /// `host:port`.
    pub address: String,
    /// The database on it, for families whose connections are to one; the family's default when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Account of Exodus' own connections; the server's default account when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password, by reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// TLS. Default: `verify_full` for addresses that are not this machine, else `disable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSection>,
    /// Accounts of applications, which a fence takes write rights from.
    #[serde(default)]
    pub application_users: Vec<String>,
    /// Limit for connecting and for one batch. Default 5s.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
}

const fn five_seconds() -> Span {
    Span(5_000)
}

/// TLS towards an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "mode", rename_all = "snake_case")]
pub enum TlsSection {
    /// Plain text.
    Disable,
    /// Encrypted, certificate not checked.
    Require,
    /// Chain checked.
    VerifyCa {
        /// Certificate authorities, PEM; the system's when absent.
        #[serde(default)]
        ca: Option<std::path::PathBuf>,
    },
    /// Chain and host name checked.
    VerifyFull {
        /// Certificate authorities, PEM; the system's when absent.
        #[serde(default)]
        ca: Option<std::path::PathBuf>,
    },
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterlaySection {
    /// Name for operators and metrics. Default `main`.
    #[serde(default = "main_name")]
    pub name: String,
    /// `address:port` to listen on; port 0 takes a free one.
    pub listen: std::net::SocketAddr,
    /// Certificate chain, PEM; plain text when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<std::path::PathBuf>,
    /// Private key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<std::path::PathBuf>,
    /// Whether every connection begins with a PROXY protocol header. Default false.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Clients at a time. Default 10000.
    #[serde(default = "ten_thousand")]
    pub connections_max: usize,
    /// How long a write may be held by a barrier before it is refused. Default 10s.
    #[serde(default = "ten_seconds")]
    pub hold_max: Span,
    /// Threads that serve clients; 0 chooses. Default 0.
    #[serde(default)]
    pub shards: usize,
}

fn main_name() -> String {
    "main".to_owned()
}

const fn ten_thousand() -> usize {
    10_000
}

const fn ten_seconds() -> Span {
    Span(10_000)
}
