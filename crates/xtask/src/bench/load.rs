//! The load: `redis-benchmark` with 50 clients, 64-byte values, random keys.

use std::fmt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::process::find;

/// Keys the load chooses from.
const KEYSPACE: &str = "100000";
/// Clients at the same time.
const CLIENTS: &str = "50";
/// Bytes of a value.
const SIZE: &str = "64";

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    /// The command, as `redis-benchmark -t` names it.
    pub(crate) command: &'static str,
    /// Requests sent before the first reply is awaited.
    pub(crate) pipeline: u32,
}

impl Cell {
    /// Every cell, in the order in which a round runs them.
    pub(crate) const ALL: [Self; 4] = [
        Self { command: "set", pipeline: 1 },
        Self { command: "get", pipeline: 1 },
        Self { command: "set", pipeline: 16 },
        Self { command: "get", pipeline: 16 },
    ];
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} P{}", self.command.to_uppercase(), self.pipeline)
    }
}

/// What one run of one cell gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    /// Requests in this run.
    pub(crate) requests: u64,
    /// Requests per second, as `redis-benchmark` counts them.
    pub(crate) rate: f64,
    /// Median latency in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub(crate) p99_ms: f64,
}

/// Fills the keyspace, so that reads find something.
pub(crate) fn warm_up(port: u16) -> Result<()> {
    measure(port, Cell { command: "set", pipeline: 16 }, 400_000).map(|_| ())
}

/// One run. With a pipeline it asks for more, so that every cell takes about as long.
pub(crate) fn run(port: u16, cell: Cell, requests: u64) -> Result<Figures> {
    measure(port, cell, if cell.pipeline > 1 { requests * 6 } else { requests })
}

fn measure(port: u16, cell: Cell, requests: u64) -> Result<Figures> {
    let out = Command::new(find("redis-benchmark", "EXODUS_REDIS_BENCHMARK")?)
        .args(["-p", &port.to_string(), "-t", cell.command, "-P", &cell.pipeline.to_string()])
        .args(["-c", CLIENTS, "-d", SIZE, "-r", KEYSPACE, "-n", &requests.to_string(), "--csv"])
        .stdin(Stdio::null())
        .output()
        .context("redis-benchmark")?;
    let text = String::from_utf8_lossy(&out.stdout);
    ensure!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    parse(&text, requests)
}

/// Reads the CSV line: test, rate, then average, least, p50, p95, p99 and largest latency.
fn parse(text: &str, requests: u64) -> Result<Figures> {
    let Some(line) = text.lines().find(|l| l.starts_with("\"SET\"") || l.starts_with("\"GET\""))
    else {
        bail!("redis-benchmark printed no figures: {text}");
    };
    let fields: Vec<&str> = line.split(',').map(|f| f.trim_matches('"')).collect();
    let number = |at: usize| -> Result<f64> {
        let field = fields.get(at).with_context(|| format!("too few columns: {line}"))?;
        field.parse().with_context(|| format!("not a number: {line}"))
    };
    Ok(Figures { requests, rate: number(1)?, p50_ms: number(4)?, p99_ms: number(6)? })
}

/// The command as a reader of the document would type it.
pub(crate) fn shown(cell: Cell) -> String {
    format!(
        "redis-benchmark -t {} -P {} -c {CLIENTS} -d {SIZE} -r {KEYSPACE} --csv",
        cell.command, cell.pipeline
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csv_is_read() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\
            \"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
            \"SET\",\"61728.39\",\"0.418\",\"0.120\",\"0.407\",\"0.583\",\"0.815\",\"3.167\"\n";
        let figures = parse(text, 10).unwrap();
        assert_eq!(figures.rate, 61728.39);
        assert_eq!((figures.p50_ms, figures.p99_ms), (0.407, 0.815));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse("Could not connect", 1).is_err());
        assert!(parse("\"SET\",\"x\"\n", 1).is_err());
    }
}
