//! What travels inside COPY data while a server replicates
//! (<https://www.postgresql.org/docs/18/protocol-replication.html>).

use crate::error::MessageError;
use crate::lsn::{Lsn, Micros};
use crate::read::Reader;

/// From the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromServer<'a> {
    /// A piece of the log; in logical replication one message of the output plugin.
    Wal {
        /// Where it begins.
        start: Lsn,
        /// Where the server's log ends.
        end: Lsn,
        /// The server's clock.
        clock: Micros,
        /// The piece.
        data: &'a [u8],
    },
    /// A sign of life.
    Keepalive {
        /// Where the server's log ends.
        end: Lsn,
        /// The server's clock.
        clock: Micros,
        /// Whether it wants a status now, or it will close the connection.
        reply_now: bool,
    },
}

impl<'a> FromServer<'a> {
    /// Reads the content of a CopyData.
    ///
    /// # Errors
    /// When it is none of replication.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        match reader.u8()? {
            b'w' => Ok(Self::Wal {
                start: Lsn(reader.u64()?),
                end: Lsn(reader.u64()?),
                clock: Micros(reader.i64()?),
                data: reader.rest(),
            }),
            b'k' => {
                let end = Lsn(reader.u64()?);
                let clock = Micros(reader.i64()?);
                let reply_now = reader.u8()? != 0;
                reader.end()?;
                Ok(Self::Keepalive { end, clock, reply_now })
            }
            other => Err(unknown(other)),
        }
    }
}

/// From the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromClient {
    /// How far it has come.
    Status(Status),
    /// What its own oldest transactions can still see.
    Feedback {
        /// Its clock.
        clock: Micros,
        /// Oldest transaction of tables, and its epoch.
        xmin: (u32, u32),
        /// Oldest transaction of catalogs, and its epoch.
        catalog_xmin: (u32, u32),
    },
}

/// Standby status update. The server may throw away its log up to `flushed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// First byte that was not received.
    pub written: Lsn,
    /// First byte that is not durable at the client.
    pub flushed: Lsn,
    /// First byte that is not applied at the client.
    pub applied: Lsn,
    /// The client's clock.
    pub clock: Micros,
    /// Whether it wants a sign of life now.
    pub reply_now: bool,
}

impl FromClient {
    /// Reads the content of a CopyData.
    ///
    /// # Errors
    /// When it is none of replication.
    pub fn parse(body: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let read = match reader.u8()? {
            b'r' => Self::Status(Status {
                written: Lsn(reader.u64()?),
                flushed: Lsn(reader.u64()?),
                applied: Lsn(reader.u64()?),
                clock: Micros(reader.i64()?),
                reply_now: reader.u8()? != 0,
            }),
            b'h' => Self::Feedback {
                clock: Micros(reader.i64()?),
                xmin: (reader.u32()?, reader.u32()?),
                catalog_xmin: (reader.u32()?, reader.u32()?),
            },
            other => return Err(unknown(other)),
        };
        reader.end()?;
        Ok(read)
    }
}

fn unknown(tag: u8) -> MessageError {
    MessageError::Code { what: "replication message type", value: u32::from(tag) }
}
