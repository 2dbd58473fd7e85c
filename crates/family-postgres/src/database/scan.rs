//! The keys of a table, a chunk at a time, in the order of its identity.
//!
//! A key that exists during the whole scan is found: the order is that of the key itself, and a
//! row keeps its place in it as long as it keeps its key. Tables without identity are read whole
//! for every chunk, so their chunks are larger than asked for.

use std::sync::Arc;

use family::{Chunk, PortError};
use model::{Dataset, Frontier, Key};

use super::relation::Relation;
use super::statements;
use crate::conn::Conn;
use crate::key;

/// Least keys of a chunk of a table without identity.
const KEYLESS_CHUNK: usize = 20_000;

pub(super) async fn scan(
    conn: &mut Conn,
    dataset: &Dataset,
    from: Option<&Frontier>,
    limit: usize,
) -> Result<Chunk, PortError> {
    let relation = Relation::load(conn, dataset).await?;
    let limit = if relation.key.is_empty() { limit.max(KEYLESS_CHUNK) } else { limit.max(1) };
    // A frontier is the last key found.
    let last = from.map(|frontier| Key::new(&frontier.0));
    let after = last.as_ref().map(|key| key::decode(key).1).unwrap_or_default();
    let values: Vec<Option<&[u8]>> = after.iter().map(|value| Some(*value)).collect();
    let sql = statements::keys_after(&relation, from.is_none(), limit);
    let rows = conn.query_with(&sql, &values).await?;
    let key = |row: &crate::conn::Row| {
        key::encode(dataset, row.values().iter().map(|v| v.as_deref().unwrap_or_default()))
    };
    let keys: Vec<Key> = rows.iter().map(key).collect();
    let full = keys.len() == limit;
    let next = keys.last().filter(|_| full).map(|k| Frontier(Arc::from(k.as_bytes())));
    Ok(Chunk { keys, next })
}
