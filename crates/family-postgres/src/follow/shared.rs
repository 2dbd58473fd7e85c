//! What the parts of one direction have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use family::{FollowMode, FollowSpec, PortError, Trouble};
use model::{Dataset, Side};
use parking_lot::Mutex;
use wire_postgres::Lsn;

use super::code;
use super::desk::Desk;
use super::names::Names;
use super::table::Table;
use crate::conn::{Conn, Link, Purpose};

/// Bytes that a chunk is to have, about.
const CHUNK_BYTES: u64 = 16 << 20;
/// Rows of a chunk: more would make the stream wait long, fewer would cost more than they copy.
const CHUNK_ROWS: std::ops::RangeInclusive<u64> = 1_000..=200_000;
/// Longest wait for transactions that a new slot has to wait for, unless an option says otherwise.
const SLOT_WAIT: Duration = Duration::from_secs(30);

/// One direction, as all its parts see it.
pub(crate) struct Shared {
    pub(crate) from: Arc<Link>,
    pub(crate) to: Arc<Link>,
    pub(crate) names: Arc<Names>,
    pub(crate) spec: FollowSpec,
    pub(crate) desk: Arc<Desk>,
    audit: AtomicBool,
    /// Transactions that committed before are not to be applied.
    floor: AtomicU64,
    /// Somebody waits for the stream to come this far.
    wanted: AtomicU64,
    /// Number of this process among those that owned the direction, once it does.
    pub(crate) owner: tokio::sync::Mutex<Option<u64>>,
    /// A connection for small questions to the followed side.
    pub(crate) asking: tokio::sync::Mutex<Option<Conn>>,
    /// Pairs of connections that copy, while they are idle.
    pub(crate) copying: Mutex<Vec<(Conn, Conn)>>,
}

impl Shared {
    pub(crate) fn new(from: Arc<Link>, to: Arc<Link>, spec: FollowSpec) -> Self {
        let names = Arc::new(Names::new(&spec.run, from.side()));
        Self {
            from,
            to,
            names,
            spec,
            desk: Desk::new(),
            audit: AtomicBool::new(false),
            floor: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            owner: tokio::sync::Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            copying: Mutex::default(),
        }
    }

    pub(crate) fn mode(&self) -> FollowMode {
        if self.audit.load(Ordering::Acquire) { FollowMode::Audit } else { FollowMode::Apply }
    }

    pub(crate) fn set_mode(&self, mode: FollowMode) {
        self.audit.store(mode == FollowMode::Audit, Ordering::Release);
    }

    pub(crate) fn floor(&self) -> Lsn {
        Lsn(self.floor.load(Ordering::Acquire))
    }

    pub(crate) fn raise_floor(&self, to: Lsn) {
        self.floor.fetch_max(to.0, Ordering::AcqRel);
    }

    /// Everything that was known of the direction is void: it was given up.
    pub(crate) async fn forget(&self) {
        *self.owner.lock().await = None;
        self.desk.forget();
        self.floor.store(0, Ordering::Release);
        self.wanted.store(0, Ordering::Release);
        self.copying.lock().clear();
    }

    pub(crate) fn wanted(&self) -> Lsn {
        Lsn(self.wanted.load(Ordering::Acquire))
    }

    pub(crate) fn want(&self, upto: Lsn) {
        self.wanted.fetch_max(upto.0, Ordering::AcqRel);
    }

    /// Whether a dataset takes part.
    pub(crate) fn only(&self) -> Option<&[Dataset]> {
        self.spec.datasets.as_deref()
    }

    fn option<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.spec.options.get(name)?.parse().ok()
    }

    /// Whether tables without a key may be given the whole row as identity.
    pub(crate) fn may_identify(&self) -> bool {
        self.option("identity_full").unwrap_or(false)
    }

    pub(crate) fn slot_wait(&self) -> Duration {
        self.option("slot_wait_ms").map_or(SLOT_WAIT, Duration::from_millis)
    }

    /// Rows of a chunk of this table.
    pub(crate) fn chunk_rows(&self, table: &Table) -> u64 {
        let by_size = CHUNK_BYTES * table.rows.max(1) / table.bytes.max(1);
        let by_size = by_size.clamp(*CHUNK_ROWS.start(), *CHUNK_ROWS.end());
        self.option("chunk_rows").unwrap_or(by_size).max(1)
    }

    /// A connection that is named so that a later process finds it.
    pub(crate) async fn connect(&self, side: &Arc<Link>, work: Work) -> Result<Conn, PortError> {
        let mut conn = side.connect(work.purpose(self.from.side())).await?;
        conn.set_patience(None);
        Ok(conn)
    }

    /// The connection for small questions; whoever takes it puts it back.
    pub(crate) async fn asker(&self, idle: &mut Option<Conn>) -> Result<Conn, PortError> {
        match idle.take().filter(|conn| !conn.is_spent()) {
            Some(conn) => Ok(conn),
            None => self.connect(&self.from, Work::Ask).await,
        }
    }

    /// A table that moves, by the engine's name for it.
    pub(crate) fn table(&self, dataset: &Dataset) -> Result<Arc<Table>, PortError> {
        let found = self.desk.look(|book| {
            let mut tables = book.tables();
            tables.find(|table| table.dataset() == *dataset).cloned()
        });
        found.ok_or_else(|| {
            let message = format!("{}: no table {dataset} that can move", self.from.address());
            PortError::new(Trouble::Rejected, code::NO_TABLE, message)
        })
    }
}

/// What a connection does; a later process kills those that write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Asks.
    Ask,
    /// Copies.
    Fill,
    /// Applies.
    Apply,
    /// Replicates.
    Stream,
}

impl Work {
    pub(crate) fn purpose(self, followed: Side) -> Purpose {
        let forward = followed == Side::Source;
        match self {
            Self::Ask => Purpose::of("follow"),
            Self::Fill if forward => Purpose::of("fill-f"),
            Self::Fill => Purpose::of("fill-r"),
            Self::Apply if forward => Purpose::of("apply-f"),
            Self::Apply => Purpose::of("apply-r"),
            Self::Stream if forward => Purpose::replication("stream-f"),
            Self::Stream => Purpose::replication("stream-r"),
        }
    }
}
