//! The loop from the followed side's log to the other side.
//!
//! Life of a transaction: its messages are assembled, it is judged whole, and applied with others
//! that are at hand in one transaction of the other side, together with progress; then the slot is
//! told. A large one is judged and applied in parts, in a transaction of its own, while copying is
//! paused. Nothing is kept open over a return from `next`, but a large one.
//!
//! What was read and needs no applying moves `upto` in memory and at the slot only: writing it
//! down would make log on the other side, which the other direction would answer in kind, for
//! ever. While a chunk waits to be passed it is written down all the same, because only durable
//! progress may let a chunk forget its snapshot.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use family::{ChangeStream, FollowMode, PortError, StreamEvent, Trouble};
use tokio::time::{Instant, timeout};
use wire_postgres::Lsn;
use wire_postgres::replication::{FromServer, Status};

use super::applier::{Applier, Decided};
use super::assemble::{Assembler, Step, Transaction};
use super::capture;
use super::code;
use super::desk::Pause;
use super::judge::Row;
use super::ours;
use super::relation::Relation;
use super::shared::{Shared, Work};
use super::shelf::Seen;
use super::source::Source;
use super::table::Table;
use crate::conn::{Conn, CopyBoth};
use crate::error;
use crate::sql::ident;

/// How long `next` goes on when there is always more.
const TURN: Duration = Duration::from_millis(400);
/// Changes that are committed together at most.
const GROUP_CHANGES: usize = 5_000;
/// How long a stream that is behind what somebody waits for waits for the server to speak.
const PATIENCE: Duration = Duration::from_millis(25);
/// How often progress that needs no applying is written down while a chunk waits for it.
const NOTE_EVERY: Duration = Duration::from_millis(100);
/// How often the server is told where we are without a reason.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// How long an older session that applies may take to end.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// An open stream.
pub(crate) struct Stream {
    pub(super) shared: Arc<Shared>,
    both: CopyBoth,
    pub(super) source: Source,
    pub(super) applier: Applier,
    assembler: Assembler,
    /// Taken and not done: it waits for a chunk.
    step: Option<Step>,
    pub(super) group: Group,
    pub(super) large: Option<Large>,
    /// Transactions up to this commit are applied one change at a time from the start.
    pub(super) careful_upto: Lsn,
    pub(super) tables: HashMap<u32, (Arc<Relation>, Option<Arc<Table>>)>,
    pub(super) gone: HashSet<(String, String)>,
    pub(super) said: VecDeque<StreamEvent>,
    /// Everything before is durable there, or does not concern it.
    upto: Lsn,
    /// The same as the other side has written it down.
    durable: Lsn,
    /// The server has told everything up to here.
    ahead: Lsn,
    reported: Lsn,
    transactions: u64,
    changes: u64,
    noted: Instant,
    told: Instant,
    /// What the server was last asked to come to, and when; then whether it was helped along.
    asked: (Lsn, Instant, bool),
    /// A call of `next` has not ended well: nothing here can be relied upon.
    broken: bool,
}

/// Transactions in the open transaction of the other side.
#[derive(Default)]
pub(super) struct Group {
    pub(super) decided: Vec<Decided>,
    pub(super) transactions: u64,
    pub(super) end: Lsn,
}

/// A transaction that is applied in parts.
pub(super) struct Large {
    _pause: Pause,
    pub(super) changes: u64,
    /// Rows that were read again in it.
    pub(super) fresh: HashMap<Row, Seen>,
}

impl Stream {
    pub(crate) async fn open(shared: &Arc<Shared>) -> Result<Self, PortError> {
        ours::adopt(shared).await?;
        let mut to = shared.connect(&shared.to, Work::Apply).await?;
        super::prepare::silence(&mut to).await?;
        lock(shared, &mut to).await?;
        let mut from = shared.connect(&shared.from, Work::Ask).await?;
        let (progress, slot) = capture::check(shared, &mut from, &mut to).await?;
        if slot.active.is_some() {
            capture::free(shared, &mut from).await?;
        }
        shared.raise_floor(progress.upto);
        shared.desk.settle(progress.upto);
        let names = &shared.names;
        let sql = format!(
            "START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', messages 'true', \
             publication_names '{},{}')",
            ident(&names.slot),
            progress.upto,
            ident(&names.publication),
            ident(&names.inserts)
        );
        let stream = shared.connect(&shared.from, Work::Stream).await?;
        let both = stream.replicate(&sql).await?;
        let now = Instant::now();
        Ok(Self {
            shared: shared.clone(),
            both,
            source: Source::new(from),
            applier: Applier::new(to, names.clone()).await?,
            assembler: Assembler::new(&names.marker),
            step: None,
            group: Group::default(),
            large: None,
            careful_upto: Lsn(0),
            tables: HashMap::new(),
            gone: HashSet::new(),
            said: VecDeque::new(),
            upto: progress.upto,
            durable: progress.upto,
            ahead: Lsn(0),
            reported: Lsn(0),
            transactions: 0,
            changes: 0,
            noted: now,
            told: now,
            asked: (Lsn(0), now, false),
            broken: false,
        })
    }

    async fn turn(&mut self) -> Result<StreamEvent, PortError> {
        let until = Instant::now() + TURN;
        loop {
            if let Some(event) = self.said.pop_front() {
                return Ok(event);
            }
            let late = Instant::now() >= until;
            if late {
                return self.pause().await;
            }
            if let Some(step) = self.step.take() {
                self.step = self.wait_or_play(step, until).await?;
                continue;
            }
            match self.read(until).await? {
                Some(frame) => self.frame(&frame)?,
                None if !self.group.is_empty() => return self.pause().await,
                None => self.idle().await?,
            }
            if self.upto > self.reported && self.shared.wanted() > self.reported {
                return self.pause().await;
            }
        }
    }

    /// Brings what is at hand to an end and says how far that is.
    async fn pause(&mut self) -> Result<StreamEvent, PortError> {
        self.commit().await?;
        self.note().await?;
        if self.upto > self.reported || self.told.elapsed() >= STATUS_EVERY {
            self.status(false).await?;
        }
        self.reported = self.upto;
        let transactions = std::mem::take(&mut self.transactions);
        let changes = std::mem::take(&mut self.changes);
        Ok(StreamEvent::Applied { upto: family::Offset(self.upto.0), transactions, changes })
    }

    async fn read(&mut self, until: Instant) -> Result<Option<Bytes>, PortError> {
        if let Some(frame) = self.both.ready()? {
            return Ok(Some(frame));
        }
        let wait = if !self.group.is_empty() {
            Duration::ZERO
        } else if self.shared.wanted() > self.upto && !self.asked.2 {
            PATIENCE
        } else {
            until.saturating_duration_since(Instant::now())
        };
        match timeout(wait, self.both.next()).await {
            Err(_) => Ok(None),
            Ok(Ok(Some(frame))) => Ok(Some(frame)),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(None)) => {
                let message =
                    format!("{}: the server ended the stream", self.shared.from.address());
                Err(PortError::new(Trouble::Unreachable, code::ENDED, message))
            }
        }
    }

    fn frame(&mut self, frame: &Bytes) -> Result<(), PortError> {
        let at = self.shared.from.address();
        let garbled = |e| error::undecodable(e, at);
        match FromServer::parse(frame).map_err(garbled)? {
            FromServer::Wal { data, .. } => {
                let step = self.assembler.take(&frame.slice_ref(data)).map_err(garbled)?;
                self.step = (!matches!(step, Step::More)).then_some(step);
            }
            FromServer::Keepalive { end, reply_now, .. } => {
                // Inside a transaction it tells of the log, not of what was told.
                if !self.assembler.is_open() {
                    self.ahead = self.ahead.max(end);
                    if self.group.is_empty() {
                        self.upto = self.upto.max(end);
                    }
                }
                if reply_now {
                    self.told -= STATUS_EVERY;
                }
            }
        }
        Ok(())
    }

    /// Nothing is at hand. If somebody waits for us, the server is asked where it is; when that
    /// does not help, its log is moved: its end may be a record that nobody flushes.
    async fn idle(&mut self) -> Result<(), PortError> {
        let wanted = self.shared.wanted();
        if wanted > self.upto {
            let (asked, at, helped) = self.asked;
            if asked != wanted {
                self.asked = (wanted, Instant::now(), false);
                self.status(true).await?;
            } else if !helped && at.elapsed() >= PATIENCE {
                self.asked.2 = true;
                self.source.nudge("exodus-head").await?;
            }
        }
        self.note().await?;
        if self.told.elapsed() >= STATUS_EVERY {
            self.status(false).await?;
        }
        Ok(())
    }

    /// Writes progress down if a chunk waits for it.
    async fn note(&mut self) -> Result<(), PortError> {
        let due = self.upto > self.durable && self.noted.elapsed() >= NOTE_EVERY;
        if due && !self.applier.is_open() && self.shared.desk.holds() {
            self.noted = Instant::now();
            self.applier.progress(self.upto).await?;
            self.settled(self.upto);
        }
        Ok(())
    }

    fn settled(&mut self, upto: Lsn) {
        self.durable = self.durable.max(upto);
        self.shared.desk.settle(self.durable);
    }

    async fn status(&mut self, reply_now: bool) -> Result<(), PortError> {
        self.told = Instant::now();
        let written = self.upto.max(self.ahead);
        let status = Status {
            written,
            flushed: self.upto,
            applied: self.upto,
            reply_now,
            ..Status::default()
        };
        self.both.status(&status);
        self.both.flush().await
    }

    /// Everything up to here needs no applying, or was applied.
    pub(super) fn pass(&mut self, end: Lsn) {
        if self.group.is_empty() {
            self.upto = self.upto.max(end);
        } else {
            self.group.end = self.group.end.max(end);
        }
    }

    /// A transaction of the other side is durable.
    pub(super) fn passed(&mut self, end: Lsn, transactions: u64, changes: u64) {
        self.upto = self.upto.max(end).max(self.ahead);
        self.settled(end);
        self.transactions += transactions;
        self.changes += changes;
    }

    /// Plays a step; gives it back when a chunk has to come first, after waiting for news of one.
    async fn wait_or_play(
        &mut self,
        step: Step,
        until: Instant,
    ) -> Result<Option<Step>, PortError> {
        let mut news = self.shared.desk.news();
        let Some(step) = self.play(step).await? else { return Ok(None) };
        // Nothing may be open while we wait.
        self.commit().await?;
        self.note().await?;
        let left = until.saturating_duration_since(Instant::now());
        let _ = timeout(left, news.changed()).await;
        if self.told.elapsed() >= STATUS_EVERY {
            self.status(false).await?;
        }
        Ok(Some(step))
    }

    async fn play(&mut self, step: Step) -> Result<Option<Step>, PortError> {
        match step {
            Step::More => Ok(None),
            Step::Whole(tx) => match self.whole(&tx).await? {
                true => Ok(None),
                false => Ok(Some(Step::Whole(tx))),
            },
            Step::Part(tx) => match self.part(&tx, false).await? {
                true => Ok(None),
                false => Ok(Some(Step::Part(tx))),
            },
            Step::Last(tx) => match self.part(&tx, true).await? {
                true => Ok(None),
                false => Ok(Some(Step::Last(tx))),
            },
        }
    }

    /// Whether a transaction is not to be applied, whatever is in it.
    pub(super) fn is_past(&self, tx: &Transaction) -> bool {
        tx.marked || tx.commit < self.shared.floor()
    }

    pub(super) fn is_audit(&self) -> bool {
        self.shared.mode() == FollowMode::Audit
    }

    /// Begins a transaction in parts: no chunk begins from here on.
    pub(super) fn enlarge(&mut self) {
        let pause = self.shared.desk.pause();
        self.large = Some(Large { _pause: pause, changes: 0, fresh: HashMap::new() });
    }

    pub(super) fn is_full(&self) -> bool {
        self.group.decided.len() >= GROUP_CHANGES
    }

    /// Opens the stream anew where durable progress stands.
    pub(super) async fn reopen(&mut self, careful_upto: Lsn) -> Result<(), PortError> {
        let shared = self.shared.clone();
        self.large = None;
        let fresh = Box::pin(Self::open(&shared)).await?;
        let said = std::mem::take(&mut self.said);
        let (transactions, changes) = (self.transactions, self.changes);
        *self = Self { careful_upto, said, transactions, changes, broken: true, ..fresh };
        Ok(())
    }
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.transactions == 0
    }
}

#[async_trait]
impl ChangeStream for Stream {
    async fn next(&mut self) -> Result<StreamEvent, PortError> {
        if self.broken {
            let message = "the stream was interrupted".to_owned();
            return Err(PortError::new(Trouble::Unreachable, code::ENDED, message));
        }
        self.broken = true;
        let event = self.turn().await?;
        self.broken = false;
        Ok(event)
    }
}

/// Makes this session the only one that applies: an older one is ended, and holds the lock until
/// nothing of it can become durable any more.
async fn lock(shared: &Shared, to: &mut Conn) -> Result<(), PortError> {
    let (high, low) = shared.names.lock();
    let until = Instant::now() + TAKE_OVER;
    loop {
        let sql = format!("SELECT pg_catalog.pg_try_advisory_lock({high}, {low})");
        if to.query_one(&sql).await?.flag(0)? {
            return Ok(());
        }
        if Instant::now() >= until {
            let message = format!("{}: another session applies here", to.at());
            return Err(PortError::new(Trouble::Unreachable, code::TAKEN_OVER, message));
        }
        // Whoever holds it is ours: the numbers are. An older process, or a session of this one
        // that was dropped.
        let which = format!(
            "pid IN (SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
             AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
             AND classid = {}::bigint::oid AND objid = {}::bigint::oid AND objsubid = 2)",
            high.cast_unsigned(),
            low.cast_unsigned()
        );
        crate::conn::kill(to, &which).await?;
    }
}
