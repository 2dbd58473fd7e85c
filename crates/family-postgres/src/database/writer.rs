//! Making single rows equal: repair, not the stream.
//!
//! A batch is one transaction: the mark by which the other direction's decoder knows it as ours,
//! then for each record its row away and its row in. Where the role may, triggers and foreign
//! keys are off (`session_replication_role`), as for the applier. If any record is refused the
//! whole batch is undone and done again one record at a time, so that each says for itself.

use std::sync::Arc;

use async_trait::async_trait;
use family::{Applied, PortError, Trouble, Writer};
use model::{Image, Key, Record};

use super::image::RowImage;
use super::reader;
use super::relation::Relation;
use super::statements;
use crate::conn::{Batch, Conn, Link, Outcome, Purpose};
use crate::error::{Error, ServerError};
use crate::key;
use crate::sql::literal;

const PURPOSE: Purpose = Purpose::of("writer");

pub(crate) struct PostgresWriter {
    conn: Conn,
    /// `SELECT pg_logical_emit_message(…)`.
    mark: String,
}

impl PostgresWriter {
    pub(crate) async fn open(link: &Arc<Link>) -> Result<Self, PortError> {
        let mut conn = link.connect(PURPOSE).await?;
        match conn.execute("SET session_replication_role = replica").await {
            Err(error) if !error.is("42501") => return Err(error.into()),
            _ => {}
        }
        let prefix = literal(&format!("exodus-applied:{}", link.run()));
        let mark = format!("SELECT pg_logical_emit_message(true, {prefix}, 'repair')");
        Ok(Self { conn, mark })
    }

    /// Applies records in one transaction. The server's error, when it refused one.
    async fn together(
        &mut self,
        records: &[Record],
    ) -> Result<Result<(), Box<ServerError>>, PortError> {
        let mut batch = Batch::new();
        batch.once("BEGIN", &[]);
        batch.once(&self.mark, &[]);
        for (n, record) in records.iter().enumerate() {
            // What comes later of the same row is what it is to be, and rows without a key are
            // counted before anything is done.
            if !records[n + 1..].iter().any(|later| later.key == record.key) {
                self.queue(&mut batch, record).await?;
            }
        }
        batch.once("COMMIT", &[]);
        let outcomes = match self.conn.run(batch).await {
            Ok(outcomes) => outcomes,
            Err(Error::Server(error)) => return Ok(Err(error)),
            Err(Error::Port(error)) => return Err(error),
        };
        let refused = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Failed(error) => Some(error),
            _ => None,
        });
        let Some(error) = refused else { return Ok(Ok(())) };
        self.conn.execute("ROLLBACK").await?;
        Ok(Err(error))
    }

    /// Queues what makes one record equal.
    async fn queue(&mut self, batch: &mut Batch, record: &Record) -> Result<(), PortError> {
        let (dataset, values) = key::decode(&record.key);
        let relation = Relation::load(&mut self.conn, &dataset).await?;
        let image = match &record.image {
            Image::Present { bytes } => Some(RowImage::decode(bytes)?),
            Image::Absent => None,
        };
        let wanted = image.as_ref().map_or(0, |image| image.count);
        let mut missing = wanted;
        let given: Vec<Option<&[u8]>> = values.iter().map(|v| Some(*v)).collect();
        if relation.key.is_empty() {
            let array = statements::array(values.iter().copied());
            let rows =
                self.conn.query_with(&statements::digests(&relation), &[Some(&array)]).await?;
            let there: u64 = match rows.first() {
                Some(row) if row.get(1).is_some() => row.number(1)?,
                _ => 0,
            };
            missing = wanted.saturating_sub(there);
            let surplus = there.saturating_sub(wanted).to_string();
            if there > wanted {
                let values = [given.first().copied().flatten(), Some(surplus.as_bytes())];
                batch.once(&statements::delete_equal(&relation), &values);
            }
        } else {
            batch.once(&statements::delete(&relation), &given);
        }
        let Some(image) = image else { return Ok(()) };
        let computed = |name: &str| relation.columns.iter().any(|c| c.name == name && c.generated);
        let given: Vec<_> = image.values.iter().filter(|(name, _)| !computed(name)).collect();
        let columns: Vec<&str> = given.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<Option<&[u8]>> = given.iter().map(|(_, value)| value.as_deref()).collect();
        let sql = statements::insert(&relation, &columns);
        for _ in 0..missing {
            batch.once(&sql, &values);
        }
        Ok(())
    }
}

/// Whether the refusal speaks of the record, not of the server or the moment.
fn of_the_record(error: &PortError) -> bool {
    matches!(error.trouble, Trouble::Rejected | Trouble::Unsupported)
}

#[async_trait]
impl Writer for PostgresWriter {
    async fn apply(&mut self, records: &[Record]) -> Result<Vec<Applied>, PortError> {
        let whole = match self.together(records).await {
            Ok(Ok(())) => return Ok(vec![Applied::Done; records.len()]),
            Ok(Err(error)) => PortError::from(*error),
            Err(error) => error,
        };
        if !of_the_record(&whole) {
            return Err(whole);
        }
        let mut applied = Vec::with_capacity(records.len());
        for record in records {
            let outcome = match self.together(std::slice::from_ref(record)).await {
                Ok(Ok(())) => Applied::Done,
                Ok(Err(error)) if of_the_record(&(*error).clone().into()) => {
                    Applied::Failed((*error).into())
                }
                Ok(Err(error)) => return Err((*error).into()),
                Err(error) if of_the_record(&error) => Applied::Failed(error),
                Err(error) => return Err(error),
            };
            applied.push(outcome);
        }
        Ok(applied)
    }

    async fn exists(&mut self, keys: &[Key]) -> Result<Vec<bool>, PortError> {
        reader::present(&mut self.conn, keys).await
    }
}
