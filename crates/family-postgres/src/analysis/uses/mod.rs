//! What a query names, by its text alone: no catalog is asked here.
//!
//! The walk knows every construct that the parser makes of a query, and counts whatever else it
//! meets as not understood. Names of WITH queries are told from names of tables by PostgreSQL's
//! rules, because a table taken for one of them would be a table overlooked.

mod expr;
mod from;
mod json;
mod query;

use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, SelectStmt};

use super::name::Name;

/// What a query names and does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Uses {
    pub(super) reads: Vec<Name>,
    /// Tables that rows are added to, and no other change.
    pub(super) inserts: Vec<Name>,
    pub(super) changes: Vec<Name>,
    pub(super) functions: Vec<Name>,
    pub(super) operators: Vec<Name>,
    pub(super) types: Vec<Name>,
    /// Last parts of dotted references: columns, or functions called as if they were.
    pub(super) dotted: Vec<Box<str>>,
    pub(super) marks: Marks,
}

/// What a query does besides naming things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// FOR UPDATE and its weaker sisters.
    pub(super) locks: bool,
    /// SELECT INTO.
    pub(super) into: bool,
    /// INSERT, UPDATE, DELETE or MERGE anywhere in it.
    pub(super) changes: bool,
    /// A construct the walk does not know.
    pub(super) unknown: bool,
    /// TABLESAMPLE.
    pub(super) sample: bool,
    /// LIMIT, OFFSET or DISTINCT ON without ORDER BY.
    pub(super) limit_without_order: bool,
    /// An aggregate or window function whose result depends on the order of rows.
    pub(super) order_dependent: bool,
    /// `ctid`, `xmin` and the like.
    pub(super) system_column: bool,
    /// CURRENT_TIMESTAMP and the like.
    pub(super) time: bool,
    /// CURRENT_CATALOG, CURRENT_SCHEMA.
    pub(super) server_value: bool,
    /// WHERE CURRENT OF.
    pub(super) cursor: bool,
    /// DEFAULT as a value.
    pub(super) default: bool,
    /// A query within the statement.
    pub(super) nested: bool,
}

impl Uses {
    /// What one query uses.
    pub(super) fn of(node: &NodeEnum) -> Self {
        let mut walk = Walk::default();
        walk.construct(node);
        walk.done()
    }

    /// What several use.
    pub(super) fn of_all<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> Self {
        let mut walk = Walk::default();
        nodes.into_iter().for_each(|node| walk.node(node));
        walk.done()
    }

    /// What a function call uses that stands on its own (CALL).
    pub(super) fn of_call(call: &FuncCall) -> Self {
        let mut walk = Walk::default();
        walk.call(call);
        walk.done()
    }

    /// Marked as not understood.
    pub(super) fn unknown() -> Self {
        Self { marks: Marks { unknown: true, ..Marks::default() }, ..Self::default() }
    }
}

/// Whether a SELECT has an ORDER BY of its own.
pub(super) fn is_ordered(select: &SelectStmt) -> bool {
    !select.sort_clause.is_empty()
}

/// The walk: what was found, and which names mean WITH queries where it stands.
#[derive(Default)]
struct Walk {
    found: Uses,
    ctes: Vec<Box<str>>,
}

impl Walk {
    fn done(mut self) -> Uses {
        for names in [
            &mut self.found.reads,
            &mut self.found.inserts,
            &mut self.found.changes,
            &mut self.found.functions,
            &mut self.found.operators,
            &mut self.found.types,
        ] {
            names.sort_unstable();
            names.dedup();
        }
        self.found.dotted.sort_unstable();
        self.found.dotted.dedup();
        self.found
    }

    fn list(&mut self, nodes: &[Node]) {
        nodes.iter().for_each(|node| self.node(node));
    }

    fn opt(&mut self, node: Option<&Node>) {
        if let Some(node) = node {
            self.node(node);
        }
    }

    fn unknown(&mut self) {
        self.found.marks.unknown = true;
    }

    fn function(&mut self, parts: &[Node]) -> Option<&Name> {
        match Name::of_list(parts) {
            Some(name) => {
                self.found.functions.push(name);
                self.found.functions.last()
            }
            None => {
                self.unknown();
                None
            }
        }
    }

    fn operator(&mut self, parts: &[Node]) {
        match Name::of_list(parts) {
            Some(name) => self.found.operators.push(name),
            None => self.unknown(),
        }
    }
}

impl Uses {
    /// Both together.
    pub(super) fn merge(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.inserts.extend(other.inserts);
        self.changes.extend(other.changes);
        self.functions.extend(other.functions);
        self.operators.extend(other.operators);
        self.types.extend(other.types);
        self.dotted.extend(other.dotted);
        self.marks.merge(other.marks);
    }
}

impl Marks {
    fn merge(&mut self, other: Self) {
        let Self {
            locks,
            into,
            changes,
            unknown,
            sample,
            limit_without_order,
            order_dependent,
            system_column,
            time,
            server_value,
            cursor,
            default,
            nested,
        } = other;
        self.locks |= locks;
        self.into |= into;
        self.changes |= changes;
        self.unknown |= unknown;
        self.sample |= sample;
        self.limit_without_order |= limit_without_order;
        self.order_dependent |= order_dependent;
        self.system_column |= system_column;
        self.time |= time;
        self.server_value |= server_value;
        self.cursor |= cursor;
        self.default |= default;
        self.nested |= nested;
    }
}
