use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use store::Store;
use tokio_util::sync::CancellationToken;

use super::limits::Attempts;
use crate::desk::{Desk, MigrationDesk};
use crate::people::People;

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What is asked.
    pub(super) desk: Arc<dyn Desk>,
    /// Events, audit and idempotency.
    pub(super) store: Arc<dyn Store>,
    /// Tokens.
    pub(super) people: People,
    /// Failed attempts to prove who one is.
    pub(super) attempts: Arc<Attempts>,
    /// Dashboard sessions: session id to token id and expiry. Lost at a restart, on purpose.
    pub(super) sessions: Arc<Mutex<HashMap<String, Session>>>,
    /// Idempotency keys whose first request is still being carried out.
    pub(super) under_way: Arc<Mutex<std::collections::HashSet<String>>>,
    /// Ends streams.
    pub(super) stop: CancellationToken,
}

/// One dashboard login.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) token_id: String,
    pub(super) expires_ms: u64,
}

impl App {
    /// A door to this desk.
    #[must_use]
    pub fn new(desk: Arc<dyn Desk>, store: Arc<dyn Store>, stop: CancellationToken) -> Self {
        Self {
            desk,
            people: People::new(Arc::clone(&store)),
            store,
            attempts: Arc::default(),
            sessions: Arc::default(),
            under_way: Arc::default(),
            stop,
        }
    }

    pub(super) fn migration(&self, id: &str) -> Option<Arc<dyn MigrationDesk>> {
        self.desk.find(id)
    }
}
