//! Real PostgreSQL clusters on free ports, in directories of their own, never as root.
//!
//! Life cycle: [`PgServer::start`] copies a data directory made once, starts it, makes roles and
//! an empty database; [`PgServer::restart`] uses the same port and directory; drop ends all of its
//! processes and removes the directory.
//!
//! Layout: `find` the programs, `account` who runs them, `template` what `initdb` made, `tree` the
//! processes of a server.

mod account;
mod find;
mod template;
mod tree;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::conn::{Conn, Fault, PgAddress};
use crate::process::{Process, Signal, free_port};
use account::Account;
use template::Template;

/// Which major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Debian's.
    Fifteen,
    /// The one `scripts/setup` unpacks.
    Eighteen,
}

impl Version {
    /// The number.
    #[must_use]
    pub const fn major(self) -> u32 {
        match self {
            Self::Fifteen => 15,
            Self::Eighteen => 18,
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Fifteen => "EXODUS_POSTGRES_15_BIN",
            Self::Eighteen => "EXODUS_POSTGRES_18_BIN",
        }
    }
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct PgOptions {
    /// Which version.
    pub version: Version,
    /// Whether what was acknowledged survives the machine; a killed server loses nothing either
    /// way.
    pub fsync: bool,
    /// Whether the owner's and the application's roles exist, or only the worker's.
    pub application_roles: bool,
    /// Settings added at the end (`max_connections`, `20`).
    pub settings: Vec<(String, String)>,
}

impl PgOptions {
    /// Fast, with every role, ready for logical decoding and prepared transactions.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self { version, fsync: false, application_roles: true, settings: Vec::new() }
    }

    /// Syncs what it acknowledges.
    #[must_use]
    pub const fn durable(mut self) -> Self {
        self.fsync = true;
        self
    }

    /// Only the worker's role and an empty database: the owner's and the application's are still
    /// to come.
    #[must_use]
    pub const fn bare(mut self) -> Self {
        self.application_roles = false;
        self
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The programs are nowhere to be found.
    #[error(
        "PostgreSQL {major} not found (looked at ${variable}, /usr/lib/postgresql and .local); \
         install it with: scripts/setup"
    )]
    Absent {
        /// The version.
        major: u32,
        /// The environment variable that can name the directory of its programs.
        variable: &'static str,
    },
    /// The account that servers run under cannot run the programs.
    #[error("{} cannot be run by the account of the servers", bin.display())]
    Closed {
        /// Their directory.
        bin: PathBuf,
    },
    /// It ended or never answered; the end of its log.
    #[error("PostgreSQL {major} did not come up: {log}")]
    NotUp {
        /// The version.
        major: u32,
        /// The last lines it wrote.
        log: String,
    },
    /// The machine refused something.
    #[error("cannot start a server: {0}")]
    Io(#[from] io::Error),
    /// The roles or the database could not be made.
    #[error("a new server refuses its first statements: {0}")]
    Refused(#[from] Fault),
}

/// Superuser that `initdb` makes; nobody's business but the judges'.
pub const BOOTSTRAP: (&str, &str) = ("postgres", "postgres-secret");
/// Superuser of the migration's workers.
pub const WORKER: (&str, &str) = ("exodus_worker", "exodus-secret");
/// Owner of every object.
pub const OWNER: (&str, &str) = ("shop_owner", "owner-secret");
/// Role of the applications.
pub const APPLICATION: (&str, &str) = ("shop_app", "app-secret");
/// The database.
pub const DATABASE: &str = "shop";

const UP: Duration = Duration::from_secs(60);

/// A running (or killed, or frozen) cluster.
pub struct PgServer {
    version: Version,
    bin: PathBuf,
    account: Account,
    dir: TempDir,
    port: u16,
    process: Option<Process>,
}

impl PgServer {
    /// Starts a cluster and waits until it answers; makes the roles and the empty database.
    pub fn start(options: &PgOptions) -> Result<Self, StartError> {
        let account = Account::choose();
        let found = find::programs(options.version)?;
        let template = Template::of(options.version, &found, account)?;
        let mut last = None;
        // A free port can be taken between asking and binding.
        for _ in 0..3 {
            let dir = tempfile::Builder::new().prefix("chaos-pg-").tempdir()?;
            account.own(dir.path())?;
            template.copy(&dir.path().join("data"))?;
            let port = free_port()?;
            write_config(dir.path(), port, options)?;
            let (version, bin) = (options.version, template.bin.clone());
            let mut server = Self { version, bin, account, dir, port, process: None };
            match server.restart() {
                Ok(()) => {
                    server.furnish(options)?;
                    return Ok(server);
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| StartError::Io(io::Error::other("no attempt was made"))))
    }

    fn furnish(&self, options: &PgOptions) -> Result<(), StartError> {
        let root = self.address().with_database("postgres").with_login(BOOTSTRAP.0, BOOTSTRAP.1);
        let mut conn = Conn::open(&root, UP)?;
        let role = |(name, password): (&str, &str), what: &str| {
            format!("CREATE ROLE {name} LOGIN {what} PASSWORD '{password}'")
        };
        conn.batch(&role(WORKER, "SUPERUSER REPLICATION"))?;
        if options.application_roles {
            conn.batch(&role(OWNER, ""))?;
            conn.batch(&role(APPLICATION, ""))?;
        }
        conn.batch(&format!("CREATE DATABASE {DATABASE} TEMPLATE template0"))?;
        if options.application_roles {
            conn.batch(&format!("GRANT CREATE ON DATABASE {DATABASE} TO {}", OWNER.0))?;
        }
        Ok(())
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Its TCP port, the same for life.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its directory: data, log, sockets.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The address of the database as the application.
    #[must_use]
    pub fn address(&self) -> PgAddress {
        PgAddress::local(self.port, DATABASE).with_login(APPLICATION.0, APPLICATION.1)
    }

    /// The address of the database as the owner of its objects.
    #[must_use]
    pub fn owner(&self) -> PgAddress {
        self.address().with_login(OWNER.0, OWNER.1)
    }

    /// The address of the database with every right, as nobody the migration knows.
    #[must_use]
    pub fn admin(&self) -> PgAddress {
        self.address().with_login(BOOTSTRAP.0, BOOTSTRAP.1)
    }

    /// A connection with every right.
    pub fn connect(&self) -> Result<Conn, Fault> {
        Conn::open(&self.admin(), UP)
    }

    /// The postmaster's process id, while there is one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether the postmaster exists.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// SIGKILL to every process of the server, as when the machine's memory ran out; what was not
    /// written is gone.
    pub fn kill9(&mut self) -> io::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // A frozen postmaster makes no more children, and they get no time for last words.
        process.signal(Signal::Stop)?;
        let children = tree::children(process.pid());
        tree::signal("KILL", &children)?;
        process.kill9()?;
        if tree::gone(&children, UP) {
            return Ok(());
        }
        Err(io::Error::other("processes of a killed server do not go away"))
    }

    /// A fast shutdown: sessions are ended, a checkpoint is written. Returns whether it ended by
    /// itself in thirty seconds.
    pub fn stop(&mut self) -> io::Result<bool> {
        let Some(process) = self.process.as_mut() else { return Ok(true) };
        process.signal(Signal::Interrupt)?;
        if process.wait(Duration::from_secs(30))?.is_some() {
            self.process = None;
            return Ok(true);
        }
        self.kill9()?;
        Ok(false)
    }

    /// SIGSTOP to every process: connections stay open and nothing answers.
    pub fn freeze(&mut self) -> io::Result<()> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        process.signal(Signal::Stop)?;
        tree::signal("STOP", &tree::children(process.pid()))
    }

    /// SIGCONT after [`PgServer::freeze`].
    pub fn thaw(&mut self) -> io::Result<()> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        tree::signal("CONT", &tree::children(process.pid()))?;
        process.signal(Signal::Continue)
    }

    /// Starts it (again) on the same port and directory, and waits until it answers.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.stop()?;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = self.account.command(&self.bin.join("postgres"), self.dir.path());
        command.arg("-D").arg(self.dir.path().join("data"));
        command.stdout(Stdio::null()).stderr(log);
        self.process = Some(Process::spawn(&mut command)?);
        self.wait_ready(UP)
    }

    /// Waits until it lets somebody in.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), StartError> {
        let deadline = Instant::now() + limit;
        let root = self.address().with_database("postgres").with_login(BOOTSTRAP.0, BOOTSTRAP.1);
        while Instant::now() < deadline && self.is_running() {
            if Conn::open(&root, Duration::from_secs(2)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(StartError::NotUp { major: self.version.major(), log: self.log_tail(5) })
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(lines).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        // An immediate shutdown removes the server's shared memory, a kill would not.
        if let Some(process) = self.process.as_mut() {
            let _ = process.signal(Signal::Quit);
            if process.wait(Duration::from_secs(5)).is_ok_and(|ended| ended.is_some()) {
                self.process = None;
            }
        }
        let _already_gone = self.kill9();
    }
}

fn write_config(dir: &Path, port: u16, options: &PgOptions) -> io::Result<()> {
    let switch = if options.fsync { "on" } else { "off" };
    let mut text = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
         wal_level = logical\nmax_replication_slots = 20\nmax_wal_senders = 20\n\
         max_prepared_transactions = 50\nmax_connections = 200\n\
         fsync = {switch}\nfull_page_writes = {switch}\nsynchronous_commit = on\n\
         password_encryption = 'scram-sha-256'\nlc_messages = 'C'\ntimezone = 'UTC'\n\
         log_line_prefix = '%m [%p] %u@%d %a '\nlog_min_messages = warning\n\
         dynamic_shared_memory_type = mmap\nshared_buffers = 128MB\nmax_wal_size = 2GB\n\
         checkpoint_timeout = 15min\n",
        dir.display()
    );
    for (name, value) in &options.settings {
        let _ = writeln!(text, "{name} = '{value}'");
    }
    let config = dir.join("data/postgresql.conf");
    let mut whole = fs::read_to_string(&config)?;
    whole.push_str(&text);
    fs::write(config, whole)?;
    // Replication connections come in by password, too.
    let doors = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n\
         host replication all 127.0.0.1/32 scram-sha-256\n";
    fs::write(dir.join("data/pg_hba.conf"), doors)
}
