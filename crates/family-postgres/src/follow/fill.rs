//! One chunk of a table: read by one snapshot on the primary, written with the note of it in one
//! transaction on the other side.
//!
//! Constraint: a chunk is on the desk until it is *certain* whether it became durable. So it runs
//! in a task of its own, which nobody drops half way, and a COMMIT without an answer is asked
//! about on a new connection, whose making proves the old one dead.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use family::{FillPart, Filled, PortError, Trouble};
use model::{ConflictPolicy, Frontier};

use super::code;
use super::desk::Filling;
use super::keytext::{self, Bounds};
use super::names::SCHEMA;
use super::order::KeyText;
use super::ours;
use super::shared::{Shared, Work};
use super::shelf::Seen;
use super::source::{begin_reading, insert_lsn, snapshot};
use super::table::{self, Table};
use crate::conn::Conn;
use crate::error::{self, Error};
use crate::sql::literal;

/// Idle pairs of connections kept.
const IDLE_MAX: usize = 16;
/// Attempts at a chunk that a server asks to try again.
const ATTEMPTS_MAX: u32 = 5;
/// Bytes handed on at once.
const SEND_BYTES: usize = 64 * 1024;
/// Pause before a server that cannot be reached is asked again what became of a chunk.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Copies the next chunk of a part.
pub(crate) async fn fill(
    shared: &Arc<Shared>,
    part: &FillPart,
    from: Option<&Frontier>,
) -> Result<Filled, PortError> {
    let owner = ours::adopt(shared).await?;
    let table = shared.table(&part.dataset)?;
    let stored = from.map_or(part.bounds.as_slice(), |frontier| &frontier.0);
    let bounds =
        Bounds::decode(stored).map_err(|e| error::undecodable(e, shared.from.address()))?;
    let shared = shared.clone();
    let task = tokio::spawn(async move { Chunk { shared, table, bounds, owner }.copy().await });
    match task.await {
        Ok(filled) => filled,
        Err(_) => Err(error::unexpected("a chunk: its task ended", &part.dataset.to_string())),
    }
}

struct Chunk {
    shared: Arc<Shared>,
    table: Arc<Table>,
    /// What is left of the part.
    bounds: Bounds,
    owner: u64,
}

/// What is known of a chunk that was not written.
enum Failed {
    /// Nothing of it is there.
    Surely(PortError),
    /// The server asks to try again.
    Again(PortError),
    /// Its COMMIT had no answer.
    Perhaps(PortError),
}

impl From<PortError> for Failed {
    fn from(error: PortError) -> Self {
        Self::Surely(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let again = error.is("40") || error.is("55P03");
        let error = PortError::from(error);
        if again { Self::Again(error) } else { Self::Surely(error) }
    }
}

/// What was written.
struct Written {
    seen: Seen,
    records: u64,
    bytes: u64,
}

impl Chunk {
    async fn copy(self) -> Result<Filled, PortError> {
        let mut attempts = 0;
        loop {
            let mut pair = self.pair().await?;
            if let Some(upper) = self.recorded(&mut pair.1).await? {
                self.keep(pair);
                return Ok(self.filled(0, 0, upper));
            }
            let upper = self.upper(&mut pair.0).await?;
            let (table, lower) = (&self.table, self.bounds.lower.clone());
            let Some(filling) = self.shared.desk.begin(table, lower, upper.clone()).await else {
                let message = format!("another chunk of {} begins there", table.dataset());
                return Err(PortError::new(Trouble::Unreachable, error::code::BUSY, message));
            };
            match self.write(&mut pair, upper.as_ref()).await {
                Ok(written) => {
                    self.keep(pair);
                    return Ok(self.done(filling, written, upper));
                }
                Err(Failed::Perhaps(why)) => {
                    drop(pair);
                    match self.resolve().await {
                        Some(seen) => {
                            filling.done(seen);
                            return Ok(self.filled(0, 0, upper));
                        }
                        None => return Err(why),
                    }
                }
                Err(Failed::Again(why)) => {
                    attempts += 1;
                    drop(filling);
                    if attempts == ATTEMPTS_MAX {
                        return Err(why);
                    }
                }
                Err(Failed::Surely(why)) => return Err(why),
            }
        }
    }

    fn done(&self, filling: Filling, written: Written, upper: Option<KeyText>) -> Filled {
        filling.done(written.seen);
        self.filled(written.records, written.bytes, upper)
    }

    fn filled(&self, records: u64, bytes: u64, upper: Option<KeyText>) -> Filled {
        let left = Bounds { lower: upper.clone(), upper: self.bounds.upper.clone() };
        let more = upper.is_some() && upper != self.bounds.upper;
        Filled { records, bytes, next: more.then(|| Frontier(left.encode().into())) }
    }

    async fn pair(&self) -> Result<(Conn, Conn), PortError> {
        let idle = self.shared.copying.lock().pop();
        if let Some(pair) = idle {
            return Ok(pair);
        }
        let from = self.shared.connect(&self.shared.from, Work::Fill).await?;
        let mut to = self.shared.connect(&self.shared.to, Work::Fill).await?;
        super::prepare::silence(&mut to).await?;
        Ok((from, to))
    }

    fn keep(&self, pair: (Conn, Conn)) {
        let mut idle = self.shared.copying.lock();
        if idle.len() < IDLE_MAX && !pair.0.is_spent() && !pair.1.is_spent() {
            idle.push(pair);
        }
    }

    /// `run = … AND …` of this chunk in our table.
    fn mine(&self) -> String {
        format!(
            "{} AND dataset = {} AND NOT single AND lower IS NOT DISTINCT FROM {}",
            ours::mine(&self.shared.names),
            literal(self.table.dataset().as_str()),
            keytext::array(self.bounds.lower.as_ref())
        )
    }

    /// The upper bound of the chunk if it was copied already.
    async fn recorded(&self, to: &mut Conn) -> Result<Option<Option<KeyText>>, PortError> {
        let sql = format!("SELECT upper FROM {SCHEMA}.chunk WHERE {}", self.mine());
        let rows = to.query(&sql).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(row.opt(0)?.map(keytext::parse)))
    }

    /// Where the chunk is to end; read before the chunk is on the desk, and so before its snapshot.
    async fn upper(&self, from: &mut Conn) -> Result<Option<KeyText>, PortError> {
        let table = &self.table;
        if table.key.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = table.key_columns().map(|column| column.quoted()).collect();
        let names = names.join(", ");
        let sql = format!(
            "SELECT {names} FROM {} WHERE {} ORDER BY {names} OFFSET {} LIMIT 1",
            table.only(),
            keytext::within(table, self.bounds.lower.as_ref(), self.bounds.upper.as_ref()),
            self.shared.chunk_rows(table) - 1
        );
        let rows = from.query(&sql).await?;
        let Some(row) = rows.first() else { return Ok(self.bounds.upper.clone()) };
        let key: Result<KeyText, _> =
            (0..table.key.len()).map(|at| row.text(at).map(str::to_owned)).collect();
        Ok(Some(key?))
    }

    async fn write(
        &self,
        pair: &mut (Conn, Conn),
        upper: Option<&KeyText>,
    ) -> Result<Written, Failed> {
        let (from, to) = pair;
        begin_reading(from).await?;
        let written = self.transfer(from, to, upper).await;
        if written.is_err() && !to.is_spent() {
            to.execute("ROLLBACK").await?;
        }
        if !from.is_spent() {
            from.execute("ROLLBACK").await?;
        }
        written
    }

    async fn transfer(
        &self,
        from: &mut Conn,
        to: &mut Conn,
        upper: Option<&KeyText>,
    ) -> Result<Written, Failed> {
        let snapshot = snapshot(from).await?;
        to.execute("BEGIN").await?;
        let names = &self.shared.names;
        let mark = format!(
            "SELECT pg_catalog.pg_logical_emit_message(true, {}, 'chunk')",
            literal(&names.marker)
        );
        to.execute(&mark).await?;
        ours::hold(to, names, self.owner).await?;
        let target = self.target(to).await?;
        if self.shared.spec.conflict == ConflictPolicy::Overwrite {
            self.clear(to, &target, upper).await?;
        }
        let (records, bytes) = self.rows(from, to, &target, upper).await?;
        let upto = insert_lsn(from).await?;
        let seen = Seen { snapshot, upto };
        self.note(to, &seen, upper, records, bytes).await?;
        match to.execute("COMMIT").await {
            Ok(_) => Ok(Written { seen, records, bytes }),
            Err(Error::Port(lost)) => Err(Failed::Perhaps(lost)),
            Err(refused) => Err(refused.into()),
        }
    }

    async fn target(&self, to: &mut Conn) -> Result<Table, PortError> {
        let found = table::find(to, &self.table.schema, &self.table.name).await?;
        found.ok_or_else(|| {
            let message = format!("{}: no table {}", to.at(), self.table.dataset());
            PortError::new(Trouble::Rejected, code::SHAPE, message)
        })
    }

    /// Deletes what is there already: rows of the chunk where both sides order keys alike, else
    /// all rows before the first chunk.
    async fn clear(
        &self,
        to: &mut Conn,
        target: &Table,
        upper: Option<&KeyText>,
    ) -> Result<(), PortError> {
        let alike = self.table.order().is_known() && target.order() == self.table.order();
        let within = match (&self.bounds.lower, alike) {
            (lower, true) => keytext::within(target, lower.as_ref(), upper),
            (None, false) => "true".to_owned(),
            (Some(_), false) => return Ok(()),
        };
        to.execute(&format!("DELETE FROM {} WHERE {within}", target.only())).await?;
        Ok(())
    }

    async fn rows(
        &self,
        from: &mut Conn,
        to: &mut Conn,
        target: &Table,
        upper: Option<&KeyText>,
    ) -> Result<(u64, u64), Failed> {
        let table = &self.table;
        let mut columns = Vec::new();
        let mut binary = from.version() / 10_000 == to.version() / 10_000;
        for column in table.stored() {
            let other = target.column(&column.name).ok_or_else(|| {
                let (name, dataset) = (&column.name, table.dataset());
                let message = format!("{}: {dataset} has no column {name}", to.at());
                PortError::new(Trouble::Rejected, code::SHAPE, message)
            })?;
            if !other.generated {
                binary &= column.is_portable() && other.type_oid == column.type_oid;
                columns.push(column.quoted());
            }
        }
        let columns = columns.join(", ");
        let format = if binary { "binary" } else { "text" };
        let within = keytext::within(table, self.bounds.lower.as_ref(), upper);
        let read = format!(
            "COPY (SELECT {columns} FROM {} WHERE {within}) TO STDOUT (FORMAT {format})",
            table.only()
        );
        let list = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
        let write = format!("COPY {}{list} FROM STDIN (FORMAT {format})", target.quoted());
        let mut out = from.copy_out(&read).await?;
        let mut into = to.copy_in(&write).await.map_err(|e| self.refused(e))?;
        let mut bytes = 0;
        let mut waiting = BytesMut::with_capacity(SEND_BYTES * 2);
        while let Some(piece) = out.next().await? {
            bytes += piece.len() as u64;
            waiting.extend_from_slice(&piece);
            if waiting.len() >= SEND_BYTES {
                into.send(&waiting).await.map_err(|e| self.refused(e))?;
                waiting.clear();
            }
        }
        into.send(&waiting).await.map_err(|e| self.refused(e))?;
        let records = into.finish().await.map_err(|e| self.refused(e))?;
        Ok((records, bytes))
    }

    /// What a refused row means: one that is there already was not written by us.
    fn refused(&self, error: Error) -> Failed {
        let Some(said) = error.server() else { return error.into() };
        if said.is("23505") {
            let message =
                format!("{}: {} holds rows that are not ours", said.at, self.table.dataset());
            return Failed::Surely(PortError::new(Trouble::Rejected, code::NOT_EMPTY, message));
        }
        if said.is("22") || said.is("23") {
            let message = format!("{}: a row was refused: {said}", said.at);
            return Failed::Surely(PortError::new(Trouble::Rejected, code::REFUSED, message));
        }
        error.into()
    }

    async fn note(
        &self,
        to: &mut Conn,
        seen: &Seen,
        upper: Option<&KeyText>,
        records: u64,
        bytes: u64,
    ) -> Result<(), Failed> {
        let sql = format!(
            "INSERT INTO {SCHEMA}.chunk (run, direction, dataset, single, lower, upper, snapshot, \
             upto, records, bytes) VALUES ({}, '{}', {}, false, {}, {}, '{}', '{}', {records}, {bytes})",
            literal(&self.shared.names.run),
            self.shared.names.direction,
            literal(self.table.dataset().as_str()),
            keytext::array(self.bounds.lower.as_ref()),
            keytext::array(upper),
            seen.snapshot,
            seen.upto
        );
        to.execute(&sql).await?;
        Ok(())
    }

    /// Finds out what became of a chunk whose COMMIT had no answer; what it saw if it is there.
    async fn resolve(&self) -> Option<Seen> {
        loop {
            match self.ask().await {
                Ok(seen) => return seen,
                // Nobody else is left who could wait for the answer.
                Err(_) if Arc::strong_count(&self.shared) == 1 => return None,
                Err(error) => {
                    tracing::warn!(%error, "cannot tell yet whether a chunk was written");
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        }
    }

    async fn ask(&self) -> Result<Option<Seen>, PortError> {
        let mut to = self.shared.connect(&self.shared.to, Work::Ask).await?;
        let sql = format!("SELECT snapshot, upto FROM {SCHEMA}.chunk WHERE {}", self.mine());
        let rows = to.query(&sql).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let snapshot = row.text(0)?.parse();
        let snapshot =
            snapshot.map_err(|_| error::unexpected("a question for a chunk", to.at()))?;
        Ok(Some(Seen { snapshot, upto: ours::lsn(row, 1, to.at())? }))
    }
}
