//! From rows of text to a snapshot.

use thiserror::Error;

use super::model::{
    Catalog, Default_, ForeignKey, Function, Operator, Relation, RelationKind, TypeInfo, TypeKind,
    Volatility,
};
use super::quiet::words;
use crate::analysis::name::Name;
use crate::analysis::text;
use crate::analysis::uses::Uses;

/// One row of an answer: each column as text, or NULL.
pub type Row = Vec<Option<String>>;

/// The answers are not those of [`Catalog::QUERIES`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// There are more or fewer answers than queries.
    #[error("expected {expected} answers about the catalog, got {got}")]
    Answers {
        /// How many there should be.
        expected: usize,
        /// How many there were.
        got: usize,
    },
    /// A row does not have the columns of its query, or one of them cannot be read.
    #[error("row {row} of the catalog's `{query}` cannot be read: {what}")]
    Row {
        /// Which query.
        query: &'static str,
        /// Which row, from 0.
        row: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Catalog {
    /// Makes a snapshot of the answers to [`Catalog::QUERIES`], in their order. Views, defaults,
    /// policies and checks are parsed here: milliseconds for a hundred of them.
    ///
    /// # Errors
    /// When the answers do not fit the queries.
    pub fn from_rows(answers: &[Vec<Row>]) -> Result<Self, CatalogError> {
        let expected = Self::QUERIES.len();
        if answers.len() != expected {
            return Err(CatalogError::Answers { expected, got: answers.len() });
        }
        let mut catalog = Self::default();
        let steps = [
            Self::add_function,
            Self::add_operator,
            Self::add_cast,
            Self::add_type,
            Self::add_check,
            Self::add_relation,
            Self::add_default,
            Self::add_key,
            Self::add_foreign_key,
            Self::add_policy,
            Self::add_child,
            Self::add_trigger,
        ];
        for ((query, rows), step) in Self::QUERIES.iter().zip(answers).zip(steps) {
            // Consecutive rows of one key belong together.
            let mut last = String::new();
            for (number, row) in rows.iter().enumerate() {
                let error = |what| CatalogError::Row { query: query.name, row: number, what };
                if row.len() != query.columns {
                    return Err(error("it has other columns"));
                }
                step(&mut catalog, &Cells(row), &mut last).map_err(error)?;
            }
        }
        catalog.judge_bodies();
        Ok(catalog)
    }

    fn add_function(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let volatility = volatility(row.text(2)?)?;
        if row.text(0)? == "pg_catalog" {
            self.own_functions.insert(row.text(1)?.into(), volatility);
        } else {
            let body = row.maybe(6).map(|sql| Box::new(text::uses_of_body(sql)));
            self.functions.entry(row.text(1)?.into()).or_default().push(Function {
                schema: row.text(0)?.into(),
                volatility,
                opaque: row.truth(3)?,
                dotted: row.truth(4)?,
                hidden: row.truth(5)?,
                body,
                quiet: false,
                closed: row.truth(7)?,
                words: row.maybe(8).map(words).unwrap_or_default(),
                native: row.truth(9)?,
            });
        }
        Ok(())
    }

    fn add_operator(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let volatility = volatility(row.text(2)?)?;
        let operator = Operator { schema: row.text(0)?.into(), volatility };
        self.operators.entry(row.text(1)?.into()).or_default().push(operator);
        Ok(())
    }

    fn add_cast(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        self.volatile_casts = row.text(0)? != "0";
        Ok(())
    }

    fn add_type(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let kind = match row.text(3)? {
            "b" => TypeKind::Base,
            "a" => TypeKind::Array,
            "c" => TypeKind::Composite,
            "d" => TypeKind::Domain,
            "e" => TypeKind::Enum,
            "r" | "m" => TypeKind::Range,
            "p" => TypeKind::Pseudo,
            _ => return Err("an unknown kind of type"),
        };
        let place = self.types.len();
        let one = TypeInfo {
            oid: row.number(0)?,
            schema: row.text(1)?.into(),
            name: row.text(2)?.into(),
            kind,
            inner: row.number(4)?,
            input: volatility(row.text(5)?)?,
            checks: None,
        };
        self.types_by_oid.insert(one.oid, place);
        self.types_by_name.entry(one.name.clone()).or_default().push(place);
        self.types.push(one);
        Ok(())
    }

    fn add_check(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let uses = expression(row.maybe(1));
        if let Some(place) = self.types_by_oid.get(&row.number(0)?) {
            self.types[*place].checks.get_or_insert_default().merge(uses);
        }
        Ok(())
    }

    fn add_relation(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let kind = match row.text(3)? {
            "r" | "p" => RelationKind::Table,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            "S" => RelationKind::Sequence,
            _ => return Err("an unknown kind of relation"),
        };
        let view = match (kind, row.maybe(8)) {
            (RelationKind::View, Some(query)) => Some(Box::new(text::uses_of_query(query))),
            (RelationKind::View, None) => Some(Box::new(Uses::unknown())),
            _ => None,
        };
        let place = self.relations.len();
        let one = Relation {
            oid: row.number(0)?,
            schema: row.text(1)?.into(),
            name: row.text(2)?.into(),
            kind,
            temporary: row.text(4)? == "t",
            unlogged: row.text(4)? == "u",
            triggers: row.truth(5)?,
            quiet: false,
            fires: Vec::new(),
            rules: row.truth(6)?,
            view,
            policies: row.truth(7)?.then(Box::default),
            defaults: Vec::new(),
            keys: Vec::new(),
            foreign_keys: Vec::new(),
            children: Vec::new(),
        };
        self.relations_by_oid.insert(one.oid, place);
        self.relations_by_name.entry(one.name.clone()).or_default().push(place);
        self.relations.push(one);
        Ok(())
    }

    fn add_default(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let uses = row.maybe(2).map(|sql| expression(Some(sql)));
        let column = row.text(1)?.into();
        if let Some(relation) = self.relation_mut(row.number(0)?) {
            relation.defaults.push(Default_ { column, uses });
        }
        Ok(())
    }

    fn add_key(&mut self, row: &Cells<'_>, last: &mut String) -> Result<(), &'static str> {
        let (index, column) = (row.text(1)?, row.text(2)?);
        let same = index == last;
        if !same {
            index.clone_into(last);
        }
        if let Some(relation) = self.relation_mut(row.number(0)?) {
            match relation.keys.last_mut().filter(|_| same) {
                Some(key) => key.push(column.into()),
                None => relation.keys.push(vec![column.into()]),
            }
        }
        Ok(())
    }

    fn add_foreign_key(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        // No action and restrict change nothing.
        let changes = |action: &str| !matches!(action, "a" | "r");
        let (on_delete, on_update) = (changes(row.text(2)?), changes(row.text(3)?));
        let from = self.relations_by_oid.get(&row.number(0)?).copied();
        if let Some(from) = from.filter(|_| on_delete || on_update)
            && let Some(to) = self.relation_mut(row.number(1)?)
        {
            to.foreign_keys.push(ForeignKey { from, on_delete, on_update });
        }
        Ok(())
    }

    fn add_policy(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let number = row.number(0)?;
        for sql in [row.maybe(1), row.maybe(2)].into_iter().flatten() {
            let uses = expression(Some(sql));
            // Without row security its policies do not apply.
            if let Some(policies) = self.relation_mut(number).and_then(|r| r.policies.as_mut()) {
                policies.merge(uses);
            }
        }
        Ok(())
    }

    fn add_child(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let child = self.relations_by_oid.get(&row.number(1)?).copied();
        if let Some(parent) = self.relation_mut(row.number(0)?) {
            parent.children.extend(child);
        }
        Ok(())
    }

    fn add_trigger(&mut self, row: &Cells<'_>, _: &mut String) -> Result<(), &'static str> {
        let function = Name::new(Some(row.text(1)?), row.text(2)?);
        if let Some(relation) = self.relation_mut(row.number(0)?) {
            relation.fires.push(function);
        }
        Ok(())
    }

    fn relation_mut(&mut self, oid: u32) -> Option<&mut Relation> {
        let place = self.relations_by_oid.get(&oid)?;
        self.relations.get_mut(*place)
    }
}

/// What an expression of the catalog uses.
fn expression(sql: Option<&str>) -> Uses {
    match sql {
        Some(sql) => text::uses_of_query(&format!("SELECT {sql}")),
        None => Uses::unknown(),
    }
}

fn volatility(code: &str) -> Result<Volatility, &'static str> {
    match code {
        "i" => Ok(Volatility::Immutable),
        "s" => Ok(Volatility::Stable),
        "v" => Ok(Volatility::Volatile),
        _ => Err("an unknown volatility"),
    }
}

/// A row, cell by cell.
struct Cells<'r>(&'r Row);

impl<'r> Cells<'r> {
    fn maybe(&self, column: usize) -> Option<&'r str> {
        self.0[column].as_deref()
    }

    fn text(&self, column: usize) -> Result<&'r str, &'static str> {
        self.maybe(column).ok_or("a column is NULL")
    }

    fn number(&self, column: usize) -> Result<u32, &'static str> {
        self.text(column)?.parse().map_err(|_| "a column is no number")
    }

    fn truth(&self, column: usize) -> Result<bool, &'static str> {
        match self.text(column)? {
            "true" | "t" => Ok(true),
            "false" | "f" => Ok(false),
            _ => Err("a column is no truth value"),
        }
    }
}
