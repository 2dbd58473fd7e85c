//! Changes of a table that give its rows new values: whether they are the same values wherever
//! they are computed.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ConstrType};

use super::Judge;
use crate::analysis::kind::Kind;
use crate::analysis::name::Name;
use crate::analysis::reason::Reason;
use crate::analysis::uses::Uses;

impl Judge<'_> {
    /// ALTER TABLE: defaults of new columns, and USING of a change of type.
    pub(super) fn rewrite(&mut self, alter: &AlterTableStmt) {
        for command in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = &command.node else { continue };
            let Some(Some(NodeEnum::ColumnDef(column))) = command.def.as_ref().map(|d| &d.node)
            else {
                continue;
            };
            self.rewrite_column(command, column);
        }
    }

    fn rewrite_column(&mut self, command: &AlterTableCmd, column: &ColumnDef) {
        let expressions = match AlterTableType::try_from(command.subtype) {
            Ok(AlterTableType::AtAlterColumnType) => column.raw_default.iter().collect::<Vec<_>>(),
            Ok(AlterTableType::AtAddColumn) => {
                if is_numbered(column) {
                    // Rows are numbered in the order they lie in.
                    self.not_deterministic(Reason::Identity);
                }
                let constraints = column.constraints.iter().filter_map(|one| match &one.node {
                    Some(NodeEnum::Constraint(one))
                        if one.contype == ConstrType::ConstrDefault as i32 =>
                    {
                        one.raw_expr.as_ref()
                    }
                    _ => None,
                });
                constraints.chain(&column.raw_default).collect()
            }
            _ => return,
        };
        let mut judge = Judge::new(Kind::Select, self.catalog);
        judge.uses(&Uses::of_all(expressions.into_iter().map(|node| &**node)));
        if judge.verdict.deterministic.is_err() {
            self.not_deterministic(Reason::VolatileDefault);
        }
    }
}

/// A serial or identity column.
fn is_numbered(column: &ColumnDef) -> bool {
    let serial = column.type_name.as_ref().and_then(|one| Name::of_list(&one.names));
    let serial = serial.is_some_and(|name| {
        let word = &*name.name;
        word.ends_with("serial") || matches!(word, "serial2" | "serial4" | "serial8")
    });
    let identity = column.constraints.iter().any(|one| match &one.node {
        Some(NodeEnum::Constraint(one)) => one.contype == ConstrType::ConstrIdentity as i32,
        _ => false,
    });
    serial || identity
}
