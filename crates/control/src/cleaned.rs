//! Whether what is ours was removed from both sides after a run was over. Stored, so that a
//! restart does not ask for it again.

use serde::{Deserialize, Serialize};
use store::{Batch, Change, Kind, Store};

use crate::world::World;

/// Id of the document in the migration's settings.
const ID: &str = "cleaned";

/// The last cleanup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cleaned {
    /// The run it belongs to: another run may leave something again.
    pub(crate) run: String,
    /// When, milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// What could not be removed, and why; empty when nothing of ours is left.
    pub(crate) left: Vec<String>,
}

/// Reads the last cleanup of a migration.
pub(crate) async fn load(store: &dyn Store, migration: &str) -> anyhow::Result<Option<Cleaned>> {
    let doc = store.get(Kind::Setting, migration, ID).await?;
    doc.map(|doc| serde_json::from_slice(&doc.body).map_err(Into::into)).transpose()
}

impl World {
    /// A cleanup came to its end.
    pub(crate) async fn note_cleaned(&self, left: Vec<String>) {
        let Some(run) = self.snapshot().and_then(|s| s.run.as_ref().map(|r| r.run.clone())) else {
            return;
        };
        let cleaned = Cleaned { run, at_ms: self.clock.now_ms(), left };
        let body = serde_json::json!(cleaned).to_string().into_bytes();
        let put = Change::put(Kind::Setting, &self.id, ID, body);
        match self.store.commit(Batch::data(vec![put])).await {
            Ok(_) => self.set_cleaned(Some(cleaned)),
            Err(error) => tracing::error!(%error, "the cleanup was not stored"),
        }
    }
}
