//! Expressions, and the door for any node.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, ColumnRef, FuncCall, Node, SqlValueFunctionOp, TypeName, WindowDef, a_const,
};

use super::Walk;
use crate::analysis::name::{Name, text};

/// Columns that every table has and that mean nothing on another server.
const SYSTEM_COLUMNS: &[&str] = &["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// Aggregates and window functions whose result depends on the order of their rows.
const ORDER_DEPENDENT: &[&str] = &[
    "array_agg",
    "string_agg",
    "json_agg",
    "jsonb_agg",
    "json_agg_strict",
    "jsonb_agg_strict",
    "json_object_agg",
    "jsonb_object_agg",
    "xmlagg",
    "row_number",
    "lag",
    "lead",
    "ntile",
    "first_value",
    "last_value",
    "nth_value",
];

/// Words that mean the present in a text that becomes a date or a time.
const PRESENT: &[&str] = &["now", "today", "tomorrow", "yesterday"];

impl Walk {
    pub(super) fn node(&mut self, node: &Node) {
        if let Some(node) = &node.node {
            self.construct(node);
        }
    }

    pub(super) fn construct(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::SelectStmt(one) => self.select(one),
            NodeEnum::InsertStmt(one) => self.insert(one),
            NodeEnum::UpdateStmt(one) => self.update(one),
            NodeEnum::DeleteStmt(one) => self.delete(one),
            NodeEnum::MergeStmt(one) => self.merge(one),

            NodeEnum::AConst(one) => self.constant(one.val.as_ref()),
            NodeEnum::ParamRef(_)
            | NodeEnum::AStar(_)
            | NodeEnum::String(_)
            | NodeEnum::Integer(_)
            | NodeEnum::Float(_)
            | NodeEnum::Boolean(_)
            | NodeEnum::BitString(_)
            | NodeEnum::JsonFormat(_)
            | NodeEnum::Alias(_)
            | NodeEnum::ReturningOption(_) => {}
            NodeEnum::ColumnRef(one) => self.column(one),
            NodeEnum::List(one) => self.list(&one.items),
            NodeEnum::AExpr(one) => self.operation(one),
            NodeEnum::BoolExpr(one) => self.list(&one.args),
            NodeEnum::FuncCall(one) => self.call(one),
            NodeEnum::NamedArgExpr(one) => self.opt(one.arg.as_deref()),
            NodeEnum::TypeCast(one) => {
                self.opt(one.arg.as_deref());
                self.type_name(one.type_name.as_ref());
            }
            NodeEnum::TypeName(one) => self.type_name(Some(one)),
            NodeEnum::CollateClause(one) => self.opt(one.arg.as_deref()),
            NodeEnum::AIndices(one) => {
                self.opt(one.lidx.as_deref());
                self.opt(one.uidx.as_deref());
            }
            NodeEnum::AIndirection(one) => {
                self.opt(one.arg.as_deref());
                for part in &one.indirection {
                    self.found.dotted.extend(text(part).map(Into::into));
                    self.node(part);
                }
            }
            NodeEnum::AArrayExpr(one) => self.list(&one.elements),
            NodeEnum::RowExpr(one) => self.list(&one.args),
            NodeEnum::ResTarget(one) => {
                self.list(&one.indirection);
                self.opt(one.val.as_deref());
            }
            NodeEnum::MultiAssignRef(one) => self.opt(one.source.as_deref()),
            NodeEnum::SubLink(one) => {
                self.found.marks.nested = true;
                self.opt(one.testexpr.as_deref());
                if !one.oper_name.is_empty() {
                    self.operator(&one.oper_name);
                }
                self.opt(one.subselect.as_deref());
            }
            NodeEnum::NullTest(one) => self.opt(one.arg.as_deref()),
            NodeEnum::BooleanTest(one) => self.opt(one.arg.as_deref()),
            NodeEnum::CaseExpr(one) => {
                // CASE x WHEN y compares with the operator `=`.
                if one.arg.is_some() {
                    self.found.operators.push(Name::new(None, "="));
                }
                self.opt(one.arg.as_deref());
                self.list(&one.args);
                self.opt(one.defresult.as_deref());
            }
            NodeEnum::CaseWhen(one) => {
                self.opt(one.expr.as_deref());
                self.opt(one.result.as_deref());
            }
            NodeEnum::CoalesceExpr(one) => self.list(&one.args),
            NodeEnum::MinMaxExpr(one) => self.list(&one.args),
            NodeEnum::SqlvalueFunction(one) => self.sql_value(one.op),
            NodeEnum::XmlExpr(one) => {
                self.list(&one.named_args);
                self.list(&one.args);
            }
            NodeEnum::XmlSerialize(one) => {
                self.opt(one.expr.as_deref());
                self.type_name(one.type_name.as_ref());
            }
            NodeEnum::GroupingFunc(one) => self.list(&one.args),
            NodeEnum::GroupingSet(one) => self.list(&one.content),
            NodeEnum::SetToDefault(_) => self.found.marks.default = true,
            NodeEnum::CurrentOfExpr(_) => self.found.marks.cursor = true,
            NodeEnum::SortBy(one) => {
                self.opt(one.node.as_deref());
                if !one.use_op.is_empty() {
                    self.operator(&one.use_op);
                }
            }
            NodeEnum::WindowDef(one) => self.window(one),

            other => {
                if !self.relation(other) && !self.json(other) {
                    self.unknown();
                }
            }
        }
    }

    fn constant(&mut self, value: Option<&a_const::Val>) {
        let Some(a_const::Val::Sval(string)) = value else { return };
        if string.sval.len() <= 64 {
            let folded = string.sval.to_ascii_lowercase();
            let mut words = folded.split(|c: char| !c.is_ascii_alphabetic());
            self.found.marks.time |= words.any(|word| PRESENT.contains(&word));
        }
    }

    fn column(&mut self, column: &ColumnRef) {
        let Some(last) = column.fields.last().and_then(text) else { return };
        self.found.marks.system_column |= SYSTEM_COLUMNS.contains(&last);
        if column.fields.len() > 1 {
            self.found.dotted.push(last.into());
        }
    }

    fn operation(&mut self, operation: &AExpr) {
        match AExprKind::try_from(operation.kind) {
            // Its name is not an operator's.
            Ok(AExprKind::AexprNullif) => self.found.operators.push(Name::new(None, "=")),
            Ok(
                AExprKind::AexprBetween
                | AExprKind::AexprNotBetween
                | AExprKind::AexprBetweenSym
                | AExprKind::AexprNotBetweenSym,
            ) => {
                for name in ["<", "<=", ">", ">="] {
                    self.found.operators.push(Name::new(None, name));
                }
            }
            Ok(_) => self.operator(&operation.name),
            Err(_) => self.unknown(),
        }
        self.opt(operation.lexpr.as_deref());
        self.opt(operation.rexpr.as_deref());
    }

    pub(super) fn call(&mut self, call: &FuncCall) {
        let own_order = !call.agg_order.is_empty()
            || call.over.as_ref().is_some_and(|over| {
                !over.order_clause.is_empty() || !over.name.is_empty() || !over.refname.is_empty()
            });
        if let Some(name) = self.function(&call.funcname) {
            let dependent = ORDER_DEPENDENT.contains(&&*name.name);
            self.found.marks.order_dependent |= dependent && !own_order;
        }
        self.list(&call.args);
        self.list(&call.agg_order);
        self.opt(call.agg_filter.as_deref());
        if let Some(over) = &call.over {
            self.window(over);
        }
    }

    pub(super) fn window(&mut self, window: &WindowDef) {
        self.list(&window.partition_clause);
        self.list(&window.order_clause);
        self.opt(window.start_offset.as_deref());
        self.opt(window.end_offset.as_deref());
    }

    fn sql_value(&mut self, op: i32) {
        match SqlValueFunctionOp::try_from(op) {
            Ok(
                SqlValueFunctionOp::SvfopCurrentRole
                | SqlValueFunctionOp::SvfopCurrentUser
                | SqlValueFunctionOp::SvfopUser
                | SqlValueFunctionOp::SvfopSessionUser,
            ) => {}
            Ok(
                SqlValueFunctionOp::SvfopCurrentCatalog | SqlValueFunctionOp::SvfopCurrentSchema,
            ) => self.found.marks.server_value = true,
            Ok(SqlValueFunctionOp::SqlvalueFunctionOpUndefined) | Err(_) => self.unknown(),
            Ok(_) => self.found.marks.time = true,
        }
    }

    pub(super) fn type_name(&mut self, name: Option<&TypeName>) {
        let Some(name) = name else { return };
        self.list(&name.typmods);
        match Name::of_list(&name.names) {
            Some(name) => self.found.types.push(name),
            None => self.unknown(),
        }
    }
}
