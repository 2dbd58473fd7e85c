//! The process under test: any program that serves and has a readiness URL.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Process, Signal};

/// How to start the node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The program.
    pub binary: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables set for it.
    pub env: Vec<(String, String)>,
    /// `host:port` of its HTTP door.
    pub http: String,
    /// Path that answers 200 when it is ready.
    pub ready_path: String,
    /// File that collects its stdout and stderr, over restarts.
    pub log: PathBuf,
}

/// A running (or killed, or frozen) node. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    process: Option<Process>,
    /// How often it was started.
    starts: u32,
}

impl Node {
    /// Starts it without waiting for readiness.
    pub fn spawn(options: NodeOptions) -> io::Result<Self> {
        let mut node = Self { options, process: None, starts: 0 };
        node.respawn()?;
        Ok(node)
    }

    /// Starts it and waits until the readiness URL answers 200.
    pub fn start(options: NodeOptions, limit: Duration) -> io::Result<Self> {
        let mut node = Self::spawn(options)?;
        node.wait_ready(limit)?;
        Ok(node)
    }

    /// Starts it again after it was killed; kills it first if it still runs.
    pub fn respawn(&mut self) -> io::Result<()> {
        self.kill9()?;
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.options.log)?;
        let mut command = Command::new(&self.options.binary);
        command
            .args(&self.options.args)
            .envs(self.options.env.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.process = Some(Process::spawn(&mut command)?);
        self.starts += 1;
        Ok(())
    }

    /// [`Node::respawn`] and wait until ready.
    pub fn restart(&mut self, limit: Duration) -> io::Result<()> {
        self.respawn()?;
        self.wait_ready(limit)
    }

    /// How often it was started.
    #[must_use]
    pub const fn starts(&self) -> u32 {
        self.starts
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

    /// SIGKILL.
    pub fn kill9(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill9()?;
        }
        Ok(())
    }

    /// SIGTERM; returns whether it ended by itself within `limit`.
    pub fn terminate(&mut self, limit: Duration) -> io::Result<bool> {
        self.process.take().map_or(Ok(true), |mut p| p.terminate(limit))
    }

    /// SIGSTOP.
    pub fn freeze(&mut self) -> io::Result<()> {
        self.process.as_mut().map_or(Ok(()), |p| p.signal(Signal::Stop))
    }

    /// SIGCONT.
    pub fn thaw(&mut self) -> io::Result<()> {
        self.process.as_mut().map_or(Ok(()), |p| p.signal(Signal::Continue))
    }

    /// Waits until the readiness URL answers 200; the end of the log is in the error.
    pub fn wait_ready(&mut self, limit: Duration) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Ok(200) = http_status(&self.options.http, &self.options.ready_path) {
                return Ok(());
            }
            if !self.is_running() || Instant::now() >= deadline {
                let why = if self.is_running() { "not ready in time" } else { "ended" };
                return Err(io::Error::other(format!("node {why}: {}", self.log_tail(12))));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(&self.options.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let tail: Vec<&str> = text.lines().rev().take(lines).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The status code of a plain HTTP GET, in at most two seconds.
pub fn http_status(host_port: &str, path: &str) -> io::Result<u16> {
    let limit = Some(Duration::from_secs(2));
    let mut stream = TcpStream::connect(host_port)?;
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host_port}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head)?;
    std::str::from_utf8(&head[9..12])
        .ok()
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other("not an HTTP reply"))
}
