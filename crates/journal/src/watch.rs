//! Tells whoever waits for the journal to change, at no cost when nobody does.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

#[derive(Default)]
pub(crate) struct Watchers {
    watching: AtomicUsize,
    bell: Notify,
}

impl Watchers {
    pub(crate) fn tell(&self) {
        // The bell takes a lock; every settled write passes here.
        if self.watching.load(Ordering::SeqCst) > 0 {
            self.bell.notify_waiters();
        }
    }

    /// Whether anybody waits.
    pub(crate) fn any(&self) -> bool {
        self.watching.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn watch(&self) -> Changed<'_> {
        self.watching.fetch_add(1, Ordering::SeqCst);
        // A `Notified` hears every `notify_waiters` after its creation, polled or not.
        Changed { bell: Box::pin(self.bell.notified()), watching: &self.watching }
    }
}

/// Counts one that waits, for as long as it lives.
pub(crate) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    pub(crate) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// See [`crate::Journal::changed`].
#[must_use = "it does nothing unless awaited"]
pub struct Changed<'a> {
    bell: Pin<Box<Notified<'a>>>,
    watching: &'a AtomicUsize,
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.bell.as_mut().poll(cx)
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        self.watching.fetch_sub(1, Ordering::SeqCst);
    }
}
