//! One change of one row, kept as the bytes it came in.

use std::sync::Arc;

use bytes::Bytes;
use wire_postgres::MessageError;
use wire_postgres::logical::{Decoder, Event, OldRow, Tuple};

use super::relation::Relation;

/// A change as the stream told it, and its relation as it was then. It is read again where it is
/// used: that costs less than to keep its values apart.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Of which relation; of a truncate the first of them.
    pub(crate) relation: Arc<Relation>,
    /// The other relations of a truncate.
    pub(crate) others: Vec<Arc<Relation>>,
    data: Bytes,
}

/// What it does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed<'a> {
    /// A new row.
    Insert(Tuple<'a>),
    /// A changed row; `old` when its identity changed or is the whole row.
    Update(Option<OldRow<'a>>, Tuple<'a>),
    /// A row is gone.
    Delete(OldRow<'a>),
    /// All rows are gone; whether identities begin anew.
    Truncate(bool),
}

impl Change {
    /// `data` was decoded once as a change of this relation.
    pub(crate) fn new(relation: Arc<Relation>, others: Vec<Arc<Relation>>, data: Bytes) -> Self {
        Self { relation, others, data }
    }

    /// What it does.
    pub(crate) fn deed(&self) -> Result<Deed<'_>, MessageError> {
        match Decoder::new().decode(&self.data)?.event {
            Event::Insert { new, .. } => Ok(Deed::Insert(new)),
            Event::Update { old, new, .. } => Ok(Deed::Update(old, new)),
            Event::Delete { old, .. } => Ok(Deed::Delete(old)),
            Event::Truncate(truncate) => Ok(Deed::Truncate(truncate.restart_identity)),
            _ => Err(MessageError::Count("change")),
        }
    }

    /// Memory it holds, about.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len() + size_of::<Self>()
    }
}
