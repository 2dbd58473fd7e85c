//! Finding keys: `SCAN` per database, and how many there are.
//!
//! A frontier is the server's run id (40 bytes) and the cursor in digits: a cursor means nothing
//! to another process of the server, whose hash tables are seeded differently, so a scan begins
//! anew when the run id has changed.

use std::sync::Arc;

use family::{Chunk, Inventory, PortError, Trouble};
use model::{Dataset, Frontier};

use crate::conn::{Conn, Link};
use crate::database::items;
use crate::error::{self, code};
use crate::info::Info;
use crate::key;

/// Empty answers of the server passed over before the caller gets an empty chunk.
const EMPTY_ROUNDS_MAX: usize = 64;

/// The connection that scans.
pub(crate) struct Scanner {
    conn: Conn,
    run_id: String,
}

impl Scanner {
    pub(crate) async fn open(link: &Arc<Link>) -> Result<Self, PortError> {
        let mut conn = link.connect().await?;
        let run_id = Info::ask(&mut conn, "server").await?.text("run_id").to_owned();
        Ok(Self { conn, run_id })
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.conn.is_spent()
    }

    pub(crate) async fn chunk(
        &mut self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        limit: usize,
    ) -> Result<Chunk, PortError> {
        let db = key::dataset_db(dataset).ok_or_else(|| {
            let message = format!("{dataset} is not a database of this family");
            PortError::new(Trouble::Unsupported, code::IDENTITY, message)
        })?;
        let mut cursor = from.map_or("0", |f| cursor_of(f, &self.run_id)).to_owned();
        self.conn.select(db).await?;
        let count = limit.max(1).to_string();
        for _ in 0..EMPTY_ROUNDS_MAX {
            let reply =
                self.conn.call(&[b"SCAN", cursor.as_bytes(), b"COUNT", count.as_bytes()]).await?;
            let mut reply = items(reply, "SCAN", &self.conn)?.into_iter();
            let next = reply.next().and_then(|v| v.as_str().map(str::to_owned));
            let found = reply.next().and_then(wire_redis::Value::into_items);
            let (Some(next), Some(found)) = (next, found) else {
                return Err(error::unexpected("SCAN", self.conn.at()));
            };
            let keys: Vec<_> = found
                .iter()
                .filter_map(|v| v.as_bytes())
                .filter(|name| !key::is_own(name))
                .map(|name| key::encode(db, name))
                .collect();
            let done = next == "0";
            cursor = next;
            if done {
                return Ok(Chunk { keys, next: None });
            }
            if !keys.is_empty() {
                return Ok(Chunk { keys, next: Some(self.frontier(&cursor)) });
            }
        }
        Ok(Chunk { keys: Vec::new(), next: Some(self.frontier(&cursor)) })
    }

    fn frontier(&self, cursor: &str) -> Frontier {
        Frontier(format!("{}:{cursor}", self.run_id).into_bytes().into())
    }
}

/// The cursor of a frontier, or the beginning when it is of another run.
fn cursor_of<'a>(frontier: &'a Frontier, run_id: &str) -> &'a str {
    std::str::from_utf8(&frontier.0)
        .ok()
        .and_then(|text| text.rsplit_once(':'))
        .filter(|(run, cursor)| *run == run_id && cursor.bytes().all(|b| b.is_ascii_digit()))
        .map_or("0", |(_, cursor)| cursor)
}

/// Keys per database; the memory used is shared out by their number.
pub(crate) async fn inventory(conn: &mut Conn) -> Result<Vec<Inventory>, PortError> {
    let keyspace = Info::ask(conn, "keyspace").await?.keyspace();
    let used = Info::ask(conn, "memory").await.map_or(0, |info| info.number("used_memory_dataset"));
    let total: u64 = keyspace.iter().map(|(_, keys)| keys).sum();
    Ok(keyspace
        .into_iter()
        .map(|(db, records)| Inventory {
            dataset: key::dataset(db),
            records,
            bytes: share(used, records, total),
        })
        .collect())
}

fn share(used: u64, records: u64, total: u64) -> u64 {
    let part = u128::from(used) * u128::from(records) / u128::from(total.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontier_of_another_run_begins_anew() {
        let frontier = Frontier(b"aaaa:123".as_slice().into());
        assert_eq!(cursor_of(&frontier, "aaaa"), "123");
        assert_eq!(cursor_of(&frontier, "bbbb"), "0");
        assert_eq!(cursor_of(&Frontier(b"junk".as_slice().into()), "aaaa"), "0");
    }
}
