//! What the relations that a query touches take away from a verdict.

use super::{Judge, Touch};
use crate::analysis::catalog::{Relation, RelationKind, is_system, is_temporary};
use crate::analysis::name::Name;
use crate::analysis::reason::Reason;
use crate::analysis::uses::Uses;

/// Views and functions within each other: nobody means more.
const DEPTH_MAX: usize = 100;

impl Judge<'_> {
    /// Everything a query names and does.
    pub(super) fn uses(&mut self, uses: &Uses) {
        self.marks(uses);
        for name in &uses.functions {
            self.function(name);
            self.verdict.functions.push(name.clone());
        }
        uses.operators.iter().for_each(|name| self.operator(name));
        uses.types.iter().for_each(|name| self.type_name(name));
        uses.dotted.iter().for_each(|name| self.dotted(name));
        for name in &uses.reads {
            self.read(name);
        }
        for name in &uses.inserts {
            self.write(name, Touch::Insert);
        }
        for name in &uses.changes {
            self.write(name, Touch::Change);
        }
        if self.catalog.is_some_and(|catalog| catalog.has_volatile_casts()) {
            self.anything(Reason::VolatileOperator);
        }
    }

    /// What a function's body uses.
    pub(super) fn nested(&mut self, uses: &Uses) {
        if self.depth == DEPTH_MAX {
            return self.anything(Reason::TooDeep);
        }
        self.depth += 1;
        self.uses(uses);
        self.depth -= 1;
    }

    fn marks(&mut self, uses: &Uses) {
        let marks = &uses.marks;
        if marks.unknown {
            self.anything(Reason::UnknownConstruct);
        }
        if marks.changes {
            self.may_write(Reason::Writes);
        }
        if marks.into {
            self.may_write(Reason::CreatesTable);
        }
        if marks.locks {
            self.may_write(Reason::RowLock);
            self.not_deterministic(Reason::RowLock);
        }
        if marks.cursor {
            self.local(Reason::Cursor);
        }
        if marks.sample {
            self.local(Reason::Sample);
        }
        if marks.system_column {
            self.local(Reason::SystemColumn);
        }
        if marks.server_value {
            self.local(Reason::ServerState);
        }
        for (mark, reason) in [
            (marks.time, Reason::CurrentTime),
            (marks.limit_without_order, Reason::LimitWithoutOrder),
            (marks.order_dependent, Reason::OrderDependent),
        ] {
            if mark {
                self.not_deterministic(reason);
            }
        }
    }

    /// A relation that is read.
    fn read(&mut self, name: &Name) {
        self.verdict.reads.push(name.clone());
        self.touch(name, Touch::Read);
    }

    /// A relation that is written.
    pub(super) fn write(&mut self, name: &Name, touch: Touch) {
        self.verdict.writes.push(name.clone());
        self.touch(name, touch);
    }

    /// Every relation that the name may mean.
    fn touch(&mut self, name: &Name, touch: Touch) {
        if is_temporary(name) {
            self.local(Reason::TemporaryTable);
            return self.not_preparable(Reason::TemporaryTable);
        }
        let Some(catalog) = self.catalog else {
            return match is_system(name) {
                true => self.local(Reason::SystemCatalog),
                false => self.anything(Reason::NoCatalog),
            };
        };
        let mut known = false;
        for relation in catalog.relations_named(name) {
            known = true;
            self.relation(relation, touch);
        }
        match (known, is_system(name)) {
            (true, _) => {}
            (false, true) => self.local(Reason::SystemCatalog),
            (false, false) => self.anything(Reason::UnknownTable),
        }
    }

    fn relation(&mut self, relation: &Relation, touch: Touch) {
        if !self.seen_relations.insert((relation.oid, touch)) {
            return;
        }
        if self.depth == DEPTH_MAX {
            return self.anything(Reason::TooDeep);
        }
        self.depth += 1;
        match relation.kind {
            RelationKind::Table | RelationKind::View => {}
            RelationKind::MaterializedView => self.local(Reason::MaterializedView),
            RelationKind::Foreign => {
                self.local(Reason::ForeignTable);
                self.not_preparable(Reason::ForeignTable);
            }
            RelationKind::Sequence => self.local(Reason::Sequence),
        }
        if relation.temporary {
            self.local(Reason::TemporaryTable);
            self.not_preparable(Reason::TemporaryTable);
        }
        if relation.unlogged {
            self.local(Reason::UnloggedTable);
        }
        if let Some(policies) = &relation.policies {
            self.uses(policies);
        }
        if let Some(view) = &relation.view {
            self.uses(view);
            if touch != Touch::Read {
                view.reads.iter().for_each(|name| self.write(name, touch));
            }
        }
        if touch != Touch::Read {
            self.written(relation, touch);
        }
        if let Some(catalog) = self.catalog {
            for child in &relation.children {
                self.relation(catalog.relation(*child), touch);
            }
        }
        self.depth -= 1;
    }

    /// What happens besides when a relation is written.
    fn written(&mut self, relation: &Relation, touch: Touch) {
        if relation.kind == RelationKind::View {
            self.not_deterministic(Reason::ThroughView);
        }
        if relation.triggers && relation.quiet {
            self.not_deterministic(Reason::Trigger);
        } else if relation.triggers {
            // A trigger may do what any function may.
            self.anything(Reason::Trigger);
        }
        if relation.rules {
            self.anything(Reason::Rule);
        }
        if relation.policies.is_some() {
            self.not_deterministic(Reason::RowSecurity);
        }
        let Some(catalog) = self.catalog.filter(|_| touch == Touch::Change) else { return };
        for key in relation.foreign_keys.iter().filter(|key| key.on_delete || key.on_update) {
            let from = catalog.relation(key.from);
            self.verdict.writes.push(Name::new(Some(&from.schema), &from.name));
            self.relation(from, Touch::Change);
        }
    }
}
