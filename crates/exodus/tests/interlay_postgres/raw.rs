//! A client that speaks bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for anything that should come at once.
const SOON: Duration = Duration::from_secs(20);

/// Every body with its type byte and its length.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub(crate) fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub(crate) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

/// Binds a statement without parameters.
pub(crate) fn bind(portal: &str, name: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{name}\0\0\0\0\0\0\0").as_bytes())
}

pub(crate) fn describe(kind: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{kind}{name}\0").as_bytes())
}

pub(crate) fn execute(portal: &str, rows: i32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend_from_slice(&rows.to_be_bytes());
    message(b'E', &body)
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub(crate) fn flush() -> Vec<u8> {
    message(b'H', b"")
}

/// Parse, Bind, Execute of one statement.
pub(crate) fn run(text: &str) -> Vec<u8> {
    [parse("", text), bind("", ""), execute("", 0)].concat()
}

pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608u32.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    message(0, &body).split_off(1)
}

/// A connection of the role that is let in without a password.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    rest: Vec<u8>,
}

impl Raw {
    pub(crate) fn bare(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, rest: Vec::new() }
    }

    pub(crate) fn login(address: SocketAddr, database: &str) -> Self {
        let mut raw = Self::bare(address);
        raw.send(&startup(&[("user", "open"), ("database", database)]));
        let (greeting, _) = raw.until_ready();
        assert_eq!(greeting.first(), Some(&b'R'), "{}", greeting.escape_ascii());
        raw
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message, `None` at the end of the connection.
    pub(crate) fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(head) = self.rest.get(1..5) {
                let len = 1 + u32::from_be_bytes(head.try_into().unwrap()) as usize;
                if self.rest.len() >= len {
                    let rest = self.rest.split_off(len);
                    return Some(std::mem::replace(&mut self.rest, rest));
                }
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.rest.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}; so far {}", self.rest.escape_ascii()),
            }
        }
    }

    /// Everything up to ReadyForQuery, and the status it tells.
    pub(crate) fn until_ready(&mut self) -> (Vec<u8>, u8) {
        let mut all = Vec::new();
        while let Some(message) = self.message() {
            all.extend_from_slice(&message);
            if message[0] == b'Z' {
                return (all, message[5]);
            }
        }
        (all, 0)
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(message) = self.message() {
            all.extend_from_slice(&message);
        }
        all
    }

    /// Values of the rows a query answers, or `!` and the SQLSTATE; then the status.
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.send(&query(text));
        let (reply, status) = self.until_ready();
        format!("{} {}", said(&reply), char::from(status))
    }
}

/// Rows and errors of a reply, in a few words.
pub(crate) fn said(mut reply: &[u8]) -> String {
    let mut words = Vec::new();
    while let Some(head) = reply.get(1..5) {
        let len = 1 + u32::from_be_bytes(head.try_into().unwrap()) as usize;
        let (message, rest) = reply.split_at(len.min(reply.len()));
        reply = rest;
        match message[0] {
            b'D' => {
                let value = message.get(11..).unwrap_or_default();
                words.push(String::from_utf8_lossy(value).into_owned());
            }
            b'E' => {
                let fields = message[5..].split(|b| *b == 0);
                let state = fields.filter_map(|f| f.strip_prefix(b"C")).next().unwrap_or_default();
                words.push(format!("!{}", String::from_utf8_lossy(state)));
            }
            b'C' => {
                let tag = String::from_utf8_lossy(&message[5..message.len() - 1]).into_owned();
                if !tag.starts_with("SELECT") && !tag.starts_with("SHOW") {
                    words.push(tag);
                }
            }
            _ => {}
        }
    }
    words.join(",")
}
