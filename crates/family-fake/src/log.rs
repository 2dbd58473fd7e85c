//! A server's log of transactions, and what directions keep on the server they end at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Key;
use tokio::sync::Notify;

use crate::server::Value;

/// Every change since the server began. Offsets count entries: offset `n` is behind entry `n`.
#[derive(Default)]
pub(crate) struct Log {
    entries: Vec<Entry>,
    transaction: u64,
    open: Option<bool>,
    /// Directions for which the log is kept.
    pub(crate) captured: BTreeSet<String>,
    bell: Arc<Notify>,
}

/// One changed record.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: Option<Value>,
    /// Entries of one transaction stand together and share this.
    pub(crate) transaction: u64,
    /// Made by a direction that ends here.
    pub(crate) applied: bool,
}

impl Log {
    /// What follows is one transaction; `applied` by a direction, or by a client.
    pub(crate) fn begin(&mut self, applied: bool) {
        self.transaction += 1;
        self.open = Some(applied);
    }

    pub(crate) fn end(&mut self) {
        self.open = None;
        self.bell.notify_waiters();
    }

    pub(crate) fn push(&mut self, key: &Key, value: Option<&Value>) {
        if self.open.is_none() {
            self.transaction += 1;
        }
        self.entries.push(Entry {
            key: key.clone(),
            value: value.cloned(),
            transaction: self.transaction,
            applied: self.open.unwrap_or(false),
        });
        if self.open.is_none() {
            self.bell.notify_waiters();
        }
    }

    pub(crate) fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The transaction behind an offset, and the offset behind it.
    pub(crate) fn after(&self, offset: u64) -> Option<(Vec<Entry>, u64)> {
        let rest = self.entries.get(usize::try_from(offset).ok()?..)?;
        let transaction = rest.first()?.transaction;
        let one: Vec<_> =
            rest.iter().take_while(|e| e.transaction == transaction).cloned().collect();
        let end = offset + one.len() as u64;
        Some((one, end))
    }

    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }
}

/// What the server remembers for directions that end at it, in the transactions that change it.
#[derive(Default)]
pub(crate) struct Kept {
    /// Up to which offset of the other server's log everything is here.
    pub(crate) progress: BTreeMap<String, u64>,
    /// Copied key ranges: up to and with this key, as of this offset; `None` is the end.
    pub(crate) chunks: BTreeMap<String, Vec<(Option<Key>, u64)>>,
}
