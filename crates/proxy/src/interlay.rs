//! Starting an interlay: bind, one thread per shard, one task that accepts.

use std::sync::Arc;

use arc_swap::ArcSwap;
use family::Protocol;
use routing::RoutingTable;

use crate::config::{Capture, InterlayConfig, Upstreams};
use crate::error::ProxyError;
use crate::handle::InterlayHandle;
use crate::shard;
use crate::shared::{Parts, Shared};

/// Most shards taken by default.
const SHARDS_DEFAULT_MAX: usize = 4;

/// A listener that applications connect to.
#[derive(Debug)]
pub struct Interlay;

impl Interlay {
    /// Listens and serves until drained. `table` may be shared with others; publishing through
    /// any handle changes it for all of them. With [`Capture::Nothing`] nothing is captured,
    /// whatever the table says.
    ///
    /// # Errors
    /// When the address cannot be bound, a thread cannot be started, or the TLS settings of an
    /// endpoint cannot be used.
    pub fn bind<P: Protocol>(
        mut config: InterlayConfig,
        protocol: P,
        upstreams: &Upstreams,
        table: Arc<ArcSwap<RoutingTable>>,
        capture: impl Into<Capture>,
    ) -> Result<InterlayHandle, ProxyError> {
        let asked = config.listen;
        let fail = |source| ProxyError::Listen { address: asked, source };
        let listener = std::net::TcpListener::bind(asked).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let shards = match config.shards {
            0 => std::thread::available_parallelism()
                .map_or(1, usize::from)
                .div_ceil(2)
                .min(SHARDS_DEFAULT_MAX),
            n => n,
        };
        let protocol = Arc::new(protocol);
        let tls = {
            let protocol = Arc::clone(&protocol);
            Box::new(move |mode: &family::TlsMode| protocol.tls(mode))
        };
        if let Some(tls) = config.tls.as_mut().filter(|_| !protocol.alpn().is_empty()) {
            let names = protocol.alpn().iter().map(|name| name.to_vec()).collect();
            Arc::make_mut(tls).alpn_protocols = names;
        }
        let classes = protocol.classes();
        let Parts { shared, inboxes } =
            Shared::build(config, address, upstreams, table, capture.into(), shards, classes, tls)?;
        let mut listener = Some(listener);
        for (index, inbox) in inboxes.into_iter().enumerate() {
            shard::start(index, Arc::clone(&protocol), Arc::clone(&shared), inbox, listener.take())
                .map_err(ProxyError::Thread)?;
        }
        Ok(InterlayHandle::new(shared))
    }
}
