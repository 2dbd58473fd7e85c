//! Beginnings and ends of transactions as `pgoutput` writes them.

use crate::error::MessageError;
use crate::lsn::{Lsn, Micros};
use crate::read::Reader;

/// A committed transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Where its commit record stands.
    pub final_lsn: Lsn,
    /// When it committed.
    pub committed: Micros,
    /// Its id.
    pub xid: u32,
}

impl Begin {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self {
            final_lsn: Lsn(reader.u64()?),
            committed: Micros(reader.i64()?),
            xid: reader.u32()?,
        })
    }
}

/// A committed transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Where its commit record stands.
    pub commit_lsn: Lsn,
    /// Where that record ends: what may be confirmed once it is durable elsewhere.
    pub end_lsn: Lsn,
    /// When it committed.
    pub committed: Micros,
}

impl Commit {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        no_flags(reader)?;
        Ok(Self {
            commit_lsn: Lsn(reader.u64()?),
            end_lsn: Lsn(reader.u64()?),
            committed: Micros(reader.i64()?),
        })
    }
}

/// A transaction was replicated to the source from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Where it committed there.
    pub lsn: Lsn,
    /// Name of the origin.
    pub name: &'a [u8],
}

impl<'a> Origin<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(Self { lsn: Lsn(reader.u64()?), name: reader.string()? })
    }
}

/// A block of a transaction that is open at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStart {
    /// Id of the transaction, not of a subtransaction.
    pub xid: u32,
    /// Whether it is the first block of it.
    pub first: bool,
}

impl StreamStart {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self { xid: reader.u32()?, first: reader.u8()? != 0 })
    }
}

/// A streamed transaction has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCommit {
    /// Its id.
    pub xid: u32,
    /// Where and when.
    pub commit: Commit,
}

impl StreamCommit {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self { xid: reader.u32()?, commit: Commit::read(reader)? })
    }
}

/// A streamed transaction, or a subtransaction of it, was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamAbort {
    /// Id of the transaction.
    pub xid: u32,
    /// Id of the subtransaction; that of the transaction when all of it is meant.
    pub subxid: u32,
    /// Where and when: only with version 4 and `streaming 'parallel'`.
    pub at: Option<(Lsn, Micros)>,
}

impl StreamAbort {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let (xid, subxid) = (reader.u32()?, reader.u32()?);
        let at = match reader.len() {
            0 => None,
            _ => Some((Lsn(reader.u64()?), Micros(reader.i64()?))),
        };
        Ok(Self { xid, subxid, at })
    }
}

/// A transaction begins that was prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeginPrepare<'a> {
    /// Where its PREPARE record stands.
    pub prepare_lsn: Lsn,
    /// Where that record ends.
    pub end_lsn: Lsn,
    /// When it was prepared.
    pub prepared: Micros,
    /// Its id.
    pub xid: u32,
    /// Its global id.
    pub gid: &'a [u8],
}

impl<'a> BeginPrepare<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(Self {
            prepare_lsn: Lsn(reader.u64()?),
            end_lsn: Lsn(reader.u64()?),
            prepared: Micros(reader.i64()?),
            xid: reader.u32()?,
            gid: reader.string()?,
        })
    }
}

/// PREPARE TRANSACTION, or COMMIT PREPARED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// Where the record of it stands.
    pub lsn: Lsn,
    /// Where that record ends.
    pub end_lsn: Lsn,
    /// When it was.
    pub time: Micros,
    /// Id of the transaction.
    pub xid: u32,
    /// Its global id.
    pub gid: &'a [u8],
}

impl<'a> Prepared<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        no_flags(reader)?;
        Ok(Self {
            lsn: Lsn(reader.u64()?),
            end_lsn: Lsn(reader.u64()?),
            time: Micros(reader.i64()?),
            xid: reader.u32()?,
            gid: reader.string()?,
        })
    }
}

/// ROLLBACK PREPARED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackPrepared<'a> {
    /// Where the PREPARE record ends.
    pub prepare_end_lsn: Lsn,
    /// Where the record of the rollback ends.
    pub end_lsn: Lsn,
    /// When it was prepared.
    pub prepared: Micros,
    /// When it was rolled back.
    pub rolled_back: Micros,
    /// Id of the transaction.
    pub xid: u32,
    /// Its global id.
    pub gid: &'a [u8],
}

impl<'a> RollbackPrepared<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        no_flags(reader)?;
        Ok(Self {
            prepare_end_lsn: Lsn(reader.u64()?),
            end_lsn: Lsn(reader.u64()?),
            prepared: Micros(reader.i64()?),
            rolled_back: Micros(reader.i64()?),
            xid: reader.u32()?,
            gid: reader.string()?,
        })
    }
}

/// Flags that have no meaning yet: one that is set may change what the message says.
fn no_flags(reader: &mut Reader<'_>) -> Result<(), MessageError> {
    match reader.u8()? {
        0 => Ok(()),
        flags => Err(MessageError::Code { what: "flags", value: u32::from(flags) }),
    }
}
