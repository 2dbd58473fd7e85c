//! One connection to a server, for our own workers.
//!
//! Constraints: replies come in the order of the questions; reading goes on while writing, so a
//! deep pipeline cannot deadlock; a lost byte or a future dropped half way spends the connection;
//! a connection dropped while a statement is unanswered is noted for killing, because the
//! statement may still commit. Patience counts from the last byte moved in either direction, and
//! may be switched off for statements that take hours: a dead peer shows by TCP keepalive.
//!
//! Layout: `stream` is plain or TLS, `link` knows how to connect, `greet` the first messages,
//! `message` what a server said, `ask` the simple protocol, `batch` the extended one in
//! pipelines, `copy` and `both` the two kinds of streams, `abandoned` what to kill.

mod abandoned;
mod ask;
mod batch;
mod both;
mod copy;
mod greet;
mod link;
mod message;
mod row;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use family::PortError;
use tokio::io::{AsyncReadExt, AsyncWrite};
use wire_postgres::session::Transaction;
use wire_postgres::{BackendScanner, encode};

pub(crate) use abandoned::Abandoned;
pub(crate) use ask::kill;
pub(crate) use batch::{Batch, Outcome};
pub(crate) use both::CopyBoth;
pub(crate) use copy::{CopyIn, CopyOut};
pub(crate) use link::{Link, Purpose};
pub(crate) use message::{Message, Notification};
pub(crate) use row::{Answer, Row};
use stream::Stream;

use crate::error::{self, Error, ServerError};

/// Receive buffer space asked for before each read, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Notices kept until somebody asks; older ones go.
const NOTICES_MAX: usize = 64;
/// Notifications kept until somebody asks; older ones go.
const NOTIFICATIONS_MAX: usize = 1024;

/// A connection that was let in.
pub(crate) struct Conn {
    link: Arc<Link>,
    stream: Stream,
    scanner: BackendScanner,
    received: BytesMut,
    unsent: BytesMut,
    /// The server's process, 0 until it has told, and when it began.
    pid: u32,
    started: String,
    /// `server_version_num`.
    version: u32,
    parameters: BTreeMap<String, String>,
    notices: VecDeque<ServerError>,
    notifications: VecDeque<Notification>,
    transaction: Transaction,
    /// Longest time without a byte moved while an answer is awaited; `None` is for ever.
    patience: Option<Duration>,
    /// Counts bytes moved; tells a slow transfer from a dead one.
    moved: u64,
    /// A question is being answered. Left set by a future that was dropped.
    busy: bool,
    /// Batches that were posted and not settled: what each of their steps is.
    posted: VecDeque<Vec<batch::Step>>,
    /// Set by the first loss: nothing that arrives later can be attributed.
    spent: bool,
}

impl Conn {
    fn new(link: Arc<Link>, stream: Stream) -> Self {
        Self {
            patience: Some(link.timeout()),
            link,
            stream,
            scanner: BackendScanner::new(),
            received: BytesMut::new(),
            unsent: BytesMut::new(),
            pid: 0,
            started: String::new(),
            version: 0,
            parameters: BTreeMap::new(),
            notices: VecDeque::new(),
            notifications: VecDeque::new(),
            transaction: Transaction::Idle,
            moved: 0,
            busy: false,
            posted: VecDeque::new(),
            spent: false,
        }
    }

    /// The server's process behind this connection.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// `host:port`, for messages.
    pub(crate) fn at(&self) -> &Arc<str> {
        self.link.address()
    }

    /// How it was reached.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// `server_version_num`, as 150018.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// A setting the server reports.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Where the session's transaction stood at the last answer.
    pub(crate) fn transaction(&self) -> Transaction {
        self.transaction
    }

    /// Notices since the last call, the oldest first; at most the last few.
    pub(crate) fn notices(&mut self) -> Vec<ServerError> {
        self.notices.drain(..).collect()
    }

    /// Longest time without a byte moved while an answer is awaited; `None` waits for ever.
    pub(crate) fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Whether it is of no more use: lost, or with an answer that nobody took.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent || self.busy || !self.posted.is_empty()
    }

    /// Says good-bye. What is not said so is closed all the same.
    pub(crate) async fn close(mut self) {
        if !self.is_spent() {
            encode::terminate(&mut self.unsent);
            // The other end may be gone already; then that was the good-bye.
            let _ = self.flush().await;
        }
    }

    /// Begins a question; refused while another one is unanswered.
    fn begin(&mut self) -> Result<(), PortError> {
        if self.is_spent() {
            return Err(error::unreachable(self.at(), "connection already given up"));
        }
        self.busy = true;
        Ok(())
    }

    /// The answer is complete.
    fn end(&mut self) {
        self.busy = false;
    }

    /// Sends what is queued.
    async fn flush(&mut self) -> Result<(), PortError> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        self.progress(Self::poll_flush).await
    }

    /// The next message. Sends what is queued first.
    async fn next(&mut self) -> Result<Message, PortError> {
        // Most messages of an answer are already here: no timer for those.
        if let Some(message) = self.decode()? {
            return Ok(message);
        }
        self.progress(Self::poll_next).await
    }

    /// The next message. No patience of its own. Cancel-safe.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, PortError>> {
        loop {
            if let Some(message) = self.decode()? {
                return Poll::Ready(Ok(message));
            }
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PortError>> {
        loop {
            if let Poll::Ready(done) = self.poll_send(cx) {
                return Poll::Ready(done);
            }
            // The server may itself be waiting for us to take answers.
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

    /// The message has no place here.
    fn out_of_step(&mut self, what: &str) -> Error {
        self.spent = true;
        Error::Port(error::unexpected(what, self.link.address()))
    }

    /// Runs `step` to its end, giving up when no byte has moved for as long as we are patient.
    async fn progress<T>(
        &mut self,
        mut step: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let Some(patience) = self.patience else {
            return poll_fn(|cx| step(self, cx)).await;
        };
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
        let unanswered = self.busy || !self.posted.is_empty();
        // Before it was introduced it was asked nothing that lasts.
        if unanswered && self.pid != 0 && !self.started.is_empty() {
            self.link.abandoned().note(self.pid, &self.started);
        }
    }
}
