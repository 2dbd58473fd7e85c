//! Changes applied one by one, where the fast way met something unexpected: a row that is there
//! though it is new, one that is missing, a unique value that another row has. The followed side
//! is right: whatever stands in its way goes, and is named.

use model::{DivergenceClass, Key};
use wire_postgres::logical::Tuple;

use super::applier::{Applier, Decided, Stop, Upset, garbled, unchanged, values};
use super::change::Deed;
use super::judge::{Act, key_of};
use super::keytext;
use super::names::{Names, SCHEMA};
use super::order::KeyText;
use super::shelf::Seen;
use super::source::Fetched;
use super::table::{self, Table};
use super::target::{Statement, Target};
use crate::conn::{Batch, Outcome};
use crate::error::{Error, ServerError};
use crate::key as record;
use crate::sql::literal;

/// How many rows may stand in the way of one: one for each unique index.
const IN_THE_WAY_MAX: usize = 32;

/// What was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) key: Key,
    pub(crate) class: DivergenceClass,
    pub(crate) outcome: String,
}

/// What came of a change.
#[derive(Debug)]
pub(crate) enum Done {
    /// It was applied.
    Plainly,
    /// It was, and something was met.
    After(Conflict),
    /// The row is missing and was not told whole: it has to be read again.
    Refetch(KeyText),
}

impl Applier {
    /// Applies one change in the open transaction.
    pub(crate) async fn careful(
        &mut self,
        source: Option<&Table>,
        one: &Decided,
    ) -> Result<Done, Stop> {
        let (change, act) = one;
        self.settle_all().await?;
        if matches!(act, Act::Skip | Act::Refetch(_)) {
            return Ok(Done::Plainly);
        }
        if let Act::Empty(_) = act {
            self.add(source, one).await?;
            self.settle_all().await?;
            return Ok(Done::Plainly);
        }
        let relation = &change.relation;
        let target = self.target(relation, source).await?;
        let wrong = |e, conn: &_| Stop::Broken(garbled(&e, conn));
        let deed = change.deed().map_err(|e| wrong(e, &self.conn))?;
        let key = |new, old| match source {
            Some(table) => key_of(table, change, new, old),
            None => Ok(KeyText::new()),
        };
        let met = |key: KeyText, class, outcome: &str| {
            let dataset = record::dataset(&relation.schema, &relation.name);
            let key = record::encode(&dataset, key.iter().map(String::as_bytes));
            Done::After(Conflict { key, class, outcome: outcome.to_owned() })
        };
        match (deed, act) {
            (Deed::Insert(new), _) | (Deed::Update(_, new), Act::InsertNew) => {
                let key = key(Some(new), None).map_err(|e| wrong(e, &self.conn))?;
                let insert = target.insert();
                let values = values(&insert, Some(new), None);
                let (_, first) = self.attempt(&insert.sql, &values).await?;
                let Some(error) = first else { return Ok(Done::Plainly) };
                self.place(&target, new, error).await?;
                Ok(met(key, DivergenceClass::Value, "replaced by the authority's record"))
            }
            (Deed::Delete(old), _) | (Deed::Update(Some(old), _), Act::DeleteOld) => {
                let delete = target.delete();
                let values = values(&delete, None, Some(old.tuple()));
                if self.attempt(&delete.sql, &values).await?.0 > 0 {
                    return Ok(Done::Plainly);
                }
                let key = key(None, Some(old)).map_err(|e| wrong(e, &self.conn))?;
                Ok(met(key, DivergenceClass::MissingOnTarget, "was to be deleted and is not there"))
            }
            (Deed::Update(old, new), _) => {
                let key = key(Some(new), old).map_err(|e| wrong(e, &self.conn))?;
                let partial = unchanged(new);
                let find = old.map_or(new, |old| old.tuple());
                let (touched, cleared) = self.change(&target, new, find, &partial).await?;
                match (touched, cleared) {
                    (true, false) => Ok(Done::Plainly),
                    (true, true) => {
                        Ok(met(key, DivergenceClass::Value, "another record had its unique value"))
                    }
                    (false, _) if !partial.is_empty() => Ok(Done::Refetch(key)),
                    (false, _) => {
                        let upsert = target.upsert();
                        let values = values(&upsert, Some(new), None);
                        if let (_, Some(error)) = self.attempt(&upsert.sql, &values).await? {
                            self.place(&target, new, error).await?;
                        }
                        Ok(met(key, DivergenceClass::MissingOnTarget, "written anew"))
                    }
                }
            }
            (Deed::Truncate(_), _) => Ok(Done::Plainly),
        }
    }

    /// Changes a row. Says whether there was one, and whether others had to go.
    async fn change(
        &mut self,
        target: &Target,
        new: Tuple<'_>,
        find: Tuple<'_>,
        partial: &[usize],
    ) -> Result<(bool, bool), Stop> {
        if target.rewrites() && partial.is_empty() {
            let delete = target.delete();
            let (gone, _) = self.attempt(&delete.sql, &values(&delete, None, Some(find))).await?;
            if gone == 0 {
                return Ok((false, false));
            }
            let insert = target.insert();
            let refused = self.attempt(&insert.sql, &values(&insert, Some(new), None)).await?.1;
            let cleared = refused.is_some();
            if let Some(error) = refused {
                self.place(target, new, error).await?;
            }
            return Ok((true, cleared));
        }
        let Some(update) = target.update(partial) else { return Ok((true, false)) };
        let values = values(&update, Some(new), Some(find));
        let mut cleared = false;
        for _ in 0..IN_THE_WAY_MAX {
            match self.attempt(&update.sql, &values).await? {
                (touched, None) => return Ok((touched > 0, cleared)),
                (_, Some(error)) => self.clear(target, new, &error).await?,
            }
            cleared = true;
        }
        Err(Stop::Upset(Upset::Unexpected))
    }

    /// Writes a row whatever stands in its way; `error` is what the server said last.
    async fn place(
        &mut self,
        target: &Target,
        new: Tuple<'_>,
        mut error: ServerError,
    ) -> Result<(), Stop> {
        let upsert = target.upsert();
        let values = values(&upsert, Some(new), None);
        for round in 0..IN_THE_WAY_MAX {
            // The first time it may be the row itself, which is overwritten.
            if round > 0 || target.key().is_empty() {
                self.clear(target, new, &error).await?;
            }
            match self.attempt(&upsert.sql, &values).await? {
                (_, None) => return Ok(()),
                (_, Some(again)) => error = again,
            }
        }
        Err(Stop::Upset(Upset::Unexpected))
    }

    /// Deletes the rows that have a unique value of the new one.
    async fn clear(
        &mut self,
        target: &Target,
        new: Tuple<'_>,
        error: &ServerError,
    ) -> Result<(), Stop> {
        let refused = || {
            Stop::from(Error::Server(Box::new(ServerError {
                // No longer something to be tried again: the class of refused values.
                sqlstate: "23000".into(),
                ..error.clone()
            })))
        };
        let (Some(schema), Some(index)) = (&error.schema, &error.constraint) else {
            return Err(refused());
        };
        let sql = format!(
            "SELECT a.attname, i.indnkeyatts FROM pg_catalog.pg_index i \
             JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace \
             JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY k(attnum, at) ON k.at <= i.indnkeyatts \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE n.nspname = {} AND x.relname = {} AND i.indisunique",
            literal(schema),
            literal(index)
        );
        let rows = self.conn.query(&sql).await?;
        let columns: Result<Vec<String>, _> =
            rows.iter().map(|row| row.text(0).map(str::to_owned)).collect();
        let columns = columns?;
        let width: usize = rows.first().map_or(Ok(0), |row| row.number(1))?;
        // An expression has no column.
        let statement = target.clear(&columns).filter(|_| width == columns.len());
        let statement: Statement = statement.ok_or_else(refused)?;
        let values = values(&statement, None, Some(new));
        self.attempt(&statement.sql, &values).await?;
        Ok(())
    }

    /// Runs one statement so that its failure leaves the transaction open. Says how many rows it
    /// touched, or the violation of a unique or exclusion constraint.
    async fn attempt(
        &mut self,
        sql: &str,
        values: &[Option<&[u8]>],
    ) -> Result<(u64, Option<ServerError>), Stop> {
        self.conn.execute("SAVEPOINT exodus").await?;
        let mut batch = Batch::new();
        batch.once(sql, values);
        let mut touched = 0;
        for outcome in self.conn.run(batch).await? {
            match outcome {
                Outcome::Done(answer) => touched = answer.count(),
                Outcome::Skipped => {}
                Outcome::Failed(error) if error.is("23505") || error.is("23P01") => {
                    self.conn.execute("ROLLBACK TO SAVEPOINT exodus").await?;
                    return Ok((0, Some(*error)));
                }
                Outcome::Failed(error) => return Err(Error::Server(error).into()),
            }
        }
        self.conn.execute("RELEASE SAVEPOINT exodus").await?;
        Ok((touched, None))
    }
}

impl Applier {
    /// Replaces a row by what it is at the followed side now, and notes by what snapshot.
    pub(crate) async fn put(
        &mut self,
        source: &Table,
        key: &KeyText,
        fetched: &Fetched,
    ) -> Result<(), Stop> {
        self.settle_all().await?;
        let found = table::find(&mut self.conn, &source.schema, &source.name).await?;
        let Some(table) = found else { return Err(Stop::Upset(Upset::Unexpected)) };
        let delete = format!(
            "DELETE FROM {} WHERE {} = {}",
            table.only(),
            keytext::columns(source, ""),
            keytext::values(source, key)
        );
        self.conn.execute(&delete).await?;
        if let Some(values) = &fetched.values {
            let mut names = Vec::new();
            let mut kept: Vec<Option<&[u8]>> = Vec::new();
            for (column, value) in source.stored().zip(values) {
                if table.column(&column.name).is_some_and(|other| !other.generated) {
                    names.push(column.quoted());
                    kept.push(value.as_deref());
                }
            }
            let parameters: Vec<String> = (1..=kept.len()).map(|n| format!("${n}")).collect();
            let insert = format!(
                "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
                table.quoted(),
                names.join(", "),
                parameters.join(", ")
            );
            if let (_, Some(error)) = self.attempt(&insert, &kept).await? {
                return Err(Error::Server(Box::new(error)).into());
            }
        }
        let note = note_single(self.names(), source, key, &fetched.seen);
        self.conn.execute(&note).await?;
        Ok(())
    }
}

/// The note of a row that was read again, in place of an older one.
fn note_single(names: &Names, table: &Table, key: &KeyText, seen: &Seen) -> String {
    format!(
        "INSERT INTO {SCHEMA}.chunk (run, direction, dataset, single, lower, snapshot, upto, \
         records, bytes) VALUES ({}, '{}', {}, true, {}, '{}', '{}', 1, 0) \
         ON CONFLICT (run, direction, dataset, lower) WHERE single \
         DO UPDATE SET snapshot = EXCLUDED.snapshot, upto = EXCLUDED.upto",
        literal(&names.run),
        names.direction,
        literal(table.dataset().as_str()),
        keytext::array(Some(key)),
        seen.snapshot,
        seen.upto
    )
}
