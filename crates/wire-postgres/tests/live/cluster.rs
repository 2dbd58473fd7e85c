//! A PostgreSQL server of our own in a temporary directory, on a free port, never as root.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

/// Who may do everything, by SCRAM.
pub(crate) const OWNER: &str = "exodus";
pub(crate) const PASSWORD: &str = "exodus-secret";
/// Where Debian's package has its programs, unless `EXODUS_POSTGRES_BIN` says otherwise.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";
/// `nobody` of Debian: servers refuse to run as root.
const NOBODY: u32 = 65_534;

pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    bin: PathBuf,
    server: Child,
    log: Option<JoinHandle<()>>,
    pub(crate) port: u16,
    /// 15, unless `EXODUS_POSTGRES_BIN` names another.
    pub(crate) major: u32,
}

impl Cluster {
    /// A fresh server that decodes early, and lets these users in: `plain` by password, `hashed`
    /// by MD5, `open` without being asked.
    pub(crate) fn start() -> Self {
        let bin = PathBuf::from(std::env::var_os("EXODUS_POSTGRES_BIN").unwrap_or(DEBIAN.into()));
        assert!(
            bin.join("postgres").is_file() && bin.join("initdb").is_file(),
            "no PostgreSQL server in {} (EXODUS_POSTGRES_BIN can name another place); \
             install it with: scripts/setup",
            bin.display()
        );
        let dir = tempfile::tempdir().expect("a temporary directory");
        if is_root(dir.path()) {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("give it to nobody");
        }
        let secret = dir.path().join("secret");
        fs::write(&secret, PASSWORD).expect("a password file");
        fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("readable");
        let data = dir.path().join("data");
        let made = program(&bin, "initdb", dir.path())
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .args(["--username", OWNER, "--pwfile"])
            .arg(&secret)
            .arg("-D")
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let doors = "host all plain 127.0.0.1/32 password\nhost all hashed 127.0.0.1/32 md5\n\
             host all open 127.0.0.1/32 trust\nhost replication open 127.0.0.1/32 trust\n\
             host all all 127.0.0.1/32 scram-sha-256\n";
        let mut hba = File::create(data.join("pg_hba.conf")).expect("pg_hba.conf");
        hba.write_all(doors.as_bytes()).expect("written");

        let version = fs::read_to_string(data.join("PG_VERSION")).expect("its version");
        let major = version.trim().parse().expect("a major version");

        // Another program may take the port in between; then the server says so and we try again.
        let mut said = String::new();
        for _ in 0..5 {
            let port = port();
            match launch(&bin, dir.path(), major, port) {
                Ok((server, log)) => return Self { dir, bin, server, log: Some(log), port, major },
                Err(log) => said = log,
            }
        }
        panic!("the server did not come up: {said}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = program(&self.bin, "pg_ctl", self.dir.path())
            .args(["stop", "--mode=immediate", "--silent", "-D"])
            .arg(self.dir.path().join("data"))
            .status();
        let _ = self.server.kill();
        let _ = self.server.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

/// Starts the server and waits until it says that it is up; what it says instead otherwise.
fn launch(
    bin: &Path,
    home: &Path,
    major: u32,
    port: u16,
) -> Result<(Child, JoinHandle<()>), String> {
    let mut server = program(bin, "postgres", home);
    server.arg("-D").arg(home.join("data")).args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "wal_level=logical",
        "max_prepared_transactions=4",
        "lc_messages=C",
    ] {
        server.args(["-c", setting]);
    }
    if major >= 13 {
        server.args(["-c", "logical_decoding_work_mem=64kB"]);
    }
    let mut server = server.stderr(Stdio::piped()).spawn().expect("postgres runs");
    let mut log = BufReader::new(server.stderr.take().expect("its log"));
    let mut said = String::new();
    while !said.contains("ready to accept connections") {
        if !log.read_line(&mut said).is_ok_and(|bytes| bytes > 0) {
            let _ = server.wait();
            return Err(said);
        }
    }
    // Whoever does not read its log stops it once the pipe is full.
    let drain = thread::spawn(move || {
        let _ = std::io::copy(&mut log, &mut std::io::sink());
    });
    Ok((server, drain))
}

fn port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its address").port()
}

fn is_root(ours: &Path) -> bool {
    fs::metadata(ours).is_ok_and(|file| file.uid() == 0)
}

/// A program of the server, in a directory it may enter, not as root.
fn program(bin: &Path, name: &str, home: &Path) -> Command {
    let mut command = Command::new(bin.join(name));
    command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::null());
    // The directory belongs to nobody when we are root.
    let owner = fs::metadata(home).expect("the directory").uid();
    if owner == NOBODY && fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
