//! Until when differences are ignored. The engine looks away; this looks at the clock.

use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Batch, Change, Kind, Store, StoreError};

use crate::dto::{from_text, to_text};
use crate::world::World;
use model::Key;

/// What the id of a document begins with.
const PREFIX: &str = "ignored/";

#[derive(Serialize, Deserialize)]
struct Doc {
    expires_ms: u64,
}

/// Reads what is ignored, with the end of each.
pub(crate) async fn load(store: &dyn Store, migration: &str) -> anyhow::Result<Vec<(Key, u64)>> {
    let docs = store.list(Kind::Setting, Some(migration), Some(PREFIX), 1_000_000).await?;
    let mut all = Vec::new();
    for doc in docs {
        let Some(key) = doc.id.strip_prefix(PREFIX).and_then(from_text) else { continue };
        let body: Doc = serde_json::from_slice(&doc.body)?;
        all.push((Key::new(&key), body.expires_ms));
    }
    Ok(all)
}

/// The document that says until when a difference is ignored.
pub(crate) fn put(migration: &str, key: &Key, expires_ms: u64) -> Change {
    let body = json!(Doc { expires_ms }).to_string().into_bytes();
    Change::put(Kind::Setting, migration, &id(key), body)
}

fn id(key: &Key) -> String {
    format!("{PREFIX}{}", to_text(key.as_bytes()))
}

/// Lets differences count again whose time is over.
pub(crate) async fn expire(world: &World, now_ms: u64) {
    let over = world.ignored_until(now_ms);
    let Some(engine) = world.engine().filter(|_| !over.is_empty()) else { return };
    let mut gone = Vec::new();
    for key in &over {
        match engine.regard(key).await {
            Ok(true) => {
                let shown = world.plugin.family().show_key(key);
                world.emit("difference_counts_again", json!({ "key": shown })).await;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "an ignored difference could not be looked at again");
                continue;
            }
        }
        gone.push(key);
    }
    let changes = gone.iter().map(|key| Change::delete(Kind::Setting, &world.id, &id(key)));
    let stored: Result<_, StoreError> = world.store.commit(Batch::data(changes.collect())).await;
    match stored {
        Ok(_) => world.forget_ignored(&gone),
        Err(error) => tracing::error!(%error, "ignored differences were not forgotten"),
    }
}
