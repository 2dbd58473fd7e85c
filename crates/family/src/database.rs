use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::{Dataset, Digest, Frontier, Key, Record, Side, Tenant};

use crate::assess::{Finding, Inventory, Probe};
use crate::error::{PortError, Trouble};
use crate::follow::{Follow, FollowSpec, Road};

/// One entry point per family: opens databases and answers what needs no connection.
#[async_trait]
pub trait Family: Send + Sync + 'static {
    /// Wire name: `redis`, `postgres`, `mongodb`, `fake`.
    fn name(&self) -> &'static str;
    /// Opens a database for workers. Fails when it cannot be reached or refuses us.
    async fn open(&self, spec: EndpointSpec) -> Result<Arc<dyn Database>, PortError>;
    /// The tenant a key belongs to under a partition rule such as `prefix:":"`, `hash_tag`, `db`.
    /// `None` when the rule does not apply to the key.
    fn tenant_of(&self, rule: &str, key: &Key) -> Option<Tenant>;
    /// A key as an operator would type it, values never shown.
    fn show_key(&self, key: &Key) -> String;
    /// What a change feed says of a key. Keys of which it says the same cannot be told apart by
    /// it: a report names all of them, and a copy of one explains it.
    fn reported_as<'k>(&self, key: &'k Key) -> &'k [u8] {
        key.as_bytes()
    }
    /// By what the other side is kept equal.
    fn road(&self) -> Road {
        Road::Records
    }
    /// Opens one direction of [`Road::Transactions`]: from `from` to `to`. Touches nothing yet.
    async fn follow(
        &self,
        from: &Arc<dyn Database>,
        to: &Arc<dyn Database>,
        spec: FollowSpec,
    ) -> Result<Arc<dyn Follow>, PortError> {
        let _ = (from, to, spec);
        let message = format!("`{}` does not follow transactions", self.name());
        Err(PortError::new(Trouble::Unsupported, "EXO-ENG-014", message))
    }
    /// Which dataset a key belongs to.
    fn dataset_of(&self, key: &Key) -> Dataset;
    /// Checks that concern both sides and need both connections (same system, clock, foreign
    /// keys, version gaps).
    async fn compare_endpoints(
        &self,
        source: &Arc<dyn Database>,
        target: &Arc<dyn Database>,
    ) -> Vec<Finding>;
    /// Removes everything of ours that may linger on a side (markers, users), best effort, and
    /// says what was found and removed.
    async fn cleanup(&self, database: &Arc<dyn Database>) -> Result<Vec<String>, PortError>;
}

/// How to reach a system.
#[derive(Clone)]
pub struct EndpointSpec {
    /// Which side of the migration this is; appears in messages.
    pub side: Side,
    /// `host:port`.
    pub address: String,
    /// The database on it, for families whose connections are to one; `None` is the family's
    /// default.
    pub database: Option<String>,
    /// Account of the workers; `None` is the server's default account.
    pub user: Option<String>,
    /// Its secret, already resolved from its reference.
    pub password: Option<Arc<str>>,
    /// TLS towards the server.
    pub tls: TlsMode,
    /// Names our connections on the server, so that older ones can be found and killed. Contains
    /// the boot id, e.g. `exodus:<migration>:<boot>`.
    pub session_tag: String,
    /// Limit for connecting and for one batch.
    pub timeout: Duration,
    /// Accounts of applications, which the fence takes write rights from.
    pub application_users: Vec<String>,
}

/// TLS towards an endpoint, in libpq's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// Encrypted, certificate not checked.
    Require,
    /// Certificate chain checked against this CA file (PEM) or the system's.
    VerifyCa(Option<std::path::PathBuf>),
    /// Chain and host name checked.
    VerifyFull(Option<std::path::PathBuf>),
}

/// One database system, as workers use it. Object-safe; one call per batch.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// Which side of the migration this is.
    fn side(&self) -> Side;
    /// Who it is and what it can do. Bounded load; safe on production.
    async fn probe(&self) -> Result<Probe, PortError>;
    /// Checks that concern this side alone.
    async fn assess(&self) -> Vec<Finding>;
    /// What there is to move.
    async fn inventory(&self) -> Result<Vec<Inventory>, PortError>;
    /// A cheap round trip; the time it took.
    async fn ping(&self) -> Result<Duration, PortError>;
    /// The next chunk of keys. `from` is `None` at the start. May name a key twice, never misses
    /// one that existed during the whole scan.
    async fn scan(
        &self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        limit: usize,
    ) -> Result<Chunk, PortError>;
    /// One digest over many records in key order, from behind `from` to an end, for comparing
    /// them at once. Equal on both sides when every record is, and different otherwise but for
    /// the luck of a hash. `None` where the family has none: records are then compared singly.
    async fn span(
        &self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        end: SpanEnd<'_>,
    ) -> Result<Option<Span>, PortError> {
        let _ = (dataset, from, end);
        Ok(None)
    }
    /// A connection that reads records under a fence.
    async fn reader(&self) -> Result<Box<dyn Reader>, PortError>;
    /// A connection that applies records.
    async fn writer(&self) -> Result<Box<dyn Writer>, PortError>;
    /// Starts the change feed. Every change that begins after this returns is delivered.
    async fn feed(&self) -> Result<Box<dyn Feed>, PortError>;
    /// Stops everybody but us from writing, reversibly. The record is stored by the caller
    /// *before* `fence` acts: call `plan_fence` first, persist, then `fence`.
    async fn plan_fence(&self) -> Result<FenceRecord, PortError>;
    /// Applies a planned fence. Idempotent.
    async fn fence(&self, fence: &FenceRecord) -> Result<(), PortError>;
    /// Lifts a recorded fence. Idempotent; fine when it was never applied.
    async fn lift(&self, fence: &FenceRecord) -> Result<(), PortError>;
    /// Kills connections of ours that carry another session tag of this migration, and any that
    /// this process abandoned with an unanswered command. Returns how many.
    async fn reap(&self) -> Result<usize, PortError>;
    /// Sessions on the server that are not ours (address and name), for "still direct".
    async fn foreign_sessions(&self) -> Result<Vec<String>, PortError>;
}

/// A chunk of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Keys found.
    pub keys: Vec<Key>,
    /// Where to go on; `None` when the dataset is done.
    pub next: Option<Frontier>,
}

/// Where a span ends.
#[derive(Debug, Clone, Copy)]
pub enum SpanEnd<'a> {
    /// Behind this many records, or at the end of the dataset.
    Behind(usize),
    /// With the record at this frontier; `None` is the end of the dataset.
    At(Option<&'a Frontier>),
}

/// Many records at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// How many.
    pub records: u64,
    /// Over all of them.
    pub digest: Digest,
    /// Where it ends; `None` at the end of the dataset.
    pub next: Option<Frontier>,
}

/// Reads records such that a later `confirm` can tell which of them moved meanwhile.
#[async_trait]
pub trait Reader: Send {
    /// Reads the current state of each key, in the order given, under one fence. An earlier
    /// unconfirmed fence is dropped.
    async fn read(&mut self, keys: &[Key]) -> Result<Vec<Record>, PortError>;
    /// Ends the fence of the last `read`. Call after the records were applied. "Not moved" holds
    /// from before the read until some moment after this call began: nothing may be asked of the
    /// server ahead of it.
    async fn confirm(&mut self) -> Result<Moved, PortError>;
    /// `confirm`, then `read`: where the family can, in one question.
    async fn turn(&mut self, keys: &[Key]) -> Result<(Moved, Vec<Record>), PortError> {
        let moved = self.confirm().await?;
        Ok((moved, self.read(keys).await?))
    }
    /// Digests of the current states, `None` for absent records. Equal on both sides exactly
    /// when the record is equal, expiry within the family's tolerance included.
    async fn digest(&mut self, keys: &[Key]) -> Result<Vec<Option<Digest>>, PortError>;
    /// A short masked description of each record for a divergence entry: the kind first, sizes
    /// between, the expiry last, separated by `, `; one word (`absent`) where there is none.
    async fn describe(&mut self, keys: &[Key]) -> Result<Vec<String>, PortError>;
}

/// What happened to the records of a fenced read since they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// None of them changed: what was applied is what they are.
    None,
    /// At least one changed and it is not known which: all stay dirty, to be retried singly or
    /// in smaller batches.
    Some,
    /// Exactly these changed.
    Keys(Vec<Key>),
}

/// Applies records.
#[async_trait]
pub trait Writer: Send {
    /// Makes each record on this side equal to its image (removing it for `Absent`), in order,
    /// and says per record how that went. Idempotent. An error means nothing is known of any
    /// record; the connection is then dead on the server or `reap` must be called before the
    /// keys are copied again.
    async fn apply(&mut self, records: &[Record]) -> Result<Vec<Applied>, PortError>;
    /// Which of these keys exist here already (for the conflict policy).
    async fn exists(&mut self, keys: &[Key]) -> Result<Vec<bool>, PortError>;
}

/// How one record's application went.
#[derive(Debug, Clone)]
pub enum Applied {
    /// It is now equal.
    Done,
    /// This server cannot hold it.
    Failed(PortError),
}

/// The stream of changes of one side.
#[async_trait]
pub trait Feed: Send {
    /// The next event. Cancel-safe.
    async fn next(&mut self) -> Result<FeedEvent, PortError>;
    /// Asks for a barrier: a `Fenced(token)` event will follow every change that was made on the
    /// server before this call returned.
    async fn request_fence(&mut self, token: u64) -> Result<(), PortError>;
}

/// What a feed delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEvent {
    /// These records may have changed (in any dataset, where the server names none), each at this
    /// instant at the latest: taken after the report of it was received, before it was looked at.
    Stale(Vec<(Key, Instant)>),
    /// Anything may have changed.
    StaleAll,
    /// Changes were lost; everything since the last delivered event is unknown. The feed has
    /// already reconnected and delivers again from here on.
    Gap(Doubt),
    /// The barrier asked for.
    Fenced(u64),
}

/// Why an absence on this side cannot be believed without an explanation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Only the connection was lost; the dataset is the same.
    ConnectionOnly,
    /// The server evicted records.
    Evicted,
    /// The dataset was flushed by somebody else.
    Flushed,
    /// The server restarted, failed over or was replaced.
    Replaced,
}

/// What a fence changed, enough to undo it from a fresh process. Opaque; stored as is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceRecord(pub String);

/// Result of comparing two replies or two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Equal under the comparator.
    Equal,
    /// Not equal.
    Different,
    /// This kind cannot be compared.
    NotComparable,
}
