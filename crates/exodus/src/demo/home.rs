//! The node under test and its surroundings: a folder, a document, an API, a port for
//! applications.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chaos::faults::{Direction, FaultProxy, Rule};
use chaos::node::{Node, NodeOptions};
use chaos::process::free_port;
use chaos::wait;
use tempfile::TempDir;

use super::args::{Chaos, Common};
use super::config::{self, Facts};
use super::door::Door;
use super::say;

/// How long the node may take to be ready, a recheck after a kill included.
const READY: Duration = Duration::from_secs(60);

/// The running node. Dropping it ends it and removes what it wrote.
pub struct Home {
    /// The process under test.
    pub node: Node,
    /// Its API.
    pub door: Door,
    /// Where applications connect.
    pub interlay: SocketAddr,
    _link: Option<FaultProxy>,
    dir: TempDir,
}

/// What a family says of its two servers.
pub(super) struct Pair<'p> {
    /// The family's name.
    pub family: &'p str,
    /// The database on both, where connections are to one.
    pub database: Option<&'p str>,
    /// `host:port` of the source.
    pub source: String,
    /// `host:port` of the target.
    pub target: String,
    /// The workers' user and password.
    pub worker: (&'p str, &'p str),
    /// The applications' users.
    pub applications: &'p [&'p str],
    /// Commands that have to work on the target.
    pub smoke: &'p [&'p str],
}

impl Home {
    /// Writes the document, starts the node and creates the migration.
    pub(super) fn start(options: &Common, pair: &Pair<'_>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("exodus-demo-").tempdir()?;
        let link = slow_link(options, &pair.target)?;
        let interlay: SocketAddr = format!("127.0.0.1:{}", free_port()?).parse()?;
        let password = dir.path().join("password");
        fs::write(&password, pair.worker.1)?;
        let document = config::document(&Facts {
            family: pair.family,
            database: pair.database,
            source: pair.source.clone(),
            target: link.as_ref().map_or_else(|| pair.target.clone(), FaultProxy::host_port),
            listen: interlay,
            password: &password,
            worker: pair.worker.0,
            applications: pair.applications,
            smoke: pair.smoke,
            soak_ms: options.duration.as_millis(),
            brief: options.brief,
            copy_rate: options.copy_rate,
        });
        let (http, node) = start_node(options, &dir)?;
        let door = Door::new(&http, admin_token(&dir)?);
        let home = Self { node, door, interlay, _link: link, dir };
        fs::write(home.config_path(), &document)?;
        say::line(format!("exodus serve: dashboard and API at {}", home.door.base()));
        home.create(&document)?;
        Ok(home)
    }

    fn create(&self, document: &str) -> Result<()> {
        say::command(&format!("migration create {}", self.config_path().display()));
        self.door.create(document)?;
        let interlay = self.interlay;
        let accepts = || std::net::TcpStream::connect(interlay).is_ok();
        if !wait::until(READY, accepts) {
            bail!("EXO-DEM-002: nothing listens at the interlay's address {interlay}");
        }
        Ok(())
    }

    /// The document on disk.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("demo.yaml")
    }

    /// The node's state folder.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Starts the node again after it was killed.
    pub fn restart_node(&mut self) -> Result<()> {
        self.node.restart(READY).context("EXO-DEM-002: the node does not come back")
    }

    /// The end of the node's log.
    #[must_use]
    pub fn node_log(&self) -> String {
        self.node.log_tail(25)
    }
}

fn slow_link(options: &Common, target: &str) -> Result<Option<FaultProxy>> {
    if !options.harms(&Chaos::Latency) {
        return Ok(None);
    }
    let link = FaultProxy::start(target, options.seed)?;
    let slow = Rule {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(3),
        ..Rule::default()
    };
    link.set(Direction::ToServer, slow);
    say::line("chaos: 5 to 8 ms on the way to the target");
    Ok(Some(link))
}

fn start_node(options: &Common, dir: &TempDir) -> Result<(String, Node)> {
    let port = match options.ui_port {
        Some(port) => port,
        None => free_port()?,
    };
    let http = format!("127.0.0.1:{port}");
    let state = dir.path().join("state");
    let node = Node::start(
        NodeOptions {
            binary: options.node_binary.clone().map_or_else(std::env::current_exe, Ok)?,
            args: vec![
                "serve".into(),
                "--state-dir".into(),
                state.into(),
                "--http".into(),
                http.clone().into(),
            ],
            env: Vec::new(),
            http: http.clone(),
            ready_path: "/readyz".to_owned(),
            log: dir.path().join("node.log"),
        },
        READY,
    )
    .context("EXO-DEM-002: `exodus serve` does not get ready")?;
    Ok((http, node))
}

fn admin_token(dir: &TempDir) -> Result<String> {
    let path = dir.path().join("state/admin.token");
    let token = wait::value(READY, || fs::read_to_string(&path).ok().filter(|t| !t.is_empty()));
    token
        .map(|t| t.trim().to_owned())
        .with_context(|| format!("EXO-DEM-002: the node left no token at {}", path.display()))
}
