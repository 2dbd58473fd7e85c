//! Names as they stand in a statement.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};

/// A name as written: folded to lower case unless quoted, its schema only if it was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The schema, if the statement names one.
    pub schema: Option<Box<str>>,
    /// The name itself.
    pub name: Box<str>,
}

impl Name {
    /// A name without a schema, or with one.
    #[must_use]
    pub fn new(schema: Option<&str>, name: &str) -> Self {
        Self { schema: schema.map(Into::into), name: name.into() }
    }

    pub(super) fn of_relation(relation: &RangeVar) -> Self {
        let schema = Some(relation.schemaname.as_str()).filter(|schema| !schema.is_empty());
        Self::new(schema, &relation.relname)
    }

    /// From the parser's lists of strings; `None` if it is none.
    pub(super) fn of_list(parts: &[Node]) -> Option<Self> {
        let last = text(parts.last()?)?;
        let schema = match parts.len() {
            0 | 1 => None,
            more => Some(text(&parts[more - 2])?),
        };
        Some(Self::new(schema, last))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The text of a string node.
pub(super) fn text(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::String(string) => Some(&string.sval),
        _ => None,
    }
}
