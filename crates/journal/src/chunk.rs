use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Keys of a backfill or recheck that were offered together. The frontier behind them may be
/// stored once every one of them has been copied, parked, or overtaken by a live entry that is
/// covered by the durable markers.
#[derive(Debug)]
pub struct Chunk {
    left: AtomicUsize,
    done: Notify,
}

impl Chunk {
    /// A chunk waiting for `keys` keys.
    #[must_use]
    pub fn new(keys: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(keys), done: Notify::new() })
    }

    pub(crate) fn one_done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }

    /// How many keys are still outstanding.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.left.load(Ordering::Acquire)
    }

    /// Waits until none is outstanding.
    pub async fn finished(&self) {
        loop {
            let done = self.done.notified();
            if self.outstanding() == 0 {
                return;
            }
            done.await;
        }
    }
}
