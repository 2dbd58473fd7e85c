//! A TCP proxy that fails on command, between any two parties.
//!
//! Constraints: knows no protocol; deterministic choices come from its seed; memory per
//! connection is bounded; a stream that lost bytes is never healed silently but reset, as a
//! middle box would.
//!
//! Layout: `rules` is what both directions currently suffer, `pipe` carries one direction of one
//! connection. Life cycle: listener thread, four threads per connection; all end when the proxy
//! is dropped.

mod pipe;
mod rules;

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;

use crate::conn::Address;
use rules::Rules;
pub use rules::{Direction, Rule};

/// One proxied connection.
struct Link {
    client: TcpStream,
    server: TcpStream,
    fate: Arc<Fate>,
}

/// What is to become of a connection.
#[derive(Default)]
struct Fate {
    /// Bytes were swallowed: it may not live on once the fault is over.
    lossy: AtomicBool,
    /// Its client is not told that its server has gone.
    half_open: AtomicBool,
}

/// What the proxy and its threads share.
struct Shared {
    upstream: Mutex<String>,
    rules: Rules,
    links: Mutex<Vec<Link>>,
    refuse: AtomicBool,
    closed: AtomicBool,
    accepted: AtomicU64,
    seed: u64,
}

/// The proxy. Dropping it closes every connection.
pub struct FaultProxy {
    shared: Arc<Shared>,
    port: u16,
    listener: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Listens on a free local port and forwards to `upstream` (`host:port`), harmlessly at
    /// first.
    pub fn start(upstream: &str, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream.to_owned()),
            rules: Rules::new(),
            links: Mutex::new(Vec::new()),
            refuse: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            seed,
        });
        let accepting = Arc::clone(&shared);
        let listener = std::thread::spawn(move || accept_all(&listener, &accepting));
        Ok(Self { shared, port, listener: Some(listener) })
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The same login as `behind`, through this proxy.
    #[must_use]
    pub fn address(&self, behind: &Address) -> Address {
        Address { host: "127.0.0.1".to_owned(), port: self.port, login: behind.login.clone() }
    }

    /// `host:port` of the proxy.
    #[must_use]
    pub fn host_port(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Connections now open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.links.lock().len()
    }

    /// Changes what one direction suffers, for open and new connections.
    pub fn set(&self, direction: Direction, rule: Rule) {
        self.shared.rules.set(direction, rule);
        if !rule.swallow {
            self.reset_lossy();
        }
    }

    /// The same for both directions.
    pub fn set_both(&self, rule: Rule) {
        self.set(Direction::ToServer, rule);
        self.set(Direction::ToClient, rule);
    }

    /// Ends every fault. Connections that lost bytes are reset.
    pub fn heal(&self) {
        self.shared.refuse.store(false, Ordering::Relaxed);
        self.set_both(Rule::default());
    }

    /// Nothing passes in either direction, nothing is lost: a partition that will heal.
    pub fn partition(&self) {
        self.set_both(Rule { hold: true, ..Rule::default() });
    }

    /// Answers no longer arrive, requests still do: the worst kind for exactly-once.
    pub fn swallow(&self, direction: Direction) {
        self.set(direction, Rule { swallow: true, ..Rule::default() });
    }

    /// New connections are closed as soon as they are made.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse.store(refuse, Ordering::Relaxed);
    }

    /// RST to both parties of every open connection.
    pub fn reset_all(&self) {
        for link in self.shared.links.lock().drain(..) {
            reset(&link);
        }
    }

    /// Closes the server's side of every connection and leaves the client's open and silent.
    pub fn half_open(&self) {
        self.set(Direction::ToClient, Rule { swallow: true, ..Rule::default() });
        for link in self.shared.links.lock().iter() {
            link.fate.lossy.store(true, Ordering::SeqCst);
            link.fate.half_open.store(true, Ordering::SeqCst);
            let _gone = link.server.shutdown(Shutdown::Both);
        }
    }

    /// Sends later connections elsewhere.
    pub fn redirect(&self, upstream: &str) {
        upstream.clone_into(&mut self.shared.upstream.lock());
    }

    fn reset_lossy(&self) {
        self.shared.links.lock().retain(|link| {
            let lossy = link.fate.lossy.load(Ordering::SeqCst);
            if lossy {
                reset(link);
            }
            !lossy
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.shared.rules.close();
        self.reset_all();
        // Wakes the listener, which then sees that it is over.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ended = listener.join();
        }
    }
}

fn reset(link: &Link) {
    for stream in [&link.client, &link.server] {
        let _rst = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        let _gone = stream.shutdown(Shutdown::Both);
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        if shared.refuse.load(Ordering::Relaxed) {
            let _rst = SockRef::from(&client).set_linger(Some(Duration::ZERO));
            continue;
        }
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        // A failed dial closes the client, as a real network would in the end.
        let _dialled = connect(client, number, shared);
    }
}

fn connect(client: TcpStream, number: u64, shared: &Arc<Shared>) -> io::Result<()> {
    let upstream = shared.upstream.lock().clone();
    let server = TcpStream::connect(upstream)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let fate = Arc::new(Fate::default());
    let ends = [
        (Direction::ToServer, client.try_clone()?, server.try_clone()?),
        (Direction::ToClient, server.try_clone()?, client.try_clone()?),
    ];
    shared.links.lock().push(Link { client, server, fate: Arc::clone(&fate) });
    for (direction, from, to) in ends {
        let seed = shared.seed ^ (number << 1) ^ direction as u64;
        pipe::spawn(direction, from, to, Arc::clone(shared), Arc::clone(&fate), seed);
    }
    Ok(())
}

impl Shared {
    /// Forgets a connection whose both parties have gone.
    fn sweep(&self, gone: &Arc<Fate>) {
        self.links.lock().retain(|link| {
            link.fate.half_open.load(Ordering::SeqCst) || !Arc::ptr_eq(&link.fate, gone)
        });
    }
}
