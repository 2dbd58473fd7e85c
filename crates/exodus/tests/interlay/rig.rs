//! Servers, an interlay in this process, and clients that speak bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chaos::servers::{Flavor, Server, ServerOptions, WORKER};
use family::{EndpointSpec, TlsMode};
use family_redis::RedisProtocol;
use journal::{Journal, Markers};
use model::{Epoch, Key, Side};
use proxy::{Interlay, InterlayConfig, InterlayHandle, Upstreams};
use routing::{Authority, Freeze, RoutingTable};

/// Longest wait for anything that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Two servers and an interlay before them.
pub(crate) struct Rig {
    pub(crate) source: Server,
    pub(crate) target: Server,
    pub(crate) handle: InterlayHandle,
    pub(crate) journal: Arc<Journal>,
    runtime: tokio::runtime::Runtime,
}

pub(crate) fn server(flavor: Flavor) -> Server {
    Server::start(&ServerOptions::new(flavor)).unwrap()
}

pub(crate) fn spec(side: Side, server: &Server) -> EndpointSpec {
    EndpointSpec {
        side,
        address: format!("127.0.0.1:{}", server.port()),
        database: None,
        user: Some(WORKER.0.to_owned()),
        password: Some(Arc::from(WORKER.1)),
        tls: TlsMode::Disable,
        session_tag: "exodus:test:1".to_owned(),
        timeout: SOON,
        application_users: vec![],
    }
}

pub(crate) fn passthrough() -> RoutingTable {
    RoutingTable::passthrough(Epoch(1), Side::Source)
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut InterlayConfig)) -> Self {
        let source = server(Flavor::Redis);
        let target = server(Flavor::Valkey);
        let mut config = InterlayConfig::new("test", "127.0.0.1:0".parse().unwrap());
        config.shards = 2;
        change(&mut config);
        // Every bucket has its durable marker: no store is needed.
        let journal =
            Journal::new(1, Markers::new((0..journal::BUCKETS as u16).map(journal::Bucket)));
        // Nor has anything been missed.
        journal.set_uncertain(false);
        let upstreams = Upstreams::both(spec(Side::Source, &source), spec(Side::Target, &target));
        let table = Arc::new(ArcSwap::from_pointee(passthrough()));
        let protocol = RedisProtocol::new(None);
        let handle =
            Interlay::bind(config, protocol, &upstreams, table, Some(Arc::clone(&journal)))
                .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { source, target, handle, journal, runtime }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.handle.local_addr())
    }

    pub(crate) fn at_source(&self) -> Client {
        direct(&self.source)
    }

    pub(crate) fn at_target(&self) -> Client {
        direct(&self.target)
    }

    pub(crate) fn server(&self, side: Side) -> &Server {
        if side == Side::Source { &self.source } else { &self.target }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Publishes the table in force, changed, with the next epoch.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut RoutingTable)) -> Epoch {
        let mut table = (*self.handle.table()).clone();
        table.epoch = table.epoch.next();
        change(&mut table);
        let epoch = table.epoch;
        self.handle.publish(Arc::new(table)).unwrap();
        epoch
    }

    pub(crate) fn capture(&self) -> Epoch {
        self.publish(|t| t.capture = true)
    }

    /// The whole barrier, as control does it, without a copier in between.
    pub(crate) fn flip(&self) {
        let epoch = self.publish(|t| t.freeze = Freeze::Writes);
        let quiet = self.wait(self.handle.quiet(epoch, SOON)).unwrap();
        assert!(quiet.quiet, "{quiet:?}");
        let epoch = self.publish(|t| t.authority = Authority::whole(t.authority.default.other()));
        let moved = self.wait(self.handle.rehomed(epoch, SOON)).unwrap();
        assert_eq!((moved.left, moved.closed), (0, 0), "{moved:?}");
        self.publish(|t| t.freeze = Freeze::Open);
    }

    /// Whether the journal holds a key of database 0 as changed or changing.
    pub(crate) fn unsettled(&self, name: &str) -> bool {
        self.journal.unsettled(&key(name))
    }
}

pub(crate) fn key(name: &str) -> Key {
    family_redis::key::encode(0, name.as_bytes())
}

pub(crate) fn direct(server: &Server) -> Client {
    Client::connect(SocketAddr::from(([127, 0, 0, 1], server.port())))
}

/// Looks until it is so.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A connection that speaks bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// A command in array form.
pub(crate) fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A command from words; a word in double quotes may hold spaces.
pub(crate) fn words(line: &str) -> Vec<u8> {
    let mut args: Vec<String> = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            args.push(part.to_owned());
        } else {
            args.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    command(&args.iter().map(String::as_bytes).collect::<Vec<_>>())
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends one command and reads its reply, as text with `\r\n` shown as `|`.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(&words(line));
        self.reply()
    }

    /// Sends one command and expects this reply.
    #[track_caller]
    pub(crate) fn check(&mut self, line: &str, expect: &str) {
        assert_eq!(self.ask(line), expect, "{line}");
    }

    /// The next message, as text.
    pub(crate) fn reply(&mut self) -> String {
        let bytes = self.message().expect("a reply before the connection closes");
        String::from_utf8_lossy(&bytes).replace("\r\n", "|")
    }

    /// The next message; `None` when the connection is closed.
    pub(crate) fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = end_of_message(&self.read) {
                return Some(self.read.drain(..end).collect());
            }
            let mut chunk = [0u8; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("no reply: {e}"),
            }
        }
    }

    /// Whether a message comes within this time.
    pub(crate) fn silent_for(&mut self, time: Duration) -> bool {
        if end_of_message(&self.read).is_some() {
            return false;
        }
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut chunk = [0u8; 4096];
        let got = self.stream.read(&mut chunk);
        self.stream.set_read_timeout(Some(SOON)).unwrap();
        match got {
            Ok(n) => {
                self.read.extend_from_slice(&chunk[..n]);
                false
            }
            Err(_) => true,
        }
    }
}

/// A reader of its own, so that a mistake in the product's cannot hide.
fn end_of_message(input: &[u8]) -> Option<usize> {
    let line = input.windows(2).position(|w| w == b"\r\n")?;
    let text = std::str::from_utf8(&input[1..line]).unwrap_or("");
    let mut at = line + 2;
    match input[0] {
        b'$' | b'=' | b'!' => match text.parse::<i64>().unwrap() {
            -1 => Some(at),
            n => {
                let end = at + n as usize + 2;
                (input.len() >= end).then_some(end)
            }
        },
        kind @ (b'*' | b'~' | b'>' | b'%' | b'|') => {
            let n = text.parse::<i64>().unwrap().max(0);
            let items = if kind == b'%' || kind == b'|' { 2 * n } else { n };
            for _ in 0..items + i64::from(kind == b'|') {
                at += end_of_message(&input[at..])?;
            }
            Some(at)
        }
        _ => Some(at),
    }
}
