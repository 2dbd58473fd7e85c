//! COPY: rows out of a table as chunks, rows into one. Text or binary as the statement says.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use wire_postgres::copy::CopyStart;
use wire_postgres::encode;
use wire_postgres::tags::{self, backend as tag};

use super::{Answer, Conn, Message};
use crate::error::{self, Error};

/// Bytes collected before they are sent.
const SEND_BYTES: usize = 256 * 1024;

/// Rows on their way out. Dropped before its end, it spends the connection.
pub(crate) struct CopyOut<'c> {
    conn: &'c mut Conn,
    binary: bool,
}

/// Rows on their way in. Dropped before its end, it spends the connection, and the server undoes
/// what was sent.
pub(crate) struct CopyIn<'c> {
    conn: &'c mut Conn,
    binary: bool,
}

impl Conn {
    /// Starts `COPY … TO STDOUT`.
    pub(crate) async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>, Error> {
        let start = self.start_copy(sql, tag::COPY_OUT).await?;
        let binary = CopyStart::parse(&start.body).map_err(|e| self.garbled(e))?.binary;
        Ok(CopyOut { conn: self, binary })
    }

    /// Starts `COPY … FROM STDIN`.
    pub(crate) async fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>, Error> {
        let start = self.start_copy(sql, tag::COPY_IN).await?;
        let binary = CopyStart::parse(&start.body).map_err(|e| self.garbled(e))?.binary;
        Ok(CopyIn { conn: self, binary })
    }

    /// Asks for a stream of this kind and waits for its beginning.
    pub(super) async fn start_copy(&mut self, sql: &str, kind: u8) -> Result<Message, Error> {
        self.begin()?;
        self.say(sql)?;
        let message = self.next().await?;
        match message.tag {
            found if found == kind => Ok(message),
            tag::ERROR => Err(self.refused(&message).await?),
            _ => Err(self.out_of_step("COPY")),
        }
    }

    /// The server refused a stream: its error, once the connection is ready again.
    pub(super) async fn refused(&mut self, message: &Message) -> Result<Error, Error> {
        let error = self.failed(message)?;
        if !error.fatal {
            self.until_ready(&mut Answer::default()).await?;
        }
        Ok(error.into())
    }

    /// Takes everything up to ReadyForQuery.
    async fn until_ready(&mut self, answer: &mut Answer) -> Result<(), Error> {
        let mut failure = None;
        loop {
            let message = self.next().await?;
            match message.tag {
                tag::READY => {
                    self.ready(&message)?;
                    self.end();
                    return failure.map_or(Ok(()), Err);
                }
                tag::ERROR => {
                    let error = self.failed(&message)?;
                    if error.fatal {
                        return Err(error.into());
                    }
                    failure = Some(Error::from(error));
                }
                _ => self.part(&message, answer)?,
            }
        }
    }
}

impl CopyOut<'_> {
    /// Whether the chunks are binary.
    pub(crate) fn is_binary(&self) -> bool {
        self.binary
    }

    /// The next chunk: one row as servers send it. `None` is the end; the connection is free then.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let message = self.conn.next().await?;
        match message.tag {
            tags::COPY_DATA => Ok(Some(message.body)),
            tags::COPY_DONE => {
                self.conn.until_ready(&mut Answer::default()).await?;
                Ok(None)
            }
            tag::ERROR => Err(self.conn.refused(&message).await?),
            _ => Err(self.conn.out_of_step("COPY")),
        }
    }
}

impl CopyIn<'_> {
    /// Whether the server expects binary.
    pub(crate) fn is_binary(&self) -> bool {
        self.binary
    }

    /// Sends some bytes, which need not end where a row ends. After an error of the server the
    /// COPY is over and the connection free.
    pub(crate) async fn send(&mut self, data: &[u8]) -> Result<(), Error> {
        // Refused meanwhile: whatever follows would be thrown away.
        if let Some(message) = self.conn.decode()? {
            return Err(match message.tag {
                tag::ERROR => self.conn.refused(&message).await?,
                _ => self.conn.out_of_step("COPY"),
            });
        }
        encode::copy_data(&mut self.conn.unsent, data)
            .map_err(|e| error::undecodable(e, self.conn.at()))?;
        if self.conn.unsent.len() >= SEND_BYTES {
            self.conn.flush().await?;
            // A server that refused takes the rest without a word: look whether it has.
            poll_fn(|cx| match self.conn.poll_receive(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(())),
            })
            .await?;
        }
        Ok(())
    }

    /// Ends it; how many rows the server took.
    pub(crate) async fn finish(self) -> Result<u64, Error> {
        encode::copy_done(&mut self.conn.unsent);
        let mut answer = Answer::default();
        self.conn.until_ready(&mut answer).await?;
        Ok(answer.count())
    }

    /// Gives it up: the server undoes it.
    pub(crate) async fn abort(self, why: &str) -> Result<(), Error> {
        encode::copy_fail(&mut self.conn.unsent, why.as_bytes())
            .map_err(|e| error::undecodable(e, self.conn.at()))?;
        match self.conn.until_ready(&mut Answer::default()).await {
            // query_canceled: that is how a server takes it.
            Err(error) if !error.is("57014") => Err(error),
            _ => Ok(()),
        }
    }
}
