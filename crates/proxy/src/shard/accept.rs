//! Letting clients in: count, deal out to shards, PROXY header; `opening` does what comes before
//! a session.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use family::{Protocol, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Shard;
use super::client::Client;
use super::opening::{self, Opened};
use crate::config::ProxyProtocol;
use crate::proxy_header;

/// Bytes read from a client at a time, into a buffer all clients of a shard share.
const READ_BYTES: usize = 64 * 1024;
/// Pause after the system refused to accept (out of descriptors), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the interlay stops.
pub(super) async fn run<P: Protocol>(shard: Rc<Shard<P>>, listener: std::net::TcpListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot watch the listening socket");
            return;
        }
    };
    let mut changes = shard.shared.changes();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = changes.changed() => {
                if shard.shared.stopping() {
                    return;
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, address)) => deal(&shard, stream, address),
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Gives a client to the shard with the fewest.
fn deal<P: Protocol>(shard: &Rc<Shard<P>>, stream: TcpStream, address: SocketAddr) {
    shard.counters().numbers.connections_total += 1;
    if !shard.shared.enter() {
        shard.counters().numbers.connections_refused += 1;
        let mut words = Vec::new();
        shard.protocol.error(&Refused::TooManyClients.into(), &mut words);
        // As much as fits the socket's buffer; nobody waits for a client that is refused.
        let _ = stream.try_write(&words);
        return;
    }
    let target = shard.shared.least_busy();
    shard.shared.count_client(target, true);
    if target == shard.index {
        tokio::task::spawn_local(serve(Rc::clone(shard), stream, address));
        return;
    }
    let handed = stream.into_std().map(|stream| shard.shared.accept(target, stream, address));
    if !matches!(handed, Ok(Ok(()))) {
        shard.shared.count_client(target, false);
        shard.shared.leave();
    }
}

/// A client that another shard accepted.
pub(super) async fn admit<P: Protocol>(
    shard: Rc<Shard<P>>,
    stream: std::net::TcpStream,
    address: SocketAddr,
) {
    match TcpStream::from_std(stream) {
        Ok(stream) => serve(shard, stream, address).await,
        Err(error) => {
            tracing::warn!(%error, "cannot take a client over");
            shard.shared.count_client(shard.index, false);
            shard.shared.leave();
        }
    }
}

/// A client from its first byte to its last.
async fn serve<P: Protocol>(shard: Rc<Shard<P>>, stream: TcpStream, address: SocketAddr) {
    let limit = shard.limits().handshake_timeout;
    if let Ok(Some((opened, address))) =
        tokio::time::timeout(limit, prepare(&shard, stream, address)).await
    {
        converse(&shard, opened, address).await;
    }
    shard.shared.count_client(shard.index, false);
    shard.shared.leave();
}

/// PROXY header, then what the family does before a session.
async fn prepare<P: Protocol>(
    shard: &Rc<Shard<P>>,
    mut stream: TcpStream,
    mut address: SocketAddr,
) -> Option<(Opened, SocketAddr)> {
    super::alive::tune(&stream).ok()?;
    if shard.shared.config().proxy_protocol == ProxyProtocol::Required {
        address = read_header(&mut stream).await?.unwrap_or(address);
    }
    let opened = opening::open(shard, stream, address).await?;
    Some((opened, address))
}

/// The address a PROXY header names; outer `None` when there is no valid header.
async fn read_header(stream: &mut TcpStream) -> Option<Option<SocketAddr>> {
    let mut head = Vec::new();
    loop {
        match proxy_header::parse(&head) {
            proxy_header::Parsed::Done(address) => return Some(address),
            proxy_header::Parsed::Bad => {
                let _ = stream.shutdown().await;
                return None;
            }
            // Byte by byte: what follows the header belongs to the client's protocol.
            proxy_header::Parsed::More => head.push(stream.read_u8().await.ok()?),
        }
    }
}

async fn converse<P: Protocol>(shard: &Rc<Shard<P>>, opened: Opened, address: SocketAddr) {
    let Opened { mut stream, write, input } = opened;
    let id = shard.shared.next_client_id();
    let client = Client::new(shard, id, address, write, input);
    shard.clients.borrow_mut().insert(id, Rc::clone(&client));
    poll_fn(|cx| {
        let mut scratch = shard.scratch.borrow_mut();
        scratch.resize(READ_BYTES, 0);
        client.poll(&mut stream, &mut scratch, cx)
    })
    .await;
    shard.clients.borrow_mut().remove(&id);
    client.over();
}
