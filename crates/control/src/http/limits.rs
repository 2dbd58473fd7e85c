//! How often somebody may fail to prove who they are.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

/// Failures that an address may have within the window.
const FAILURES_MAX: u32 = 10;
/// The window, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Addresses remembered at most; the oldest window is forgotten first.
const ADDRESSES_MAX: usize = 4_096;

/// Failed attempts per address.
#[derive(Default)]
pub(super) struct Attempts {
    by_address: Mutex<HashMap<IpAddr, (u64, u32)>>,
}

impl Attempts {
    /// Whether this address has failed too often lately.
    pub(super) fn exhausted(&self, address: IpAddr, now_ms: u64) -> bool {
        self.by_address.lock().get(&address).is_some_and(|(since, failures)| {
            now_ms.saturating_sub(*since) < WINDOW_MS && *failures >= FAILURES_MAX
        })
    }

    /// Remembers a failure.
    pub(super) fn failed(&self, address: IpAddr, now_ms: u64) {
        let mut all = self.by_address.lock();
        if all.len() >= ADDRESSES_MAX
            && !all.contains_key(&address)
            && let Some(oldest) = all.iter().min_by_key(|(_, (since, _))| *since).map(|(a, _)| *a)
        {
            all.remove(&oldest);
        }
        let entry = all.entry(address).or_insert((now_ms, 0));
        if now_ms.saturating_sub(entry.0) >= WINDOW_MS {
            *entry = (now_ms, 0);
        }
        entry.1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_a_minute_and_no_more() {
        let attempts = Attempts::default();
        let (a, b): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        for _ in 0..10 {
            assert!(!attempts.exhausted(a, 5));
            attempts.failed(a, 5);
        }
        assert!(attempts.exhausted(a, 60_004));
        assert!(!attempts.exhausted(b, 5));
        assert!(!attempts.exhausted(a, 60_005));
    }
}
