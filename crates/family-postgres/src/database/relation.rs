//! A table as the cold ports see it: its columns by name, and what identifies its rows.

use family::{PortError, Trouble};
use model::Dataset;

use crate::conn::{Conn, Row};
use crate::error::code;
use crate::key;
use crate::sql::{ident, literal, qualified};

/// Schemas that never move: the system's and ours.
pub(crate) const MOVING: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'exodus') \
     AND n.nspname !~ '^pg_(toast|temp)'";

/// A plain table, or the root of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The root of partitions: its rows are in other tables.
    pub(crate) parted: bool,
    /// By name, so that both sides have one order whatever their physical one is.
    pub(crate) columns: Vec<Column>,
    /// What identifies a row, in the order of its index; empty when nothing does.
    pub(crate) key: Vec<KeyColumn>,
}

/// A column of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Computed by the server.
    pub(crate) generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub(crate) always: bool,
}

/// A column that identifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    /// As it is written in a cast.
    pub(crate) type_name: String,
    /// Schema of its operators: with an empty search path those of extensions must be named.
    pub(crate) operators: String,
    /// Ordered by a collation, which another server may have in another version.
    pub(crate) collated: bool,
}

impl Relation {
    /// Reads a table from the catalog.
    pub(crate) async fn load(conn: &mut Conn, dataset: &Dataset) -> Result<Self, PortError> {
        let unknown = |at: &str| {
            let why = format!("{at}: there is no table {dataset}");
            PortError::new(Trouble::Rejected, code::DATASET, why)
        };
        let (schema, name) = key::names(dataset).ok_or_else(|| unknown(conn.at()))?;
        let rows = conn.query(&columns_sql(&schema, &name)).await?;
        let Some(first) = rows.first() else { return Err(unknown(conn.at())) };
        let parted = first.text(0)? == "p";
        let columns = rows.iter().filter(|row| row.get(1).is_some()).map(column);
        let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
        // By bytes: a collation of the server would be one more thing that may differ.
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        let rows = conn.query(&key_sql(&schema, &name)).await?;
        let key = rows.iter().map(key_column).collect::<Result<_, _>>()?;
        Ok(Self { schema, name, parted, columns, key })
    }

    /// In a statement, without the tables that inherit from it.
    pub(crate) fn only(&self) -> String {
        let name = qualified(&self.schema, &self.name);
        if self.parted { name } else { format!("ONLY {name}") }
    }

    /// Columns whose values are given, not computed.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.generated)
    }
}

impl Column {
    pub(crate) fn quoted(&self) -> String {
        ident(&self.name)
    }
}

fn column(row: &Row) -> Result<Column, PortError> {
    Ok(Column {
        name: row.text(1)?.to_owned(),
        generated: !row.text(2)?.is_empty(),
        always: row.text(3)? == "a",
    })
}

fn key_column(row: &Row) -> Result<KeyColumn, PortError> {
    Ok(KeyColumn {
        name: row.text(0)?.to_owned(),
        type_name: row.text(1)?.to_owned(),
        operators: row.text(2)?.to_owned(),
        collated: row.flag(3)?,
    })
}

fn columns_sql(schema: &str, name: &str) -> String {
    format!(
        "SELECT c.relkind, a.attname, a.attgenerated, a.attidentity FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE c.relkind IN ('r', 'p') AND n.nspname = {} AND c.relname = {}",
        literal(schema),
        literal(name)
    )
}

/// The chosen replica identity, else the primary key, else the smallest unique index that lets
/// no row out and no two rows in.
fn key_sql(schema: &str, name: &str) -> String {
    format!(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), quote_ident(o.nspname), \
           a.attcollation NOT IN (0, {BYTEWISE}) \
         FROM (SELECT i.* FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
           JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE n.nspname = {} AND c.relname = {} AND {USABLE} \
           ORDER BY i.indisreplident DESC, i.indisprimary DESC, i.indimmediate DESC, \
             i.indnkeyatts, i.indexrelid::regclass::text LIMIT 1) i \
         CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) \
           WITH ORDINALITY AS k(attnum, opclass, n) \
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         JOIN pg_opclass p ON p.oid = k.opclass \
         JOIN pg_amop m ON m.amopfamily = p.opcfamily AND m.amopstrategy = 3 \
           AND m.amoplefttype = p.opcintype AND m.amoprighttype = p.opcintype \
         JOIN pg_operator q ON q.oid = m.amopopr JOIN pg_namespace o ON o.oid = q.oprnamespace \
         WHERE k.n <= i.indnkeyatts ORDER BY k.n",
        literal(schema),
        literal(name)
    )
}

/// The collations `C` and `POSIX`, which order by bytes everywhere (`pg_collation.dat`).
const BYTEWISE: &str = "950, 951";

/// Of an index `i`: its columns identify a row.
pub(crate) const USABLE: &str = "i.indisunique AND i.indisvalid AND i.indpred IS NULL \
     AND i.indexprs IS NULL AND NOT EXISTS (SELECT FROM pg_attribute b \
       WHERE b.attrelid = i.indrelid AND NOT b.attnotnull \
       AND b.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))";
