//! Child processes that can be killed, frozen and are never left behind.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// A signal this crate sends. SIGKILL is [`Process::kill9`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ask it to end.
    Term,
    /// As Ctrl-C does.
    Interrupt,
    /// End at once (PostgreSQL: without a checkpoint).
    Quit,
    /// Freeze it: sockets stay open, nothing answers.
    Stop,
    /// Let it run again.
    Continue,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A child process we own. Dropping it kills it by its id.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it in a process group of its own: a Ctrl-C at the terminal is for us to handle.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: command.process_group(0).spawn()? })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs (a frozen process runs).
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal. Harmless once it has ended.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        // The shell's builtin: exists everywhere, and we may not use unsafe code.
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{} {}", signal.name(), self.pid()))
            .status()?;
        if status.success() || !self.is_running() {
            return Ok(());
        }
        Err(io::Error::other(format!("kill -{} {} failed", signal.name(), self.pid())))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// SIGTERM, waits up to `limit`, then SIGKILL. Returns whether it ended by itself.
    pub fn terminate(&mut self, limit: Duration) -> io::Result<bool> {
        self.end_by(Signal::Term, limit)
    }

    /// Like [`Process::terminate`], asked by another signal.
    pub fn end_by(&mut self, signal: Signal, limit: Duration) -> io::Result<bool> {
        self.signal(signal)?;
        if self.wait(limit)?.is_some() {
            return Ok(true);
        }
        self.kill9()?;
        Ok(false)
    }

    /// Waits up to `limit` for it to end.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.kill9();
    }
}

/// A TCP port of this machine that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
