//! Tables as the catalog of one side describes them, as far as copying and applying need it.

use family::PortError;
use model::Dataset;

use super::names::SCHEMA;
use super::order::{Order, Rank};
use crate::conn::Conn;
use crate::key;
use crate::sql::{ident, literal, qualified};

/// Types with an OID below are the same on every server (`FirstGenbkiObjectId`,
/// `src/include/access/transam.h`).
const BUILT_IN_MAX: u32 = 10_000;

/// A table that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// It has partitions.
    pub(crate) parted: bool,
    /// `relreplident`.
    pub(crate) identity: Identity,
    /// In the order of the catalog.
    pub(crate) columns: Vec<Column>,
    /// Which of them identify a row, in the order of their index; empty when nothing does.
    pub(crate) key: Vec<usize>,
    /// Rows, about.
    pub(crate) rows: u64,
    /// Bytes of them, about.
    pub(crate) bytes: u64,
}

/// What a server writes into its log of a row that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A key: the primary one or a chosen unique index.
    Key,
    /// The whole row.
    Full,
    /// Nothing.
    Nothing,
}

/// A column of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As it is written in a cast, without its modifier.
    pub(crate) type_name: String,
    pub(crate) type_oid: u32,
    /// Computed by the server.
    pub(crate) generated: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub(crate) always: bool,
    /// How a key of it is ordered.
    pub(crate) rank: Rank,
    /// Its collation as it is written in a statement, if its type has any.
    pub(crate) collation: Option<String>,
}

impl Table {
    /// What the engine calls it.
    pub(crate) fn dataset(&self) -> Dataset {
        key::dataset(&self.schema, &self.name)
    }

    /// In a statement.
    pub(crate) fn quoted(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    /// In a statement that is to leave tables that inherit from it alone.
    pub(crate) fn only(&self) -> String {
        if self.parted { self.quoted() } else { format!("ONLY {}", self.quoted()) }
    }

    /// Columns of its key.
    pub(crate) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|at| self.columns.get(*at))
    }

    /// How its keys are ordered.
    pub(crate) fn order(&self) -> Order {
        Order(self.key_columns().map(|column| column.rank).collect())
    }

    /// Columns that are copied.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.generated)
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether updates and deletes of it may be published without failing at the followed side.
    pub(crate) fn is_identified(&self) -> bool {
        match self.identity {
            Identity::Key => !self.key.is_empty(),
            Identity::Full => true,
            Identity::Nothing => false,
        }
    }
}

impl Column {
    pub(crate) fn quoted(&self) -> String {
        ident(&self.name)
    }

    /// Whether its binary form means the same to every server. That of `reg…` names an object by
    /// its OID.
    pub(crate) fn is_portable(&self) -> bool {
        self.type_oid < BUILT_IN_MAX && !self.type_name.starts_with("reg")
    }
}

/// All tables of the database that can move; `only` narrows it to these names.
pub(crate) async fn load(
    conn: &mut Conn,
    only: Option<&[Dataset]>,
) -> Result<Vec<Table>, PortError> {
    read(conn, only, "").await
}

async fn read(
    conn: &mut Conn,
    only: Option<&[Dataset]>,
    condition: &str,
) -> Result<Vec<Table>, PortError> {
    let mut tables = Vec::new();
    for row in conn.query(&tables_sql(condition)).await? {
        let numbers: Vec<i16> =
            row.opt(7)?.unwrap_or_default().split(' ').filter_map(|n| n.parse().ok()).collect();
        let table = Table {
            oid: row.number(0)?,
            schema: row.text(1)?.to_owned(),
            name: row.text(2)?.to_owned(),
            parted: row.text(3)? == "p",
            identity: match row.text(4)? {
                "f" => Identity::Full,
                "n" => Identity::Nothing,
                _ => Identity::Key,
            },
            columns: Vec::new(),
            key: Vec::new(),
            rows: row.number(5)?,
            bytes: row.number(6)?,
        };
        if only.is_none_or(|only| only.contains(&table.dataset())) {
            tables.push((table, numbers, Vec::<i16>::new()));
        }
    }
    tables.sort_by_key(|(table, ..)| table.oid);
    for row in conn.query(&columns_sql(condition)).await? {
        let oid: u32 = row.number(0)?;
        let Ok(at) = tables.binary_search_by_key(&oid, |(table, ..)| table.oid) else { continue };
        let type_name = row.text(3)?.to_owned();
        let rank = Rank::of(&type_name, row.flag(7)?);
        let (table, _, numbers) = &mut tables[at];
        numbers.push(row.number(1)?);
        table.columns.push(Column {
            name: row.text(2)?.to_owned(),
            type_name,
            type_oid: row.number(4)?,
            generated: !row.text(5)?.is_empty(),
            always: row.text(6)? == "a",
            rank,
            collation: row.opt(8)?.map(str::to_owned),
        });
    }
    for (table, key, numbers) in &mut tables {
        let found = key.iter().map(|n| numbers.iter().position(|number| number == n));
        table.key = found.collect::<Option<_>>().unwrap_or_default();
    }
    let mut tables: Vec<Table> = tables.into_iter().map(|(table, ..)| table).collect();
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    Ok(tables)
}

/// One table by name.
pub(crate) async fn find(
    conn: &mut Conn,
    schema: &str,
    name: &str,
) -> Result<Option<Table>, PortError> {
    let condition =
        format!(" AND n.nspname = {} AND c.relname = {}", literal(schema), literal(name));
    Ok(read(conn, None, &condition).await?.into_iter().next())
}

/// Roots of partitions and plain tables, not their partitions; nothing temporary, unlogged, ours,
/// the system's or an extension's. The key is the index that identifies rows in the log: the
/// primary key unless another was chosen; a deferrable one identifies nothing.
fn tables_sql(condition: &str) -> String {
    format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, \
         CASE c.relkind WHEN 'r' THEN greatest(c.reltuples, 0) ELSE \
           (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0) FROM pg_catalog.pg_partition_tree(c.oid) p \
            JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE p.isleaf) END::bigint, \
         CASE c.relkind WHEN 'r' THEN pg_catalog.pg_table_size(c.oid) ELSE \
           (SELECT coalesce(sum(pg_catalog.pg_table_size(p.relid)), 0) \
            FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf) END::bigint, \
         (SELECT i.indkey::text FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid \
          AND i.indimmediate AND CASE c.relreplident WHEN 'i' THEN i.indisreplident \
          ELSE i.indisprimary END LIMIT 1) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' \
         AND n.nspname NOT IN ('pg_catalog', 'information_schema', {own}) \
         AND n.nspname !~ '^pg_(toast|temp)' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
           AND d.objid = c.oid AND d.deptype = 'e'){condition}",
        own = literal(SCHEMA)
    )
}

fn columns_sql(condition: &str) -> String {
    format!(
        "SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, -1), a.atttypid, \
         a.attgenerated, a.attidentity, \
         coalesce(l.collname IN ('C', 'POSIX') OR (l.collname = 'default' \
           AND d.datcollate IN ('C', 'POSIX') \
           AND coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'), true), \
         pg_catalog.quote_ident(m.nspname) || '.' || pg_catalog.quote_ident(l.collname) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() \
         LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
         LEFT JOIN pg_catalog.pg_namespace m ON m.oid = l.collnamespace \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') \
         AND c.relpersistence = 'p' AND NOT c.relispartition{condition} ORDER BY a.attrelid, a.attnum"
    )
}
