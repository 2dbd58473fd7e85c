//! COPY in both directions: replication.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use family::PortError;
use wire_postgres::encode;
use wire_postgres::replication::Status;
use wire_postgres::tags::{self, backend as tag};

use super::{Conn, Message};
use crate::error::Error;

/// A replication stream. It keeps its connection: closing it is how it ends.
pub(crate) struct CopyBoth {
    conn: Conn,
    /// The server ended the stream.
    done: bool,
}

impl Conn {
    /// Starts `START_REPLICATION …`. On an error the connection is given up.
    pub(crate) async fn replicate(mut self, sql: &str) -> Result<CopyBoth, Error> {
        self.start_copy(sql, tag::COPY_BOTH).await?;
        Ok(CopyBoth { conn: self, done: false })
    }

    /// The next message that is no aside, where none is owed. Ends when an aside was taken, with
    /// nothing.
    pub(super) fn poll_aside(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, PortError>> {
        let message = self.decode()?;
        if message.is_some() || !self.notifications.is_empty() {
            return Poll::Ready(Ok(message));
        }
        ready!(self.poll_receive(cx))?;
        Poll::Ready(Ok(None))
    }
}

impl CopyBoth {
    /// The connection's process on the server.
    pub(crate) fn pid(&self) -> u32 {
        self.conn.pid()
    }

    /// The next frame, for `wire_postgres::replication::FromServer`. `None` when the server ended
    /// the stream. Sends queued statuses meanwhile. No patience of its own: a server says
    /// something every half `wal_sender_timeout`. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.done {
            return Ok(None);
        }
        let message = poll_fn(|cx| self.conn.poll_next(cx)).await?;
        self.frame(&message)
    }

    /// A frame that is already here; `None` where there is none yet or none any more.
    pub(crate) fn ready(&mut self) -> Result<Option<Bytes>, Error> {
        match self.conn.decode()? {
            Some(message) => self.frame(&message),
            None => Ok(None),
        }
    }

    /// Queues a status for the server; [`Self::flush`] or [`Self::next`] sends it.
    pub(crate) fn status(&mut self, status: &Status) {
        encode::standby_status(&mut self.conn.unsent, status);
    }

    /// Sends what is queued. Cancel-safe.
    pub(crate) async fn flush(&mut self) -> Result<(), PortError> {
        self.conn.flush().await
    }

    fn frame(&mut self, message: &Message) -> Result<Option<Bytes>, Error> {
        match message.tag {
            tags::COPY_DATA => Ok(Some(message.body.clone())),
            tags::COPY_DONE => {
                self.done = true;
                Ok(None)
            }
            tag::ERROR => {
                self.conn.spent = true;
                Err(self.conn.failed(message)?.into())
            }
            _ => Err(self.conn.out_of_step("replication")),
        }
    }
}
