//! What names may mean. A name without a schema means every object of that name, because only
//! the session knows its `search_path`.

use super::model::{Catalog, Function, Operator, Relation, TypeInfo, Volatility};
use crate::analysis::builtin;
use crate::analysis::name::Name;

/// Schemas of the system.
const SYSTEM: &[&str] = &["pg_catalog", "information_schema", "pg_toast"];

impl Catalog {
    /// The type of a number.
    #[must_use]
    pub fn type_by_oid(&self, oid: u32) -> Option<&TypeInfo> {
        self.types_by_oid.get(&oid).map(|place| &self.types[*place])
    }

    /// The type of a name.
    #[must_use]
    pub fn type_by_name(&self, schema: &str, name: &str) -> Option<&TypeInfo> {
        let all = self.types_by_name.get(name).into_iter().flatten();
        all.map(|place| &self.types[*place]).find(|one| &*one.schema == schema)
    }

    /// How volatile a function of PostgreSQL itself is on this server. A server's own answer goes
    /// before the list we brought.
    pub(in crate::analysis) fn own_function(&self, name: &str) -> Option<Volatility> {
        if self.own_functions.is_empty() {
            return builtin::function(name);
        }
        let own = self.own_functions.get(name).copied();
        own.filter(|volatility| *volatility != Volatility::Volatile)
    }

    pub(in crate::analysis) fn functions_named<'c>(
        &'c self,
        name: &'c Name,
    ) -> impl Iterator<Item = &'c Function> {
        let all = self.functions.get(&name.name).into_iter().flatten();
        all.filter(|one| name.schema.as_ref().is_none_or(|schema| *schema == one.schema))
    }

    pub(in crate::analysis) fn operators_named<'c>(
        &'c self,
        name: &'c Name,
    ) -> impl Iterator<Item = &'c Operator> {
        let all = self.operators.get(&name.name).into_iter().flatten();
        all.filter(|one| name.schema.as_ref().is_none_or(|schema| *schema == one.schema))
    }

    pub(in crate::analysis) fn types_named<'c>(
        &'c self,
        name: &'c Name,
    ) -> impl Iterator<Item = &'c TypeInfo> {
        let all = self.types_by_name.get(&name.name).into_iter().flatten();
        all.map(|place| &self.types[*place])
            .filter(|one| name.schema.as_ref().is_none_or(|schema| *schema == one.schema))
    }

    pub(in crate::analysis) fn relations_named<'c>(
        &'c self,
        name: &'c Name,
    ) -> impl Iterator<Item = &'c Relation> {
        let all = self.relations_by_name.get(&name.name).into_iter().flatten();
        all.map(|place| &self.relations[*place])
            .filter(|one| name.schema.as_ref().is_none_or(|schema| *schema == one.schema))
    }

    pub(in crate::analysis) fn relation(&self, place: usize) -> &Relation {
        &self.relations[place]
    }

    pub(in crate::analysis) fn has_volatile_casts(&self) -> bool {
        self.volatile_casts
    }
}

/// Whether a name means the system's catalogs: by its schema, or because PostgreSQL reserves
/// what begins with `pg_`.
pub(in crate::analysis) fn is_system(name: &Name) -> bool {
    match &name.schema {
        Some(schema) => SYSTEM.contains(&&**schema),
        None => name.name.starts_with("pg_"),
    }
}

/// Whether a name means a temporary object by its schema.
pub(in crate::analysis) fn is_temporary(name: &Name) -> bool {
    name.schema.as_ref().is_some_and(|schema| schema.starts_with("pg_temp"))
}
