use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::audit::{self, AuditVerdict, Walk};
use crate::change::{AuditEntry, Batch, Change, Committed, Doc, Event, EventQuery, Kind};
use crate::error::StoreError;
use crate::store::{Health, Store};

/// A store without a disk, for tests. Behaves like the embedded one in every other respect.
pub struct MemoryStore {
    state: Mutex<State>,
    newest: watch::Sender<u64>,
}

#[derive(Clone, Default)]
struct State {
    docs: BTreeMap<(Kind, String, String), (u64, Vec<u8>)>,
    events: Vec<Event>,
    audit: Vec<AuditEntry>,
    markers: BTreeMap<String, BTreeSet<u16>>,
    samples: BTreeMap<(String, u64), Vec<u8>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { state: Mutex::default(), newest: watch::channel(0).0 }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl State {
    fn apply(&mut self, change: Change, done: &mut Committed) -> Result<(), StoreError> {
        match change {
            Change::Put { kind, scope, id, version, expect, body } => {
                let slot = (kind, scope, id);
                let found = self.docs.get(&slot).map_or(0, |(v, _)| *v);
                if let Some(expected) = expect.filter(|e| *e != found) {
                    return Err(StoreError::Conflict { expected, found });
                }
                self.docs.insert(slot, (version, body));
            }
            Change::Delete { kind, scope, id } => {
                self.docs.remove(&(kind, scope, id));
            }
            Change::Clear { kind, scope } => {
                self.docs.retain(|(k, s, _), _| *k != kind || *s != scope);
            }
            Change::Expire { kind, below } => {
                self.docs.retain(|(k, ..), (version, _)| *k != kind || *version >= below);
            }
            Change::Event(event) => {
                let id = self.events.last().map_or(0, |e| e.id) + 1;
                self.events.push(Event { id, event });
                done.events.push(id);
            }
            Change::Audit(entry) => {
                let previous = self.audit.last().map_or(audit::FIRST, |e| e.hash);
                let id = self.audit.len() as u64 + 1;
                self.audit.push(audit::chain(id, entry, previous));
                done.audits.push(id);
            }
            Change::SetMarkers { scope, buckets } => {
                self.markers.entry(scope).or_default().extend(buckets);
            }
            Change::ClearMarkers { scope, buckets } => {
                let set = self.markers.entry(scope).or_default();
                for bucket in buckets {
                    set.remove(&bucket);
                }
            }
            Change::Sample { scope, at_s, body, keep_s } => {
                let oldest = at_s.saturating_sub(keep_s);
                self.samples.retain(|(s, at), _| *s != scope || *at >= oldest);
                self.samples.insert((scope, at_s), body);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        batch.check()?;
        let mut state = self.state.lock();
        let mut next = state.clone();
        let mut done = Committed::default();
        for change in batch.changes {
            next.apply(change, &mut done)?;
        }
        *state = next;
        drop(state);
        if let Some(newest) = done.events.last() {
            self.newest.send_replace(*newest);
        }
        Ok(done)
    }

    async fn get(&self, kind: Kind, scope: &str, id: &str) -> Result<Option<Doc>, StoreError> {
        let slot = (kind, scope.to_owned(), id.to_owned());
        Ok(self.state.lock().docs.get(&slot).map(|(version, body)| Doc {
            scope: slot.1.clone(),
            id: slot.2.clone(),
            version: *version,
            body: body.clone(),
        }))
    }

    async fn list(
        &self,
        kind: Kind,
        scope: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Doc>, StoreError> {
        let state = self.state.lock();
        let wanted = state.docs.iter().filter(|((k, s, id), _)| {
            *k == kind && scope.is_none_or(|w| w == s) && after.is_none_or(|a| id.as_str() > a)
        });
        let docs = wanted.map(|((_, scope, id), (version, body))| Doc {
            scope: scope.clone(),
            id: id.clone(),
            version: *version,
            body: body.clone(),
        });
        Ok(docs.take(limit).collect())
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, StoreError> {
        let state = self.state.lock();
        let wanted = state.events.iter().filter(|e| {
            e.id > query.after
                && query.scope.as_ref().is_none_or(|s| *s == e.event.scope)
                && query.kind.as_ref().is_none_or(|k| *k == e.event.kind)
        });
        let mut found: Vec<_> = wanted.cloned().collect();
        if query.newest && found.len() > query.limit {
            found.drain(..found.len() - query.limit);
        }
        found.truncate(query.limit);
        Ok(found)
    }

    async fn audit(
        &self,
        scope: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let state = self.state.lock();
        let wanted =
            state.audit.iter().filter(|e| e.id > after && scope.is_none_or(|s| s == e.entry.scope));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let state = self.state.lock();
        let mut walk = Walk::new();
        state.audit.iter().for_each(|e| walk.see(e));
        Ok(walk.verdict(state.audit.len() as u64))
    }

    async fn markers(&self, scope: &str) -> Result<Vec<u16>, StoreError> {
        Ok(self.state.lock().markers.get(scope).into_iter().flatten().copied().collect())
    }

    async fn samples(
        &self,
        scope: &str,
        from_s: u64,
        to_s: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let state = self.state.lock();
        let from = (scope.to_owned(), from_s);
        let to = (scope.to_owned(), to_s);
        Ok(state.samples.range(from..=to).map(|((_, at), b)| (*at, b.clone())).collect())
    }

    fn newest_event(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn health(&self) -> Health {
        Health::default()
    }
}
