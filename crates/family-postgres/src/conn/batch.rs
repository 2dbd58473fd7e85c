//! The extended protocol in pipelines: many statements, one Sync, one outcome each.
//!
//! Life: a [`Batch`] is filled without a connection, posted, and settled. Several may be posted
//! before the first is settled; they are settled in order. After the first failure the server
//! skips the rest of the batch, and outside a transaction block undoes all of it.

use bytes::BytesMut;
use family::PortError;
use wire_postgres::EncodeError;
use wire_postgres::encode::{self, BindMessage};
use wire_postgres::query::Target;
use wire_postgres::tags::backend as tag;

use super::{Answer, Conn, Row};
use crate::error::{self, Error, ServerError};

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// ParseComplete.
    Parse,
    /// BindComplete and the end of the command.
    Run,
    /// CloseComplete.
    Close,
}

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done. Columns are not named.
    Done(Answer),
    /// The server refused it.
    Failed(Box<ServerError>),
    /// An earlier step of the batch failed.
    Skipped,
}

/// Statements that travel together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    out: BytesMut,
    steps: Vec<Step>,
    /// The first thing that could not be written.
    wrong: Option<EncodeError>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Prepares a statement under a name (empty: until the next one). `types` may leave out
    /// what the server shall find out itself.
    pub(crate) fn parse(&mut self, name: &str, sql: &str, types: &[u32]) {
        let written = encode::parse(&mut self.out, name.as_bytes(), sql.as_bytes(), types);
        self.written(Step::Parse, written);
    }

    /// Runs a prepared statement with values as text.
    pub(crate) fn run(&mut self, name: &str, values: &[Option<&[u8]>]) {
        let bind = BindMessage { statement: name.as_bytes(), values, ..BindMessage::default() };
        let written = encode::bind(&mut self.out, &bind)
            .and_then(|()| encode::execute(&mut self.out, b"", 0));
        self.written(Step::Run, written);
    }

    /// Parses and runs a statement once. Two steps.
    pub(crate) fn once(&mut self, sql: &str, values: &[Option<&[u8]>]) {
        self.parse("", sql, &[]);
        self.run("", values);
    }

    /// Forgets a prepared statement. Fine when there is none.
    pub(crate) fn close(&mut self, name: &str) {
        let written = encode::close(&mut self.out, Target::Statement(name.as_bytes()));
        self.written(Step::Close, written);
    }

    /// How many steps there are.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Bytes to be sent.
    pub(crate) fn bytes(&self) -> usize {
        self.out.len()
    }

    fn written(&mut self, step: Step, written: Result<(), EncodeError>) {
        match written {
            Ok(()) => self.steps.push(step),
            Err(wrong) => self.wrong = self.wrong.or(Some(wrong)),
        }
    }
}

impl Conn {
    /// Sends a batch and its Sync, without waiting for the outcome. Refused while a question of
    /// another kind is unanswered. Nothing is sent of a batch that could not be written whole.
    pub(crate) async fn post(&mut self, mut batch: Batch) -> Result<(), PortError> {
        if self.spent || self.busy {
            return Err(error::unreachable(self.at(), "connection already given up"));
        }
        if let Some(wrong) = batch.wrong {
            return Err(error::undecodable(wrong, self.at()));
        }
        encode::sync(&mut batch.out);
        if self.unsent.is_empty() {
            self.unsent = batch.out;
        } else {
            self.unsent.unsplit(batch.out);
        }
        self.posted.push_back(batch.steps);
        self.flush().await
    }

    /// Batches whose outcome nobody took yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.posted.len()
    }

    /// The outcome of the oldest posted batch, one per step.
    ///
    /// # Errors
    /// A server's error that belongs to no step: the commit at the end of the batch failed (a
    /// deferred constraint), and all of it is undone.
    pub(crate) async fn settle(&mut self) -> Result<Vec<Outcome>, Error> {
        if self.spent || self.busy {
            return Err(error::unreachable(self.at(), "connection already given up").into());
        }
        let Some(steps) = self.posted.pop_front() else {
            return Err(error::unexpected("a batch that was not posted", self.at()).into());
        };
        self.busy = true;
        let mut late = None;
        let mut outcomes = Vec::with_capacity(steps.len());
        let mut answer = Answer::default();
        loop {
            let message = self.next().await?;
            let step = steps.get(outcomes.len()).copied();
            match (message.tag, step) {
                (tag::READY, _) => {
                    self.ready(&message)?;
                    let failed = matches!(outcomes.last(), Some(Outcome::Failed(_)));
                    if outcomes.len() < steps.len() && !failed {
                        return Err(self.out_of_step("a batch"));
                    }
                    outcomes.resize(steps.len(), Outcome::Skipped);
                    self.end();
                    return late.map_or(Ok(outcomes), Err);
                }
                (tag::ERROR, _) => {
                    let error = self.failed(&message)?;
                    if error.fatal {
                        return Err(error.into());
                    }
                    match step {
                        Some(_) => outcomes.push(Outcome::Failed(Box::new(error))),
                        None => late = Some(error.into()),
                    }
                }
                (tag::PARSE_COMPLETE, Some(Step::Parse))
                | (tag::CLOSE_COMPLETE, Some(Step::Close)) => {
                    outcomes.push(Outcome::Done(Answer::default()));
                }
                (tag::BIND_COMPLETE, Some(Step::Run)) => {}
                (tag::COMMAND_COMPLETE | tag::EMPTY_QUERY, Some(Step::Run)) => {
                    self.part(&message, &mut answer)?;
                    outcomes.push(Outcome::Done(std::mem::take(&mut answer)));
                }
                (tag::DATA_ROW, Some(Step::Run)) => self.part(&message, &mut answer)?,
                _ => return Err(self.out_of_step("a batch")),
            }
        }
    }

    /// Posts a batch and settles it.
    pub(crate) async fn run(&mut self, batch: Batch) -> Result<Vec<Outcome>, Error> {
        if !self.posted.is_empty() {
            return Err(error::unexpected("a batch before the last was settled", self.at()).into());
        }
        self.post(batch).await?;
        self.settle().await
    }

    /// The rows of one statement with values as text.
    pub(crate) async fn query_with(
        &mut self,
        sql: &str,
        values: &[Option<&[u8]>],
    ) -> Result<Vec<Row>, Error> {
        let mut batch = Batch::new();
        batch.once(sql, values);
        let mut rows = Vec::new();
        for outcome in self.run(batch).await? {
            match outcome {
                Outcome::Done(answer) => rows = answer.rows,
                Outcome::Failed(error) => return Err(Error::Server(error)),
                Outcome::Skipped => {}
            }
        }
        Ok(rows)
    }
}
