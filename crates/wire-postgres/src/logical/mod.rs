//! Messages of the output plugin `pgoutput`, protocol versions 1 to 4
//! (<https://www.postgresql.org/docs/18/protocol-logicalrep-message-formats.html>; written by
//! `src/backend/replication/logical/proto.c`).
//!
//! Constraint: inside a streamed block (version 2 and later, between StreamStart and StreamStop)
//! messages about relations and rows begin with a transaction id that they do not have outside.
//! Nothing in a message says so: [`Decoder`] keeps track.

mod relation;
mod transaction;
mod tuple;

pub use relation::{Attribute, Relation, ReplicaIdentity, Truncate, Type};
pub use transaction::{
    Begin, BeginPrepare, Commit, Origin, Prepared, RollbackPrepared, StreamAbort, StreamCommit,
    StreamStart,
};
pub use tuple::{OldRow, Tuple, Value};

use crate::error::MessageError;
use crate::lsn::Lsn;
use crate::read::Reader;

/// A message, and the transaction it names inside a streamed block. That is the id of the
/// (sub)transaction which made the change.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Only inside a streamed block.
    pub xid: Option<u32>,
    /// What it says.
    pub event: Event<'a>,
}

/// What a message says.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A transaction begins; it has committed at the source.
    Begin(Begin),
    /// It ends.
    Commit(Commit),
    /// It came from somewhere else.
    Origin(Origin<'a>),
    /// A relation as it is from here on.
    Relation(Relation<'a>),
    /// A data type that is not built in.
    Type(Type<'a>),
    /// A new row.
    Insert {
        /// OID of its relation at the source.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A changed row.
    Update {
        /// OID of its relation at the source.
        relation: u32,
        /// What identified it before, when that changed or the identity is the whole row.
        old: Option<OldRow<'a>>,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row is gone.
    Delete {
        /// OID of its relation at the source.
        relation: u32,
        /// What identified it.
        old: OldRow<'a>,
    },
    /// All rows are gone.
    Truncate(Truncate<'a>),
    /// Said by `pg_logical_emit_message`.
    Message(Emitted<'a>),
    /// A block of a transaction that is still open at the source.
    StreamStart(StreamStart),
    /// The block ends.
    StreamStop,
    /// A streamed transaction has committed.
    StreamCommit(StreamCommit),
    /// A streamed transaction, or a part of it, was rolled back.
    StreamAbort(StreamAbort),
    /// A transaction begins that was prepared.
    BeginPrepare(BeginPrepare<'a>),
    /// It ends: PREPARE TRANSACTION.
    Prepare(Prepared<'a>),
    /// COMMIT PREPARED.
    CommitPrepared(Prepared<'a>),
    /// ROLLBACK PREPARED.
    RollbackPrepared(RollbackPrepared<'a>),
    /// A streamed transaction was prepared.
    StreamPrepare(Prepared<'a>),
}

/// What `pg_logical_emit_message` said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emitted<'a> {
    /// Whether it is part of its transaction, and not seen when that is rolled back.
    pub transactional: bool,
    /// Where it stands in the log.
    pub lsn: Lsn,
    /// Who is meant.
    pub prefix: &'a [u8],
    /// What is said.
    pub content: &'a [u8],
}

/// Reads the messages of one stream in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Decoder {
    streaming: bool,
}

impl Decoder {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a streamed block is open.
    #[must_use]
    pub fn streaming(&self) -> bool {
        self.streaming
    }

    /// Reads the next message.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode<'a>(&mut self, data: &'a [u8]) -> Result<Message<'a>, MessageError> {
        let mut reader = Reader::new(data);
        let kind = reader.u8()?;
        let xid = match kind {
            b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' | b'M' if self.streaming => Some(reader.u32()?),
            _ => None,
        };
        let event = event(kind, &mut reader)?;
        reader.end()?;
        match event {
            Event::StreamStart(_) => self.streaming = true,
            Event::StreamStop => self.streaming = false,
            _ => {}
        }
        Ok(Message { xid, event })
    }
}

fn event<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Event<'a>, MessageError> {
    Ok(match kind {
        b'B' => Event::Begin(Begin::read(reader)?),
        b'C' => Event::Commit(Commit::read(reader)?),
        b'O' => Event::Origin(Origin::read(reader)?),
        b'R' => Event::Relation(Relation::read(reader)?),
        b'Y' => Event::Type(Type::read(reader)?),
        b'I' => {
            let relation = reader.u32()?;
            tuple::expect_new(reader)?;
            Event::Insert { relation, new: Tuple::read(reader)? }
        }
        b'U' => {
            let relation = reader.u32()?;
            let old = OldRow::read_if_any(reader)?;
            tuple::expect_new(reader)?;
            Event::Update { relation, old, new: Tuple::read(reader)? }
        }
        b'D' => {
            let relation = reader.u32()?;
            let old = OldRow::read_if_any(reader)?;
            let old = old.ok_or(MessageError::Count("old row"))?;
            Event::Delete { relation, old }
        }
        b'T' => Event::Truncate(Truncate::read(reader)?),
        b'M' => {
            let transactional = reader.u8()? & 1 != 0;
            let (lsn, prefix) = (Lsn(reader.u64()?), reader.string()?);
            Event::Message(Emitted { transactional, lsn, prefix, content: reader.counted()? })
        }
        b'S' => Event::StreamStart(StreamStart::read(reader)?),
        b'E' => Event::StreamStop,
        b'c' => Event::StreamCommit(StreamCommit::read(reader)?),
        b'A' => Event::StreamAbort(StreamAbort::read(reader)?),
        b'b' => Event::BeginPrepare(BeginPrepare::read(reader)?),
        b'P' => Event::Prepare(Prepared::read(reader)?),
        b'K' => Event::CommitPrepared(Prepared::read(reader)?),
        b'r' => Event::RollbackPrepared(RollbackPrepared::read(reader)?),
        b'p' => Event::StreamPrepare(Prepared::read(reader)?),
        other => {
            let value = u32::from(other);
            return Err(MessageError::Code { what: "logical message type", value });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Micros;

    #[test]
    fn changes_name_their_transaction_inside_a_streamed_block_only() {
        let plain = b"T\0\0\0\x01\x03\0\0\0\x09";
        let named = b"T\0\0\0\x07\0\0\0\x01\x03\0\0\0\x09";
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(plain).unwrap().xid, None);
        assert!(decoder.decode(named).is_err());
        decoder.decode(b"S\0\0\0\x07\x01").unwrap();
        let message = decoder.decode(named).unwrap();
        assert_eq!(message.xid, Some(7));
        let Event::Truncate(truncate) = message.event else { panic!("{message:?}") };
        assert_eq!(truncate.relations().collect::<Vec<_>>(), [9]);
        assert!(decoder.decode(plain).is_err());
        decoder.decode(b"E").unwrap();
        assert!(decoder.decode(plain).is_ok());
    }

    #[test]
    fn a_refused_message_leaves_the_block_as_it_was() {
        let mut decoder = Decoder::new();
        decoder.decode(b"S\0\0\0\x07\x01trailing").unwrap_err();
        assert!(!decoder.streaming());
        decoder.decode(b"S\0\0\0\x07\x01").unwrap();
        decoder.decode(b"E!").unwrap_err();
        assert!(decoder.streaming());
    }

    #[test]
    fn version_four_says_where_a_streamed_transaction_was_rolled_back() {
        let mut message = b"A\0\0\0\x07\0\0\0\x08".to_vec();
        let abort = |message: &[u8]| match Decoder::new().decode(message) {
            Ok(Message { event: Event::StreamAbort(abort), .. }) => Ok(abort),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        assert_eq!(abort(&message), Ok(StreamAbort { xid: 7, subxid: 8, at: None }));
        message.extend(5u64.to_be_bytes());
        assert_eq!(abort(&message), Err(MessageError::Short));
        message.extend(6i64.to_be_bytes());
        let at = Some((Lsn(5), Micros(6)));
        assert_eq!(abort(&message), Ok(StreamAbort { xid: 7, subxid: 8, at }));
    }

    #[test]
    fn unknown_messages_and_flags_are_refused() {
        let commit = [&b"C\x01"[..], &[0; 24]].concat();
        for bad in [&b""[..], b"?", b"I\0\0\0\x01K\0\0", b"D\0\0\0\x01N\0\0", &commit] {
            assert!(Decoder::new().decode(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
