//! Cancel keys: clients are given ours, servers get theirs.
//!
//! A request to cancel comes on a fresh connection and names a process and a secret. The process
//! is the one the client was told, the secret is made here, so that nobody who can reach a server
//! directly can use it there, and a session keeps its key when it moves to another server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::identity::Backend;

/// Everybody who can be cancelled.
#[derive(Default)]
pub(super) struct Registry {
    /// By the process clients were told. Two servers may have processes of one number.
    sessions: Mutex<HashMap<u32, Vec<Entry>>>,
}

struct Entry {
    key: Zeroizing<Vec<u8>>,
    running: Arc<Running>,
}

/// What a session is doing, for those who want to cancel it.
#[derive(Default)]
pub(super) struct Running {
    /// Requests without a complete answer.
    pub(super) owed: AtomicU32,
    backend: Mutex<Backend>,
}

impl Running {
    /// The session is on this server process now.
    pub(super) fn is_on(&self, backend: Backend) {
        *self.backend.lock() = backend;
    }
}

/// A session's place in the registry; it leaves with this.
pub(super) struct Listed {
    registry: Arc<Registry>,
    pid: u32,
    running: Arc<Running>,
}

impl Registry {
    /// Lists a session under the process its client is told and a key made for it.
    pub(super) fn list(self: &Arc<Self>, pid: u32, key: &[u8], running: &Arc<Running>) -> Listed {
        let entry = Entry { key: Zeroizing::new(key.to_vec()), running: Arc::clone(running) };
        self.sessions.lock().entry(pid).or_default().push(entry);
        Listed { registry: Arc::clone(self), pid, running: Arc::clone(running) }
    }

    /// The server process that a request to cancel means, if a statement is in flight there.
    pub(super) fn find(&self, pid: u32, key: &[u8]) -> Option<Backend> {
        let sessions = self.sessions.lock();
        let entry = sessions.get(&pid)?.iter().find(|e| bool::from(e.key.ct_eq(key)))?;
        let busy = entry.running.owed.load(Ordering::Acquire) > 0;
        busy.then(|| entry.running.backend.lock().clone())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut sessions = self.registry.sessions.lock();
        if let Some(entries) = sessions.get_mut(&self.pid) {
            entries.retain(|e| !Arc::ptr_eq(&e.running, &self.running));
            if entries.is_empty() {
                sessions.remove(&self.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_of_a_busy_session_finds_its_server() {
        let registry = Arc::new(Registry::default());
        let running = Arc::new(Running::default());
        running.is_on(Backend { pid: 9, key: Zeroizing::new(vec![1; 4]) });
        let listed = registry.list(7, b"secret", &running);
        assert!(registry.find(7, b"secret").is_none(), "idle");
        running.owed.store(1, Ordering::Release);
        assert!(registry.find(7, b"secret").is_some_and(|b| b.pid == 9));
        assert!(registry.find(7, b"other!").is_none());
        assert!(registry.find(8, b"secret").is_none());
        drop(listed);
        assert!(registry.find(7, b"secret").is_none());
        assert!(registry.sessions.lock().is_empty());
    }
}
