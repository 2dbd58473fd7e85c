//! One client connection to a server, for our own workers.
//!
//! Constraints: replies come in the order of the commands; reading goes on while writing, so a
//! deep pipeline cannot deadlock; an error spends the connection; a connection dropped while a
//! command is unanswered is noted for killing (law 2). Timeouts count from the last byte moved
//! in either direction, so that a large value on a slow link is not mistaken for a dead one.
//!
//! Layout: `stream` is plain or TLS, `link` knows how to connect, `abandoned` what to kill.

mod abandoned;
mod link;
mod stream;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use family::PortError;
use tokio::io::{AsyncReadExt, AsyncWrite};
use wire_redis::{Decoder, Value, encode};

pub(crate) use abandoned::Abandoned;
pub(crate) use link::Link;
use stream::Stream;

use crate::error;

/// Receive buffer space asked for before each read, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Arguments above this go to the socket without passing through the send buffer, in bytes.
const LARGE_BYTES: usize = 256 * 1024;

/// A connection that has authenticated and named itself.
pub(crate) struct Conn {
    link: Arc<Link>,
    stream: Stream,
    decoder: Decoder,
    received: BytesMut,
    unsent: BytesMut,
    /// Commands without a reply so far.
    owed: usize,
    /// The server's id of this connection; 0 until it has told.
    id: i64,
    /// Counts bytes moved; tells a slow transfer from a dead one.
    moved: u64,
    /// Set by the first error: nothing that arrives later can be attributed.
    spent: bool,
    /// Selected database.
    db: u16,
}

impl Conn {
    fn new(link: Arc<Link>, stream: Stream) -> Self {
        Self {
            link,
            stream,
            decoder: Decoder::new(),
            received: BytesMut::new(),
            unsent: BytesMut::new(),
            owed: 0,
            id: 0,
            moved: 0,
            spent: false,
            db: 0,
        }
    }

    /// The server's id of this connection.
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    /// `host:port`, for messages.
    pub(crate) fn at(&self) -> &str {
        self.link.address()
    }

    /// The name it goes by on the server.
    pub(crate) fn tag(&self) -> &str {
        self.link.tag()
    }

    /// Whether an error has made this connection useless, or an answer nobody took: the next
    /// command would be given it.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent || self.owed > 0
    }

    /// Appends a command to the pipeline.
    pub(crate) fn queue(&mut self, args: &[&[u8]]) {
        encode::command(&mut self.unsent, args);
        self.owed += 1;
    }

    /// Appends the head of a command whose arguments follow through [`Self::arg`].
    pub(crate) fn queue_head(&mut self, args: usize) {
        encode::head(&mut self.unsent, args);
        self.owed += 1;
    }

    /// Appends one argument of the command begun by [`Self::queue_head`].
    pub(crate) fn arg(&mut self, arg: &[u8]) {
        encode::bulk(&mut self.unsent, arg);
    }

    /// Appends one integer argument.
    pub(crate) fn arg_int(&mut self, value: i64) {
        encode::int(&mut self.unsent, value);
    }

    /// Appends one argument that may be large: it is written straight from `arg`, not copied.
    pub(crate) async fn arg_large(&mut self, arg: &[u8]) -> Result<(), PortError> {
        if arg.len() < LARGE_BYTES {
            self.arg(arg);
            return Ok(());
        }
        encode::bulk_head(&mut self.unsent, arg.len());
        self.flush().await?;
        let mut rest = arg;
        while !rest.is_empty() {
            let n = self.progress(|conn, cx| conn.poll_write_some(cx, rest)).await?;
            rest = &rest[n..];
        }
        self.unsent.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Bytes waiting to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Appends `SELECT` where another database is selected, and says whether a reply is owed
    /// for it.
    pub(crate) fn queue_select(&mut self, db: u16) -> bool {
        if self.db == db {
            return false;
        }
        self.queue(&[b"SELECT", db.to_string().as_bytes()]);
        self.db = db;
        true
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), PortError> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        self.progress(Self::poll_flush).await
    }

    /// The next reply, error replies included. Sends what is queued first.
    pub(crate) async fn next(&mut self) -> Result<Value, PortError> {
        // Most replies of a pipeline are already here: no timer for those.
        if let Some(value) = self.decode()? {
            return Ok(value);
        }
        self.progress(Self::poll_next).await
    }

    /// One command, one reply, error replies included.
    pub(crate) async fn call(&mut self, args: &[&[u8]]) -> Result<Value, PortError> {
        self.queue(args);
        self.next().await
    }

    /// One command whose reply must not be an error. `args[0]` names it in messages.
    pub(crate) async fn ask(&mut self, args: &[&[u8]]) -> Result<Value, PortError> {
        let reply = self.call(args).await?;
        error::checked(reply, &String::from_utf8_lossy(args[0]), self.at())
    }

    /// The reply to a `SELECT` queued by [`Self::queue_select`].
    pub(crate) async fn selected(&mut self, owed: bool) -> Result<(), PortError> {
        if !owed {
            return Ok(());
        }
        let reply = self.next().await?;
        match error::checked(reply, "SELECT", self.at()) {
            Ok(_) => Ok(()),
            Err(error) => {
                // What follows would run in the wrong database.
                self.spent = true;
                Err(error)
            }
        }
    }

    /// Selects a database and waits for it.
    pub(crate) async fn select(&mut self, db: u16) -> Result<(), PortError> {
        let owed = self.queue_select(db);
        self.selected(owed).await
    }

    /// The next message, also on a subscribed connection. No timeout of its own. Cancel-safe.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Value, PortError>> {
        loop {
            if let Some(value) = self.decode()? {
                return Poll::Ready(Ok(value));
            }
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    /// A message that is already here, without touching the socket.
    pub(crate) fn decode(&mut self) -> Result<Option<Value>, PortError> {
        if self.spent {
            return Err(error::unreachable(self.at(), "connection already given up"));
        }
        match self.decoder.decode(&mut self.received) {
            Ok(Some(value)) => {
                self.owed = self.owed.saturating_sub(1);
                Ok(Some(value))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.spent = true;
                Err(error::undecodable(error, self.at()))
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PortError>> {
        loop {
            if let Poll::Ready(done) = self.poll_send(cx) {
                return Poll::Ready(done);
            }
            // The server may itself be waiting for us to take replies.
            ready!(self.poll_receive(cx))?;
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PortError>> {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent)) {
                Ok(0) => return Poll::Ready(Err(self.lost("connection closed"))),
                Ok(n) => {
                    self.unsent.advance(n);
                    self.moved += n as u64;
                }
                Err(e) => return Poll::Ready(Err(self.lost(e))),
            }
        }
        match ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(e) => Poll::Ready(Err(self.lost(e))),
        }
    }

    fn poll_write_some(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, PortError>> {
        loop {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.moved += n as u64;
                    return Poll::Ready(Ok(n));
                }
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(self.lost("connection closed"))),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(self.lost(e))),
                Poll::Pending => ready!(self.poll_receive(cx))?,
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PortError>> {
        self.received.reserve(READ_BYTES);
        let read = ready!(pin!(self.stream.read_buf(&mut self.received)).poll(cx));
        match read {
            Ok(0) => Poll::Ready(Err(self.lost("connection closed by the server"))),
            Ok(n) => {
                self.moved += n as u64;
                Poll::Ready(Ok(()))
            }
            Err(e) => Poll::Ready(Err(self.lost(e))),
        }
    }

    fn lost(&mut self, why: impl std::fmt::Display) -> PortError {
        self.spent = true;
        error::unreachable(self.at(), why)
    }

    /// Runs `step` to its end, giving up when no byte has moved for the endpoint's timeout.
    async fn progress<T>(
        &mut self,
        mut step: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let patience: Duration = self.link.timeout();
        loop {
            let before = self.moved;
            match tokio::time::timeout(patience, poll_fn(|cx| step(self, cx))).await {
                Ok(done) => return done,
                Err(_) if self.moved != before => {}
                Err(_) => {
                    return Err(self.lost(format!("no answer for {} ms", patience.as_millis())));
                }
            }
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.owed > 0 && self.id != 0 {
            self.link.abandoned().note(self.id);
        }
    }
}
