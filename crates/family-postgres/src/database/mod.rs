//! One side as workers use it: the cold ports.
//!
//! Constraints: everything here is safe on a production server (bounded questions, short waits
//! for locks); nothing concludes from a name what can be asked. Rows are read as text under the
//! settings of `conn::link`, columns by name.
//!
//! Layout: `probe` who the server is, `inventory` and `scan`
//! what there is, `span` a digest over much of it, `relation` one table, `statements` questions about its rows, `reader`,
//! `writer` and `image` rows by key, `fence` who may connect, `sessions` who is connected,
//! `cleanup` what remains of us.

mod cleanup;
mod fence;
mod image;
pub(crate) mod inventory;
mod probe;
mod reader;
pub(crate) mod relation;
mod scan;
mod sessions;
mod span;
mod statements;
mod writer;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use family::{
    Chunk, Database, Feed, FenceRecord, Finding, Inventory, PortError, Probe, Reader, Span,
    SpanEnd, Trouble, Writer,
};
use model::{Dataset, Frontier, Side};
use parking_lot::Mutex;
use wire_postgres::session::Transaction;

pub(crate) use cleanup::cleanup;

use crate::conn::{Conn, Link, Purpose};
use crate::error::code;

/// Connections kept for the next question.
const IDLE_MAX: usize = 2;
const CONTROL: Purpose = Purpose::of("control");

/// One side of a migration.
pub(crate) struct PostgresDatabase {
    link: Arc<Link>,
    idle: Mutex<Vec<Conn>>,
}

/// A connection that goes back when it is dropped in good order.
pub(crate) struct Lent<'d> {
    database: &'d PostgresDatabase,
    conn: Option<Conn>,
}

impl PostgresDatabase {
    /// Opens a side: connects once, so that what cannot be reached is known now.
    pub(crate) async fn open(link: Arc<Link>) -> Result<Self, PortError> {
        let conn = link.connect(CONTROL).await?;
        Ok(Self { link, idle: Mutex::new(vec![conn]) })
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// A connection for short questions.
    pub(crate) async fn control(&self) -> Result<Lent<'_>, PortError> {
        let idle = self.idle.lock().pop();
        if let Some(mut conn) = idle {
            // It may have been closed by the server while nobody looked.
            if conn.query("SELECT").await.is_ok() {
                return Ok(Lent { database: self, conn: Some(conn) });
            }
        }
        Ok(Lent { database: self, conn: Some(self.link.connect(CONTROL).await?) })
    }
}

impl Deref for Lent<'_> {
    type Target = Conn;

    #[expect(clippy::expect_used, reason = "it is taken only by drop")]
    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect("lent")
    }
}

impl DerefMut for Lent<'_> {
    #[expect(clippy::expect_used, reason = "it is taken only by drop")]
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("lent")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        if conn.is_spent() || conn.transaction() != Transaction::Idle {
            return;
        }
        let mut idle = self.database.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(conn);
        }
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn side(&self) -> Side {
        self.link.side()
    }

    async fn probe(&self) -> Result<Probe, PortError> {
        probe::probe(&mut *self.control().await?).await
    }

    async fn assess(&self) -> Vec<Finding> {
        crate::assess::side(self).await
    }

    async fn inventory(&self) -> Result<Vec<Inventory>, PortError> {
        inventory::inventory(&mut *self.control().await?).await
    }

    async fn ping(&self) -> Result<Duration, PortError> {
        let mut conn = self.control().await?;
        let asked = Instant::now();
        conn.query("SELECT").await?;
        Ok(asked.elapsed())
    }

    async fn span(
        &self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        end: SpanEnd<'_>,
    ) -> Result<Option<Span>, PortError> {
        span::span(&mut *self.control().await?, dataset, from, end).await
    }

    async fn scan(
        &self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        limit: usize,
    ) -> Result<Chunk, PortError> {
        scan::scan(&mut *self.control().await?, dataset, from, limit).await
    }

    async fn reader(&self) -> Result<Box<dyn Reader>, PortError> {
        Ok(Box::new(reader::PostgresReader::open(&self.link).await?))
    }

    async fn writer(&self) -> Result<Box<dyn Writer>, PortError> {
        Ok(Box::new(writer::PostgresWriter::open(&self.link).await?))
    }

    async fn feed(&self) -> Result<Box<dyn Feed>, PortError> {
        let why = format!("{}: this family follows whole transactions", self.link.address());
        Err(PortError::new(Trouble::Unsupported, code::NO_FEED, why))
    }

    async fn plan_fence(&self) -> Result<FenceRecord, PortError> {
        fence::plan(&mut *self.control().await?).await
    }

    async fn fence(&self, record: &FenceRecord) -> Result<(), PortError> {
        fence::apply(&mut *self.control().await?, record).await
    }

    async fn lift(&self, record: &FenceRecord) -> Result<(), PortError> {
        fence::lift(&mut *self.control().await?, record).await
    }

    async fn reap(&self) -> Result<usize, PortError> {
        sessions::reap(&mut *self.control().await?).await
    }

    async fn foreign_sessions(&self) -> Result<Vec<String>, PortError> {
        sessions::foreign(&mut *self.control().await?).await
    }
}
