use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use family::{
    Applied, Capability, Chunk, Database, EndpointSpec, Family, Feed, FenceRecord, Finding, Follow,
    FollowSpec, Inventory, Moved, PortError, Probe, Reader, Road, Span, SpanEnd, Trouble, Writer,
};
use model::{Dataset, Digest, Frontier, Key, Record, Side, Tenant};
use parking_lot::Mutex;

use crate::faults::{Call, Fault};
use crate::feed::FakeFeed;
use crate::follow::FakeFollow;
use crate::server::{Server, breathe, dataset_name};

/// The family over two servers.
pub struct FakeFamily {
    servers: [Arc<Server>; 2],
    latency: Duration,
    road: Road,
}

impl FakeFamily {
    /// A family whose endpoints are these servers; each call takes `latency`.
    #[must_use]
    pub fn new(source: &Arc<Server>, target: &Arc<Server>, latency: Duration) -> Arc<Self> {
        let servers = [Arc::clone(source), Arc::clone(target)];
        Arc::new(Self { servers, latency, road: Road::Records })
    }

    /// The same family, followed by its transactions.
    #[must_use]
    pub fn with_log(source: &Arc<Server>, target: &Arc<Server>, latency: Duration) -> Arc<Self> {
        let servers = [Arc::clone(source), Arc::clone(target)];
        Arc::new(Self { servers, latency, road: Road::Transactions })
    }

    /// Opens a side directly, under a session tag.
    #[must_use]
    pub fn database(&self, side: Side, tag: &str) -> Arc<FakeDatabase> {
        let server = Arc::clone(&self.servers[side.index()]);
        let spans = self.road == Road::Transactions;
        Arc::new(FakeDatabase { server, tag: tag.to_owned(), latency: self.latency, spans })
    }
}

#[async_trait]
impl Family for FakeFamily {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn open(&self, spec: EndpointSpec) -> Result<Arc<dyn Database>, PortError> {
        let database = self.database(spec.side, &spec.session_tag);
        database.ping().await?;
        Ok(database)
    }

    fn road(&self) -> Road {
        self.road
    }

    async fn follow(
        &self,
        from: &Arc<dyn Database>,
        to: &Arc<dyn Database>,
        spec: FollowSpec,
    ) -> Result<Arc<dyn Follow>, PortError> {
        let server = |side: Side| Arc::clone(&self.servers[side.index()]);
        Ok(FakeFollow::new(server(from.side()), server(to.side()), spec, self.latency))
    }

    fn tenant_of(&self, rule: &str, key: &Key) -> Option<Tenant> {
        let separator = rule.strip_prefix("prefix:")?.as_bytes().first()?;
        let name = key.as_bytes().split(|b| *b == b'/').nth(1)?;
        let end = name.iter().position(|b| b == separator)?;
        Some(Tenant::new(&name[..end]))
    }

    fn show_key(&self, key: &Key) -> String {
        String::from_utf8_lossy(key.as_bytes()).into_owned()
    }

    fn dataset_of(&self, key: &Key) -> Dataset {
        Dataset::new(&dataset_name(key))
    }

    async fn compare_endpoints(
        &self,
        _source: &Arc<dyn Database>,
        _target: &Arc<dyn Database>,
    ) -> Vec<Finding> {
        Vec::new()
    }

    async fn cleanup(&self, _database: &Arc<dyn Database>) -> Result<Vec<String>, PortError> {
        Ok(Vec::new())
    }
}

/// One side, as workers use it.
pub struct FakeDatabase {
    server: Arc<Server>,
    tag: String,
    latency: Duration,
    /// Whether it has digests over many records.
    spans: bool,
}

fn lost() -> PortError {
    PortError::new(Trouble::Unreachable, "FAKE-002", "the connection was lost")
}

impl FakeDatabase {
    /// Passes the faults that come before an effect; returns the one that comes after it.
    async fn before(&self, call: Call) -> Result<Option<Fault>, PortError> {
        breathe(self.latency).await;
        let fault = self.server.faults.strikes(call);
        if self.server.lock().is_down() {
            return Err(lost());
        }
        match fault {
            None => Ok(None),
            Some(Fault::Error(trouble)) => {
                Err(PortError::new(trouble, "FAKE-003", format!("scripted: {call:?} fails")))
            }
            Some(Fault::Zombie) => Err(lost()),
            Some(Fault::Hold(gate)) => {
                gate.pass().await;
                Ok(None)
            }
            Some(after) => Ok(Some(after)),
        }
    }

    async fn after<T: Send>(&self, fault: Option<Fault>, answer: T) -> Result<T, PortError> {
        match fault {
            Some(Fault::HoldAnswer(gate)) => gate.pass().await,
            Some(_) => return Err(lost()),
            None => breathe(self.latency).await,
        }
        Ok(answer)
    }

    async fn call<T: Send>(
        &self,
        call: Call,
        effect: impl FnOnce(&Server) -> T + Send,
    ) -> Result<T, PortError> {
        let fault = self.before(call).await?;
        let answer = effect(&self.server);
        self.after(fault, answer).await
    }

    fn connection(&self) -> Connection {
        let session = self.server.lock().connect(&self.tag);
        let database = Self {
            server: Arc::clone(&self.server),
            tag: self.tag.clone(),
            latency: self.latency,
            spans: self.spans,
        };
        Connection { database, session }
    }
}

#[async_trait]
impl Database for FakeDatabase {
    fn side(&self) -> Side {
        self.server.side
    }

    async fn probe(&self) -> Result<Probe, PortError> {
        self.call(Call::Probe, |server| {
            let capability = |name| Capability { name, present: true, evidence: "fake".into() };
            Probe {
                product: "fake".into(),
                version: "1".into(),
                identity: format!("fake {}", server.side),
                incarnation: server.lock().incarnation(),
                capabilities: vec![capability("tracking_feed"), capability("fence")],
                memory_used: 0,
                memory_max: 0,
                clock_offset_ms: 0,
                clock_error_ms: 0,
            }
        })
        .await
    }

    async fn assess(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn inventory(&self) -> Result<Vec<Inventory>, PortError> {
        self.call(Call::Inventory, |server| {
            let datasets = server.lock().datasets();
            let one = |(name, (records, bytes)): (String, (u64, u64))| Inventory {
                dataset: Dataset::new(&name),
                records,
                bytes,
            };
            datasets.into_iter().map(one).collect()
        })
        .await
    }

    async fn ping(&self) -> Result<Duration, PortError> {
        let began = tokio::time::Instant::now();
        self.call(Call::Ping, |_| ()).await?;
        Ok(began.elapsed())
    }

    async fn scan(
        &self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        limit: usize,
    ) -> Result<Chunk, PortError> {
        let prefix = format!("{dataset}/");
        let from = from.map(|f| Arc::clone(&f.0));
        self.call(Call::Scan, move |server| {
            let keys = server.lock().keys_after(&prefix, from.as_deref(), limit.max(1));
            let full = keys.len() >= limit.max(1);
            let next = keys.last().filter(|_| full).map(|key| Frontier(key.as_bytes().into()));
            Chunk { keys, next }
        })
        .await
    }

    async fn span(
        &self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        end: SpanEnd<'_>,
    ) -> Result<Option<Span>, PortError> {
        if !self.spans {
            return Ok(None);
        }
        let prefix = format!("{dataset}/");
        let from = from.map(|f| Arc::clone(&f.0));
        let (limit, last) = match end {
            SpanEnd::Behind(limit) => (limit.max(1), None),
            SpanEnd::At(last) => (usize::MAX, last.map(|f| Arc::clone(&f.0))),
        };
        self.call(Call::Scan, move |server| {
            let state = server.lock();
            let mut keys = state.keys_after(&prefix, from.as_deref(), limit);
            keys.retain(|key| last.as_deref().is_none_or(|last| key.as_bytes() <= last));
            let mut all = Vec::new();
            for key in &keys {
                all.extend_from_slice(key.as_bytes());
                all.extend_from_slice(&state.digest(key).unwrap_or_default());
            }
            let full = keys.len() >= limit;
            let next = keys.last().filter(|_| full).map(|key| Frontier(key.as_bytes().into()));
            let digest = Digest(xxhash_rust::xxh3::xxh3_128(&all).to_be_bytes());
            Some(Span { records: keys.len() as u64, digest, next })
        })
        .await
    }

    async fn reader(&self) -> Result<Box<dyn Reader>, PortError> {
        breathe(self.latency).await;
        if self.server.lock().is_down() {
            return Err(lost());
        }
        Ok(Box::new(FakeReader { connection: self.connection(), fence: Vec::new() }))
    }

    async fn writer(&self) -> Result<Box<dyn Writer>, PortError> {
        breathe(self.latency).await;
        if self.server.lock().is_down() {
            return Err(lost());
        }
        Ok(Box::new(FakeWriter { connection: self.connection() }))
    }

    async fn feed(&self) -> Result<Box<dyn Feed>, PortError> {
        let listener = self.call(Call::Feed, |server| server.lock().listen()).await?;
        Ok(Box::new(FakeFeed { server: Arc::clone(&self.server), listener }))
    }

    async fn plan_fence(&self) -> Result<FenceRecord, PortError> {
        Ok(FenceRecord(format!("fence {}", self.server.side)))
    }

    async fn fence(&self, _fence: &FenceRecord) -> Result<(), PortError> {
        self.server.lock().set_fenced(true);
        Ok(())
    }

    async fn lift(&self, _fence: &FenceRecord) -> Result<(), PortError> {
        self.server.lock().set_fenced(false);
        Ok(())
    }

    async fn reap(&self) -> Result<usize, PortError> {
        let tag = self.tag.clone();
        self.call(Call::Reap, move |server| server.lock().reap(&tag)).await
    }

    async fn foreign_sessions(&self) -> Result<Vec<String>, PortError> {
        Ok(Vec::new())
    }
}

struct Connection {
    database: FakeDatabase,
    session: u64,
}

impl Connection {
    fn server(&self) -> &Server {
        &self.database.server
    }

    async fn call<T: Send>(
        &self,
        call: Call,
        effect: impl FnOnce(&Server) -> T + Send,
    ) -> Result<T, PortError> {
        let fault = self.database.before(call).await?;
        if !self.server().lock().is_connected(self.session) {
            return Err(lost());
        }
        let answer = effect(self.server());
        self.database.after(fault, answer).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server().lock().disconnect(self.session);
    }
}

struct FakeReader {
    connection: Connection,
    fence: Vec<(Key, u64)>,
}

#[async_trait]
impl Reader for FakeReader {
    async fn read(&mut self, keys: &[Key]) -> Result<Vec<Record>, PortError> {
        let fence = Mutex::new(Vec::new());
        let records = self
            .connection
            .call(Call::Read, |server| {
                let state = server.lock();
                *fence.lock() = keys.iter().map(|k| (k.clone(), state.changed(k))).collect();
                let record = |key: &Key| Record { key: key.clone(), image: state.image(key) };
                keys.iter().map(record).collect()
            })
            .await?;
        self.fence = fence.into_inner();
        Ok(records)
    }

    async fn confirm(&mut self) -> Result<Moved, PortError> {
        let fence = std::mem::take(&mut self.fence);
        self.connection
            .call(Call::Confirm, move |server| {
                let state = server.lock();
                let moved = fence.iter().any(|(key, at)| state.changed(key) != *at);
                if moved { Moved::Some } else { Moved::None }
            })
            .await
    }

    async fn digest(&mut self, keys: &[Key]) -> Result<Vec<Option<Digest>>, PortError> {
        let digests = self.connection.call(Call::Digest, |server| {
            let state = server.lock();
            keys.iter().map(|key| state.digest(key).map(Digest)).collect()
        });
        digests.await
    }

    async fn describe(&mut self, keys: &[Key]) -> Result<Vec<String>, PortError> {
        let shown = self.connection.call(Call::Describe, |server| {
            let state = server.lock();
            let show = |key: &Key| match state.value(key) {
                None => "absent".to_owned(),
                Some(value) => {
                    let expiry = value
                        .expires_at
                        .map_or("no expiry".to_owned(), |at| format!("expires at {at} ms"));
                    format!("{}, {} bytes, {expiry}", value.kind, value.bytes.len())
                }
            };
            keys.iter().map(show).collect()
        });
        shown.await
    }
}

struct FakeWriter {
    connection: Connection,
}

/// Becomes a zombie when the call is abandoned before it took effect.
struct Sent<'a> {
    server: &'a Server,
    session: u64,
    records: Option<Vec<Record>>,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if let Some(records) = self.records.take() {
            self.server.lock().abandon(self.session, records);
        }
    }
}

#[async_trait]
impl Writer for FakeWriter {
    async fn apply(&mut self, records: &[Record]) -> Result<Vec<Applied>, PortError> {
        let database = &self.connection.database;
        let server = self.connection.server();
        let session = self.connection.session;
        if !server.lock().is_connected(session) {
            return Err(lost());
        }
        // From here on it is on its way, whether or not anybody still waits for the answer.
        let mut sent = Sent { server, session, records: Some(records.to_vec()) };
        breathe(database.latency).await;
        let fault = server.faults.strikes(Call::Apply);
        let after = match fault {
            Some(Fault::Error(trouble)) => {
                sent.records = None;
                let message = "scripted: Apply fails";
                return Err(PortError::new(trouble, "FAKE-003", message));
            }
            Some(Fault::Zombie) => return Err(lost()),
            Some(Fault::Hold(gate)) => {
                gate.pass().await;
                None
            }
            after => after,
        };
        if !server.lock().is_connected(session) {
            sent.records = None;
            return Err(lost());
        }
        sent.records = None;
        let applied = {
            let mut state = server.lock();
            state.log.begin(true);
            let applied = records.iter().map(|record| state.apply(record)).collect();
            state.log.end();
            applied
        };
        database.after(after, applied).await
    }

    async fn exists(&mut self, keys: &[Key]) -> Result<Vec<bool>, PortError> {
        let exist = self.connection.call(Call::Exists, |server| {
            let state = server.lock();
            keys.iter().map(|key| state.value(key).is_some()).collect()
        });
        exist.await
    }
}
