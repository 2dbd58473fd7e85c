//! One Redis system as workers use it.
//!
//! Layout: `scan` finds keys, `reader` (with `watch` and `strings`) and `writer` move records, `elements`
//! moves those too big for one message, `feed` tells what changed, `fence` stops writers, `probe` and `assess` say
//! who the server is and what is wrong with it.

mod assess;
pub(crate) mod elements;
mod feed;
mod fence;
mod probe;
pub(crate) mod reader;
mod scan;
mod strings;
pub(crate) mod watch;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use family::{
    Chunk, Database, Feed, FenceRecord, Finding, Inventory, PortError, Probe, Reader, Writer,
};
use model::{Dataset, Frontier, Side};
use tokio::sync::Mutex;

use crate::clients::{self, ClientRow};
use crate::conn::{Conn, Link};
use crate::error;
use crate::pairing::Pairing;

pub use assess::WORKER_RULES;
pub(crate) use feed::Incarnation;
pub(crate) use probe::clock;
pub(crate) use reader::RedisReader;
pub(crate) use writer::RedisWriter;

/// Names of connections of any Exodus begin with this.
pub(crate) const OWN_NAMES: &str = "exodus:";

/// One side of a migration.
pub(crate) struct RedisDatabase {
    link: Arc<Link>,
    pairing: Arc<Pairing>,
    /// For short questions; replaced when it breaks.
    control: Mutex<Option<Conn>>,
    scan: Mutex<Option<scan::Scanner>>,
}

impl RedisDatabase {
    /// Opens a side; fails when it cannot be reached or refuses us.
    pub(crate) async fn open(link: Arc<Link>, pairing: Arc<Pairing>) -> Result<Self, PortError> {
        let mut conn = link.connect().await?;
        conn.ask(&[b"PING"]).await?;
        pairing.join(&link);
        Ok(Self { link, pairing, control: Mutex::new(Some(conn)), scan: Mutex::new(None) })
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Runs `work` on the control connection, connecting anew where it broke.
    pub(crate) async fn control<T>(
        &self,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        let mut slot = self.control.lock().await;
        // Taken out meanwhile: if this future is dropped half way, so is the connection.
        let mut conn = match slot.take() {
            Some(conn) if !conn.is_spent() => conn,
            _ => self.link.connect().await?,
        };
        let done = work(&mut conn).await;
        if !conn.is_spent() {
            *slot = Some(conn);
        }
        done
    }

    pub(crate) async fn redis_reader(&self) -> Result<RedisReader, PortError> {
        RedisReader::open(&self.link, &self.pairing).await
    }

    pub(crate) async fn redis_writer(&self) -> Result<RedisWriter, PortError> {
        RedisWriter::open(&self.link, &self.pairing).await
    }
}

#[async_trait]
impl Database for RedisDatabase {
    fn side(&self) -> Side {
        self.link.side()
    }

    async fn probe(&self) -> Result<Probe, PortError> {
        probe::probe(&self.link).await
    }

    async fn assess(&self) -> Vec<Finding> {
        assess::assess(&self.link).await
    }

    async fn inventory(&self) -> Result<Vec<Inventory>, PortError> {
        self.control(async |conn| scan::inventory(conn).await).await
    }

    async fn ping(&self) -> Result<Duration, PortError> {
        self.control(async |conn| {
            let asked = Instant::now();
            conn.ask(&[b"PING"]).await?;
            Ok(asked.elapsed())
        })
        .await
    }

    async fn scan(
        &self,
        dataset: &Dataset,
        from: Option<&Frontier>,
        limit: usize,
    ) -> Result<Chunk, PortError> {
        let mut slot = self.scan.lock().await;
        let mut scanner = match slot.take() {
            Some(scanner) if !scanner.is_spent() => scanner,
            _ => scan::Scanner::open(&self.link).await?,
        };
        let chunk = scanner.chunk(dataset, from, limit).await;
        if !scanner.is_spent() {
            *slot = Some(scanner);
        }
        chunk
    }

    async fn reader(&self) -> Result<Box<dyn Reader>, PortError> {
        Ok(Box::new(self.redis_reader().await?))
    }

    async fn writer(&self) -> Result<Box<dyn Writer>, PortError> {
        Ok(Box::new(self.redis_writer().await?))
    }

    async fn feed(&self) -> Result<Box<dyn Feed>, PortError> {
        Ok(Box::new(feed::RedisFeed::open(&self.link).await?))
    }

    async fn plan_fence(&self) -> Result<FenceRecord, PortError> {
        self.control(async |conn| fence::plan(conn, self.link.application_users()).await).await
    }

    async fn fence(&self, fence: &FenceRecord) -> Result<(), PortError> {
        self.control(async |conn| fence::apply(conn, fence).await).await
    }

    async fn lift(&self, fence: &FenceRecord) -> Result<(), PortError> {
        self.control(async |conn| fence::lift(conn, fence).await).await
    }

    async fn reap(&self) -> Result<usize, PortError> {
        let abandoned = self.link.abandoned().all();
        let tag = self.link.tag();
        let killed = self
            .control(async |conn| {
                clients::kill(conn, |row| {
                    is_older_boot(tag, &row.name)
                        || (row.name == tag && abandoned.contains(&row.id))
                })
                .await
            })
            .await?;
        self.link.abandoned().settled(&abandoned);
        Ok(killed)
    }

    async fn foreign_sessions(&self) -> Result<Vec<String>, PortError> {
        let rows = self.control(async |conn| clients::list(conn).await).await?;
        Ok(rows.iter().filter(|row| is_foreign(row)).map(shown).collect())
    }
}

/// Whether a client name is that of an earlier boot of the same migration as `tag`.
///
/// A tag is `exodus:<migration>:<boot>`; the same with something after a further colon is a part
/// of the same boot.
fn is_older_boot(tag: &str, name: &str) -> bool {
    let continues = |base: &str| name.strip_prefix(base).is_some_and(|rest| rest.starts_with(':'));
    name != tag && !continues(tag) && continues(migration_of(tag))
}

/// The tag without its last part.
pub(crate) fn migration_of(tag: &str) -> &str {
    tag.rsplit_once(':').map_or(tag, |(migration, _)| migration)
}

pub(crate) fn is_foreign(row: &ClientRow) -> bool {
    !row.name.starts_with(OWN_NAMES) && !row.is_replication()
}

pub(crate) fn shown(row: &ClientRow) -> String {
    match row.name.as_str() {
        "" => format!("{} user={}", row.addr, row.user),
        name => format!("{} user={} name={name}", row.addr, row.user),
    }
}

/// A random number for scratch names and nonces.
pub(crate) fn nonce() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Seeded by the operating system, and different at every call.
    RandomState::new().hash_one(std::process::id())
}

/// A reply that is a list.
pub(crate) fn items(
    reply: wire_redis::Value,
    what: &str,
    conn: &Conn,
) -> Result<Vec<wire_redis::Value>, PortError> {
    let reply = error::checked(reply, what, conn.at())?;
    reply.into_items().ok_or_else(|| error::unexpected(what, conn.at()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_boots() {
        assert!(is_older_boot("exodus:m:2", "exodus:m:1"));
        assert!(!is_older_boot("exodus:m:2", "exodus:m:2"));
        assert!(!is_older_boot("exodus:m:2", "exodus:m:2:proxy"));
        assert!(is_older_boot("exodus:m:2", "exodus:m:1:proxy"));
        assert!(!is_older_boot("exodus:m:2", "exodus:mm:1"));
        assert!(!is_older_boot("exodus:m:2", "app"));
    }
}
