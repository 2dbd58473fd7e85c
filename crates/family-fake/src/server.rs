use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use family::{Applied, Doubt, FeedEvent, PortError, Trouble};
use model::{Image, Key, Record, Side};
use parking_lot::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

use crate::faults::Faults;
use crate::feed::Listener;
use crate::log::{Kept, Log};

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The kind of value, as a masked description shows it.
    pub kind: String,
    /// The content.
    pub bytes: Vec<u8>,
    /// When it ends, in milliseconds of the world's clock.
    pub expires_at: Option<u64>,
}

impl Value {
    /// A plain value that never expires.
    #[must_use]
    pub fn plain(bytes: &[u8]) -> Self {
        Self { kind: "plain".into(), bytes: bytes.to_vec(), expires_at: None }
    }
}

/// The key of a record: a dataset's name and a name in it.
#[must_use]
pub fn dataset_key(dataset: &str, name: &str) -> Key {
    Key::new(format!("{dataset}/{name}").as_bytes())
}

/// One database system in memory.
pub struct Server {
    pub(crate) side: Side,
    epoch: Instant,
    /// What may go wrong with its calls.
    pub faults: Faults,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    records: BTreeMap<Key, Value>,
    /// No record ends before this.
    next_expiry: Option<u64>,
    /// When each key that ever changed changed last, and when everything did.
    changed: HashMap<Key, u64>,
    changed_all: u64,
    clock: u64,
    /// Every state each key went through, for checkers.
    history: HashMap<Key, Vec<Option<Value>>>,
    keep_history: bool,
    listeners: Vec<Arc<Listener>>,
    zombies: Vec<(u64, Vec<Record>)>,
    sessions: HashMap<u64, String>,
    next_session: u64,
    incarnation: u64,
    down: bool,
    full: bool,
    fenced: bool,
    rejected: HashSet<Key>,
    pub(crate) log: Log,
    /// What directions that end here keep in this server.
    pub(crate) kept: Kept,
}

impl Server {
    /// An empty server. Both sides of a world share the instant their clocks count from.
    #[must_use]
    pub fn new(side: Side, epoch: Instant) -> Arc<Self> {
        let state = State { incarnation: 1, ..State::default() };
        Arc::new(Self { side, epoch, faults: Faults::default(), state: Mutex::new(state) })
    }

    /// Milliseconds of the world's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.expire(self.now_ms());
        state
    }

    /// The record's state now.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.lock().records.get(key).cloned()
    }

    /// Every record.
    #[must_use]
    pub fn records(&self) -> BTreeMap<Key, Value> {
        self.lock().records.clone()
    }

    /// Sets or removes a record, as a client does. `false` when a fence refuses it.
    pub fn put(&self, key: &Key, value: Option<Value>) -> bool {
        let mut state = self.lock();
        if state.fenced || state.down {
            return false;
        }
        state.put(key, value);
        true
    }

    /// Several records in one transaction, as a client does. `false` when a fence refuses it.
    pub fn commit(&self, changes: &[(Key, Option<Value>)]) -> bool {
        let mut state = self.lock();
        if state.fenced || state.down {
            return false;
        }
        state.log.begin(false);
        for (key, value) in changes {
            state.put(key, value.clone());
        }
        state.log.end();
        true
    }

    /// Removes everything, telling feeds "everything", as a flush does.
    pub fn flush(&self) {
        let mut state = self.lock();
        let keys: Vec<Key> = state.records.keys().cloned().collect();
        for key in keys {
            state.records.remove(&key);
            state.remember(&key, None);
        }
        state.clock += 1;
        state.changed_all = state.clock;
        state.tell(&FeedEvent::StaleAll);
    }

    /// Evicts a record and lets the feed say so.
    pub fn evict(&self, key: &Key) {
        let mut state = self.lock();
        state.tell(&FeedEvent::Gap(Doubt::Evicted));
        state.put(key, None);
    }

    /// Loses changes of every feed: what is queued is dropped, and the feed reports a gap.
    pub fn gap(&self, doubt: Doubt) {
        let state = self.lock();
        for listener in &state.listeners {
            listener.lose(doubt);
        }
    }

    /// Restarts with these records: connections and feeds are lost, the incarnation changes.
    pub fn replace(&self, records: BTreeMap<Key, Value>) {
        let mut state = self.lock();
        state.incarnation += 1;
        state.sessions.clear();
        state.zombies.clear();
        for listener in state.listeners.drain(..) {
            listener.close();
        }
        state.clock += 1;
        state.changed_all = state.clock;
        for value in records.values() {
            state.will_expire(Some(value));
        }
        state.records = records;
    }

    /// While down every call fails and every connection is lost; data stays.
    pub fn set_down(&self, down: bool) {
        let mut state = self.lock();
        state.down = down;
        if down {
            state.sessions.clear();
            for listener in state.listeners.drain(..) {
                listener.close();
            }
        }
    }

    /// While full, records are refused but removals pass.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// This record cannot be held here.
    pub fn reject(&self, key: &Key, reject: bool) {
        let mut state = self.lock();
        if reject {
            state.rejected.insert(key.clone());
        } else {
            state.rejected.remove(key);
        }
    }

    /// Runs abandoned applies whose connection nobody killed. Returns how many.
    pub fn run_zombies(&self) -> usize {
        let mut state = self.lock();
        let zombies = std::mem::take(&mut state.zombies);
        let count = zombies.len();
        for (_, records) in zombies {
            for record in &records {
                let _ = state.apply(record);
            }
        }
        count
    }

    /// How many abandoned applies may still run.
    #[must_use]
    pub fn zombies(&self) -> usize {
        self.lock().zombies.len()
    }

    /// Starts to keep every state of every key, from its present one.
    pub fn keep_history(&self) {
        let mut state = self.lock();
        state.keep_history = true;
        let now = state.records.iter().map(|(k, v)| (k.clone(), vec![Some(v.clone())])).collect();
        state.history = now;
    }

    /// Every state the key went through since `keep_history`, oldest first.
    #[must_use]
    pub fn history(&self, key: &Key) -> Vec<Option<Value>> {
        self.lock().history.get(key).cloned().unwrap_or_default()
    }
}

impl State {
    fn expire(&mut self, now_ms: u64) {
        if self.next_expiry.is_none_or(|at| at > now_ms) {
            return;
        }
        let due = |value: &Value| value.expires_at.is_some_and(|at| at <= now_ms);
        let gone: Vec<Key> =
            self.records.iter().filter(|(_, v)| due(v)).map(|(k, _)| k.clone()).collect();
        for key in gone {
            self.put(&key, None);
        }
        self.next_expiry = self.records.values().filter_map(|value| value.expires_at).min();
    }

    pub(crate) fn put(&mut self, key: &Key, value: Option<Value>) {
        if value.is_none() && !self.records.contains_key(key) {
            return;
        }
        self.log.push(key, value.as_ref());
        self.remember(key, value.clone());
        self.will_expire(value.as_ref());
        match value {
            Some(value) => self.records.insert(key.clone(), value),
            None => self.records.remove(key),
        };
        self.clock += 1;
        self.changed.insert(key.clone(), self.clock);
        let now = tokio::time::Instant::now().into_std();
        self.tell(&FeedEvent::Stale(vec![(key.clone(), now)]));
    }

    fn will_expire(&mut self, value: Option<&Value>) {
        if let Some(at) = value.and_then(|value| value.expires_at) {
            self.next_expiry = Some(self.next_expiry.map_or(at, |next| next.min(at)));
        }
    }

    fn remember(&mut self, key: &Key, value: Option<Value>) {
        if self.keep_history {
            self.history.entry(key.clone()).or_default().push(value);
        }
    }

    fn tell(&mut self, event: &FeedEvent) {
        self.listeners.retain(|listener| !listener.is_closed());
        for listener in &self.listeners {
            listener.push(event.clone());
        }
    }

    pub(crate) fn listen(&mut self) -> Arc<Listener> {
        let listener = Arc::new(Listener::default());
        self.listeners.push(Arc::clone(&listener));
        listener
    }

    pub(crate) fn apply(&mut self, record: &Record) -> Applied {
        let refuse = |trouble, why| {
            Applied::Failed(PortError::new(trouble, "FAKE-001", format!("record refused: {why}")))
        };
        match &record.image {
            Image::Absent => self.put(&record.key, None),
            Image::Present { .. } if self.full => return refuse(Trouble::Full, "no memory"),
            Image::Present { .. } if self.rejected.contains(&record.key) => {
                return refuse(Trouble::Rejected, "this kind cannot be held");
            }
            Image::Present { bytes } => match decode(bytes) {
                Some(value) => self.put(&record.key, Some(value)),
                None => return refuse(Trouble::Rejected, "not an image of this family"),
            },
        }
        Applied::Done
    }

    pub(crate) fn image(&self, key: &Key) -> Image {
        match self.records.get(key) {
            Some(value) => Image::Present { bytes: encode(value).into() },
            None => Image::Absent,
        }
    }

    pub(crate) fn value(&self, key: &Key) -> Option<&Value> {
        self.records.get(key)
    }

    pub(crate) fn digest(&self, key: &Key) -> Option<[u8; 16]> {
        self.records.get(key).map(|value| xxh3_128(&encode(value)).to_be_bytes())
    }

    /// When the key changed last; compare two reads of it.
    pub(crate) fn changed(&self, key: &Key) -> u64 {
        self.changed.get(key).copied().unwrap_or(0).max(self.changed_all)
    }

    pub(crate) fn keys_after(&self, prefix: &str, from: Option<&[u8]>, limit: usize) -> Vec<Key> {
        let start = from.map_or(Bound::Included(prefix.as_bytes()), Bound::Excluded);
        self.records
            .range::<[u8], _>((start, Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| key.as_bytes().starts_with(prefix.as_bytes()))
            .take(limit)
            .cloned()
            .collect()
    }

    pub(crate) fn connect(&mut self, tag: &str) -> u64 {
        self.next_session += 1;
        self.sessions.insert(self.next_session, tag.to_owned());
        self.next_session
    }

    pub(crate) fn is_connected(&self, session: u64) -> bool {
        !self.down && self.sessions.contains_key(&session)
    }

    pub(crate) fn disconnect(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// Kills what other boots left and what was abandoned.
    pub(crate) fn reap(&mut self, tag: &str) -> usize {
        let before = self.sessions.len() + self.zombies.len();
        self.sessions.retain(|_, owner| owner == tag);
        self.zombies.clear();
        before - self.sessions.len()
    }

    pub(crate) fn abandon(&mut self, session: u64, records: Vec<Record>) {
        self.sessions.remove(&session);
        if !self.down {
            self.zombies.push((session, records));
        }
    }

    pub(crate) const fn is_down(&self) -> bool {
        self.down
    }

    pub(crate) fn incarnation(&self) -> String {
        format!("incarnation {}", self.incarnation)
    }

    pub(crate) const fn set_fenced(&mut self, fenced: bool) {
        self.fenced = fenced;
    }

    /// The datasets that hold records, with their counts and bytes.
    pub(crate) fn datasets(&self) -> BTreeMap<String, (u64, u64)> {
        let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (key, value) in &self.records {
            let sum = sums.entry(dataset_name(key)).or_default();
            sum.0 += 1;
            sum.1 += value.bytes.len() as u64;
        }
        sums
    }
}

pub(crate) fn dataset_name(key: &Key) -> String {
    let bytes = key.as_bytes();
    let end = bytes.iter().position(|b| *b == b'/').unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&value.expires_at.unwrap_or(0).to_be_bytes());
    out.push(value.kind.len() as u8);
    out.extend_from_slice(value.kind.as_bytes());
    out.extend_from_slice(&value.bytes);
    out
}

fn decode(image: &[u8]) -> Option<Value> {
    let (expiry, rest) = image.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first()?;
    let (kind, bytes) = rest.split_at_checked(usize::from(*len))?;
    let expires_at = Some(u64::from_be_bytes(*expiry)).filter(|at| *at > 0);
    let kind = String::from_utf8(kind.to_vec()).ok()?;
    Some(Value { kind, bytes: bytes.to_vec(), expires_at })
}

/// A moment in which other tasks may run.
pub(crate) async fn breathe(latency: Duration) {
    if latency.is_zero() {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(latency).await;
    }
}
