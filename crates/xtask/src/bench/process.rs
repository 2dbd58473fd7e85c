//! Starting and ending the servers of a measurement.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a server may take until it answers.
const READY_MAX: Duration = Duration::from_secs(20);

/// A process that ends when this is dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program with its output in a log beside its files.
    pub(crate) fn start<I, S>(program: &Path, arguments: I, log: &Path) -> Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let out = File::create(log).with_context(|| log.display().to_string())?;
        let err = out.try_clone().context("the log's second handle")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until it answers PING on the port, or says what its log said.
    pub(crate) fn ready(self, port: u16) -> Result<Self> {
        self.until(|| ping(port))
    }

    /// Waits until the probe holds, or says what its log said.
    pub(crate) fn until(mut self, probe: impl Fn() -> bool) -> Result<Self> {
        let deadline = Instant::now() + READY_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status}: {}", self.tail());
            }
            if probe() {
                return Ok(self);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("did not answer within {READY_MAX:?}: {}", self.tail())
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing can be done about a process that will not die; it has no work left either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ping(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let patience = Some(Duration::from_millis(500));
    let mut reply = [0; 7];
    stream.set_read_timeout(patience).is_ok()
        && stream.write_all(b"*1\r\n$4\r\nPING\r\n").is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && &reply == b"+PONG\r\n"
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    Ok(listener.local_addr()?.port())
}

/// A program by an environment variable, on PATH, in the usual system folders, or unpacked by
/// `scripts/setup`.
pub(crate) fn find(program: &str, variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = crate::root().join(".local/bin");
    let folders = std::env::split_paths(&path).chain([
        PathBuf::from("/usr/sbin"),
        PathBuf::from("/usr/local/sbin"),
        unpacked,
    ]);
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.into_iter().chain(folders.map(|f| f.join(program))).find(|p| p.is_file());
    found.with_context(|| format!("{program} is not installed; run scripts/setup --bench"))
}

/// The first line a program prints about itself.
pub(crate) fn version(program: &Path, argument: &str) -> Result<String> {
    let out = Command::new(program).arg(argument).output()?;
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(!text.trim().is_empty(), "{} says no version", program.display());
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// A server without persistence, on a free port, with its files in `folder`.
pub(crate) fn server(program: &Path, folder: &Path, name: &str) -> Result<(Running, u16)> {
    let port = free_port()?;
    let port_text = port.to_string();
    let folder_text = folder.display().to_string();
    let arguments = [
        "--port",
        &port_text,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        &folder_text,
        "--loglevel",
        "warning",
    ];
    let log = folder.join(format!("{name}.log"));
    Ok((Running::start(program, arguments, &log)?.ready(port)?, port))
}
