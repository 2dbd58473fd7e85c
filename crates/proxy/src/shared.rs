//! What the shards and the handle share. Nothing here is touched per request but the table.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use family::{EndpointSpec, PortError, TlsMode};
use model::{Epoch, Side};
use parking_lot::Mutex;
use routing::RoutingTable;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{Capture, InterlayConfig, Upstreams};
use crate::counters::ShardCounters;
use crate::endpoint::Endpoint;
use crate::error::ProxyError;
use crate::report::{DrainReport, QuietReport, RehomeReport};
use crate::stats::{ConnectionInfo, ProfileReport, StatsSnapshot};

/// What a shard is asked to do.
pub(crate) enum Message {
    /// A client that was accepted.
    Accept(std::net::TcpStream, SocketAddr),
    /// See `InterlayHandle::quiet`.
    Quiet { epoch: Epoch, deadline: Instant, reply: oneshot::Sender<QuietReport> },
    /// See `InterlayHandle::rehomed`.
    Rehome { epoch: Epoch, deadline: Instant, reply: oneshot::Sender<RehomeReport> },
    /// List clients.
    Connections(oneshot::Sender<Vec<ConnectionInfo>>),
    /// List server connections.
    UpstreamAddresses(oneshot::Sender<Vec<SocketAddr>>),
    /// Close clients, then stop.
    Drain { deadline: Instant, reply: oneshot::Sender<DrainReport> },
}

/// Messages that may wait for a shard.
const MESSAGES_MAX: usize = 1024;

pub(crate) struct Shared {
    config: InterlayConfig,
    address: SocketAddr,
    table: Arc<ArcSwap<RoutingTable>>,
    /// Rung after every published table and changed endpoint.
    changed: watch::Sender<u64>,
    endpoints: [ArcSwapOption<Endpoint>; 2],
    /// Of families kept equal record by record.
    pub(crate) journal: Option<Arc<journal::Journal>>,
    /// Of families followed by their log.
    pub(crate) horizon: Option<Arc<journal::Horizon>>,
    pub(crate) counters: Box<[Mutex<ShardCounters>]>,
    shards: Box<[mpsc::Sender<Message>]>,
    stopping: AtomicBool,
    /// Every handle is gone.
    abandoned: AtomicBool,
    /// `both_required`: the secondary is behind, nobody waits for it.
    degraded: AtomicBool,
    clients: AtomicUsize,
    clients_of: Box<[AtomicUsize]>,
    client_ids: AtomicU64,
    classes: Box<[&'static str]>,
    tls: TlsMaker,
    started: Instant,
}

/// Makes the TLS settings of a mode; the family knows how.
pub(crate) type TlsMaker =
    Box<dyn Fn(&TlsMode) -> Result<Option<Arc<rustls::ClientConfig>>, PortError> + Send + Sync>;

pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) inboxes: Vec<mpsc::Receiver<Message>>,
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "one caller, each a distinct part")]
    pub(crate) fn build(
        config: InterlayConfig,
        address: SocketAddr,
        upstreams: &Upstreams,
        table: Arc<ArcSwap<RoutingTable>>,
        capture: Capture,
        shards: usize,
        classes: &[&'static str],
        tls: TlsMaker,
    ) -> Result<Parts, ProxyError> {
        let (senders, inboxes) = (0..shards).map(|_| mpsc::channel(MESSAGES_MAX)).unzip();
        let senders: Vec<_> = senders;
        let (journal, horizon) = match capture {
            Capture::Nothing => (None, None),
            Capture::Notes(journal) => (Some(journal), None),
            Capture::Log(horizon) => (None, Some(horizon)),
        };
        let shared = Self {
            config,
            address,
            table,
            changed: watch::Sender::new(0),
            endpoints: [ArcSwapOption::empty(), ArcSwapOption::empty()],
            journal,
            horizon,
            counters: (0..shards).map(|_| Mutex::new(ShardCounters::new(classes.len()))).collect(),
            shards: senders.into(),
            stopping: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            degraded: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            clients_of: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
            client_ids: AtomicU64::new(1),
            classes: classes.into(),
            tls,
            started: Instant::now(),
        };
        for side in [Side::Source, Side::Target] {
            if let Some(spec) = upstreams.get(side) {
                shared.set_upstream(spec.clone())?;
            }
        }
        Ok(Parts { shared: Arc::new(shared), inboxes })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &InterlayConfig {
        &self.config
    }

    /// TLS towards clients, with what the family adds to it.
    pub(crate) fn tls(&self) -> Option<&Arc<rustls::ServerConfig>> {
        self.config.tls.as_ref()
    }

    pub(crate) fn table(&self) -> Arc<RoutingTable> {
        self.table.load_full()
    }

    pub(crate) fn table_cell(&self) -> &Arc<ArcSwap<RoutingTable>> {
        &self.table
    }

    pub(crate) fn endpoint(&self, side: Side) -> Option<Arc<Endpoint>> {
        self.endpoints[side.index()].load_full()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// The last handle is gone: stop at once.
    pub(crate) fn abandon(&self) {
        self.stopping.store(true, Ordering::Release);
        self.abandoned.store(true, Ordering::Release);
        self.ring();
    }

    pub(crate) fn degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    pub(crate) fn set_degraded(&self, degraded: bool) {
        self.degraded.store(degraded, Ordering::Relaxed);
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The generation of a side's endpoint; 0 without one.
    pub(crate) fn generation(&self, side: Side) -> u64 {
        self.endpoints[side.index()].load().as_ref().map_or(0, |e| e.generation)
    }

    /// Counts a client in, unless there are as many as there may be.
    pub(crate) fn enter(&self) -> bool {
        let max = self.config.limits.connections_max;
        self.clients
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1))
            .is_ok()
    }

    pub(crate) fn leave(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn count_client(&self, shard: usize, came: bool) {
        let clients = &self.clients_of[shard];
        if came {
            clients.fetch_add(1, Ordering::Relaxed);
        } else {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The shard with the fewest clients.
    pub(crate) fn least_busy(&self) -> usize {
        let loads = self.clients_of.iter().map(|n| n.load(Ordering::Relaxed));
        loads.enumerate().min_by_key(|(_, n)| *n).map_or(0, |(shard, _)| shard)
    }

    pub(crate) fn next_client_id(&self) -> u64 {
        self.client_ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn publish(&self, table: Arc<RoutingTable>) -> Result<(), ProxyError> {
        let current = self.table.load().epoch;
        if table.epoch < current {
            return Err(ProxyError::OldEpoch { given: table.epoch, current });
        }
        self.table.store(table);
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub(crate) fn set_upstream(&self, spec: EndpointSpec) -> Result<(), ProxyError> {
        let side = spec.side;
        let endpoint = Endpoint::new(spec, &self.tls)?;
        self.endpoints[side.index()].store(Some(Arc::new(endpoint)));
        self.ring();
        Ok(())
    }

    /// Sends the same question to every shard and collects the answers.
    async fn ask<T>(
        &self,
        make: impl Fn(oneshot::Sender<T>) -> Message,
    ) -> Result<Vec<T>, ProxyError> {
        let mut answers = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            let (reply, answer) = oneshot::channel();
            shard.send(make(reply)).await.map_err(|_| ProxyError::Stopped)?;
            answers.push(answer);
        }
        let mut out = Vec::with_capacity(answers.len());
        for answer in answers {
            out.push(answer.await.map_err(|_| ProxyError::Stopped)?);
        }
        Ok(out)
    }

    pub(crate) async fn quiet(
        &self,
        epoch: Epoch,
        deadline: Duration,
    ) -> Result<QuietReport, ProxyError> {
        let start = Instant::now();
        let deadline = start + deadline;
        let parts = self.ask(|reply| Message::Quiet { epoch, deadline, reply }).await?;
        Ok(QuietReport::sum(epoch, parts, start.elapsed()))
    }

    pub(crate) async fn rehomed(
        &self,
        epoch: Epoch,
        deadline: Duration,
    ) -> Result<RehomeReport, ProxyError> {
        let start = Instant::now();
        let deadline = start + deadline;
        let parts = self.ask(|reply| Message::Rehome { epoch, deadline, reply }).await?;
        Ok(RehomeReport::sum(epoch, parts, start.elapsed()))
    }

    pub(crate) fn stats(&self) -> StatsSnapshot {
        let mut out = StatsSnapshot {
            epoch: self.table.load().epoch,
            degraded: self.degraded(),
            ..Default::default()
        };
        for shard in &self.counters {
            shard.lock().add_to(&mut out);
        }
        out
    }

    pub(crate) fn profile(&self) -> ProfileReport {
        ShardCounters::profile(&self.counters, &self.classes, self.started.elapsed())
    }

    pub(crate) async fn connections(&self) -> Result<Vec<ConnectionInfo>, ProxyError> {
        Ok(self.ask(Message::Connections).await?.into_iter().flatten().collect())
    }

    pub(crate) async fn upstream_addresses(&self) -> Result<Vec<SocketAddr>, ProxyError> {
        Ok(self.ask(Message::UpstreamAddresses).await?.into_iter().flatten().collect())
    }

    pub(crate) async fn drain(&self, deadline: Duration) -> DrainReport {
        let start = Instant::now();
        let deadline = start + deadline;
        self.stopping.store(true, Ordering::Release);
        self.ring();
        // A shard that has stopped already has nothing left to close.
        let parts = self.ask(|reply| Message::Drain { deadline, reply }).await.unwrap_or_default();
        DrainReport::sum(parts, start.elapsed())
    }

    /// Hands a client to the shard, or gives it back when the shard is overrun.
    pub(crate) fn accept(
        &self,
        shard: usize,
        stream: std::net::TcpStream,
        address: SocketAddr,
    ) -> Result<(), std::net::TcpStream> {
        match self.shards[shard].try_send(Message::Accept(stream, address)) {
            Ok(()) => Ok(()),
            Err(
                mpsc::error::TrySendError::Full(Message::Accept(stream, _))
                | mpsc::error::TrySendError::Closed(Message::Accept(stream, _)),
            ) => Err(stream),
            Err(_) => Ok(()),
        }
    }
}
