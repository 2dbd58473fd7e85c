//! SELECT, INSERT, UPDATE, DELETE, MERGE and their WITH queries.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    DeleteStmt, InsertStmt, MergeStmt, Node, OnConflictClause, ReturningClause, SelectStmt,
    UpdateStmt, WithClause,
};

use super::Walk;
use crate::analysis::name::Name;

impl Walk {
    /// Walks a query's WITH clause and then its body, with the names that each part may use: in
    /// WITH RECURSIVE every name means its query, otherwise only in what follows it.
    fn with(&mut self, clause: Option<&WithClause>, body: impl FnOnce(&mut Self)) {
        let before = self.ctes.len();
        if let Some(clause) = clause {
            let names = clause.ctes.iter().filter_map(cte_name);
            if clause.recursive {
                self.ctes.extend(names);
            }
            for cte in &clause.ctes {
                self.cte(cte);
                if !clause.recursive {
                    self.ctes.extend(cte_name(cte));
                }
            }
        }
        body(self);
        self.ctes.truncate(before);
    }

    fn cte(&mut self, node: &Node) {
        let Some(NodeEnum::CommonTableExpr(cte)) = &node.node else { return self.unknown() };
        self.found.marks.nested = true;
        self.opt(cte.ctequery.as_deref());
        if let Some(cycle) = &cte.cycle_clause {
            self.found.operators.push(Name::new(None, "<>"));
            self.opt(cycle.cycle_mark_value.as_deref());
            self.opt(cycle.cycle_mark_default.as_deref());
        }
    }

    pub(super) fn select(&mut self, select: &SelectStmt) {
        self.with(select.with_clause.as_ref(), |walk| {
            walk.arms(select);
            walk.list(&select.distinct_clause);
            walk.list(&select.target_list);
            walk.list(&select.from_clause);
            walk.opt(select.where_clause.as_deref());
            walk.list(&select.group_clause);
            walk.opt(select.having_clause.as_deref());
            walk.list(&select.window_clause);
            walk.list(&select.values_lists);
            walk.list(&select.sort_clause);
            walk.opt(select.limit_offset.as_deref());
            walk.opt(select.limit_count.as_deref());
            walk.list(&select.locking_clause);
        });
        let marks = &mut self.found.marks;
        marks.into |= select.into_clause.is_some();
        let some_of = select.limit_count.is_some() || select.limit_offset.is_some();
        // DISTINCT alone is a list of one empty node, DISTINCT ON one of expressions.
        let distinct_on = select.distinct_clause.iter().any(|node| node.node.is_some());
        marks.limit_without_order |= (some_of || distinct_on) && select.sort_clause.is_empty();
    }

    /// The two sides of UNION, INTERSECT and EXCEPT.
    fn arms(&mut self, select: &SelectStmt) {
        for arm in [&select.larg, &select.rarg].into_iter().flatten() {
            self.select(arm);
        }
    }

    pub(super) fn insert(&mut self, insert: &InsertStmt) {
        self.with(insert.with_clause.as_ref(), |walk| {
            let clause = insert.on_conflict_clause.as_deref();
            let updates = clause.is_some_and(|clause| !clause.target_list.is_empty());
            walk.target(insert.relation.as_ref(), !updates);
            walk.list(&insert.cols);
            walk.opt(insert.select_stmt.as_deref());
            if let Some(clause) = clause {
                walk.on_conflict(clause);
            }
            walk.returning(insert.returning_clause.as_ref());
        });
    }

    fn on_conflict(&mut self, clause: &OnConflictClause) {
        if let Some(infer) = &clause.infer {
            self.list(&infer.index_elems);
            self.opt(infer.where_clause.as_deref());
        }
        self.list(&clause.target_list);
        self.opt(clause.where_clause.as_deref());
    }

    pub(super) fn update(&mut self, update: &UpdateStmt) {
        self.with(update.with_clause.as_ref(), |walk| {
            walk.target(update.relation.as_ref(), false);
            walk.list(&update.target_list);
            walk.list(&update.from_clause);
            walk.opt(update.where_clause.as_deref());
            walk.returning(update.returning_clause.as_ref());
        });
    }

    pub(super) fn delete(&mut self, delete: &DeleteStmt) {
        self.with(delete.with_clause.as_ref(), |walk| {
            walk.target(delete.relation.as_ref(), false);
            walk.list(&delete.using_clause);
            walk.opt(delete.where_clause.as_deref());
            walk.returning(delete.returning_clause.as_ref());
        });
    }

    pub(super) fn merge(&mut self, merge: &MergeStmt) {
        self.with(merge.with_clause.as_ref(), |walk| {
            walk.target(merge.relation.as_ref(), false);
            walk.opt(merge.source_relation.as_deref());
            walk.opt(merge.join_condition.as_deref());
            for clause in &merge.merge_when_clauses {
                let Some(NodeEnum::MergeWhenClause(clause)) = &clause.node else {
                    walk.unknown();
                    continue;
                };
                walk.opt(clause.condition.as_deref());
                walk.list(&clause.target_list);
                walk.list(&clause.values);
            }
            walk.returning(merge.returning_clause.as_ref());
        });
    }

    fn returning(&mut self, clause: Option<&ReturningClause>) {
        if let Some(clause) = clause {
            self.list(&clause.exprs);
        }
    }
}

fn cte_name(node: &Node) -> Option<Box<str>> {
    match node.node.as_ref()? {
        NodeEnum::CommonTableExpr(cte) => Some(cte.ctename.as_str().into()),
        _ => None,
    }
}
