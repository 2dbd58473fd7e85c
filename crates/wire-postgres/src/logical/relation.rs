//! Relations and types as `pgoutput` describes them.

use crate::error::MessageError;
use crate::read::{Items, Reader};

/// A relation as it is from this point of the stream on.
#[derive(Debug, Clone, Copy)]
pub struct Relation<'a> {
    /// Its OID at the source.
    pub oid: u32,
    /// Its schema, empty for `pg_catalog`.
    pub schema: &'a [u8],
    /// Its name.
    pub name: &'a [u8],
    /// What identifies its rows.
    pub identity: ReplicaIdentity,
    attributes: Items<'a>,
}

/// What identifies the rows of a relation: `relreplident` of `pg_class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key, if it has one.
    Default,
    /// Nothing.
    Nothing,
    /// The whole row.
    Full,
    /// A unique index.
    Index,
}

/// One attribute of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Whether it is part of the replica identity.
    pub key: bool,
    /// Its name.
    pub name: &'a [u8],
    /// OID of its type at the source.
    pub type_oid: u32,
    /// Modifier of the type, -1 for none.
    pub type_mod: i32,
}

impl<'a> Attribute<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(Self {
            key: reader.u8()? & 1 != 0,
            name: reader.string()?,
            type_oid: reader.u32()?,
            type_mod: reader.i32()?,
        })
    }
}

impl<'a> Relation<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let (oid, schema, name) = (reader.u32()?, reader.string()?, reader.string()?);
        let identity = match reader.u8()? {
            b'd' => ReplicaIdentity::Default,
            b'n' => ReplicaIdentity::Nothing,
            b'f' => ReplicaIdentity::Full,
            b'i' => ReplicaIdentity::Index,
            other => {
                let value = u32::from(other);
                return Err(MessageError::Code { what: "replica identity", value });
            }
        };
        let count = usize::from(reader.u16()?);
        let attributes = Items::check(reader, count, Attribute::read)?;
        Ok(Self { oid, schema, name, identity, attributes })
    }

    /// The attributes that are published, in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let mut items = self.attributes;
        std::iter::from_fn(move || items.next(Attribute::read))
    }
}

/// A data type that is not built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type<'a> {
    /// Its OID at the source.
    pub oid: u32,
    /// Its schema, empty for `pg_catalog`.
    pub schema: &'a [u8],
    /// Its name.
    pub name: &'a [u8],
}

impl<'a> Type<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(Self { oid: reader.u32()?, schema: reader.string()?, name: reader.string()? })
    }
}

/// All rows of some relations are gone.
#[derive(Debug, Clone, Copy)]
pub struct Truncate<'a> {
    /// With CASCADE.
    pub cascade: bool,
    /// With RESTART IDENTITY.
    pub restart_identity: bool,
    relations: Items<'a>,
}

impl<'a> Truncate<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let count = usize::try_from(reader.i32()?).map_err(|_| MessageError::Count("count"))?;
        let flags = reader.u8()?;
        let relations = Items::check(reader, count, Reader::u32)?;
        Ok(Self { cascade: flags & 1 != 0, restart_identity: flags & 2 != 0, relations })
    }

    /// OIDs of the relations at the source.
    pub fn relations(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut items = self.relations;
        std::iter::from_fn(move || items.next(Reader::u32))
    }
}
