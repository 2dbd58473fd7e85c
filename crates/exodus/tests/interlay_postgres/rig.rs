//! Servers, an interlay in this process, and clients.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use family_postgres::session::{PostgresProtocol, ProtocolOptions};
use model::{Epoch, Side};
use proxy::{Capture, Interlay, InterlayConfig, InterlayHandle, Upstreams};
use routing::RoutingTable;
use routing::{Authority, Freeze};

use crate::raw::{Raw, startup};
use crate::support::{Cluster, OWNER, PASSWORD};

/// An interlay before one or two databases.
pub(crate) struct Rig {
    pub(crate) source: Arc<Cluster>,
    pub(crate) database: String,
    pub(crate) handle: InterlayHandle,
    runtime: tokio::runtime::Runtime,
    /// The other side, where there is one.
    _target: Option<Arc<Cluster>>,
}

impl Rig {
    /// Before a database of its own on the server that tests share.
    pub(crate) fn one() -> Self {
        Self::with(ProtocolOptions::default(), |_| {})
    }

    /// The same, with a role that is let in without a password.
    pub(crate) fn open() -> Self {
        let rig = Self::with(trusting(), |_| {});
        make_open(&rig.source, &rig.database);
        rig
    }

    /// Between two servers, with that role and a table on both.
    pub(crate) fn two() -> Self {
        let (source, target) = (Cluster::shared(), Arc::new(Cluster::start()));
        let database = source.database();
        target.sql("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0"));
        for cluster in [&source, &target] {
            make_open(cluster, &database);
            cluster.sql(&database, "CREATE TABLE t (a int); GRANT ALL ON t TO open");
        }
        let upstreams = Upstreams::both(
            source.spec(Side::Source, &database),
            target.spec(Side::Target, &database),
        );
        let mut rig = Self::build(source, database, &upstreams, trusting(), |_| {});
        rig._target = Some(target);
        rig
    }

    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    pub(crate) fn publish(&self, change: impl FnOnce(&mut RoutingTable)) -> Epoch {
        let mut table = (*self.handle.table()).clone();
        table.epoch = table.epoch.next();
        change(&mut table);
        let epoch = table.epoch;
        self.handle.publish(Arc::new(table)).unwrap();
        epoch
    }

    /// The whole barrier, as control does it, to the other side.
    pub(crate) fn switch(&self, deadline: Duration) {
        let other = self.handle.table().authority.default.other();
        let epoch = self.publish(|t| t.freeze = Freeze::Writes);
        let report = self.wait(self.handle.quiet(epoch, deadline)).unwrap();
        assert!(report.quiet, "{report:?}");
        let epoch = self.publish(|t| t.authority = Authority::whole(other));
        self.wait(self.handle.rehomed(epoch, deadline)).unwrap();
        self.publish(|t| t.freeze = Freeze::Open);
    }

    /// A client of the role that is let in without a password.
    pub(crate) fn raw(&self) -> Raw {
        Raw::login(self.address(), &self.database)
    }

    /// The same, without waiting for an answer.
    pub(crate) fn late(&self) -> Raw {
        let mut raw = Raw::bare(self.address());
        raw.send(&startup(&[("user", "open"), ("database", &self.database)]));
        raw
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { source, database, handle, runtime, _target: None }
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

fn trusting() -> ProtocolOptions {
    ProtocolOptions { trusts: true, ..ProtocolOptions::default() }
}

/// Makes the role that the servers of tests trust.
fn make_open(cluster: &Cluster, database: &str) {
    // Another test may do the same at the same time.
    cluster.try_sql(OWNER, database, "CREATE ROLE open LOGIN");
}
