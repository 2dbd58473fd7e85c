//! Whether a change means the same rows and values wherever it runs.
//!
//! Proved for rows given by the statement itself and for rows named by a unique key, where each
//! is read and changed under its own lock. Everything else depends on rows that nobody locks, or
//! on who came first.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExprType, InsertStmt, Node, OverridingKind, SelectStmt,
};

use super::Judge;
use crate::analysis::kind::Kind;
use crate::analysis::name::{Name, text};
use crate::analysis::reason::Reason;
use crate::analysis::uses::Uses;

impl Judge<'_> {
    pub(super) fn insert_by_key(&mut self, insert: &InsertStmt, uses: &Uses) {
        let select = match insert.select_stmt.as_ref().and_then(|node| node.node.as_ref()) {
            None => None,
            Some(NodeEnum::SelectStmt(select)) => Some(&**select),
            Some(_) => return self.not_deterministic(Reason::UnknownConstruct),
        };
        if uses.marks.nested || select.is_some_and(|select| select.values_lists.is_empty()) {
            self.not_deterministic(Reason::ReadsOtherRows);
        }
        let Some(relation) = &insert.relation else { return };
        self.defaults(&Name::of_relation(relation), &given(insert, select));
        if insert.on_conflict_clause.is_some() {
            self.one_key(&Name::of_relation(relation));
            self.set_to_default(uses);
        }
    }

    /// What the columns get that the statement leaves out.
    fn defaults(&mut self, table: &Name, given: &[&str]) {
        let Some(catalog) = self.catalog else { return };
        for relation in catalog.relations_named(table) {
            let left_out = |column: &str| !given.contains(&column);
            for default in relation.defaults.iter().filter(|one| left_out(&one.column)) {
                let Some(uses) = &default.uses else {
                    self.not_deterministic(Reason::Identity);
                    continue;
                };
                let mut judge = Judge::new(Kind::Select, self.catalog);
                judge.uses(uses);
                if judge.verdict.deterministic.is_err() {
                    self.not_deterministic(Reason::VolatileDefault);
                }
                if let Err(reason) = judge.verdict.preparable {
                    self.not_preparable(reason);
                }
                self.verdict.leaves |= judge.verdict.leaves;
            }
        }
    }

    /// `SET column = DEFAULT` may be any column's default.
    pub(super) fn set_to_default(&mut self, uses: &Uses) {
        if uses.marks.default {
            uses.changes.iter().for_each(|table| self.defaults(table, &[]));
        }
    }

    /// With several keys, which of them conflicts first depends on the rows that are there.
    fn one_key(&mut self, table: &Name) {
        let Some(catalog) = self.catalog else { return };
        if catalog.relations_named(table).any(|relation| relation.keys.len() != 1) {
            self.not_deterministic(Reason::RowsWithoutKey);
        }
    }

    pub(super) fn change_by_key(&mut self, uses: &Uses, joined: bool, filter: Option<&Node>) {
        if joined || uses.marks.nested {
            self.not_deterministic(Reason::ReadsOtherRows);
        }
        let Some(catalog) = self.catalog else { return };
        let mut pinned = Vec::new();
        if let Some(filter) = filter {
            pin(filter, &mut pinned);
        }
        for name in &uses.changes {
            for relation in catalog.relations_named(name) {
                let named = |key: &Vec<Box<str>>| key.iter().all(|c| pinned.contains(&&**c));
                if !relation.keys.iter().any(named) {
                    self.not_deterministic(Reason::RowsWithoutKey);
                }
            }
        }
    }
}

/// Columns that an INSERT gives a value in every row. Without a list of columns it cannot be
/// told which they are.
fn given<'s>(insert: &'s InsertStmt, select: Option<&SelectStmt>) -> Vec<&'s str> {
    if insert.r#override == OverridingKind::OverridingUserValue as i32 {
        return Vec::new();
    }
    let rows = select.map_or(&[][..], |select| &select.values_lists);
    let is_default = |place: usize| {
        rows.iter().any(|row| match &row.node {
            Some(NodeEnum::List(row)) => row
                .items
                .get(place)
                .is_none_or(|value| matches!(value.node, Some(NodeEnum::SetToDefault(_)))),
            _ => true,
        })
    };
    let columns = insert.cols.iter().enumerate();
    columns
        .filter(|(place, _)| select.is_some() && !is_default(*place))
        .filter_map(|(_, column)| match column.node.as_ref()? {
            NodeEnum::ResTarget(target) if target.indirection.is_empty() => Some(&*target.name),
            _ => None,
        })
        .collect()
}

/// Columns that a condition gives a value: equalities that must all hold.
fn pin<'n>(condition: &'n Node, pinned: &mut Vec<&'n str>) {
    match &condition.node {
        Some(NodeEnum::BoolExpr(both)) if both.boolop == BoolExprType::AndExpr as i32 => {
            both.args.iter().for_each(|part| pin(part, pinned));
        }
        Some(NodeEnum::AExpr(one)) if is_equality(one) => {
            for (column, value) in [(&one.lexpr, &one.rexpr), (&one.rexpr, &one.lexpr)] {
                if let (Some(column), Some(value)) = (column, value)
                    && let Some(NodeEnum::ColumnRef(column)) = &column.node
                    && is_given(value)
                {
                    pinned.extend(column.fields.last().and_then(text));
                }
            }
        }
        _ => {}
    }
}

fn is_equality(one: &AExpr) -> bool {
    let kinds = [AExprKind::AexprOp, AExprKind::AexprIn, AExprKind::AexprOpAny];
    let [operator] = one.name.as_slice() else { return false };
    kinds.iter().any(|kind| one.kind == *kind as i32) && text(operator) == Some("=")
}

/// A value that stands in the statement or comes as a parameter.
fn is_given(value: &Node) -> bool {
    match &value.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_given),
        Some(NodeEnum::List(list)) => list.items.iter().all(is_given),
        Some(NodeEnum::AArrayExpr(array)) => array.elements.iter().all(is_given),
        _ => false,
    }
}
