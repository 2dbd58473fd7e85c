//! The second road of keeping two sides equal: whole transactions in commit order.
//!
//! On the first road ([`Road::Records`]) a feed names records and the engine asks what they are
//! now. A family whose unit of change is a transaction, and whose servers keep a log of them,
//! takes the second: a [`Follow`] is one direction of it. It owns what only the family can judge
//! (which changes a copied chunk already holds, what an applied transaction looks like in the
//! other direction, how progress is kept in the transaction that makes it), and the engine owns
//! when to do what, how fast, what is said of it, and every retry.
//!
//! Positions are log offsets: numbers that grow with the log of *one* system. They are compared
//! with each other and never across sides.

use async_trait::async_trait;
use model::{ConflictPolicy, Dataset, DivergenceClass, Frontier, Key};

use crate::database::Doubt;
use crate::error::PortError;

/// By what a family keeps the other side equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// Its feed names records; what they are now is asked and copied.
    Records,
    /// Whole transactions are applied in commit order; see [`Follow`].
    Transactions,
}

/// An offset in the log of one system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub u64);

/// What a direction is opened with.
#[derive(Debug, Clone)]
pub struct FollowSpec {
    /// Names everything of ours on both systems: the migration's id.
    pub run: String,
    /// Which datasets move; `None` is all.
    pub datasets: Option<Vec<Dataset>>,
    /// What happens to records that exist on the other side before the first copy.
    pub conflict: ConflictPolicy,
    /// The family's own options of the migration, as configured.
    pub options: std::collections::BTreeMap<String, String>,
}

/// What a direction does with the transactions it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowMode {
    /// The followed side decides: its transactions are applied to the other.
    Apply,
    /// The other side decides: whatever is written here by anybody but us is named, not applied.
    Audit,
}

/// One direction: the transactions of one side, applied to the other exactly once.
///
/// The engine calls in this order: [`Follow::capture`], [`Follow::prepare`], then
/// [`Follow::stream`] beside any number of [`Follow::fill`]s, then [`Follow::complete`]. Each is
/// idempotent and may be repeated by a later process. For a reverse direction, opened before the
/// authority moves: `capture`, `stream` in [`FollowMode::Audit`], and, while every write is
/// held, [`Follow::begin`].
#[async_trait]
pub trait Follow: Send + Sync + 'static {
    /// From when this returns, no change of the followed side is lost, whether anybody follows
    /// or not, until [`Follow::release`].
    async fn capture(&self) -> Result<(), PortError>;
    /// Makes the other side able to hold what this one has, short of what would only slow
    /// copying down. Says what it did.
    async fn prepare(&self) -> Result<Vec<String>, PortError>;
    /// Copies the next chunk of a dataset, durably. `from` is `None` at the start. Called for
    /// several datasets at once, and for several parts of one (see [`Follow::split`]).
    async fn fill(&self, part: &FillPart, from: Option<&Frontier>) -> Result<Filled, PortError>;
    /// How a dataset is best copied in parallel: at most `most` parts that have nothing in
    /// common and leave nothing out. The same answer until the copy of it is done.
    async fn split(&self, dataset: &Dataset, most: usize) -> Result<Vec<FillPart>, PortError>;
    /// Every dataset is filled: builds what `prepare` left out. May take long.
    async fn complete(&self) -> Result<Vec<String>, PortError>;
    /// Opens the stream where the other side's progress stands. The stream of an older process or
    /// of an older call is proved dead first. Dropping it is safe at any time: what was half
    /// applied is undone by the server.
    async fn stream(&self) -> Result<Box<dyn ChangeStream>, PortError>;
    /// What the stream does with transactions from the next one on.
    fn set_mode(&self, mode: FollowMode);
    /// An offset behind every change that was acknowledged on the followed side before this
    /// call. Cheap.
    async fn head(&self) -> Result<Offset, PortError>;
    /// Called while no side is being written to and everything was applied: from here on this
    /// direction's transactions count, and what lies before is not to be applied. Durable on the
    /// other side when it returns.
    async fn begin(&self) -> Result<Offset, PortError>;
    /// Makes equal on the other side what no log carries (sequences); exact when called while no
    /// side is being written to. Nothing on the other side ever decreases by it.
    async fn carry(&self) -> Result<(), PortError>;
    /// How much of its log the followed side keeps for us; `None` when nothing is captured.
    async fn retained(&self) -> Result<Option<Retained>, PortError>;
    /// Gives the capture up for good. Fine when there is none.
    async fn release(&self) -> Result<(), PortError>;
}

/// A stream that is open.
#[async_trait]
pub trait ChangeStream: Send {
    /// Reads and applies until there is something to say; returns at least about twice a second.
    async fn next(&mut self) -> Result<StreamEvent, PortError>;
}

/// What a stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// Everything up to this offset is durable on the other side, or does not concern it.
    Applied {
        /// How far.
        upto: Offset,
        /// Transactions applied since the last event.
        transactions: u64,
        /// Changed records in them.
        changes: u64,
    },
    /// In [`FollowMode::Audit`]: somebody other than us wrote here. At most a few keys are named.
    Foreign {
        /// Where.
        at: Offset,
        /// Some of the records.
        keys: Vec<Key>,
        /// How many there were.
        changes: u64,
    },
    /// A change met a record that it did not expect; settled by the conflict policy.
    Conflict {
        /// Which record.
        key: Key,
        /// In what way.
        class: DivergenceClass,
        /// What was done, values masked.
        outcome: String,
    },
    /// A dataset on the other side cannot be kept equal by the stream and has to be copied anew.
    Stale {
        /// Which.
        dataset: Dataset,
        /// Why.
        why: String,
    },
    /// Changes were lost: nothing of the other side can be believed.
    Gap(Doubt),
}

/// A part of a dataset that is copied on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillPart {
    /// Of which dataset.
    pub dataset: Dataset,
    /// Number of the part, from 0.
    pub index: usize,
    /// Estimated records in it.
    pub records: u64,
    /// What the family needs to find it again. Opaque.
    pub bounds: Vec<u8>,
}

/// One chunk copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filled {
    /// Records copied.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Where to go on; `None` when the part is done.
    pub next: Option<Frontier>,
}

/// How much log is kept back for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Bytes kept.
    pub bytes: u64,
    /// Bytes after which the server gives up on us, or its disk is full; `None` if it cannot be
    /// told.
    pub limit: Option<u64>,
}
