//! What stands in FROM: tables, joins, functions, samples.

use pg_query::NodeEnum;
use pg_query::protobuf::{RangeFunction, RangeVar};

use super::Walk;
use crate::analysis::name::Name;

impl Walk {
    /// Walks a node of FROM or of another clause that only queries have; whether it is one.
    pub(super) fn relation(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::RangeVar(one) => self.table(one),
            NodeEnum::JoinExpr(one) => {
                // USING and NATURAL compare with the operator `=`.
                if one.is_natural || !one.using_clause.is_empty() {
                    self.found.operators.push(Name::new(None, "="));
                }
                self.opt(one.larg.as_deref());
                self.opt(one.rarg.as_deref());
                self.opt(one.quals.as_deref());
            }
            NodeEnum::RangeSubselect(one) => {
                self.found.marks.nested = true;
                self.opt(one.subquery.as_deref());
            }
            NodeEnum::RangeFunction(one) => self.range_function(one),
            NodeEnum::RangeTableSample(one) => {
                self.found.marks.sample = true;
                self.opt(one.relation.as_deref());
                self.function(&one.method);
                self.list(&one.args);
                self.opt(one.repeatable.as_deref());
            }
            NodeEnum::RangeTableFunc(one) => {
                self.opt(one.docexpr.as_deref());
                self.opt(one.rowexpr.as_deref());
                self.list(&one.namespaces);
                self.list(&one.columns);
            }
            NodeEnum::RangeTableFuncCol(one) => {
                self.type_name(one.type_name.as_ref());
                self.opt(one.colexpr.as_deref());
                self.opt(one.coldefexpr.as_deref());
            }
            NodeEnum::ColumnDef(one) => self.type_name(one.type_name.as_ref()),
            NodeEnum::LockingClause(_) => self.found.marks.locks = true,
            NodeEnum::IndexElem(one) => self.opt(one.expr.as_deref()),
            _ => return false,
        }
        true
    }

    /// A table that is read, unless the name is that of a WITH query here.
    fn table(&mut self, table: &RangeVar) {
        let name = Name::of_relation(table);
        if name.schema.is_some() || !self.ctes.contains(&name.name) {
            self.found.reads.push(name);
        }
    }

    /// A table that is changed: never a WITH query.
    pub(super) fn target(&mut self, table: Option<&RangeVar>, only_added_to: bool) {
        self.found.marks.changes = true;
        match table.map(Name::of_relation) {
            Some(name) if only_added_to => self.found.inserts.push(name),
            Some(name) => self.found.changes.push(name),
            None => self.unknown(),
        }
    }

    /// Each function is a list of the call and its column definitions.
    fn range_function(&mut self, function: &RangeFunction) {
        self.list(&function.functions);
        self.list(&function.coldeflist);
    }
}
