//! The wall clock, handed in so that tests can turn it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub(crate) trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// The machine's clock, made monotone: it never goes back within one process.
#[derive(Debug, Default)]
pub(crate) struct SystemClock {
    newest: AtomicU64,
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.newest.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// RFC 3339 in UTC, with milliseconds.
#[must_use]
pub(crate) fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |t| format!("{t:.3}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_read_well() {
        assert_eq!(super::rfc3339(1_500), "1970-01-01T00:00:01.500Z");
    }
}
