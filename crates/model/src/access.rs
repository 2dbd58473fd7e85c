use crate::{Key, Tenant};

/// What a request may do, as far as it can be *proved*. Anything unproved counts as `Write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Changes nothing and depends only on the records it touches.
    Read,
    /// May change records.
    Write,
    /// Concerns only this connection; changes no record.
    Session,
    /// Concerns the server itself and always belongs to the authority; changes no record.
    Server,
    /// Cannot be kept across two sides and is refused while a migration is live.
    Refused,
}

/// One record that a request touches, with the tenant the family derives from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// The record.
    pub key: Key,
    /// Present only when the migration partitions by tenant.
    pub tenant: Option<Tenant>,
}

/// Which records a request touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touches {
    /// None at all.
    Nothing,
    /// Exactly these.
    Keys(Vec<Touch>),
    /// Every record of the named dataset (`FLUSHDB`, `TRUNCATE`).
    Dataset(crate::Dataset),
    /// Could be any record: an undeclared script key, an unknown command.
    Anything,
}
