//! A store whose commits somebody else has a word in, everything else passed on.
//!
//! Constraints: the product never wraps its store; this is the seam at which tests watch, fail or
//! end a process at a chosen commit, so that nothing of that stands in the product.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    AuditEntry, AuditVerdict, Batch, Committed, Doc, Event, EventQuery, Health, Kind, Store,
    StoreError,
};

/// What happens instead of a commit.
#[async_trait]
pub trait OnCommit: Send + Sync + 'static {
    /// Commits the batch to `inner`, or does not.
    async fn commit(&self, inner: &dyn Store, batch: Batch) -> Result<Committed, StoreError>;
}

/// A store with a word in its commits.
pub struct Intercepted<H> {
    inner: Arc<dyn Store>,
    /// Who has it.
    pub hook: H,
}

impl<H: OnCommit> Intercepted<H> {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, hook: H) -> Arc<Self> {
        Arc::new(Self { inner, hook })
    }
}

#[async_trait]
impl<H: OnCommit> Store for Intercepted<H> {
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.hook.commit(self.inner.as_ref(), batch).await
    }

    async fn get(&self, kind: Kind, scope: &str, id: &str) -> Result<Option<Doc>, StoreError> {
        self.inner.get(kind, scope, id).await
    }

    async fn list(
        &self,
        kind: Kind,
        scope: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Doc>, StoreError> {
        self.inner.list(kind, scope, after, limit).await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, StoreError> {
        self.inner.events(query).await
    }

    async fn audit(
        &self,
        scope: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.audit(scope, after, limit).await
    }

    async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        self.inner.verify_audit().await
    }

    async fn markers(&self, scope: &str) -> Result<Vec<u16>, StoreError> {
        self.inner.markers(scope).await
    }

    async fn samples(
        &self,
        scope: &str,
        from_s: u64,
        to_s: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.inner.samples(scope, from_s, to_s).await
    }

    fn newest_event(&self) -> watch::Receiver<u64> {
        self.inner.newest_event()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}
