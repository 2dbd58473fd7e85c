//! The simple protocol: a text, its answer.

use std::sync::Arc;

use bytes::Bytes;
use family::PortError;
use tokio::time::Instant;
use wire_postgres::command_tag::CommandTag;
use wire_postgres::encode;
use wire_postgres::rows::{DataRow, RowDescription};
use wire_postgres::tags::backend as tag;

use super::{Answer, Conn, Message, Row};
use crate::error::{self, Error};

impl Conn {
    /// Asks and takes the whole answer. After an error of the server that is not fatal the
    /// connection goes on.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Answer, Error> {
        self.begin()?;
        self.say(sql)?;
        let mut answer = Answer::default();
        let mut failure = None;
        loop {
            let message = self.next().await?;
            match message.tag {
                tag::READY => {
                    self.ready(&message)?;
                    self.end();
                    return failure.map_or(Ok(answer), Err);
                }
                tag::ERROR => {
                    let error = self.failed(&message)?;
                    if error.fatal {
                        return Err(error.into());
                    }
                    failure = Some(Error::from(error));
                }
                _ => self.part(&message, &mut answer)?,
            }
        }
    }

    /// The rows of a question.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        Ok(self.ask(sql).await?.rows)
    }

    /// The row of a question that always has one.
    pub(crate) async fn query_one(&mut self, sql: &str) -> Result<Row, Error> {
        let row = self.query(sql).await?.into_iter().next();
        row.ok_or_else(|| error::unexpected("a question: no row", self.at()).into())
    }

    /// Runs statements; the tag of the last one.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<String, Error> {
        Ok(self.ask(sql).await?.tag)
    }

    /// Queues a question.
    pub(super) fn say(&mut self, sql: &str) -> Result<(), Error> {
        encode::query(&mut self.unsent, sql.as_bytes()).map_err(|e| {
            // Nothing was appended, so nothing is owed.
            self.end();
            Error::Port(error::undecodable(e, self.link.address()))
        })
    }

    /// A message that is part of a result.
    pub(super) fn part(&mut self, message: &Message, answer: &mut Answer) -> Result<(), Error> {
        match message.tag {
            tag::ROW_DESCRIPTION => {
                let described =
                    RowDescription::parse(&message.body).map_err(|e| self.garbled(e))?;
                let name = |c: wire_postgres::rows::Column<'_>| {
                    String::from_utf8_lossy(c.name).into_owned()
                };
                answer.columns = described.columns().map(name).collect();
            }
            tag::DATA_ROW => {
                let at = self.link.address().clone();
                answer.rows.push(row(&message.body, at).map_err(|e| self.garbled(e))?);
            }
            tag::COMMAND_COMPLETE => {
                let done = CommandTag::parse(&message.body).map_err(|e| self.garbled(e))?;
                answer.tag = String::from_utf8_lossy(done.text).into_owned();
            }
            tag::EMPTY_QUERY | tag::NO_DATA => {}
            _ => return Err(self.out_of_step("a statement")),
        }
        Ok(())
    }
}

/// A row that shares its bytes with the message.
pub(super) fn row(body: &Bytes, at: Arc<str>) -> Result<Row, wire_postgres::MessageError> {
    let read = DataRow::parse(body)?;
    let values = read.values().map(|value| value.map(|v| body.slice_ref(v))).collect();
    Ok(Row { values, at })
}

/// Terminates every other backend of `pg_stat_activity` that `which` selects, and waits until
/// none of them is left, at most for the endpoint's timeout. Says how many there were.
pub(crate) async fn kill(conn: &mut Conn, which: &str) -> Result<usize, PortError> {
    let others = format!("FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ({which})");
    let first =
        conn.query_one(&format!("SELECT count(pg_terminate_backend(pid)) {others}")).await?;
    let count = first.number(0)?;
    let until = Instant::now() + conn.link().timeout();
    loop {
        // Asks again for those that came meanwhile, and gives the server time between.
        let again = format!(
            "SELECT count(pg_terminate_backend(pid)), \
             CASE WHEN count(*) > 0 THEN pg_sleep(0.01)::text END {others}"
        );
        let left: usize = conn.query_one(&again).await?.number(0)?;
        if left == 0 {
            return Ok(count);
        }
        if Instant::now() > until {
            let why = format!("{left} sessions do not end though they were told to");
            return Err(error::unreachable(conn.at(), why));
        }
    }
}
