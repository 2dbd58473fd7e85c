//! Who is measured: the server itself and the proxies in front of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::process::{Running, find, free_port, server, version};

/// Waits until nothing is owed to the other side; how long that took.
pub(crate) type Settle = Box<dyn FnMut() -> Result<Duration>>;

/// Something that answers on a port.
pub(crate) struct Contender {
    /// As it stands in the document.
    pub(crate) name: String,
    /// Version and configuration, for the document.
    pub(crate) about: String,
    /// Where it listens.
    pub(crate) port: u16,
    /// For those that follow with a second side.
    pub(crate) settle: Option<Settle>,
    /// Ended with it, in this order.
    pub(crate) _processes: Vec<Running>,
}

impl Contender {
    /// Direct, nutcracker and haproxy over one server.
    pub(crate) fn peers(folder: &Path) -> Result<Vec<Self>> {
        let program = find("redis-server", "EXODUS_REDIS_SERVER")?;
        let (running, source) = server(&program, folder, "direct")?;
        let direct = Self {
            name: "direct".to_owned(),
            about: version(&program, "--version")?,
            port: source,
            settle: None,
            _processes: vec![running],
        };
        Ok(vec![direct, nutcracker(folder, source)?, haproxy(folder, source)?])
    }

    /// Waits until the other side, if there is one, has everything.
    pub(crate) fn settle(&mut self) -> Result<Duration> {
        self.settle.as_mut().map_or(Ok(Duration::ZERO), |wait| wait())
    }
}

fn nutcracker(folder: &Path, source: u16) -> Result<Contender> {
    let program = find("nutcracker", "EXODUS_NUTCRACKER")?;
    let (port, stats) = (free_port()?, free_port()?);
    let config = folder.join("nutcracker.yml");
    let text = format!(
        "bench:\n  listen: 127.0.0.1:{port}\n  hash: fnv1a_64\n  distribution: ketama\n  \
         redis: true\n  auto_eject_hosts: false\n  timeout: 4000\n  servers:\n   \
         - 127.0.0.1:{source}:1\n"
    );
    std::fs::write(&config, text).context("nutcracker's configuration")?;
    let pid = folder.join("nutcracker.pid");
    let arguments = [
        "-c".to_owned(),
        config.display().to_string(),
        "-s".to_owned(),
        stats.to_string(),
        "-p".to_owned(),
        pid.display().to_string(),
    ];
    let running = Running::start(&program, arguments, &folder.join("nutcracker.log"))?;
    Ok(Contender {
        name: "nutcracker".to_owned(),
        about: format!("{}, one pool, one server", version(&program, "--version")?),
        port,
        settle: None,
        _processes: vec![running.ready(port)?],
    })
}

fn haproxy(folder: &Path, source: u16) -> Result<Contender> {
    let program = find("haproxy", "EXODUS_HAPROXY")?;
    let port = free_port()?;
    let config = folder.join("haproxy.cfg");
    let text = format!(
        "global\n    maxconn 4096\ndefaults\n    mode tcp\n    timeout connect 5s\n    \
         timeout client 60s\n    timeout server 60s\nlisten bench\n    \
         bind 127.0.0.1:{port}\n    server source 127.0.0.1:{source}\n"
    );
    std::fs::write(&config, text).context("haproxy's configuration")?;
    let arguments = ["-db".to_owned(), "-f".to_owned(), config.display().to_string()];
    let running = Running::start(&program, arguments, &folder.join("haproxy.log"))?;
    let about = version(&program, "-v")?;
    let about = about.split(" - ").next().unwrap_or(&about);
    Ok(Contender {
        name: "haproxy".to_owned(),
        about: format!("{about}, TCP mode, threads by default"),
        port,
        settle: None,
        _processes: vec![running.ready(port)?],
    })
}
