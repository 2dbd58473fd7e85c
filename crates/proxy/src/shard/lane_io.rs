//! A lane's task: connect, greet, then write what is waiting and read what comes.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use family::{Greeting, Protocol, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use zeroize::Zeroize;

use super::lane::{Failure, Lane, State};
use super::stream::{Stream, poll_write};
use crate::endpoint::Endpoint;

/// Bytes read from a server at a time.
const READ_BYTES: usize = 128 * 1024;
/// Buffers that grew beyond this are given back when they are empty.
const KEEP_BYTES: usize = 256 * 1024;

pub(crate) async fn run<P: Protocol>(lane: Rc<Lane<P>>, endpoint: Arc<Endpoint>) {
    let limit = lane.shard.limits().connect_timeout;
    let mut upstream = lane.shard.protocol.upstream(&lane.identity, &endpoint.spec.session_tag);
    let opened = tokio::time::timeout(limit, open(&endpoint, &mut upstream, &lane)).await;
    let failure = match opened {
        Ok(Ok(link)) => {
            lane.connection.set(upstream.connection());
            lane.shard.opened(&lane);
            poll_fn(|cx| poll_once(&lane, cx)).await;
            serve(&lane, link, &mut upstream).await;
            Failure::Broken
        }
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Unreachable,
    };
    lane.shard.lane_ended(&lane, failure);
}

/// Registers the task's waker before the first wait.
fn poll_once<P: Protocol>(lane: &Lane<P>, cx: &mut Context<'_>) -> Poll<()> {
    lane.polled(cx.waker());
    Poll::Ready(())
}

struct Link {
    stream: Stream,
    write: Option<OwnedWriteHalf>,
    /// Bytes read and not yet understood.
    rest: Vec<u8>,
}

async fn open<P: Protocol>(
    endpoint: &Endpoint,
    upstream: &mut P::Upstream,
    lane: &Lane<P>,
) -> Result<Link, Failure> {
    let mut link = connect(endpoint, lane).await.map_err(|error| {
        tracing::debug!(address = endpoint.spec.address, %error, "cannot connect");
        Failure::Unreachable
    })?;
    let mut out = Vec::new();
    upstream.greet(&mut out);
    loop {
        let written = write_all(&mut link, &out).await;
        out.zeroize();
        out.clear();
        written.map_err(|_| Failure::Unreachable)?;
        match upstream.greeting(&link.rest, &mut out) {
            Ok(Greeting::Ready(n)) => {
                link.rest.drain(..n);
                return Ok(link);
            }
            Ok(Greeting::Refused(words)) => return Err(Failure::Refused(words)),
            Ok(Greeting::More(n)) => {
                link.rest.drain(..n);
            }
            Err(_) => return Err(Failure::Unreachable),
        }
        if out.is_empty() {
            let mut chunk = [0u8; 4096];
            let n = poll_fn(|cx| link.stream.poll_read(cx, &mut chunk)).await;
            match n {
                Ok(n) if n > 0 => link.rest.extend_from_slice(&chunk[..n]),
                Ok(_) => {
                    return Err(upstream.hung_up().map_or(Failure::Unreachable, Failure::Refused));
                }
                _ => return Err(Failure::Unreachable),
            }
        }
    }
}

async fn connect<P: Protocol>(endpoint: &Endpoint, lane: &Lane<P>) -> io::Result<Link> {
    let tcp = TcpStream::connect(&endpoint.spec.address).await?;
    super::alive::tune(&tcp)?;
    lane.address.set(tcp.local_addr().ok());
    let (stream, write) = match &endpoint.tls {
        None => {
            let (stream, write) = Stream::plain(tcp);
            (stream, Some(write))
        }
        Some((connector, name)) => {
            let tcp = ask_for_tls::<P>(&lane.shard.protocol, tcp).await?;
            let tls = connector.connect(name.clone(), tcp).await?;
            (Stream::Client(Box::new(tls)), None)
        }
    };
    Ok(Link { stream, write, rest: Vec::new() })
}

/// Asks the server to begin TLS, where the family has a word for it.
async fn ask_for_tls<P: Protocol>(protocol: &P, mut tcp: TcpStream) -> io::Result<TcpStream> {
    if let Some((question, yes)) = protocol.asks_for_tls() {
        tcp.write_all(question).await?;
        // One byte and no more: what follows belongs to TLS.
        if tcp.read_u8().await? != yes {
            return Err(io::Error::other("the server does not speak TLS"));
        }
    }
    Ok(tcp)
}

async fn write_all(link: &mut Link, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let n = poll_fn(|cx| poll_write(&mut link.stream, link.write.as_ref(), cx, data)).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        data = &data[n..];
    }
    poll_fn(|cx| link.stream.poll_flush(cx)).await
}

/// Returns when the connection is over.
async fn serve<P: Protocol>(lane: &Rc<Lane<P>>, mut link: Link, upstream: &mut P::Upstream) {
    let mut buffer = vec![0u8; READ_BYTES];
    // What was read and could not be understood yet stands at the front.
    let mut filled = link.rest.len();
    if filled > buffer.len() {
        return;
    }
    buffer[..filled].copy_from_slice(&link.rest);
    let mut sending = Sending::default();
    if filled > 0 && take(lane, upstream, &mut buffer, &mut filled).is_err() {
        return;
    }
    poll_fn(|cx| {
        lane.polled(cx.waker());
        loop {
            match lane.state.get() {
                State::Abandoned => return Poll::Ready(()),
                State::Retiring if lane.idle() && sending.done(lane) => return Poll::Ready(()),
                _ => {}
            }
            if sending.poll(lane, &mut link, cx).is_err() {
                return Poll::Ready(());
            }
            if lane.held_back() {
                return Poll::Pending;
            }
            if filled == buffer.len() {
                if buffer.len() > 64 * READ_BYTES {
                    return Poll::Ready(());
                }
                buffer.resize(buffer.len() * 2, 0);
            }
            match link.stream.poll_read(cx, &mut buffer[filled..]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => filled += n,
                Poll::Ready(_) => return Poll::Ready(()),
            }
            if let Err(error) = take(lane, upstream, &mut buffer, &mut filled) {
                tracing::warn!(side = %lane.side, %error, "server connection closed");
                return Poll::Ready(());
            }
        }
    })
    .await;
}

/// Hands out what is understood and moves the rest to the front.
fn take<P: Protocol>(
    lane: &Rc<Lane<P>>,
    upstream: &mut P::Upstream,
    buffer: &mut Vec<u8>,
    filled: &mut usize,
) -> Result<(), family::Malformed> {
    lane.shard.now.set(Instant::now());
    let used = lane.replies(upstream, &buffer[..*filled])?;
    if lane.connection.get().is_none() {
        lane.connection.set(upstream.connection());
    }
    buffer.copy_within(used..*filled, 0);
    *filled -= used;
    if *filled == 0 && buffer.len() > 2 * READ_BYTES {
        buffer.truncate(READ_BYTES);
        buffer.shrink_to_fit();
    }
    Ok(())
}

/// Bytes taken from the lane and on their way into the socket.
#[derive(Default)]
struct Sending {
    bytes: Vec<u8>,
    at: usize,
    unflushed: bool,
}

impl Sending {
    fn done<P: Protocol>(&self, lane: &Lane<P>) -> bool {
        self.at == self.bytes.len() && lane.out.borrow().is_empty()
    }

    /// Writes until the socket takes no more or nothing is left.
    fn poll<P: Protocol>(
        &mut self,
        lane: &Lane<P>,
        link: &mut Link,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        loop {
            if self.at == self.bytes.len() {
                self.bytes.clear();
                self.at = 0;
                if self.bytes.capacity() > KEEP_BYTES {
                    self.bytes = Vec::new();
                }
                if lane.out.borrow().is_empty() {
                    break;
                }
                std::mem::swap(&mut self.bytes, &mut lane.out.borrow_mut());
                lane.thin_out();
            }
            match poll_write(&mut link.stream, link.write.as_ref(), cx, &self.bytes[self.at..]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    self.at += n;
                    self.unflushed = link.write.is_none();
                }
                Poll::Ready(Err(e)) => return Err(e),
            }
        }
        if self.unflushed {
            match link.stream.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}
