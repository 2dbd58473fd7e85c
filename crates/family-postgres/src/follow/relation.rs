//! Relations as the stream described them last.

use std::collections::HashMap;
use std::sync::Arc;

use wire_postgres::logical::{self, ReplicaIdentity};

/// A relation of the followed side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    /// Its OID there.
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// Rows are identified by all they hold.
    pub(crate) full: bool,
    /// The columns that are published, in the order of the stream's rows.
    pub(crate) columns: Vec<Column>,
}

/// A column of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Whether the stream identifies rows by it.
    pub(crate) key: bool,
    /// OID of its type at the followed side.
    pub(crate) type_oid: u32,
}

impl Relation {
    fn of(told: &logical::Relation<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let schema = if told.schema.is_empty() { "pg_catalog".into() } else { text(told.schema) };
        let columns = told
            .attributes()
            .map(|a| Column { name: text(a.name), key: a.key, type_oid: a.type_oid })
            .collect();
        let full = told.identity == ReplicaIdentity::Full;
        Self { oid: told.oid, schema, name: text(told.name), full, columns }
    }

    /// How operators call it.
    pub(crate) fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// All relations that the stream has described. Bounded by the tables that are published.
#[derive(Debug, Default)]
pub(crate) struct Relations(HashMap<u32, Arc<Relation>>);

impl Relations {
    /// Takes a description. Changes that were read before keep the older one.
    pub(crate) fn learn(&mut self, told: &logical::Relation<'_>) {
        let relation = Relation::of(told);
        if self.0.get(&relation.oid).is_none_or(|known| **known != relation) {
            self.0.insert(relation.oid, Arc::new(relation));
        }
    }

    pub(crate) fn get(&self, oid: u32) -> Option<&Arc<Relation>> {
        self.0.get(&oid)
    }
}
