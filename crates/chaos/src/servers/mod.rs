//! Real database servers on free ports, in directories of their own.
//!
//! Life cycle: [`Server::start`] waits until PING answers; [`Server::restart`] uses the same port
//! and directory, so a client that reconnects finds what the server kept; drop ends the process
//! and removes the directory.

mod find;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::cmd;
use tempfile::TempDir;

use crate::conn::{Address, Conn};
use crate::process::{Process, Signal, free_port};

/// Which server program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// `redis-server`.
    Redis,
    /// `valkey-server`.
    Valkey,
}

impl Flavor {
    /// The program's name.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
        }
    }
}

/// What a server keeps when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// Every acknowledged write (`appendonly yes`, `appendfsync always`).
    Always,
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Which program.
    pub flavor: Flavor,
    /// What survives a kill.
    pub persistence: Persistence,
    /// Configuration directives added at the end (`maxmemory`, `100mb`).
    pub directives: Vec<(String, String)>,
    /// ACL lines in the server's own syntax, without the word `user`, added to the usual ones.
    pub users: Vec<String>,
}

impl ServerOptions {
    /// No persistence, nothing special.
    #[must_use]
    pub fn new(flavor: Flavor) -> Self {
        Self { flavor, persistence: Persistence::None, directives: vec![], users: vec![] }
    }

    /// Keeps every acknowledged write.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.persistence = Persistence::Always;
        self
    }

    /// Adds a configuration directive.
    #[must_use]
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is nowhere to be found.
    #[error(
        "{program} not found (looked at ${variable}, PATH and .local/bin); \
         install it with: scripts/setup"
    )]
    Absent {
        /// The program.
        program: &'static str,
        /// The environment variable that can name it.
        variable: &'static str,
    },
    /// It ended or never answered; the end of its log.
    #[error("{program} did not come up: {log}")]
    NotUp {
        /// The program.
        program: &'static str,
        /// The last lines it wrote.
        log: String,
    },
    /// The machine refused something.
    #[error("cannot start a server: {0}")]
    Io(#[from] io::Error),
}

/// User with every right, for the migration's workers and for the checkers.
pub const WORKER: (&str, &str) = ("exodus", "exodus-secret");
/// User of the applications; the default user (no password) may do the same.
pub const APPLICATION: (&str, &str) = ("app", "app-secret");

/// A running (or killed, or frozen) server.
#[derive(Debug)]
pub struct Server {
    flavor: Flavor,
    binary: PathBuf,
    dir: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(options: &ServerOptions) -> Result<Self, StartError> {
        let binary = find::server(options.flavor)?;
        let mut last = None;
        // A free port can be taken between asking and binding.
        for _ in 0..3 {
            let dir = tempfile::Builder::new().prefix("chaos-").tempdir()?;
            let port = free_port()?;
            write_config(dir.path(), port, options)?;
            let mut server =
                Self { flavor: options.flavor, binary: binary.clone(), dir, port, process: None };
            match server.restart() {
                Ok(()) => return Ok(server),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| StartError::Io(io::Error::other("no attempt was made"))))
    }

    /// Which program it is.
    #[must_use]
    pub const fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// Its TCP port, the same for life.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its directory: configuration, log, data.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its address as the default user.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::local(self.port)
    }

    /// Its address with every right.
    #[must_use]
    pub fn admin(&self) -> Address {
        self.address().with_login(WORKER.0, WORKER.1)
    }

    /// A connection with every right to `db`.
    pub fn connect(&self, db: i64) -> Result<Conn, crate::conn::Fault> {
        Conn::open(&self.admin(), db, Duration::from_secs(10))
    }

    /// The process id, while there is a process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether the process exists.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// SIGKILL; what was not durable is gone.
    pub fn kill9(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill9()?;
        }
        Ok(())
    }

    /// SIGTERM and wait; returns whether it ended by itself in ten seconds.
    pub fn terminate(&mut self) -> io::Result<bool> {
        match self.process.take() {
            Some(mut process) => process.terminate(Duration::from_secs(10)),
            None => Ok(true),
        }
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&mut self) -> io::Result<()> {
        self.process.as_mut().map_or(Ok(()), |p| p.signal(Signal::Stop))
    }

    /// SIGCONT after [`Server::freeze`].
    pub fn thaw(&mut self) -> io::Result<()> {
        self.process.as_mut().map_or(Ok(()), |p| p.signal(Signal::Continue))
    }

    /// Starts it (again) on the same port and directory, and waits until it answers.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.kill9()?;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.binary);
        command
            .arg(self.dir.path().join("server.conf"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.process = Some(Process::spawn(&mut command)?);
        self.wait_ready(Duration::from_secs(30))
    }

    /// Waits until PING answers PONG (not LOADING).
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), StartError> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && self.is_running() {
            let admin = self.admin();
            let conn = Conn::open(&admin, 0, Duration::from_secs(1));
            if conn.is_ok_and(|mut conn| conn.call(&cmd("PING")).is_ok()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(StartError::NotUp { program: self.flavor.program(), log: self.log_tail() })
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

fn write_config(dir: &Path, port: u16, options: &ServerOptions) -> io::Result<()> {
    let mut text = format!(
        "bind 127.0.0.1\nport {port}\ndir {}\naclfile {}\nsave \"\"\ndaemonize no\n\
         databases 16\nloglevel notice\ntcp-backlog 128\nmaxclients 2000\n",
        dir.display(),
        dir.join("users.acl").display(),
    );
    if options.persistence == Persistence::Always {
        text.push_str("appendonly yes\nappendfsync always\naof-use-rdb-preamble no\n");
    }
    for (name, value) in &options.directives {
        text.push_str(&format!("{name} {value}\n"));
    }
    fs::write(dir.join("server.conf"), text)?;
    let mut acl = String::from("user default on nopass ~* &* +@all\n");
    for (user, password) in [WORKER, APPLICATION] {
        acl.push_str(&format!("user {user} on >{password} ~* &* +@all\n"));
    }
    for line in &options.users {
        acl.push_str(&format!("user {line}\n"));
    }
    fs::write(dir.join("users.acl"), acl)
}
