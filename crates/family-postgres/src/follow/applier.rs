//! Changes become statements on the other side, in pipelines.
//!
//! Constraint: a transaction on the other side is committed only when every statement in it was
//! answered as expected, so nothing is decided from a COMMIT that is already under way. Marker
//! first, changes, progress, COMMIT.
//!
//! Life of a transaction: [`Applier::add`] queues and sends, [`Applier::commit`] takes all
//! answers and commits. On anything unexpected the caller rolls back and applies the same changes
//! again one by one (`careful`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use family::{PortError, Trouble};
use wire_postgres::logical::{Tuple, Value};
use wire_postgres::{Lsn, MessageError};

use super::change::{Change, Deed};
use super::code;
use super::judge::Act;
use super::keytext;
use super::names::{Names, SCHEMA};
use super::relation::Relation;
use super::shelf::Emptied;
use super::table::{self, Table};
use super::target::{Statement, Target};
use crate::conn::{Batch, Conn, Outcome};
use crate::error::{self, Error, ServerError};

/// Bytes of statements that are sent at once.
const SEND_BYTES: usize = 128 * 1024;
/// Batches that may be unanswered. More would only fill buffers.
const UNSETTLED_MAX: usize = 4;
/// Prepared statements kept. Each relation needs three, and more for partial updates.
const STATEMENTS_MAX: usize = 2_000;

/// A change and what was decided about it.
pub(crate) type Decided = (Change, Act);

/// What a statement has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// That it touched one row.
    OneRow,
    /// Anything but an error.
    Done,
}

/// Why a transaction cannot be committed as it is.
#[derive(Debug)]
pub(crate) enum Upset {
    /// A change met a row that it did not expect, or met none.
    Unexpected,
    /// The server asks to try again: a deadlock, a lock not to be had in time.
    Again(Box<ServerError>),
}

/// What a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
}

/// The one session that applies.
pub(crate) struct Applier {
    pub(super) conn: Conn,
    names: Arc<Names>,
    targets: HashMap<u32, (Arc<Relation>, Arc<Target>)>,
    statements: HashMap<(u32, Kind, Vec<usize>), Arc<Prepared>>,
    next: u64,
    batch: Batch,
    wants: Vec<Want>,
    posted: VecDeque<Vec<Want>>,
    /// A transaction is open there, or its beginning is queued.
    open: bool,
}

pub(super) struct Prepared {
    pub(super) name: String,
    pub(super) statement: Statement,
}

impl Applier {
    /// Takes over a session in which triggers and foreign keys are off.
    pub(crate) async fn new(mut conn: Conn, names: Arc<Names>) -> Result<Self, PortError> {
        prepare(&mut conn, &names).await?;
        Ok(Self {
            conn,
            names,
            targets: HashMap::new(),
            statements: HashMap::new(),
            next: 0,
            batch: Batch::new(),
            wants: Vec::new(),
            posted: VecDeque::new(),
            open: false,
        })
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Whether a transaction is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Begins a transaction; `at` names the first transaction of the followed side in it.
    pub(crate) fn begin(&mut self, at: Lsn) {
        if self.open {
            return;
        }
        self.open = true;
        self.batch.run("exodus_begin", &[]);
        let at = at.to_string();
        self.batch.run("exodus_mark", &[Some(self.names.marker.as_bytes()), Some(at.as_bytes())]);
        self.wants.extend([Want::Done, Want::Done]);
    }

    /// Queues a change as it was decided; sends when enough has come together. `source` is the
    /// table at the followed side.
    pub(crate) async fn add(&mut self, source: Option<&Table>, one: &Decided) -> Result<(), Stop> {
        let (change, act) = one;
        match act {
            Act::Skip | Act::Refetch(_) => return Ok(()),
            Act::Empty(emptied) => self.empty(change, emptied).await?,
            Act::Apply | Act::DeleteOld | Act::InsertNew => {
                let target = self.target(&change.relation, source).await?;
                self.queue(&target, change, act).map_err(|e| garbled(&e, &self.conn))?;
            }
        }
        if self.batch.bytes() >= SEND_BYTES {
            self.send().await?;
            if self.posted.len() > UNSETTLED_MAX {
                self.settle().await?;
            }
        }
        Ok(())
    }

    fn queue(&mut self, target: &Target, change: &Change, act: &Act) -> Result<(), MessageError> {
        let oid = change.relation.oid;
        match (change.deed()?, act) {
            (Deed::Insert(new), _) | (Deed::Update(_, new), Act::InsertNew) => {
                self.row(oid, Kind::Insert, target, &[], Some(new), None);
            }
            (Deed::Delete(old), _) | (Deed::Update(Some(old), _), Act::DeleteOld) => {
                self.row(oid, Kind::Delete, target, &[], None, Some(old.tuple()));
            }
            (Deed::Update(old, new), _) => {
                let unchanged = unchanged(new);
                let find = old.map_or(new, |old| old.tuple());
                if target.rewrites() && unchanged.is_empty() {
                    self.row(oid, Kind::Delete, target, &[], None, Some(find));
                    self.row(oid, Kind::Insert, target, &[], Some(new), None);
                } else {
                    self.row(oid, Kind::Update, target, &unchanged, Some(new), Some(find));
                }
            }
            (Deed::Truncate(_), _) => {}
        }
        Ok(())
    }

    fn row(
        &mut self,
        oid: u32,
        kind: Kind,
        target: &Target,
        unchanged: &[usize],
        new: Option<Tuple<'_>>,
        find: Option<Tuple<'_>>,
    ) {
        let Some(prepared) = self.prepared(oid, kind, target, unchanged) else { return };
        let values = values(&prepared.statement, new, find);
        self.batch.run(&prepared.name, &values);
        self.wants.push(Want::OneRow);
    }

    /// The statement for a change of this form, prepared in the batch if it is new. `None` when
    /// there is nothing to be said.
    pub(super) fn prepared(
        &mut self,
        oid: u32,
        kind: Kind,
        target: &Target,
        unchanged: &[usize],
    ) -> Option<Arc<Prepared>> {
        let form = (oid, kind, unchanged.to_vec());
        if let Some(known) = self.statements.get(&form) {
            return Some(known.clone());
        }
        let statement = match kind {
            Kind::Insert => target.insert(),
            Kind::Update => target.update(unchanged)?,
            Kind::Delete => target.delete(),
        };
        if self.statements.len() >= STATEMENTS_MAX {
            for (_, old) in self.statements.drain() {
                self.batch.close(&old.name);
                self.wants.push(Want::Done);
            }
        }
        let name = format!("exodus_{}", self.next);
        self.next += 1;
        self.batch.parse(&name, &statement.sql, &[]);
        self.wants.push(Want::Done);
        let prepared = Arc::new(Prepared { name, statement });
        self.statements.insert(form, prepared.clone());
        Some(prepared)
    }

    /// The table on the other side, read from its catalog when the relation is new or was
    /// described anew.
    pub(super) async fn target(
        &mut self,
        relation: &Arc<Relation>,
        source: Option<&Table>,
    ) -> Result<Arc<Target>, Stop> {
        if let Some((known, target)) = self.targets.get(&relation.oid)
            && (Arc::ptr_eq(known, relation) || known == relation)
        {
            return Ok(target.clone());
        }
        self.statements.retain(|(oid, ..), _| *oid != relation.oid);
        // Answers in between would be taken for those of the question.
        self.send().await?;
        self.settle_all().await?;
        let found = table::find(&mut self.conn, &relation.schema, &relation.name).await?;
        let table = found.ok_or_else(|| {
            let message = format!("{}: no table {}", self.conn.at(), relation.shown());
            PortError::new(Trouble::Rejected, code::SHAPE, message)
        })?;
        let key: Vec<String> = match source {
            Some(source) => source.key_columns().map(|column| column.name.clone()).collect(),
            // Made after the catalog was read: the stream says itself what identifies its rows.
            None if relation.full => Vec::new(),
            None => {
                let key = relation.columns.iter().filter(|column| column.key);
                key.map(|column| column.name.clone()).collect()
            }
        };
        let target = Arc::new(Target::new(relation, &key, table)?);
        self.targets.insert(relation.oid, (relation.clone(), target.clone()));
        Ok(target)
    }

    async fn empty(&mut self, change: &Change, emptied: &[Emptied]) -> Result<(), Stop> {
        let restart = matches!(change.deed(), Ok(Deed::Truncate(true)));
        self.send().await?;
        self.settle_all().await?;
        let mut all = Vec::new();
        let relations = std::iter::once(&change.relation).chain(&change.others);
        for (relation, emptied) in relations.zip(emptied) {
            let found = table::find(&mut self.conn, &relation.schema, &relation.name).await?;
            let Some(table) = found else { continue };
            match emptied {
                Emptied::All => all.push(table.only()),
                Emptied::Nothing | Emptied::Wait => {}
                Emptied::Ranges(ranges) => {
                    for (lower, upper) in ranges {
                        let within = keytext::within(&table, lower.as_ref(), upper.as_ref());
                        self.say(&format!("DELETE FROM {} WHERE {within}", table.only()));
                    }
                }
            }
        }
        if !all.is_empty() {
            let restart = if restart { " RESTART IDENTITY" } else { "" };
            self.say(&format!("TRUNCATE {}{restart}", all.join(", ")));
        }
        Ok(())
    }

    /// Queues a statement that touches whatever it touches.
    pub(super) fn say(&mut self, sql: &str) {
        self.batch.once(sql, &[]);
        self.wants.extend([Want::Done, Want::Done]);
    }

    /// Sends what is queued.
    pub(super) async fn send(&mut self) -> Result<(), PortError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.conn.post(std::mem::take(&mut self.batch)).await?;
        self.posted.push_back(std::mem::take(&mut self.wants));
        Ok(())
    }

    /// Takes all answers that are owed.
    pub(crate) async fn settle_all(&mut self) -> Result<(), Stop> {
        self.send().await?;
        while !self.posted.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Stop> {
        let Some(wants) = self.posted.pop_front() else { return Ok(()) };
        let outcomes = self.conn.settle().await?;
        for (want, outcome) in wants.iter().zip(outcomes) {
            match outcome {
                Outcome::Done(answer) if *want == Want::OneRow && answer.count() != 1 => {
                    return Err(Stop::Upset(Upset::Unexpected));
                }
                Outcome::Done(_) | Outcome::Skipped => {}
                Outcome::Failed(error) => return Err(Error::Server(error).into()),
            }
        }
        Ok(())
    }

    /// Takes all answers, and commits if all is well; `upto` is the progress that becomes durable
    /// with it.
    pub(crate) async fn commit(&mut self, upto: Lsn) -> Result<(), Stop> {
        self.settle_all().await?;
        let upto = upto.to_string();
        self.batch.run("exodus_progress", &[Some(upto.as_bytes())]);
        self.batch.run("exodus_commit", &[]);
        self.wants.extend([Want::OneRow, Want::Done]);
        self.settle_all().await?;
        self.open = false;
        Ok(())
    }

    /// Undoes what is open.
    pub(crate) async fn rollback(&mut self) -> Result<(), PortError> {
        self.batch = Batch::new();
        self.wants.clear();
        while self.posted.pop_front().is_some() {
            // What they say is undone anyway; a lost connection shows below.
            let _ = self.conn.settle().await;
        }
        self.conn.execute("ROLLBACK").await?;
        self.open = false;
        // What was to be prepared in the part that was skipped is not.
        self.statements.clear();
        self.conn.execute("DEALLOCATE ALL").await?;
        prepare(&mut self.conn, &self.names).await
    }

    /// Makes progress durable by itself.
    pub(crate) async fn progress(&mut self, upto: Lsn) -> Result<(), PortError> {
        let sql = progress_sql(&self.names).replace("$1", &format!("'{upto}'"));
        self.conn.execute(&sql).await?;
        Ok(())
    }
}

/// Why applying stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The transaction has to be rolled back and can be applied again.
    Upset(Upset),
    /// Nothing more can be done here.
    Broken(PortError),
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Broken(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        stop(error)
    }
}

/// What the server's word about a statement means for the transaction.
fn stop(error: Error) -> Stop {
    let Some(said) = error.server() else { return Stop::Broken(error.into()) };
    match said.sqlstate.as_str() {
        _ if said.fatal => Stop::Broken(error.into()),
        // Unique and exclusion constraints.
        "23505" | "23P01" => Stop::Upset(Upset::Unexpected),
        "55P03" | "57014" => Stop::Upset(Upset::Again(Box::new(said.clone()))),
        state if state.starts_with("40") => Stop::Upset(Upset::Again(Box::new(said.clone()))),
        state if state.starts_with("42") => {
            let message = format!("{}: a change cannot be said there: {said}", said.at);
            Stop::Broken(PortError::new(Trouble::Rejected, code::SHAPE, message))
        }
        state if state.starts_with("22") || state.starts_with("23") => {
            let message = format!("{}: a change was refused: {said}", said.at);
            Stop::Broken(PortError::new(Trouble::Rejected, code::REFUSED, message))
        }
        _ => Stop::Broken(error.into()),
    }
}

/// The values of a statement's parameters.
pub(super) fn values<'a>(
    statement: &Statement,
    new: Option<Tuple<'a>>,
    find: Option<Tuple<'a>>,
) -> Vec<Option<&'a [u8]>> {
    let all = |row: Option<Tuple<'a>>| row.map(|row| row.values().collect::<Vec<_>>());
    let (new, find) = (all(new), all(find));
    let pick = |row: &Option<Vec<Value<'a>>>, at: usize| match row.as_ref()?.get(at)? {
        Value::Text(text) | Value::Binary(text) => Some(*text),
        Value::Null | Value::Unchanged => None,
    };
    let new = statement.new.iter().map(|at| pick(&new, *at));
    new.chain(statement.find.iter().map(|at| pick(&find, *at))).collect()
}

/// Columns that were not told because they did not change.
pub(super) fn unchanged(row: Tuple<'_>) -> Vec<usize> {
    row.values().enumerate().filter(|(_, v)| *v == Value::Unchanged).map(|(at, _)| at).collect()
}

pub(super) fn garbled(why: &MessageError, conn: &Conn) -> PortError {
    error::undecodable(why, conn.at())
}

async fn prepare(conn: &mut Conn, names: &Names) -> Result<(), PortError> {
    let mut batch = Batch::new();
    batch.parse("exodus_begin", "BEGIN", &[]);
    batch.parse("exodus_commit", "COMMIT", &[]);
    let mark = "SELECT pg_catalog.pg_logical_emit_message(true, $1::text, $2::text)";
    batch.parse("exodus_mark", mark, &[]);
    batch.parse("exodus_progress", &progress_sql(names), &[]);
    for outcome in conn.run(batch).await? {
        if let Outcome::Failed(error) = outcome {
            return Err((*error).into());
        }
    }
    Ok(())
}

fn progress_sql(names: &Names) -> String {
    format!(
        "UPDATE {SCHEMA}.progress SET upto = greatest(upto, $1::pg_lsn), changed = pg_catalog.clock_timestamp() \
         WHERE run = {} AND direction = '{}'",
        crate::sql::literal(&names.run),
        names.direction
    )
}
