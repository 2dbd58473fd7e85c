//! The shape of a snapshot.

use std::collections::HashMap;

use crate::analysis::name::Name;
use crate::analysis::uses::Uses;

/// How much a function may do: what PostgreSQL's `provolatile` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Volatility {
    /// The same result for the same arguments, for ever.
    Immutable,
    /// The same result within one statement; may not change the database.
    Stable,
    /// Anything.
    Volatile,
}

/// One snapshot of a database's catalog. Empty by [`Default`], which knows no relation at all.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Functions by name, those of every schema but `pg_catalog`.
    pub(super) functions: HashMap<Box<str>, Vec<Function>>,
    /// How volatile this server's own functions are.
    pub(super) own_functions: HashMap<Box<str>, Volatility>,
    /// Operators by name, those of every schema but `pg_catalog`.
    pub(super) operators: HashMap<Box<str>, Vec<Operator>>,
    pub(super) types: Vec<TypeInfo>,
    pub(super) types_by_name: HashMap<Box<str>, Vec<usize>>,
    pub(super) types_by_oid: HashMap<u32, usize>,
    pub(super) relations: Vec<Relation>,
    pub(super) relations_by_name: HashMap<Box<str>, Vec<usize>>,
    pub(super) relations_by_oid: HashMap<u32, usize>,
    /// Somebody made a cast whose function is volatile: any expression may call it.
    pub(super) volatile_casts: bool,
}

/// All functions of one name in one schema, taken together at their worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::analysis) struct Function {
    pub(in crate::analysis) schema: Box<str>,
    pub(in crate::analysis) volatility: Volatility,
    /// In a language whose word is not taken.
    pub(in crate::analysis) opaque: bool,
    /// It is stable and may read tables that cannot be told from here.
    pub(in crate::analysis) hidden: bool,
    /// What the bodies of stable ones in SQL use.
    pub(in crate::analysis) body: Option<Box<Uses>>,
    /// It leaves nothing in the session and nothing that cannot be prepared; see `quiet`.
    pub(in crate::analysis) quiet: bool,
    /// It is volatile and has a body that nobody can look into.
    pub(super) closed: bool,
    /// The words of the bodies of volatile ones, until they have been judged.
    pub(super) words: Vec<Box<str>>,
    /// All are in C, or the server's own under another name.
    pub(in crate::analysis) native: bool,
    /// Takes one argument, so that `x.f` may call it.
    pub(in crate::analysis) dotted: bool,
}

/// All operators of one name in one schema, taken together at their worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::analysis) struct Operator {
    pub(in crate::analysis) schema: Box<str>,
    pub(in crate::analysis) volatility: Volatility,
}

/// A type: what its numbers mean on this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// Its number in this database.
    pub oid: u32,
    /// Its schema.
    pub schema: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What it is made of.
    pub kind: TypeKind,
    /// The element of an array, the base of a domain, the subtype of a range; otherwise 0.
    pub inner: u32,
    pub(in crate::analysis) input: Volatility,
    /// What the checks of a domain use.
    pub(in crate::analysis) checks: Option<Box<Uses>>,
}

/// What a type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeKind {
    /// A scalar, or what an extension made.
    Base,
    /// An array.
    Array,
    /// A row.
    Composite,
    /// A domain over another type.
    Domain,
    /// An enumeration.
    Enum,
    /// A range or multirange.
    Range,
    /// `record`, `anyelement` and the like.
    Pseudo,
}

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::analysis) enum RelationKind {
    Table,
    View,
    MaterializedView,
    Foreign,
    Sequence,
}

/// A relation outside the system's schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::analysis) struct Relation {
    pub(in crate::analysis) oid: u32,
    pub(in crate::analysis) schema: Box<str>,
    pub(in crate::analysis) name: Box<str>,
    pub(in crate::analysis) kind: RelationKind,
    pub(in crate::analysis) temporary: bool,
    pub(in crate::analysis) unlogged: bool,
    /// Triggers besides those of foreign keys.
    pub(in crate::analysis) triggers: bool,
    /// What triggers call leaves nothing behind; see `quiet`.
    pub(in crate::analysis) quiet: bool,
    /// The functions that triggers call.
    pub(super) fires: Vec<Name>,
    /// Rules besides the one that makes a view.
    pub(in crate::analysis) rules: bool,
    /// What a view's query uses.
    pub(in crate::analysis) view: Option<Box<Uses>>,
    /// What the policies of row security use, if it is on.
    pub(in crate::analysis) policies: Option<Box<Uses>>,
    pub(in crate::analysis) defaults: Vec<Default_>,
    /// Unique keys that are checked at once, by the names of their columns.
    pub(in crate::analysis) keys: Vec<Vec<Box<str>>>,
    pub(in crate::analysis) foreign_keys: Vec<ForeignKey>,
    /// Partitions and inheriting tables.
    pub(in crate::analysis) children: Vec<usize>,
}

/// What a column gets when nobody gives it a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::analysis) struct Default_ {
    pub(in crate::analysis) column: Box<str>,
    /// `None` for an identity column.
    pub(in crate::analysis) uses: Option<Uses>,
}

/// A foreign key that points here and changes its own table when rows here change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::analysis) struct ForeignKey {
    /// The table that is changed.
    pub(in crate::analysis) from: usize,
    pub(in crate::analysis) on_delete: bool,
    pub(in crate::analysis) on_update: bool,
}
