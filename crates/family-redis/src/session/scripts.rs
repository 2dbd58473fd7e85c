//! Scripts that clients taught the server through this interlay.
//!
//! A server's script cache is no record and is not copied, but applications that loaded a script
//! once call it by its digest for months. Before a new authority opens it is taught the same.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of scripts remembered; the oldest go first. A client whose script was forgotten is told
/// NOSCRIPT, as after a restart of the server.
const SCRIPT_BYTES_MAX: usize = 8 << 20;

/// Bodies of scripts, each once.
#[derive(Debug, Default)]
pub(super) struct Scripts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashSet<u128>,
    bodies: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Scripts {
    pub(super) fn remember(&self, body: &[u8]) {
        let hash = xxh3_128(body);
        let mut inner = self.0.lock();
        if body.len() > SCRIPT_BYTES_MAX || !inner.known.insert(hash) {
            return;
        }
        inner.bytes += body.len();
        inner.bodies.push_back(body.into());
        while inner.bytes > SCRIPT_BYTES_MAX {
            let Some(oldest) = inner.bodies.pop_front() else { break };
            inner.bytes -= oldest.len();
            inner.known.remove(&xxh3_128(&oldest));
        }
    }

    pub(super) fn for_each(&self, mut found: impl FnMut(&[u8])) {
        self.0.lock().bodies.iter().for_each(|body| found(body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once_and_never_too_many() {
        let scripts = Scripts::default();
        let count = || {
            let mut n = 0;
            scripts.for_each(|_| n += 1);
            n
        };
        scripts.remember(b"return 1");
        scripts.remember(b"return 1");
        scripts.remember(b"return 2");
        assert_eq!(count(), 2);
        scripts.remember(&vec![b'x'; SCRIPT_BYTES_MAX + 1]);
        assert_eq!(count(), 2);
        scripts.remember(&vec![b'x'; SCRIPT_BYTES_MAX]);
        assert_eq!(count(), 1);
    }
}
