//! The listeners of one migration, as one thing.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use model::Epoch;
use parking_lot::RwLock;
use proxy::InterlayHandle;
use routing::RoutingTable;

/// Every listener of a migration, and the table they all serve.
pub(crate) struct Interlays {
    table: Arc<ArcSwap<RoutingTable>>,
    handles: RwLock<Vec<InterlayHandle>>,
}

/// Whether everything is quiet.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    pub(crate) quiet: bool,
    pub(crate) txn_wait_ms: u64,
    pub(crate) waiting_on: Vec<String>,
}

impl Interlays {
    pub(crate) fn new(table: Arc<ArcSwap<RoutingTable>>) -> Self {
        Self { table, handles: RwLock::default() }
    }

    pub(crate) fn add(&self, handle: InterlayHandle) {
        self.handles.write().push(handle);
    }

    pub(crate) fn handles(&self) -> Vec<InterlayHandle> {
        self.handles.read().clone()
    }

    pub(crate) fn shared_table(&self) -> Arc<ArcSwap<RoutingTable>> {
        Arc::clone(&self.table)
    }

    pub(crate) fn table(&self) -> Arc<RoutingTable> {
        self.table.load_full()
    }

    /// Puts a table in force everywhere; `false` when a newer one is.
    pub(crate) fn publish(&self, table: RoutingTable) -> bool {
        if table.epoch < self.table.load().epoch {
            tracing::warn!(epoch = %table.epoch, "an outdated table was not published");
            return false;
        }
        let table = Arc::new(table);
        let handles = self.handles();
        if handles.is_empty() {
            self.table.store(Arc::clone(&table));
        }
        for handle in handles {
            if let Err(error) = handle.publish(Arc::clone(&table)) {
                tracing::error!(interlay = handle.name(), %error, "a table was not published");
            }
        }
        true
    }

    /// Waits until no interlay has a write in flight under an older table.
    pub(crate) async fn quiet(&self, epoch: Epoch, deadline: Duration) -> Quiet {
        let handles = self.handles();
        let asked = handles.iter().map(|handle| handle.quiet(epoch, deadline));
        let mut all = Quiet { quiet: true, ..Quiet::default() };
        for answer in join_all(asked).await {
            match answer {
                Ok(report) => {
                    all.quiet &= report.quiet;
                    if report.transactions_open + report.transactions_ended > 0 {
                        let took = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
                        all.txn_wait_ms = all.txn_wait_ms.max(took);
                    }
                    all.waiting_on.extend(report.waiting_on);
                }
                // A stopped interlay serves nobody.
                Err(proxy::ProxyError::Stopped) => {}
                Err(error) => {
                    all.quiet = false;
                    all.waiting_on.push(error.to_string());
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        all
    }

    /// Moves sessions to the authority of the table in force.
    pub(crate) async fn rehomed(&self, epoch: Epoch, deadline: Duration) {
        let handles = self.handles();
        let asked = handles.iter().map(|handle| handle.rehomed(epoch, deadline));
        for (handle, answer) in handles.iter().zip(join_all(asked).await) {
            match answer {
                Ok(report) if report.left > 0 => {
                    tracing::warn!(
                        interlay = handle.name(),
                        left = report.left,
                        "sessions not moved"
                    );
                }
                Ok(_) | Err(proxy::ProxyError::Stopped) => {}
                Err(error) => tracing::error!(interlay = handle.name(), %error, "rehoming failed"),
            }
        }
    }

    /// Drains every interlay, or the named one. Returns how many there were.
    pub(crate) async fn drain(&self, name: Option<&str>, deadline: Duration) -> usize {
        let chosen: Vec<_> =
            self.handles().into_iter().filter(|h| name.is_none_or(|n| n == h.name())).collect();
        let drains = chosen.iter().map(|handle| handle.drain(deadline));
        join_all(drains).await;
        chosen.len()
    }
}
