//! What connections suffer, changed while they live.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer = 0,
    /// Replies.
    ToClient = 1,
}

/// What one direction suffers. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// Every byte arrives this much later.
    pub latency: Duration,
    /// And up to this much more, by the seed.
    pub jitter: Duration,
    /// Bytes per second; 0 is unlimited.
    pub bytes_per_second: u64,
    /// Nothing is forwarded; nothing is lost.
    pub hold: bool,
    /// What arrives is dropped.
    pub swallow: bool,
    /// Writes are cut into pieces of at most this many bytes; 0 leaves them whole.
    pub fragment: usize,
    /// The connection is reset after this many bytes of this direction; 0 is never.
    pub reset_after: u64,
}

impl Rule {
    /// Every byte arrives this much later.
    #[must_use]
    pub fn slow(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }
}

struct State {
    rules: [Rule; 2],
    closed: bool,
}

/// The rules of both directions, and a way to wait for better times.
pub(super) struct Rules {
    state: Mutex<State>,
    changed: Condvar,
}

impl Rules {
    pub(super) fn new() -> Self {
        let state = State { rules: [Rule::default(); 2], closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn set(&self, direction: Direction, rule: Rule) {
        self.state.lock().rules[direction as usize] = rule;
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn get(&self, direction: Direction) -> Rule {
        self.state.lock().rules[direction as usize]
    }

    /// Waits until `due`, and then for as long as the direction is held. `None` when it is over.
    pub(super) fn pass(&self, direction: Direction, due: Instant) -> Option<Rule> {
        let mut state = self.state.lock();
        loop {
            let rule = state.rules[direction as usize];
            if state.closed {
                return None;
            }
            if rule.hold {
                self.changed.wait(&mut state);
            } else if Instant::now() < due {
                self.changed.wait_until(&mut state, due);
            } else {
                return Some(rule);
            }
        }
    }
}
