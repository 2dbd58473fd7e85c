use async_trait::async_trait;
use tokio::sync::watch;

use crate::audit::AuditVerdict;
use crate::change::{AuditEntry, Batch, Committed, Doc, Event, EventQuery, Kind};
use crate::error::StoreError;

/// Keeps run state. All methods may be called at once from many tasks.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes a batch durable, whole or not at all. Returns once it is.
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError>;
    /// One document.
    async fn get(&self, kind: Kind, scope: &str, id: &str) -> Result<Option<Doc>, StoreError>;
    /// Documents of a kind ordered by (scope, id), of one scope or all, after an id of that
    /// scope, at most `limit`.
    async fn list(
        &self,
        kind: Kind,
        scope: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Doc>, StoreError>;
    /// Events, ascending.
    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, StoreError>;
    /// Audit entries after a number, ascending, of one scope or all.
    async fn audit(
        &self,
        scope: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError>;
    /// Checks the whole audit chain.
    async fn verify_audit(&self) -> Result<AuditVerdict, StoreError>;
    /// Marker bits that are set.
    async fn markers(&self, scope: &str) -> Result<Vec<u16>, StoreError>;
    /// Rows of metrics history in a span of unix seconds, ascending.
    async fn samples(
        &self,
        scope: &str,
        from_s: u64,
        to_s: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError>;
    /// The number of the newest event, now and whenever it grows.
    fn newest_event(&self) -> watch::Receiver<u64>;
    /// How the store is.
    fn health(&self) -> Health;
}

/// How a store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why nothing can be stored any more.
    pub poisoned: Option<String>,
    /// Data is refused for lack of space; decisions still pass.
    pub full: bool,
}
