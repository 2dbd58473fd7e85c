//! Just enough of the protocol to fill a server and to copy with a plain pipelined loop.
//!
//! Nothing of the product is used here: a ceiling that is measured with our own codec would
//! share its mistakes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that sends batches and reads their replies.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    out: Vec<u8>,
    owed: usize,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(String),
    Int(i64),
    Bulk(Option<Vec<u8>>),
    Many(Vec<Reply>),
}

impl Connection {
    pub(crate) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::with_capacity(1 << 18, stream), out: Vec::new(), owed: 0 })
    }

    /// Adds a command to the batch.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        self.out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
        for part in parts {
            self.out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            self.out.extend_from_slice(part);
            self.out.extend_from_slice(b"\r\n");
        }
        self.owed += 1;
    }

    /// Sends the batch and reads one reply for each command; an error reply is an error.
    pub(crate) fn flush(&mut self) -> Result<Vec<Reply>> {
        self.reader.get_mut().write_all(&self.out).context("send")?;
        self.out.clear();
        let owed = std::mem::take(&mut self.owed);
        (0..owed).map(|_| self.read()).collect()
    }

    /// One command, one reply.
    pub(crate) fn call(&mut self, parts: &[&[u8]]) -> Result<Reply> {
        self.push(parts);
        self.flush()?.pop().context("no reply")
    }

    fn read(&mut self) -> Result<Reply> {
        let mut line = String::new();
        self.reader.read_line(&mut line).context("a reply")?;
        let Some((kind, rest)) = line.split_at_checked(1) else { bail!("connection closed") };
        let rest = rest.trim_end();
        Ok(match kind {
            "+" => Reply::Simple(rest.to_owned()),
            ":" => Reply::Int(rest.parse()?),
            "$" if rest == "-1" => Reply::Bulk(None),
            "$" => {
                let mut body = vec![0; rest.parse::<usize>()? + 2];
                self.reader.read_exact(&mut body)?;
                body.truncate(body.len() - 2);
                Reply::Bulk(Some(body))
            }
            "*" => Reply::Many((0..rest.parse()?).map(|_| self.read()).collect::<Result<_>>()?),
            _ => bail!("the server answered {}", line.trim_end()),
        })
    }
}
