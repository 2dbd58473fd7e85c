//! Statements about rows: queries, changes, COPY, cursors, and what runs them.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    CopyStmt, DeclareCursorStmt, ExplainStmt, Node, PrepareStmt, RangeVar, SelectStmt, TruncateStmt,
};

use super::{Judge, Touch, statement};
use crate::analysis::name::{Name, text};
use crate::analysis::reason::Reason;
use crate::analysis::state::SessionState;
use crate::analysis::uses::{Uses, is_ordered};
use crate::analysis::verdict::{Access, Copy, CopyDirection, Named};

/// `CURSOR_OPT_HOLD` of PostgreSQL's `nodes/parsenodes.h`.
const HOLD: i32 = 0x20;

impl Judge<'_> {
    /// Judges a statement about rows; whether it is one.
    pub(super) fn query_command(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::SelectStmt(select) => self.select(select, node),
            NodeEnum::InsertStmt(insert) => {
                let uses = self.change(node);
                self.insert_by_key(insert, &uses);
            }
            NodeEnum::UpdateStmt(update) => {
                let uses = self.change(node);
                let joined = !update.from_clause.is_empty();
                self.change_by_key(&uses, joined, update.where_clause.as_deref());
                self.set_to_default(&uses);
            }
            NodeEnum::DeleteStmt(delete) => {
                let uses = self.change(node);
                let joined = !delete.using_clause.is_empty();
                self.change_by_key(&uses, joined, delete.where_clause.as_deref());
            }
            NodeEnum::MergeStmt(_) => {
                self.change(node);
                self.not_deterministic(Reason::ReadsOtherRows);
            }
            NodeEnum::TruncateStmt(truncate) => self.truncate(truncate),
            NodeEnum::CopyStmt(copy) => self.copy(copy),
            NodeEnum::ExplainStmt(explain) => self.explain(explain),
            NodeEnum::DeclareCursorStmt(declare) => self.declare(declare),
            NodeEnum::FetchStmt(_) => self.belongs(Access::Read, Reason::Cursor),
            NodeEnum::PrepareStmt(prepare) => self.prepare(prepare),
            NodeEnum::ExecuteStmt(execute) => {
                self.uses(&Uses::of_all(&execute.params));
                self.anything(Reason::PreparedByName);
                self.verdict.named = Some(Named::Execute(execute.name.as_str().into()));
                self.settle();
            }
            NodeEnum::CallStmt(call) => {
                if let Some(call) = &call.funccall {
                    self.procedure(&Uses::of_call(call));
                }
                self.anything(Reason::Procedure);
                self.settle();
            }
            NodeEnum::DoStmt(_) => {
                self.anything(Reason::CodeBlock);
                self.settle();
            }
            NodeEnum::NotifyStmt(_) => {
                self.may_write(Reason::Notify);
                self.not_deterministic(Reason::Notify);
                self.not_preparable(Reason::Notify);
                self.settle();
            }
            NodeEnum::LockStmt(lock) => {
                self.belongs(Access::Utility, Reason::TableLock);
                self.verdict.reads.extend(lock.relations.iter().filter_map(relation));
            }
            _ => return false,
        }
        true
    }

    /// The arguments of a procedure; its own name is no function's.
    fn procedure(&mut self, uses: &Uses) {
        self.verdict.reads.extend(uses.reads.iter().cloned());
        self.verdict.functions.extend(uses.functions.iter().cloned());
    }

    fn select(&mut self, select: &SelectStmt, node: &NodeEnum) {
        let uses = Uses::of(node);
        self.uses(&uses);
        if uses.marks.changes {
            self.not_deterministic(Reason::RowsWithoutKey);
        }
        self.verdict.ordered = is_ordered(select);
        self.settle();
        let mut first = select;
        while let Some(arm) = &first.larg {
            first = arm;
        }
        if let Some(into) = &first.into_clause {
            self.creates(into.rel.as_ref(), Reason::CreatesTable);
        }
    }

    /// INSERT, UPDATE, DELETE, MERGE.
    fn change(&mut self, node: &NodeEnum) -> Uses {
        let uses = Uses::of(node);
        self.uses(&uses);
        self.settle();
        uses
    }

    fn truncate(&mut self, truncate: &TruncateStmt) {
        self.may_write(Reason::Writes);
        for name in truncate.relations.iter().filter_map(relation) {
            self.write(&name, Touch::Change);
        }
        self.settle();
    }

    fn copy(&mut self, copy: &CopyStmt) {
        let table = copy.relation.as_ref().map(Name::of_relation);
        self.local(Reason::Copy);
        if let Some(query) = copy.query.as_ref().and_then(|query| query.node.as_ref()) {
            self.uses(&Uses::of(query));
        }
        if let Some(filter) = &copy.where_clause {
            self.uses(&Uses::of_all([&**filter]));
        }
        let direction = match copy.is_from {
            true => CopyDirection::In,
            false => CopyDirection::Out,
        };
        if let Some(name) = &table {
            let uses = match direction {
                CopyDirection::In => Uses { inserts: vec![name.clone()], ..Uses::default() },
                CopyDirection::Out => Uses { reads: vec![name.clone()], ..Uses::default() },
            };
            self.uses(&uses);
        }
        if copy.is_program || !copy.filename.is_empty() {
            self.may_write(Reason::ServerFiles);
        }
        if direction == CopyDirection::Out && self.verdict.may_write.is_some() {
            return self.settle();
        }
        if direction == CopyDirection::In {
            self.may_write(Reason::Writes);
        }
        self.verdict.access = Access::Copy(Copy { direction, table });
    }

    /// Plans only, unless ANALYZE is among its options; an option that cannot be read counts as
    /// given.
    fn explain(&mut self, explain: &ExplainStmt) {
        let Some(query) = explain.query.as_ref().and_then(|query| query.node.as_ref()) else {
            return self.anything(Reason::UnknownConstruct);
        };
        let runs = explain.options.iter().any(|option| match &option.node {
            Some(NodeEnum::DefElem(option)) if option.defname == "analyze" => {
                !option.arg.as_deref().is_some_and(is_false)
            }
            Some(NodeEnum::DefElem(_)) => false,
            _ => true,
        });
        if runs {
            self.command(query);
        } else {
            let planned = statement(query, self.catalog);
            self.verdict.reads = planned.reads;
            self.verdict.reads.extend(planned.writes);
            self.verdict.functions = planned.functions;
        }
        self.local(Reason::Explain);
    }

    fn declare(&mut self, declare: &DeclareCursorStmt) {
        if let Some(query) = declare.query.as_ref().and_then(|query| query.node.as_ref()) {
            self.uses(&Uses::of(query));
            if let NodeEnum::SelectStmt(select) = query {
                self.verdict.ordered = is_ordered(select);
            }
        }
        self.local(Reason::Cursor);
        if declare.options & HOLD == 0 {
            self.verdict.leaves |= SessionState::CURSOR;
        } else {
            self.verdict.leaves |= SessionState::HOLD_CURSOR;
            self.not_preparable(Reason::HoldCursor);
        }
        self.settle();
    }

    fn prepare(&mut self, prepare: &PrepareStmt) {
        self.verdict.access = Access::Session;
        self.not_on_follower(Reason::Session);
        self.verdict.leaves |= SessionState::PREPARE;
        if let Some(query) = prepare.query.as_ref().and_then(|query| query.node.as_ref()) {
            let verdict = Box::new(statement(query, self.catalog));
            let name = prepare.name.as_str().into();
            self.verdict.named = Some(Named::Prepare { name, verdict });
        }
    }

    /// A table made from rows. A temporary one is the session's own; any other is a change of
    /// the schema.
    pub(super) fn creates(&mut self, table: Option<&RangeVar>, reason: Reason) {
        let temporary = self.temporary(table);
        let by_query = self.verdict.may_write.filter(|found| *found != reason);
        if let Some(table) = table {
            self.verdict.writes.push(Name::of_relation(table));
        }
        self.may_write(reason);
        self.verdict.access = match (temporary, by_query) {
            (true, None) => Access::Session,
            (true, Some(_)) => Access::Write,
            (false, _) => Access::Ddl,
        };
        if self.verdict.access == Access::Session {
            self.verdict.may_write = None;
        }
    }
}

/// A name in a list of relations.
pub(super) fn relation(node: &Node) -> Option<Name> {
    match node.node.as_ref()? {
        NodeEnum::RangeVar(relation) => Some(Name::of_relation(relation)),
        _ => None,
    }
}

/// Whether an option's argument says no, in the words that PostgreSQL takes for it.
pub(super) fn is_false(argument: &Node) -> bool {
    match argument.node.as_ref() {
        Some(NodeEnum::Integer(number)) => number.ival == 0,
        Some(NodeEnum::Boolean(truth)) => !truth.boolval,
        _ => text(argument)
            .is_some_and(|word| ["false", "off"].iter().any(|no| word.eq_ignore_ascii_case(no))),
    }
}
