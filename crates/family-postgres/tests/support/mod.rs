//! PostgreSQL servers of our own: in a temporary directory, on a free port, never as root.
//!
//! Everybody in this crate starts servers here. [`Cluster::shared`] is one server for all tests
//! of a program that only need a database of their own; [`Cluster::build`] is for what changes
//! the server itself.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use family::{EndpointSpec, TlsMode};
use model::Side;

/// Who may do everything, by SCRAM.
pub(crate) const OWNER: &str = "exodus";
pub(crate) const PASSWORD: &str = "exodus-secret";
/// Where Debian's package has its programs, unless `EXODUS_POSTGRES_BIN` says otherwise.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";
/// `nobody` of Debian: servers refuse to run as root.
const NOBODY: u32 = 65_534;
/// Who is let in how. Replication of a database counts as a session of that database.
const DOORS: &str = "host all plain 127.0.0.1/32 password\nhost all hashed 127.0.0.1/32 md5\n\
    host all open 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n\
    host replication all 127.0.0.1/32 scram-sha-256\n";

/// A server that runs until it is dropped.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    bin: PathBuf,
    settings: Vec<String>,
    server: Mutex<Running>,
    pub(crate) port: u16,
    /// 15, unless `EXODUS_POSTGRES_BIN` names another.
    pub(crate) major: u32,
}

struct Running {
    child: Child,
    log: Option<JoinHandle<()>>,
}

/// What a server is started with.
pub(crate) struct Builder {
    settings: Vec<String>,
    initdb: Vec<String>,
    certificate: Option<(String, String)>,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static NAMES: AtomicUsize = AtomicUsize::new(0);

impl Cluster {
    /// A server with the settings every test wants.
    pub(crate) fn start() -> Self {
        Self::build().start()
    }

    pub(crate) fn build() -> Builder {
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "wal_level=logical",
            "max_prepared_transactions=8",
            "max_replication_slots=20",
            "max_wal_senders=20",
            "shared_buffers=32MB",
            "lc_messages=C",
        ];
        Builder { settings: settings.map(String::from).to_vec(), initdb: vec![], certificate: None }
    }

    /// One server for as many tests as run at the same time. Use a database of your own on it.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Self::start());
            *shared = Arc::downgrade(&made);
            made
        })
    }

    /// An empty database nobody else uses; its name.
    pub(crate) fn database(&self) -> String {
        let name = format!("db_{}", NAMES.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        name
    }

    /// How our workers reach a database on it.
    pub(crate) fn spec(&self, side: Side, database: &str) -> EndpointSpec {
        EndpointSpec {
            side,
            address: format!("127.0.0.1:{}", self.port),
            database: Some(database.to_owned()),
            user: Some(OWNER.to_owned()),
            password: Some(Arc::from(PASSWORD)),
            tls: TlsMode::Disable,
            session_tag: "exodus:test:boot1".to_owned(),
            timeout: Duration::from_secs(20),
            application_users: Vec::new(),
        }
    }

    /// Runs statements through psql, a client that is not ours; what they printed, unaligned.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let (out, error) = self.try_sql(OWNER, database, sql);
        assert!(error.is_empty(), "{sql}: {error}");
        out
    }

    /// The same as somebody else, and what went wrong.
    pub(crate) fn try_sql(&self, user: &str, database: &str, sql: &str) -> (String, String) {
        // By its input: statements of one argument would be one transaction.
        let mut psql = self.psql(user, database);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn().expect("psql runs");
        let mut input = psql.stdin.take().expect("its input");
        // It may have ended already: then what it said is what counts.
        let _ = input.write_all(sql.as_bytes());
        drop(input);
        let done = psql.wait_with_output().expect("psql ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let error = if done.status.success() { String::new() } else { text(&done.stderr) };
        (text(&done.stdout), error)
    }

    /// psql as this user, ready for more arguments or for input.
    pub(crate) fn psql(&self, user: &str, database: &str) -> Command {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args(["-p", &self.port.to_string(), "-U", user, "-d", database])
            .env("PGPASSWORD", PASSWORD)
            .env("PGOPTIONS", "-c client_min_messages=warning");
        psql
    }

    /// `kill -9` of the server and of every process of it, then a new start on the same port.
    pub(crate) fn crash(&self) {
        let mut running = self.server.lock().expect("the server");
        let server = running.child.id();
        // Who would start others must not, while we look who there is.
        signal("-STOP", server);
        let children = children(server);
        running.child.kill().expect("killed");
        running.child.wait().expect("it ends");
        for child in children {
            signal("-KILL", child);
            while stat(child).is_some_and(|stat| !stat.starts_with('Z')) {
                thread::yield_now();
            }
        }
        if let Some(log) = running.log.take() {
            let _ = log.join();
        }
        *running = launch(&self.bin, self.dir.path(), &self.settings, self.port).expect("restarts");
    }

    /// Stops it at once and starts it again on the same port.
    pub(crate) fn restart(&self) {
        let mut running = self.server.lock().expect("the server");
        stop(&self.bin, self.dir.path(), &mut running);
        *running = launch(&self.bin, self.dir.path(), &self.settings, self.port).expect("restarts");
    }
}

impl Builder {
    /// `name=value`; the last one of a name counts.
    pub(crate) fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// An argument of initdb; the last one of a kind counts.
    pub(crate) fn initdb(mut self, argument: &str) -> Self {
        self.initdb.push(argument.to_owned());
        self
    }

    /// Speaks TLS with this certificate and key (PEM).
    pub(crate) fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.certificate = Some((certificate.to_owned(), key.to_owned()));
        self.setting("ssl=on")
    }

    pub(crate) fn start(self) -> Cluster {
        let bin = PathBuf::from(std::env::var_os("EXODUS_POSTGRES_BIN").unwrap_or(DEBIAN.into()));
        assert!(
            bin.join("postgres").is_file() && bin.join("initdb").is_file(),
            "no PostgreSQL server in {} (EXODUS_POSTGRES_BIN can name another place); \
             install it with: scripts/setup --postgres",
            bin.display()
        );
        let dir = tempfile::tempdir().expect("a temporary directory");
        give(dir.path(), 0o700);
        let secret = dir.path().join("secret");
        fs::write(&secret, PASSWORD).expect("a password file");
        give(&secret, 0o600);
        let data = dir.path().join("data");
        let made = program(&bin, "initdb", dir.path())
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .args(["--username", OWNER, "--pwfile"])
            .arg(&secret)
            .args(&self.initdb)
            .arg("-D")
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        fs::write(data.join("pg_hba.conf"), DOORS).expect("pg_hba.conf");
        if let Some((certificate, key)) = &self.certificate {
            for (name, text) in [("server.crt", certificate), ("server.key", key)] {
                fs::write(data.join(name), text).expect("a certificate");
                give(&data.join(name), 0o600);
            }
        }
        let version = fs::read_to_string(data.join("PG_VERSION")).expect("its version");
        let major = version.trim().parse().expect("a major version");

        // Another program may take the port in between; then the server says so and we try again.
        let mut said = String::new();
        for _ in 0..5 {
            let port = port();
            match launch(&bin, dir.path(), &self.settings, port) {
                Ok(running) => {
                    let server = Mutex::new(running);
                    return Cluster { dir, bin, settings: self.settings, server, port, major };
                }
                Err(log) => said = log,
            }
        }
        panic!("the server did not come up: {said}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let running = self.server.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        stop(&self.bin, self.dir.path(), running);
    }
}

fn stop(bin: &Path, home: &Path, running: &mut Running) {
    let _ = program(bin, "pg_ctl", home)
        .args(["stop", "--mode=immediate", "--silent", "-D"])
        .arg(home.join("data"))
        .status();
    let _ = running.child.kill();
    let _ = running.child.wait();
    if let Some(log) = running.log.take() {
        let _ = log.join();
    }
}

/// Sends a signal to a process of ours, which may have ended already.
fn signal(name: &str, process: u32) {
    let _ = Command::new("kill").args([name, &process.to_string()]).stderr(Stdio::null()).status();
}

/// Processes that this one has started.
fn children(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parent_of = |process| stat(process)?.split_whitespace().nth(1)?.parse::<u32>().ok();
    numbers.filter(|process| parent_of(*process) == Some(parent)).collect()
}

/// What the system says of a process: its state, its parent and more.
fn stat(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may contain anything, a closing bracket as well.
    Some(stat.rsplit_once(')')?.1.trim_start().to_owned())
}

/// Starts the server and waits until it says that it is up; what it says instead otherwise.
fn launch(bin: &Path, home: &Path, settings: &[String], port: u16) -> Result<Running, String> {
    let mut server = program(bin, "postgres", home);
    server.arg("-D").arg(home.join("data")).args(["-p", &port.to_string()]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    let mut child = server.stderr(Stdio::piped()).spawn().expect("postgres runs");
    let mut log = BufReader::new(child.stderr.take().expect("its log"));
    let mut said = String::new();
    while !said.contains("ready to accept connections") {
        if !log.read_line(&mut said).is_ok_and(|bytes| bytes > 0) {
            let _ = child.wait();
            return Err(said);
        }
    }
    // Whoever does not read its log stops it once the pipe is full.
    let drain = thread::spawn(move || {
        let _ = std::io::copy(&mut log, &mut std::io::sink());
    });
    Ok(Running { child, log: Some(drain) })
}

fn port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its address").port()
}

fn am_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Makes a file the server's.
fn give(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
    if am_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("give it to nobody");
    }
}

/// A program of the server, in a directory it may enter, not as root.
fn program(bin: &Path, name: &str, home: &Path) -> Command {
    let mut command = Command::new(bin.join(name));
    command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::null());
    if am_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
