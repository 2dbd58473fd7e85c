//! Waiting for a state instead of a time.

use std::time::{Duration, Instant};

/// Asks every few milliseconds until `ready` or `limit` has passed; returns whether it was.
pub fn until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Like [`until`], handing out what was waited for.
pub fn value<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let mut found = None;
    until(limit, || {
        found = ready();
        found.is_some()
    });
    found
}
