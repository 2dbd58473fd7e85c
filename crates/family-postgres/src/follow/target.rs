//! How changes of a relation are said to the other side: statements, and where their values are
//! in the stream's rows.

use family::{PortError, Trouble};

use super::code;
use super::relation::Relation;
use super::table::{Column, Table};
use crate::sql::ident;

/// A relation of the stream, and its table on the other side.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The table as the other side has it.
    table: Table,
    /// For each column of the relation the table's, but for those the table computes.
    columns: Vec<Option<usize>>,
    /// Which columns of the relation find a row; empty when all have to.
    key: Vec<usize>,
}

/// A statement and where its values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    /// Columns of the new row, in the order of the parameters.
    pub(crate) new: Vec<usize>,
    /// Columns of the row that finds the old one; their parameters follow.
    pub(crate) find: Vec<usize>,
}

impl Target {
    /// `key` are the names of the columns that the followed side identifies a row by.
    pub(crate) fn new(
        relation: &Relation,
        key: &[String],
        table: Table,
    ) -> Result<Self, PortError> {
        let place = |name: &str| {
            let at = table.columns.iter().position(|column| column.name == name);
            at.ok_or_else(|| {
                let message =
                    format!("table {} has no column {name} on the other side", relation.shown());
                PortError::new(Trouble::Rejected, code::SHAPE, message)
            })
        };
        let mut columns = Vec::with_capacity(relation.columns.len());
        for column in &relation.columns {
            let at = place(&column.name)?;
            columns.push((!table.columns[at].generated).then_some(at));
        }
        let at = |name: &String| relation.columns.iter().position(|column| column.name == *name);
        let key = key.iter().map(at).collect::<Option<Vec<_>>>().unwrap_or_default();
        Ok(Self { table, columns, key })
    }

    fn column(&self, at: usize) -> Option<&Column> {
        self.table.columns.get((*self.columns.get(at)?)?)
    }

    fn stored(&self) -> impl Iterator<Item = (usize, &Column)> {
        (0..self.columns.len()).filter_map(|at| Some((at, self.column(at)?)))
    }

    /// In a statement.
    pub(crate) fn quoted(&self) -> String {
        self.table.quoted()
    }

    /// Columns of the relation that find a row; empty when all have to.
    pub(crate) fn key(&self) -> &[usize] {
        &self.key
    }

    /// Columns of the relation that are written, and their names in a list.
    pub(crate) fn written(&self) -> (Vec<usize>, String) {
        let names: Vec<String> = self.stored().map(|(_, column)| column.quoted()).collect();
        (self.stored().map(|(at, _)| at).collect(), names.join(", "))
    }

    /// A new row.
    pub(crate) fn insert(&self) -> Statement {
        let (new, names) = self.written();
        let sql = if new.is_empty() {
            format!("INSERT INTO {} DEFAULT VALUES", self.quoted())
        } else {
            format!(
                "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE VALUES ({})",
                self.quoted(),
                parameters(1, new.len())
            )
        };
        Statement { sql, new, find: Vec::new() }
    }

    /// A new row that replaces the one that has its key.
    pub(crate) fn upsert(&self) -> Statement {
        let mut insert = self.insert();
        if self.key.is_empty() {
            return insert;
        }
        let name = |at: &usize| self.column(*at).map(Column::quoted);
        let key: Vec<String> = self.key.iter().filter_map(name).collect();
        let set: Vec<String> = self
            .stored()
            .filter(|(at, column)| !self.key.contains(at) && !column.always)
            .map(|(_, column)| format!("{0} = EXCLUDED.{0}", column.quoted()))
            .collect();
        let then = if set.is_empty() {
            "NOTHING".into()
        } else {
            format!("UPDATE SET {}", set.join(", "))
        };
        insert.sql = format!("{} ON CONFLICT ({}) DO {then}", insert.sql, key.join(", "));
        insert
    }

    /// A changed row. `unchanged` columns were not told. `None` when there is nothing to set.
    ///
    /// A column that is GENERATED ALWAYS AS IDENTITY cannot be set by UPDATE; see
    /// [`Self::rewrites`].
    pub(crate) fn update(&self, unchanged: &[usize]) -> Option<Statement> {
        let set: Vec<(usize, &Column)> = self
            .stored()
            .filter(|(at, column)| !column.always && !unchanged.contains(at))
            .collect();
        if set.is_empty() {
            return None;
        }
        let assign = |(n, (_, column)): (usize, &(usize, &Column))| {
            format!("{} = ${}", column.quoted(), n + 1)
        };
        let list: Vec<String> = set.iter().enumerate().map(assign).collect();
        let (condition, find) = self.found(set.len() + 1);
        let sql = format!("UPDATE {} SET {} WHERE {condition}", self.table.only(), list.join(", "));
        Some(Statement { sql, new: set.iter().map(|(at, _)| *at).collect(), find })
    }

    /// Whether a changed key has to be a delete and an insert: it is GENERATED ALWAYS.
    pub(crate) fn rewrites(&self) -> bool {
        self.stored().any(|(_, column)| column.always)
    }

    /// A row goes.
    pub(crate) fn delete(&self) -> Statement {
        let (condition, find) = self.found(1);
        let sql = format!("DELETE FROM {} WHERE {condition}", self.table.only());
        Statement { sql, new: Vec::new(), find }
    }

    /// The condition that finds one row, and the columns of its parameters, which begin at `first`.
    fn found(&self, first: usize) -> (String, Vec<usize>) {
        if !self.key.is_empty() {
            let is = |(n, at): (usize, &usize)| {
                let column = self.column(*at)?;
                Some(format!("{} = ${}::{}", column.quoted(), n + first, column.type_name))
            };
            let list: Vec<String> = self.key.iter().enumerate().filter_map(is).collect();
            return (list.join(" AND "), self.key.clone());
        }
        // Rows that are alike in everything are interchangeable, so one of them is enough. Both
        // are compared as text: not every type can be compared, and equal is not alike for some.
        let all: Vec<(usize, &Column)> = self.stored().collect();
        let is = |(n, (_, column)): (usize, &(usize, &Column))| {
            format!(
                "{}::text IS NOT DISTINCT FROM ${}::{}::text",
                column.quoted(),
                n + first,
                column.type_name
            )
        };
        let list: Vec<String> = all.iter().enumerate().map(is).collect();
        let condition = if list.is_empty() { "true".into() } else { list.join(" AND ") };
        let one = format!(
            "(tableoid, ctid) = (SELECT tableoid, ctid FROM {} WHERE {condition} LIMIT 1)",
            self.table.only()
        );
        (one, all.iter().map(|(at, _)| *at).collect())
    }

    /// Deletes the rows that have these values in these columns: they stand in a new row's way.
    pub(crate) fn clear(&self, columns: &[String]) -> Option<Statement> {
        let mut find = Vec::new();
        let mut list = Vec::new();
        for name in columns {
            let (at, column) = self.stored().find(|(_, column)| column.name == *name)?;
            find.push(at);
            list.push(format!("{} = ${}::{}", ident(name), find.len(), column.type_name));
        }
        let sql = format!("DELETE FROM {} WHERE {}", self.table.only(), list.join(" AND "));
        (!find.is_empty()).then_some(Statement { sql, new: Vec::new(), find })
    }
}

fn parameters(first: usize, count: usize) -> String {
    let list: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::order::Rank;
    use super::super::relation;
    use super::super::table::Identity;
    use super::*;

    fn column(name: &str, type_name: &str) -> Column {
        Column {
            name: name.into(),
            type_name: type_name.into(),
            type_oid: 25,
            generated: name == "made",
            always: name == "auto",
            rank: Rank::Asked,
            collation: None,
        }
    }

    fn target(key: &[&str]) -> Target {
        let columns = ["id", "made", "auto", "b"].map(|name| column(name, "text")).to_vec();
        let table = Table {
            oid: 1,
            schema: "s".into(),
            name: "T".into(),
            parted: false,
            identity: Identity::Key,
            columns,
            key: vec![0],
            rows: 0,
            bytes: 0,
        };
        let told = |name: &str| relation::Column { name: name.into(), key: false, type_oid: 25 };
        let columns = ["b", "id", "auto"].map(told).to_vec();
        let relation =
            Relation { oid: 9, schema: "s".into(), name: "T".into(), full: false, columns };
        let key: Vec<String> = key.iter().map(|k| (*k).to_owned()).collect();
        Target::new(&relation, &key, table).unwrap()
    }

    #[test]
    fn statements_name_columns_and_leave_out_what_the_server_makes() {
        let target = target(&["id"]);
        let insert = target.insert();
        assert_eq!(
            insert.sql,
            "INSERT INTO \"s\".\"T\" (\"b\", \"id\", \"auto\") OVERRIDING SYSTEM VALUE \
             VALUES ($1, $2, $3)"
        );
        assert_eq!((insert.new, insert.find), (vec![0, 1, 2], vec![]));
        let update = target.update(&[]).unwrap();
        assert_eq!(
            update.sql,
            "UPDATE ONLY \"s\".\"T\" SET \"b\" = $1, \"id\" = $2 WHERE \"id\" = $3::text"
        );
        assert_eq!((update.new, update.find), (vec![0, 1], vec![1]));
        let partial = target.update(&[0]).unwrap();
        assert_eq!(partial.sql, "UPDATE ONLY \"s\".\"T\" SET \"id\" = $1 WHERE \"id\" = $2::text");
        assert_eq!(target.delete().sql, "DELETE FROM ONLY \"s\".\"T\" WHERE \"id\" = $1::text");
        assert!(
            target
                .upsert()
                .sql
                .ends_with("ON CONFLICT (\"id\") DO UPDATE SET \"b\" = EXCLUDED.\"b\"")
        );
    }

    #[test]
    fn without_a_key_one_row_that_is_alike_is_found() {
        let delete = target(&[]).delete();
        assert!(delete.sql.contains("LIMIT 1"), "{}", delete.sql);
        assert!(delete.sql.contains("\"b\"::text IS NOT DISTINCT FROM $1::text::text"));
        assert_eq!(delete.find, [0, 1, 2]);
    }
}
