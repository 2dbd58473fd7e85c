//! Everything that runs: two servers, data, a node, a load.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chaos::conn::Address;
use chaos::dataset::{self, Dataset};
use chaos::faults::{Direction, FaultProxy, Rule};
use chaos::load::{Load, LoadConfig};
use chaos::node::{Node, NodeOptions};
use chaos::process::free_port;
use chaos::servers::{APPLICATION, Flavor, Server, ServerOptions, WORKER};
use chaos::wait;
use tempfile::TempDir;

use super::args::{Chaos, Options};
use super::config::{self, Facts};
use super::door::Door;
use super::say;

/// The running demo. Dropping it ends everything and removes what it wrote.
pub struct Stage {
    /// Where the workload lives.
    pub source: Server,
    /// Where it goes.
    pub target: Server,
    /// The process under test.
    pub node: Node,
    /// Its API.
    pub door: Door,
    /// The load, until it is stopped.
    pub load: Option<Load>,
    /// What was seeded.
    pub dataset: Dataset,
    /// Where applications connect.
    pub interlay: SocketAddr,
    /// Keys that were seeded, the big ones included.
    pub seeded_keys: u64,
    _link: Option<FaultProxy>,
    dir: TempDir,
}

/// How long the node may take to be ready, a recheck after a kill included.
const READY: Duration = Duration::from_secs(60);

impl Stage {
    /// Starts everything up to a load that talks to the source and a node that waits.
    pub fn build(options: &Options) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("exodus-demo-").tempdir()?;
        say::head("a source, a target, data, a load");
        let source = server(Flavor::Redis, "source")?;
        let target = server(Flavor::Valkey, "target")?;
        let dataset =
            Dataset { keys: options.keys, seed: options.seed, big_keys: options.big_keys };
        let seeded = dataset::seed(&dataset, &source.admin())?;
        say::line(format!(
            "{} keys of every type in db0, db1, db3 in {}",
            seeded.keys,
            say::ms(seeded.took)
        ));
        let link = slow_link(options, &target)?;
        let reach_target =
            link.as_ref().map_or_else(|| target.address().host_port(), FaultProxy::host_port);

        let load = Load::start(load_config(options, &source, dataset))?;
        say::line(format!(
            "load: {} clients, {} operations/s, talking to the source as its applications do",
            options.clients, options.rate
        ));

        let interlay: SocketAddr = format!("127.0.0.1:{}", free_port()?).parse()?;
        let password = dir.path().join("password");
        fs::write(&password, WORKER.1)?;
        let document = config::document(&Facts {
            source: source.address().host_port(),
            target: reach_target,
            listen: interlay,
            password: &password,
            users: (WORKER.0, APPLICATION.0),
            soak_ms: options.duration.as_millis(),
            brief: options.brief,
            copy_rate: options.copy_rate,
        });
        fs::write(dir.path().join("demo.yaml"), &document)?;

        let node = start_node(options, &dir)?;
        let door = Door::new(&node.0, admin_token(&dir)?);
        let node = node.1;
        say::line(format!("exodus serve: dashboard and API at {}", door.base()));
        let mut stage = Self {
            source,
            target,
            node,
            door,
            load: Some(load),
            dataset,
            interlay,
            seeded_keys: seeded.keys,
            _link: link,
            dir,
        };
        stage.create(&document)?;
        Ok(stage)
    }

    fn create(&mut self, document: &str) -> Result<()> {
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
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("demo.yaml")
    }

    /// The node's state folder.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The interlay, as an application knows it.
    pub fn application(&self) -> Address {
        Address::local(self.interlay.port()).with_login(APPLICATION.0, APPLICATION.1)
    }

    /// The load, while it runs.
    pub fn load(&self) -> Result<&Load> {
        self.load.as_ref().context("the load has already been stopped")
    }

    /// Starts the node again after it was killed.
    pub fn restart_node(&mut self) -> Result<()> {
        self.node.restart(READY).context("EXO-DEM-002: the node does not come back")
    }

    /// The end of the node's log.
    pub fn node_log(&self) -> String {
        self.node.log_tail(25)
    }
}

fn server(flavor: Flavor, role: &str) -> Result<Server> {
    // Durable, so that a kill may lose nothing that was acknowledged.
    let server = Server::start(&ServerOptions::new(flavor).durable())
        .with_context(|| format!("EXO-DEM-001: the {role} cannot be started"))?;
    say::line(format!("{role}: {} at {}", flavor.program(), server.address().host_port()));
    Ok(server)
}

fn slow_link(options: &Options, target: &Server) -> Result<Option<FaultProxy>> {
    if !options.harms(&Chaos::Latency) {
        return Ok(None);
    }
    let link = FaultProxy::start(&target.address().host_port(), options.seed)?;
    let slow = Rule {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(3),
        ..Rule::default()
    };
    link.set(Direction::ToServer, slow);
    say::line("chaos: 5 to 8 ms on the way to the target");
    Ok(Some(link))
}

fn load_config(options: &Options, source: &Server, dataset: Dataset) -> LoadConfig {
    let mut config =
        LoadConfig::new(source.address().with_login(APPLICATION.0, APPLICATION.1), options.seed);
    config.clients = options.clients.max(1);
    config.ops_per_second = options.rate;
    config.dataset = Some(dataset);
    config.timeout = Duration::from_secs(15);
    config
}

fn start_node(options: &Options, dir: &TempDir) -> Result<(String, Node)> {
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
