//! Questions of the applier to the followed side: what is visible, where a key lies, what a row is
//! now.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use family::PortError;
use wire_postgres::Lsn;

use super::judge::{Places, Row};
use super::keytext;
use super::order::KeyText;
use super::ours;
use super::shared::Shared;
use super::shelf::{Range, Seen};
use super::snapshot::Snapshot;
use super::table::Table;
use crate::conn::Conn;
use crate::error;
use crate::sql::literal;

/// The followed side, as the applier asks it.
pub(crate) struct Source {
    conn: Conn,
    /// What was visible when it was asked last; what is visible stays so.
    sight: Option<Snapshot>,
}

/// A row read again.
pub(crate) struct Fetched {
    pub(crate) seen: Seen,
    /// Its values in the order of the table's stored columns; `None` when it is gone.
    pub(crate) values: Option<Vec<Option<bytes::Bytes>>>,
}

impl Source {
    pub(crate) fn new(conn: Conn) -> Self {
        Self { conn, sight: None }
    }

    /// Whether a committed transaction is visible. Between its record in the log and the end of
    /// its commit it is not, for as long as a synchronous standby takes.
    pub(crate) async fn is_visible(&mut self, xid: u32) -> Result<bool, PortError> {
        if self.sight.as_ref().is_some_and(|sight| sight.sees(xid)) {
            return Ok(true);
        }
        let sight = snapshot(&mut self.conn).await?;
        let seen = sight.sees(xid);
        self.sight = Some(sight);
        Ok(seen)
    }

    /// Finds the ranges that hold these keys.
    pub(crate) async fn place(
        &mut self,
        shared: &Shared,
        rows: &[Row],
    ) -> Result<Places, PortError> {
        let mut tables: HashMap<(&str, &str), Vec<&Row>> = HashMap::new();
        for row in rows {
            tables.entry((&row.0, &row.1)).or_default().push(row);
        }
        let mut places = Places::default();
        for ((schema, name), rows) in tables {
            let found = shared.desk.look(|book| {
                let (table, shelf) = book.find(schema, name)?;
                Some((Arc::clone(table), shelf.version(), shelf.ranges().to_vec()))
            });
            let Some((table, version, ranges)) = found else { continue };
            let sql = place_sql(&table, &rows, &ranges);
            for answer in self.conn.query(&sql).await? {
                let at: usize = answer.number(0)?;
                let range = answer.opt(1)?.and_then(|id| id.parse().ok());
                if let Some(row) = rows.get(at) {
                    places.0.insert((*row).clone(), (version, range));
                }
            }
        }
        Ok(places)
    }

    /// Reads one row as it is now, and by what snapshot.
    pub(crate) async fn fetch(
        &mut self,
        table: &Table,
        key: &KeyText,
    ) -> Result<Fetched, PortError> {
        begin_reading(&mut self.conn).await?;
        let snapshot = snapshot(&mut self.conn).await?;
        let names: Vec<String> = table.stored().map(|column| column.quoted()).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {} = {}",
            names.join(", "),
            table.only(),
            keytext::columns(table, ""),
            keytext::values(table, key)
        );
        let rows = self.conn.query(&sql).await?;
        let upto = insert_lsn(&mut self.conn).await?;
        self.conn.execute("COMMIT").await?;
        let values = rows.first().map(|row| row.values().to_vec());
        Ok(Fetched { seen: Seen { snapshot, upto }, values })
    }

    /// Makes the log move, so that the stream comes past what was in it before.
    pub(crate) async fn nudge(&mut self, prefix: &str) -> Result<(), PortError> {
        let sql =
            format!("SELECT pg_catalog.pg_logical_emit_message(true, {}, '')", literal(prefix));
        self.conn.execute(&sql).await?;
        Ok(())
    }
}

/// Begins a transaction whose statements all see the same. Only a primary tells what is still in
/// progress.
pub(crate) async fn begin_reading(conn: &mut Conn) -> Result<(), PortError> {
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    if conn.query_one("SELECT pg_catalog.pg_is_in_recovery()").await?.flag(0)? {
        let message = format!("{}: it is a standby now", conn.at());
        return Err(PortError::new(family::Trouble::Replaced, error::code::READ_ONLY, message));
    }
    Ok(())
}

/// What the transaction sees.
pub(crate) async fn snapshot(conn: &mut Conn) -> Result<Snapshot, PortError> {
    let row = conn.query_one("SELECT pg_catalog.pg_current_snapshot()").await?;
    row.text(0)?.parse().map_err(|_| error::unexpected("a question for a snapshot", conn.at()))
}

/// An offset behind everything that is in the log.
pub(crate) async fn insert_lsn(conn: &mut Conn) -> Result<Lsn, PortError> {
    let row = conn.query_one("SELECT pg_catalog.pg_current_wal_insert_lsn()").await?;
    ours::lsn(&row, 0, conn.at())
}

/// Which range holds each key, as the table's own types and collations order them.
fn place_sql(table: &Table, rows: &[&Row], ranges: &[Range]) -> String {
    let columns: Vec<_> = table.key_columns().collect();
    let typed = |value: Option<&String>, at: usize| {
        let column = columns[at];
        let value = value.map_or_else(|| "NULL".to_owned(), |value| literal(value));
        let collate = column.collation.as_ref().map(|c| format!(" COLLATE {c}"));
        format!("{value}::{}{}", column.type_name, collate.unwrap_or_default())
    };
    let tuple = |key: Option<&KeyText>| {
        let values: Vec<_> =
            (0..columns.len()).map(|at| typed(key.and_then(|k| k.get(at)), at)).collect();
        values.join(", ")
    };
    let names = |prefix: &str| {
        let names: Vec<String> = (0..columns.len()).map(|at| format!("{prefix}{at}")).collect();
        names.join(", ")
    };
    let mut sql = String::from("SELECT k.i, r.id FROM (VALUES ");
    for (i, (_, _, key)) in rows.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}({i}, {})", tuple(Some(key)));
    }
    let _ = write!(sql, ") k(i, {}) LEFT JOIN (VALUES ", names("k"));
    for (i, range) in ranges.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(
            sql,
            "{comma}({}::bigint, {}, {}, {}, {})",
            range.id,
            range.lower.is_none(),
            tuple(range.lower.as_ref()),
            range.upper.is_none(),
            tuple(range.upper.as_ref())
        );
    }
    if ranges.is_empty() {
        let _ = write!(sql, "(-1::bigint, false, {0}, false, {0})", tuple(None));
    }
    let _ = write!(
        sql,
        ") r(id, ol, {l}, ou, {u}) ON (r.ol OR ({k}) > ({l})) AND (r.ou OR ({k}) <= ({u}))",
        l = names("l"),
        u = names("u"),
        k = names("k")
    );
    sql
}
