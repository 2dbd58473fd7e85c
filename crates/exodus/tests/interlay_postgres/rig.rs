//! Servers, an interlay in this process, and clients.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use arc_swap::ArcSwap;
use family_postgres::session::{PostgresProtocol, ProtocolOptions};
use model::{Epoch, Side};
use proxy::{Capture, Interlay, InterlayConfig, InterlayHandle, Upstreams};
use routing::RoutingTable;

use crate::support::{Cluster, OWNER, PASSWORD};

/// An interlay before one or two databases.
pub(crate) struct Rig {
    pub(crate) source: Arc<Cluster>,
    pub(crate) database: String,
    pub(crate) handle: InterlayHandle,
}

impl Rig {
    /// Before a database of its own on the server that tests share.
    pub(crate) fn one() -> Self {
        Self::with(ProtocolOptions::default(), |_| {})
    }

    pub(crate) fn with(options: ProtocolOptions, change: impl FnOnce(&mut InterlayConfig)) -> Self {
        let source = Cluster::shared();
        let database = source.database();
        let upstreams = Upstreams::one(source.spec(Side::Source, &database));
        Self::build(source, database, &upstreams, options, change)
    }

    pub(crate) fn build(
        source: Arc<Cluster>,
        database: String,
        upstreams: &Upstreams,
        options: ProtocolOptions,
        change: impl FnOnce(&mut InterlayConfig),
    ) -> Self {
        let mut config = InterlayConfig::new("test", "127.0.0.1:0".parse().unwrap());
        config.shards = 2;
        change(&mut config);
        let table = RoutingTable::passthrough(Epoch(1), Side::Source);
        let table = Arc::new(ArcSwap::from_pointee(table));
        let protocol = PostgresProtocol::new(options);
        let handle = Interlay::bind(config, protocol, upstreams, table, Capture::Nothing).unwrap();
        Self { source, database, handle }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.local_addr()
    }

    /// A program of PostgreSQL's, connected through the interlay or directly.
    pub(crate) fn program(&self, name: &str, through: bool) -> Command {
        let port = if through { self.address().port() } else { self.source.port };
        let mut program = Command::new(name);
        program
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", port.to_string())
            .env("PGUSER", OWNER)
            .env("PGPASSWORD", PASSWORD)
            .env("PGDATABASE", &self.database)
            .env("PGCONNECT_TIMEOUT", "10");
        program
    }

    /// What psql prints for a script, errors included.
    pub(crate) fn psql(&self, through: bool, script: &str) -> String {
        let mut psql = self.program("psql", through);
        psql.args(["-X", "-a", "-P", "pager=off", "-c", script]);
        let done = psql.output().expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        text(&done.stdout) + &text(&done.stderr)
    }
}
