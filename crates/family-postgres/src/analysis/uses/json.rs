//! The SQL/JSON constructs of PostgreSQL 16 and later.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    JsonAggConstructor, JsonBehavior, JsonKeyValue, JsonOutput, JsonTablePathSpec, JsonValueExpr,
};

use super::Walk;

impl Walk {
    /// Walks a node of SQL/JSON; whether it is one.
    pub(super) fn json(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::JsonObjectConstructor(one) => {
                self.list(&one.exprs);
                self.json_output(one.output.as_ref());
            }
            NodeEnum::JsonArrayConstructor(one) => {
                self.list(&one.exprs);
                self.json_output(one.output.as_ref());
            }
            NodeEnum::JsonArrayQueryConstructor(one) => {
                self.found.marks.nested = true;
                self.found.marks.order_dependent = true;
                self.opt(one.query.as_deref());
                self.json_output(one.output.as_ref());
            }
            NodeEnum::JsonObjectAgg(one) => {
                self.json_aggregate(one.constructor.as_deref());
                self.json_pair(one.arg.as_deref());
            }
            NodeEnum::JsonArrayAgg(one) => {
                self.json_aggregate(one.constructor.as_deref());
                self.json_value(one.arg.as_deref());
            }
            NodeEnum::JsonKeyValue(one) => self.json_pair(Some(one)),
            NodeEnum::JsonValueExpr(one) => self.json_value(Some(one)),
            NodeEnum::JsonArgument(one) => self.json_value(one.val.as_deref()),
            NodeEnum::JsonIsPredicate(one) => self.opt(one.expr.as_deref()),
            NodeEnum::JsonParseExpr(one) => {
                self.json_value(one.expr.as_deref());
                self.json_output(one.output.as_ref());
            }
            NodeEnum::JsonScalarExpr(one) => {
                self.opt(one.expr.as_deref());
                self.json_output(one.output.as_ref());
            }
            NodeEnum::JsonSerializeExpr(one) => {
                self.json_value(one.expr.as_deref());
                self.json_output(one.output.as_ref());
            }
            NodeEnum::JsonFuncExpr(one) => {
                self.json_value(one.context_item.as_deref());
                self.opt(one.pathspec.as_deref());
                self.list(&one.passing);
                self.json_output(one.output.as_ref());
                self.json_behavior(one.on_empty.as_deref());
                self.json_behavior(one.on_error.as_deref());
            }
            NodeEnum::JsonTable(one) => {
                self.json_value(one.context_item.as_deref());
                self.json_path(one.pathspec.as_deref());
                self.list(&one.passing);
                self.list(&one.columns);
                self.json_behavior(one.on_error.as_deref());
            }
            NodeEnum::JsonTableColumn(one) => {
                self.type_name(one.type_name.as_ref());
                self.json_path(one.pathspec.as_deref());
                self.list(&one.columns);
                self.json_behavior(one.on_empty.as_deref());
                self.json_behavior(one.on_error.as_deref());
            }
            _ => return false,
        }
        true
    }

    fn json_value(&mut self, value: Option<&JsonValueExpr>) {
        if let Some(value) = value {
            self.opt(value.raw_expr.as_deref());
            self.opt(value.formatted_expr.as_deref());
        }
    }

    fn json_pair(&mut self, pair: Option<&JsonKeyValue>) {
        if let Some(pair) = pair {
            self.opt(pair.key.as_deref());
            self.json_value(pair.value.as_deref());
        }
    }

    fn json_output(&mut self, output: Option<&JsonOutput>) {
        if let Some(output) = output {
            self.type_name(output.type_name.as_ref());
        }
    }

    fn json_behavior(&mut self, behavior: Option<&JsonBehavior>) {
        if let Some(behavior) = behavior {
            self.opt(behavior.expr.as_deref());
        }
    }

    fn json_path(&mut self, path: Option<&JsonTablePathSpec>) {
        if let Some(path) = path {
            self.opt(path.string.as_deref());
        }
    }

    fn json_aggregate(&mut self, aggregate: Option<&JsonAggConstructor>) {
        let Some(aggregate) = aggregate else { return self.unknown() };
        self.found.marks.order_dependent |= aggregate.agg_order.is_empty();
        self.json_output(aggregate.output.as_ref());
        self.opt(aggregate.agg_filter.as_deref());
        self.list(&aggregate.agg_order);
        if let Some(over) = &aggregate.over {
            self.window(over);
        }
    }
}
