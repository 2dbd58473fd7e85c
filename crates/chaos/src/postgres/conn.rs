//! A blocking connection over `tokio-postgres`, and what can go wrong with one.
//!
//! Constraints: one thread per connection; prepared statements are kept by their text, so the
//! same text is the same named statement; nothing is tried twice here.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _, pin_mut, stream};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
pub use tokio_postgres::Row;
pub use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage, Statement};

/// A parameter of a statement.
pub type Param<'p> = &'p (dyn ToSql + Sync);

/// Where a database is and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgAddress {
    /// Host name or IP.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: String,
    /// `application_name`.
    pub application: String,
}

impl PgAddress {
    /// A database of this machine; the role is still to be named.
    #[must_use]
    pub fn local(port: u16, database: &str) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port,
            database: database.to_owned(),
            user: String::new(),
            password: String::new(),
            application: "chaos".to_owned(),
        }
    }

    /// The same as another role.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        user.clone_into(&mut self.user);
        password.clone_into(&mut self.password);
        self
    }

    /// Another database of the same server.
    #[must_use]
    pub fn with_database(mut self, database: &str) -> Self {
        database.clone_into(&mut self.database);
        self
    }

    /// The same way in at another place.
    #[must_use]
    pub fn at(mut self, host: &str, port: u16) -> Self {
        host.clone_into(&mut self.host);
        self.port = port;
        self
    }

    /// `host:port`.
    #[must_use]
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Why something was not answered as hoped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The server says no.
    #[error("{state}: {text}")]
    Refused {
        /// SQLSTATE.
        state: String,
        /// Whether it ends the session with it.
        fatal: bool,
        /// Its words.
        text: String,
    },
    /// It broke or took too long on the way: nobody knows.
    #[error("{0}")]
    Broken(String),
    /// Nothing was sent.
    #[error("not sent: {0}")]
    NotSent(String),
}

impl Fault {
    /// The SQLSTATE, if the server spoke.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        match self {
            Self::Refused { state, .. } => Some(state),
            _ => None,
        }
    }

    fn of(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::Refused {
                state: db.code().code().to_owned(),
                fatal: !db.severity().eq_ignore_ascii_case("ERROR"),
                text: db.message().to_owned(),
            },
            None => {
                let mut text = error.to_string();
                if let Some(cause) = std::error::Error::source(error) {
                    text = format!("{text}: {cause}");
                }
                Self::Broken(text)
            }
        }
    }
}

/// Messages kept until they are asked for.
const NOTES_MAX: usize = 10_000;
/// Named statements kept per connection.
const STATEMENTS_MAX: usize = 200;

/// A message that came by NOTIFY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The channel.
    pub channel: String,
    /// What was said.
    pub payload: String,
}

/// The connection.
pub struct Conn {
    // Before the runtime, so that it goes first.
    client: Option<Client>,
    pump: Option<JoinHandle<()>>,
    statements: HashMap<String, Statement>,
    notes: Arc<Mutex<VecDeque<Note>>>,
    limit: Duration,
    runtime: Runtime,
}

impl Conn {
    /// Connects and logs in. Every later call has `limit` to be answered, too.
    pub fn open(address: &PgAddress, limit: Duration) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Fault::NotSent(e.to_string()))?;
        let mut config = Config::new();
        config
            .host(&address.host)
            .port(address.port)
            .dbname(&address.database)
            .user(&address.user)
            .application_name(&address.application);
        if !address.password.is_empty() {
            config.password(&address.password);
        }
        let connected =
            runtime.block_on(async { tokio::time::timeout(limit, config.connect(NoTls)).await });
        // Whatever happens here, nothing of the workload was sent.
        let (client, mut connection) = match connected {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => {
                return Err(match Fault::of(&error) {
                    Fault::Broken(text) => Fault::NotSent(text),
                    other => other,
                });
            }
            Err(_) => return Err(Fault::NotSent("no way in in time".to_owned())),
        };
        let notes = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&notes);
        let pump = runtime.spawn(async move {
            let messages = stream::poll_fn(move |cx| connection.poll_message(cx));
            pin_mut!(messages);
            while let Ok(Some(message)) = messages.try_next().await {
                if let AsyncMessage::Notification(note) = message {
                    let (channel, payload) = (note.channel().to_owned(), note.payload().to_owned());
                    let mut kept = kept.lock();
                    if kept.len() < NOTES_MAX {
                        kept.push_back(Note { channel, payload });
                    }
                }
            }
        });
        let (client, pump) = (Some(client), Some(pump));
        Ok(Self { client, pump, statements: HashMap::new(), notes, limit, runtime })
    }

    /// Runs a future under the limit. One that took too long leaves a connection nobody should
    /// use again.
    fn run<T>(
        &self,
        act: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        let limit = self.limit;
        match self.runtime.block_on(async { tokio::time::timeout(limit, act).await }) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Fault::of(&error)),
            Err(_) => Err(Fault::Broken(format!("no reply in {} ms", limit.as_millis()))),
        }
    }

    fn client(&self) -> Result<&Client, Fault> {
        self.client.as_ref().ok_or_else(|| Fault::NotSent("closed".to_owned()))
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.as_ref().is_none_or(Client::is_closed)
    }

    /// Statements without results, in one simple query.
    pub fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        self.run(self.client()?.batch_execute(sql))
    }

    /// Rows as text by the simple protocol.
    pub fn simple(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Fault> {
        let messages = self.run(self.client()?.simple_query(sql))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .map(|row| (0..row.len()).map(|n| row.get(n).map(ToOwned::to_owned)).collect())
            .collect())
    }

    /// The one text of a one-row, one-column answer.
    pub fn text(&mut self, sql: &str) -> Result<Option<String>, Fault> {
        Ok(self.simple(sql)?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// Rows by a named statement, prepared once per connection.
    pub fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
        let statement = self.prepared(sql)?;
        self.run(self.client()?.query(&statement, params))
    }

    /// Rows changed, by a named statement.
    pub fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, Fault> {
        let statement = self.prepared(sql)?;
        self.run(self.client()?.execute(&statement, params))
    }

    /// Rows by a statement that is prepared, used once and closed.
    pub fn query_once(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
        let client = self.client()?;
        self.run(async {
            let statement = client.prepare(sql).await?;
            client.query(&statement, params).await
        })
    }

    /// Hands out rows one by one, so that memory is bounded by what the caller keeps.
    pub fn each(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut take: impl FnMut(&Row),
    ) -> Result<(), Fault> {
        let client = self.client()?;
        self.run(async {
            let rows = client.query_raw(sql, params.iter().copied()).await?;
            pin_mut!(rows);
            while let Some(row) = rows.try_next().await? {
                take(&row);
            }
            Ok(())
        })
    }

    /// COPY … FROM STDIN of text in its format; returns the rows that were taken.
    pub fn copy_in(&mut self, sql: &str, text: String) -> Result<u64, Fault> {
        let client = self.client()?;
        self.run(async {
            let sink = client.copy_in(sql).await?;
            pin_mut!(sink);
            let text = Bytes::from(text);
            // In pieces, as drivers do it.
            for start in (0..text.len()).step_by(4_096) {
                sink.send(text.slice(start..text.len().min(start + 4_096))).await?;
            }
            sink.finish().await
        })
    }

    /// Messages that came so far, after waiting up to `limit` for the first.
    pub fn notes(&mut self, limit: Duration) -> Vec<Note> {
        let notes = Arc::clone(&self.notes);
        self.runtime.block_on(async {
            let some = async {
                while notes.lock().is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let _in_time = tokio::time::timeout(limit, some).await;
        });
        self.notes.lock().drain(..).collect()
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.run(self.client()?.prepare(sql))?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // Says goodbye, as every driver does; whoever does not listen is left alone.
        self.statements.clear();
        self.client = None;
        if let Some(pump) = self.pump.take() {
            self.runtime.block_on(async {
                let _in_time = tokio::time::timeout(Duration::from_millis(200), pump).await;
            });
        }
    }
}
