//! The change feed: a queue per listener, filled as records change.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use family::{Doubt, Feed, FeedEvent, PortError, Trouble};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::server::Server;

/// Events that may wait in one feed; more are dropped and reported as a gap.
const BOUND: usize = 100_000;

#[derive(Default)]
pub(crate) struct Listener {
    queue: Mutex<Queue>,
    bell: Notify,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<FeedEvent>,
    closed: bool,
}

impl Listener {
    pub(crate) fn push(&self, event: FeedEvent) {
        let mut queue = self.queue.lock();
        if queue.events.len() >= BOUND {
            queue.events.clear();
            queue.events.push_back(FeedEvent::Gap(Doubt::ConnectionOnly));
        }
        queue.events.push_back(event);
        drop(queue);
        self.bell.notify_one();
    }

    /// Changes are lost, but a fence that was asked for still comes, after the gap.
    pub(crate) fn lose(&self, doubt: Doubt) {
        let mut queue = self.queue.lock();
        queue.events.retain(|event| matches!(event, FeedEvent::Fenced(_)));
        queue.events.push_front(FeedEvent::Gap(doubt));
        drop(queue);
        self.bell.notify_one();
    }

    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.bell.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }
}

pub(crate) struct FakeFeed {
    pub(crate) server: Arc<Server>,
    pub(crate) listener: Arc<Listener>,
}

#[async_trait]
impl Feed for FakeFeed {
    async fn next(&mut self) -> Result<FeedEvent, PortError> {
        loop {
            let rung = self.listener.bell.notified();
            {
                let mut queue = self.listener.queue.lock();
                if queue.closed {
                    let message = "the feed's connection was lost";
                    return Err(PortError::new(Trouble::Unreachable, "FAKE-002", message));
                }
                if let Some(event) = queue.events.pop_front() {
                    return Ok(event);
                }
            }
            rung.await;
        }
    }

    async fn request_fence(&mut self, token: u64) -> Result<(), PortError> {
        // Under the server's lock: everything that changed before is in the queue.
        let _state = self.server.lock();
        self.listener.push(FeedEvent::Fenced(token));
        Ok(())
    }
}

impl Drop for FakeFeed {
    fn drop(&mut self) {
        self.listener.close();
    }
}
