use model::Key;

/// Held by a write between `begin` and `settle`. Dropping it without settling counts as an
/// unknown outcome, so an aborted task can never lose a note.
#[must_use = "settle it, or the keys stay in flight until it drops as unknown"]
pub struct Ticket {
    pub(crate) keys: Vec<Key>,
    /// The write may touch records that it does not name.
    pub(crate) anything: bool,
    pub(crate) journal: Option<std::sync::Arc<crate::Journal>>,
}

/// What the authority's reply says about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran: its keys may have changed.
    Applied,
    /// It definitely changed nothing (refused before running, or a proved no-op).
    Nothing,
    /// No reply: it may have run, or may run yet.
    Unknown,
}

/// A settled write: what to wait for if the client is to be told only once the secondary has it.
#[derive(Debug, Clone, Default)]
pub struct Settlement {
    pub(crate) keys: Vec<(Key, u64)>,
}

impl Settlement {
    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Ticket {
    /// The keys it notes.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.take() {
            let keys = std::mem::take(&mut self.keys);
            // Tokio's clock, so that a test that paused time sees one clock only.
            let now = tokio::time::Instant::now().into_std();
            journal.settle_parts(keys, self.anything, Outcome::Unknown, now);
            journal.settled_many();
        }
    }
}
