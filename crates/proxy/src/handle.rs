//! What control holds of a running interlay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use family::EndpointSpec;
use model::Epoch;
use routing::RoutingTable;

use crate::error::ProxyError;
use crate::report::{DrainReport, QuietReport, RehomeReport};
use crate::shared::Shared;
use crate::stats::{ConnectionInfo, ProfileReport, StatsSnapshot};

/// A running interlay. Cheap to clone; the interlay stops when [`InterlayHandle::drain`] is
/// called, or when the last handle is dropped.
#[derive(Clone)]
pub struct InterlayHandle {
    shared: Arc<Shared>,
    _last: Arc<Last>,
}

/// Stops the interlay when the last handle goes.
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl InterlayHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let last = Arc::new(Last(Arc::clone(&shared)));
        Self { shared, _last: last }
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// The table in force.
    #[must_use]
    pub fn table(&self) -> Arc<RoutingTable> {
        self.shared.table()
    }

    /// Puts a table in force. Effective for every request that is looked at after this returns;
    /// held requests look again. Publishing a table of the epoch in force again is fine.
    ///
    /// # Errors
    /// [`ProxyError::OldEpoch`] when a newer table is in force.
    pub fn publish(&self, table: Arc<RoutingTable>) -> Result<(), ProxyError> {
        self.shared.publish(table)
    }

    /// Waits until no write sent under a table older than `epoch` (which must be in force and
    /// freeze writes) is unanswered. Unblocks waiting clients for that. Transactions are held
    /// open and carried over; those that cannot be are ended after `deadline`. Returns at the
    /// latest shortly after `deadline`, with `quiet: false` if it is not.
    ///
    /// # Errors
    /// [`ProxyError::Stopped`].
    pub async fn quiet(&self, epoch: Epoch, deadline: Duration) -> Result<QuietReport, ProxyError> {
        self.shared.quiet(epoch, deadline).await
    }

    /// Moves every session with a server connection of its own to the authority of the table in
    /// force: re-subscribes, carries transactions over, sends unblocked reads again. Call while
    /// writes are still frozen, before the releasing table.
    ///
    /// # Errors
    /// [`ProxyError::Stopped`].
    pub async fn rehomed(
        &self,
        epoch: Epoch,
        deadline: Duration,
    ) -> Result<RehomeReport, ProxyError> {
        self.shared.rehomed(epoch, deadline).await
    }

    /// Adds or replaces the endpoint of the side it names. Connections to a replaced endpoint
    /// finish what they owe and are closed.
    ///
    /// # Errors
    /// [`ProxyError::Tls`] when its TLS settings cannot be used.
    pub fn set_upstream(&self, spec: EndpointSpec) -> Result<(), ProxyError> {
        self.shared.set_upstream(spec)
    }

    /// Numbers, at most a tenth of a second old.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        self.shared.stats()
    }

    /// Every client.
    ///
    /// # Errors
    /// [`ProxyError::Stopped`].
    pub async fn connections(&self) -> Result<Vec<ConnectionInfo>, ProxyError> {
        self.shared.connections().await
    }

    /// What the workload is made of.
    #[must_use]
    pub fn profile(&self) -> ProfileReport {
        self.shared.profile()
    }

    /// Local addresses of the connections it holds to servers, so that they can be told from
    /// sessions that bypass it.
    ///
    /// # Errors
    /// [`ProxyError::Stopped`].
    pub async fn upstream_addresses(&self) -> Result<Vec<SocketAddr>, ProxyError> {
        self.shared.upstream_addresses().await
    }

    /// Stops accepting, closes clients at their next idle point, all others at the deadline, and
    /// stops.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        self.shared.drain(deadline).await
    }
}
