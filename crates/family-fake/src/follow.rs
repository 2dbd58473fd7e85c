//! The road of whole transactions over two fake servers: the log's entries are applied in their
//! order, exactly once, beside a copy in key ranges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use family::{
    ChangeStream, FillPart, Filled, Follow, FollowMode, FollowSpec, Offset, PortError, Retained,
    StreamEvent, Trouble,
};
use model::{Dataset, Frontier, Key};

use crate::faults::{Call, Fault};
use crate::log::Entry;
use crate::server::{Server, breathe};

/// Records of one chunk.
const CHUNK: usize = 8;
/// How long a stream waits for news before it says that there are none.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(crate) struct FakeFollow {
    from: Arc<Server>,
    to: Arc<Server>,
    name: String,
    audits: Arc<AtomicBool>,
    latency: Duration,
}

impl FakeFollow {
    pub(crate) fn new(
        from: Arc<Server>,
        to: Arc<Server>,
        spec: FollowSpec,
        latency: Duration,
    ) -> Arc<Self> {
        let name = format!("{}:{}", spec.run, from.side);
        Arc::new(Self { from, to, name, audits: Arc::new(AtomicBool::new(true)), latency })
    }

    /// Passes the time of a call, unless a side is down.
    async fn call(&self) -> Result<(), PortError> {
        breathe(self.latency).await;
        match self.from.lock().is_down() || self.to.lock().is_down() {
            true => Err(lost()),
            false => Ok(()),
        }
    }

    /// One transaction on the other side, progress included. Faults strike before it or after.
    async fn apply(&self, entries: Vec<Entry>, upto: u64) -> Result<u64, PortError> {
        self.call().await?;
        let fault = self.to.faults.strikes(Call::Apply);
        if let Some(Fault::Error(trouble)) = fault {
            return Err(PortError::new(trouble, "FAKE-003", "scripted: an apply fails"));
        }
        let changes = {
            let mut state = self.to.lock();
            state.log.begin(true);
            let due: Vec<_> =
                entries.into_iter().filter(|e| is_due(&state.kept, &self.name, e, upto)).collect();
            for entry in &due {
                state.put(&entry.key, entry.value.clone());
            }
            state.log.end();
            state.kept.progress.insert(self.name.clone(), upto);
            due.len() as u64
        };
        if fault.is_some() { Err(lost()) } else { Ok(changes) }
    }
}

/// Whether a change is applied: not when its key's range is still to be copied, nor when the copy
/// of the range saw it.
fn is_due(kept: &crate::log::Kept, name: &str, entry: &Entry, upto: u64) -> bool {
    let Some(chunks) = kept.chunks.get(name) else { return true };
    let range = chunks.iter().find(|(end, _)| end.as_ref().is_none_or(|end| entry.key <= *end));
    range.is_some_and(|(_, seen)| upto > *seen)
}

fn lost() -> PortError {
    PortError::new(Trouble::Unreachable, "FAKE-002", "the connection was lost")
}

#[async_trait]
impl Follow for FakeFollow {
    async fn capture(&self) -> Result<(), PortError> {
        self.call().await?;
        let head = {
            let mut state = self.from.lock();
            if !state.log.captured.insert(self.name.clone()) {
                return Ok(());
            }
            state.log.head()
        };
        self.to.lock().kept.progress.insert(self.name.clone(), head);
        Ok(())
    }

    async fn prepare(&self) -> Result<Vec<String>, PortError> {
        self.call().await?;
        self.to.lock().kept.chunks.entry(self.name.clone()).or_default();
        Ok(Vec::new())
    }

    async fn fill(&self, part: &FillPart, from: Option<&Frontier>) -> Result<Filled, PortError> {
        self.call().await?;
        if !self.to.lock().kept.chunks.contains_key(&self.name) {
            let message = "the other side was not prepared";
            return Err(PortError::new(Trouble::Rejected, "FAKE-005", message));
        }
        let prefix = format!("{}/", part.dataset);
        let after = from.map(|f| f.0.to_vec());
        let (rows, seen) = {
            let state = self.from.lock();
            let keys = state.keys_after(&prefix, after.as_deref(), CHUNK);
            let rows: Vec<_> =
                keys.into_iter().map(|k| (k.clone(), state.value(&k).cloned())).collect();
            (rows, state.log.head())
        };
        // Others write while the chunk is on its way.
        breathe(self.latency).await;
        let end = (rows.len() == CHUNK).then(|| rows.last().map(|(k, _)| k.clone())).flatten();
        let mut state = self.to.lock();
        let begins = after.map(Key::from);
        let chunks = state.kept.chunks.entry(self.name.clone()).or_default();
        let mut begun = None;
        for (upto, _) in chunks.iter() {
            if begun == begins {
                // Copied before a restart.
                let next = upto.as_ref().map(|k| Frontier(k.as_bytes().into()));
                return Ok(Filled { records: 0, bytes: 0, next });
            }
            begun.clone_from(upto);
        }
        chunks.push((end.clone(), seen));
        state.log.begin(true);
        let records = rows.len() as u64;
        for (key, value) in rows {
            state.put(&key, value);
        }
        state.log.end();
        drop(state);
        Ok(Filled { records, bytes: 0, next: end.map(|k| Frontier(k.as_bytes().into())) })
    }

    async fn split(&self, dataset: &Dataset, _most: usize) -> Result<Vec<FillPart>, PortError> {
        self.call().await?;
        Ok(vec![FillPart { dataset: dataset.clone(), index: 0, records: 0, bounds: Vec::new() }])
    }

    async fn complete(&self) -> Result<Vec<String>, PortError> {
        self.call().await?;
        // Nothing is left to be copied: what no copy saw is applied whatever its key.
        let mut state = self.to.lock();
        state.kept.chunks.entry(self.name.clone()).or_default().push((None, 0));
        Ok(Vec::new())
    }

    async fn stream(&self) -> Result<Box<dyn ChangeStream>, PortError> {
        self.call().await?;
        if !self.from.lock().log.captured.contains(&self.name) {
            let message = "nothing is captured";
            return Err(PortError::new(Trouble::Replaced, "FAKE-004", message));
        }
        let at = self.to.lock().kept.progress.get(&self.name).copied().unwrap_or_default();
        Ok(Box::new(FakeStream { follow: self.clone(), at }))
    }

    fn set_mode(&self, mode: FollowMode) {
        self.audits.store(mode == FollowMode::Audit, Ordering::SeqCst);
    }

    async fn head(&self) -> Result<Offset, PortError> {
        self.call().await?;
        Ok(Offset(self.from.lock().log.head()))
    }

    async fn begin(&self) -> Result<Offset, PortError> {
        self.call().await?;
        let head = {
            let state = self.from.lock();
            if !state.log.captured.contains(&self.name) {
                return Err(PortError::new(Trouble::Replaced, "FAKE-004", "nothing is captured"));
            }
            state.log.head()
        };
        self.to.lock().kept.progress.insert(self.name.clone(), head);
        Ok(Offset(head))
    }

    async fn carry(&self) -> Result<(), PortError> {
        self.call().await
    }

    async fn retained(&self) -> Result<Option<Retained>, PortError> {
        self.call().await?;
        let captured = self.from.lock().log.captured.contains(&self.name);
        Ok(captured.then(Retained::default))
    }

    async fn release(&self) -> Result<(), PortError> {
        self.call().await?;
        self.from.lock().log.captured.remove(&self.name);
        let mut to = self.to.lock();
        to.kept.progress.remove(&self.name);
        to.kept.chunks.remove(&self.name);
        Ok(())
    }
}

struct FakeStream {
    follow: FakeFollow,
    at: u64,
}

#[async_trait]
impl ChangeStream for FakeStream {
    async fn next(&mut self) -> Result<StreamEvent, PortError> {
        let bell = self.follow.from.lock().log.bell();
        let rung = bell.notified();
        let mut next = self.follow.from.lock().log.after(self.at);
        if next.is_none() {
            let _ = tokio::time::timeout(PATIENCE, rung).await;
            self.follow.call().await?;
            next = self.follow.from.lock().log.after(self.at);
        }
        let Some((entries, upto)) = next else {
            return Ok(StreamEvent::Applied { upto: Offset(self.at), transactions: 0, changes: 0 });
        };
        let audits = self.follow.audits.load(Ordering::SeqCst);
        let ours = entries.iter().all(|entry| entry.applied);
        // A direction that was turned around may have its beginning behind what it reads.
        let begins = self.follow.to.lock().kept.progress.get(&self.follow.name).copied();
        if ours || begins.is_some_and(|begins| upto <= begins) {
            self.at = upto;
            return Ok(StreamEvent::Applied { upto: Offset(upto), transactions: 0, changes: 0 });
        }
        if audits {
            self.at = upto;
            let changes = entries.len() as u64;
            let keys = entries.into_iter().map(|entry| entry.key).collect();
            return Ok(StreamEvent::Foreign { at: Offset(upto), keys, changes });
        }
        let changes = self.follow.apply(entries, upto).await?;
        self.at = upto;
        Ok(StreamEvent::Applied { upto: Offset(upto), transactions: 1, changes })
    }
}
