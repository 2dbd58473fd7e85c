//! The engine's durable side, on the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Durable, Fill, Progress, ProgressError, SideFacts, Verified};
use family::Doubt;
use journal::{ASIDE, Bucket, Parked};
use model::{Dataset, Divergence, DivergenceClass, DivergenceState, Frontier, Key, Side};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Batch, Change, Kind, Store};

use crate::clock::{Clock, rfc3339};
use crate::dto::{from_text, to_text};

/// Documents of one kind that are read at a start.
const MOST: usize = 1_000_000;

/// Progress of one migration.
pub(crate) struct StoredProgress {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    scope: String,
}

impl StoredProgress {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, scope: &str) -> Arc<Self> {
        Arc::new(Self { store, clock, scope: scope.to_owned() })
    }

    async fn data(&self, changes: Vec<Change>) -> Result<(), ProgressError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.store.commit(Batch::data(changes)).await.map_err(failed)?;
        Ok(())
    }

    async fn all(&self, kind: Kind) -> Result<Vec<store::Doc>, ProgressError> {
        self.store.list(kind, Some(&self.scope), None, MOST).await.map_err(failed)
    }

    fn put(&self, kind: Kind, id: &str, body: &impl Serialize) -> Result<Change, ProgressError> {
        let body = serde_json::to_vec(body).map_err(|e| ProgressError(e.to_string()))?;
        Ok(Change::put(kind, &self.scope, id, body))
    }
}

fn failed(error: store::StoreError) -> ProgressError {
    ProgressError(error.to_string())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ProgressError> {
    serde_json::from_slice(body).map_err(|e| ProgressError(e.to_string()))
}

#[derive(Serialize, Deserialize)]
struct FillDoc {
    frontier: Option<String>,
    records_done: u64,
    records_total: u64,
    bytes_total: u64,
    done: bool,
}

/// A divergence as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct DivergenceDoc {
    pub(crate) class: String,
    pub(crate) state: String,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) likely_cause: Option<String>,
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
}

/// A parked record as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct ParkedDoc {
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
    pub(crate) at: String,
}

/// Records that an operator set aside, with why. They stay so over a restart.
pub(crate) async fn set_aside(
    store: &dyn Store,
    migration: &str,
) -> anyhow::Result<Vec<(Key, String)>> {
    let mut all = Vec::new();
    for doc in store.list(Kind::Parked, Some(migration), None, MOST).await? {
        let body: ParkedDoc = serde_json::from_slice(&doc.body)?;
        if let Some(key) = from_text(&doc.id).filter(|_| body.code == ASIDE) {
            all.push((Key::new(&key), body.reason));
        }
    }
    Ok(all)
}

/// The document of a record that is set aside now.
pub(crate) fn put_aside(migration: &str, key: &Key, reason: &str, at: String) -> Change {
    let body = ParkedDoc { code: ASIDE.to_owned(), reason: reason.to_owned(), attempts: 0, at };
    let body = serde_json::json!(body).to_string().into_bytes();
    Change::put(Kind::Parked, migration, &to_text(key.as_bytes()), body)
}

#[derive(Serialize, Deserialize)]
struct SideDoc {
    incarnation: String,
    doubt: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct VerifiedDoc {
    compared: u64,
    source_records: u64,
    target_records: u64,
    unsettled: u64,
    open: u64,
    finished: bool,
    clean: bool,
    scope: String,
    watermark_ms: u64,
    took_ms: u64,
}

const DOUBTS: [(&str, Doubt); 4] = [
    ("connection_only", Doubt::ConnectionOnly),
    ("evicted", Doubt::Evicted),
    ("flushed", Doubt::Flushed),
    ("replaced", Doubt::Replaced),
];

#[async_trait]
impl Progress for StoredProgress {
    async fn load(&self) -> Result<Durable, ProgressError> {
        let mut durable = Durable { fills: self.fills().await?, ..Durable::default() };
        let damaged = |what: &str| ProgressError(format!("{what} in the store is damaged"));
        let existing = self.store.get(Kind::Existing, &self.scope, "hashes").await;
        durable.existing = existing.map_err(failed)?.map(|doc| {
            let words = doc.body.chunks_exact(8);
            words.map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default())).collect()
        });
        for doc in self.all(Kind::Divergence).await? {
            let body: DivergenceDoc = read(&doc.body)?;
            let key = from_text(&doc.id).ok_or_else(|| damaged("a key"))?;
            durable.divergences.push(Divergence {
                key: Key::new(&key),
                class: body.class.parse::<DivergenceClass>().map_err(|_| damaged("a class"))?,
                state: body.state.parse::<DivergenceState>().map_err(|_| damaged("a state"))?,
                source_summary: body.source,
                target_summary: body.target,
                likely_cause: body.likely_cause,
            });
        }
        for doc in self.all(Kind::Parked).await? {
            let key = from_text(&doc.id).ok_or_else(|| damaged("a key"))?;
            durable.parked.push(Key::new(&key));
        }
        for side in [Side::Source, Side::Target] {
            let doc = self.store.get(Kind::SideFacts, &self.scope, side.as_str()).await;
            if let Some(doc) = doc.map_err(failed)? {
                let body: SideDoc = read(&doc.body)?;
                let named = |name: String| DOUBTS.iter().find(|(n, _)| *n == name).map(|(_, d)| *d);
                durable.sides[side.index()] =
                    SideFacts { incarnation: body.incarnation, doubt: body.doubt.and_then(named) };
            }
        }
        let verified = self.store.get(Kind::Verified, &self.scope, "last").await.map_err(failed)?;
        durable.verified =
            verified.map(|doc| read::<VerifiedDoc>(&doc.body)).transpose()?.map(|v| Verified {
                compared: v.compared,
                source_records: v.source_records,
                target_records: v.target_records,
                unsettled: v.unsettled,
                open: v.open,
                finished: v.finished,
                clean: v.clean,
                scope: v.scope,
                watermark_ms: v.watermark_ms,
                took_ms: v.took_ms,
            });
        Ok(durable)
    }

    async fn set_markers(&self, buckets: &[Bucket]) -> Result<(), ProgressError> {
        // A marker is what makes a write recoverable: it passes as long as decisions do.
        let change = Change::SetMarkers {
            scope: self.scope.clone(),
            buckets: buckets.iter().map(|b| b.0).collect(),
        };
        self.store.commit(Batch::decision(vec![change])).await.map_err(failed)?;
        Ok(())
    }

    async fn clear_markers(&self, buckets: &[Bucket]) -> Result<(), ProgressError> {
        let buckets = buckets.iter().map(|b| b.0).collect();
        self.data(vec![Change::ClearMarkers { scope: self.scope.clone(), buckets }]).await
    }

    async fn save_fill(&self, dataset: &Dataset, fill: &Fill) -> Result<(), ProgressError> {
        let body = FillDoc {
            frontier: fill.frontier.as_ref().map(|f| to_text(&f.0)),
            records_done: fill.records_done,
            records_total: fill.records_total,
            bytes_total: fill.bytes_total,
            done: fill.done,
        };
        self.data(vec![self.put(Kind::Frontier, dataset.as_str(), &body)?]).await
    }

    async fn save_existing(&self, hashes: &[u64]) -> Result<(), ProgressError> {
        let body = hashes.iter().flat_map(|h| h.to_le_bytes()).collect();
        self.data(vec![Change::put(Kind::Existing, &self.scope, "hashes", body)]).await
    }

    async fn save_divergences(&self, changed: &[Divergence]) -> Result<(), ProgressError> {
        let now = rfc3339(self.clock.now_ms());
        let mut changes = Vec::with_capacity(changed.len());
        for one in changed {
            let id = to_text(one.key.as_bytes());
            let older = self.store.get(Kind::Divergence, &self.scope, &id).await.map_err(failed)?;
            let older = older.and_then(|doc| read::<DivergenceDoc>(&doc.body).ok());
            let body = DivergenceDoc {
                class: one.class.as_str().to_owned(),
                state: one.state.as_str().to_owned(),
                source: one.source_summary.clone(),
                target: one.target_summary.clone(),
                likely_cause: one.likely_cause.clone(),
                first_seen: older.map_or_else(|| now.clone(), |d| d.first_seen),
                last_seen: now.clone(),
            };
            changes.push(self.put(Kind::Divergence, &id, &body)?);
        }
        self.data(changes).await
    }

    async fn save_parked(&self, parked: &[(Key, Parked)]) -> Result<(), ProgressError> {
        let now = rfc3339(self.clock.now_ms());
        let mut older: BTreeMap<_, _> =
            self.all(Kind::Parked).await?.into_iter().map(|doc| (doc.id, doc.body)).collect();
        let mut changes = Vec::new();
        for (key, one) in parked {
            let id = to_text(key.as_bytes());
            let before = older.remove(&id).and_then(|body| read::<ParkedDoc>(&body).ok());
            let body = ParkedDoc {
                code: one.code.to_owned(),
                reason: one.reason.clone(),
                attempts: one.attempts,
                at: before.map_or_else(|| now.clone(), |d| d.at),
            };
            changes.push(self.put(Kind::Parked, &id, &body)?);
        }
        changes.extend(older.keys().map(|id| Change::delete(Kind::Parked, &self.scope, id)));
        self.data(changes).await
    }

    async fn save_side(&self, side: Side, facts: &SideFacts) -> Result<(), ProgressError> {
        let name = |doubt| DOUBTS.iter().find(|(_, d)| *d == doubt).map(|(n, _)| (*n).to_owned());
        let body =
            SideDoc { incarnation: facts.incarnation.clone(), doubt: facts.doubt.and_then(name) };
        self.data(vec![self.put(Kind::SideFacts, side.as_str(), &body)?]).await
    }

    async fn save_verified(&self, v: &Verified) -> Result<(), ProgressError> {
        let body = VerifiedDoc {
            compared: v.compared,
            source_records: v.source_records,
            target_records: v.target_records,
            unsettled: v.unsettled,
            open: v.open,
            finished: v.finished,
            clean: v.clean,
            scope: v.scope.clone(),
            watermark_ms: v.watermark_ms,
            took_ms: v.took_ms,
        };
        self.data(vec![self.put(Kind::Verified, "last", &body)?]).await
    }
}

impl StoredProgress {
    async fn fills(&self) -> Result<BTreeMap<Dataset, Fill>, ProgressError> {
        let mut fills = BTreeMap::new();
        for doc in self.all(Kind::Frontier).await? {
            let body: FillDoc = read(&doc.body)?;
            // A frontier that cannot be read begins anew: copying twice is harmless.
            let frontier = body.frontier.and_then(|f| from_text(&f));
            let fill = Fill {
                done: body.done,
                frontier: frontier.map(|f| Frontier(Arc::from(f))),
                records_done: body.records_done,
                records_total: body.records_total,
                bytes_total: body.bytes_total,
            };
            fills.insert(Dataset::new(&doc.id), fill);
        }
        Ok(fills)
    }
}
