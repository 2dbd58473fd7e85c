//! The family's entry: opening sides, reading identities, and what concerns both sides.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use family::{Database, EndpointSpec, Family, Finding, PortError, Severity};
use model::{Dataset, Key, Tenant};
use parking_lot::Mutex;
use wire_redis::Value;

use crate::clients;
use crate::compare;
use crate::conn::{Abandoned, Conn, Link};
use crate::database::{RedisDatabase, items, migration_of};
use crate::info::Info;
use crate::key::{self, KeyRef};
use crate::pairing::Pairing;

/// Default bound above which a value is copied by elements, in bytes.
const BIG_BYTES: u64 = 64 * 1024 * 1024;

/// Redis, Valkey and compatible systems.
pub struct RedisFamily {
    big_bytes: u64,
    opened: Mutex<Vec<Weak<RedisDatabase>>>,
    /// By migration, so that its two sides find each other.
    pairings: Mutex<HashMap<String, Weak<Pairing>>>,
    /// By address and session tag; as many as endpoints were ever opened.
    abandoned: Mutex<HashMap<(String, String), Arc<Abandoned>>>,
}

impl RedisFamily {
    /// A family with nothing opened.
    #[must_use]
    pub fn new() -> Self {
        Self::with_big_bytes(BIG_BYTES)
    }

    /// The same with another bound above which a value (by its bytes in the server's memory) is
    /// copied by elements, in bounded memory, instead of in one message.
    #[must_use]
    pub fn with_big_bytes(big_bytes: u64) -> Self {
        Self {
            big_bytes,
            opened: Mutex::default(),
            pairings: Mutex::default(),
            abandoned: Mutex::default(),
        }
    }

    fn pairing(&self, tag: &str) -> Arc<Pairing> {
        let mut pairings = self.pairings.lock();
        pairings.retain(|_, pairing| pairing.strong_count() > 0);
        let migration = migration_of(tag).to_owned();
        let known = pairings.get(&migration).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let made = Arc::new(Pairing::new(self.big_bytes));
            pairings.insert(migration, Arc::downgrade(&made));
            made
        })
    }

    /// The database behind the port, if this family opened it.
    fn ours(&self, database: &Arc<dyn Database>) -> Option<Arc<RedisDatabase>> {
        let mut opened = self.opened.lock();
        opened.retain(|known| known.strong_count() > 0);
        opened
            .iter()
            .filter_map(Weak::upgrade)
            .find(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(database)))
    }
}

impl Default for RedisFamily {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Family for RedisFamily {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn open(&self, spec: EndpointSpec) -> Result<Arc<dyn Database>, PortError> {
        let known = (spec.address.clone(), spec.session_tag.clone());
        let abandoned = self.abandoned.lock().entry(known).or_default().clone();
        let link = Link::new(&spec, abandoned)?;
        let pairing = self.pairing(&spec.session_tag);
        let database = Arc::new(RedisDatabase::open(link, pairing).await?);
        self.opened.lock().push(Arc::downgrade(&database));
        Ok(database)
    }

    fn tenant_of(&self, rule: &str, key: &Key) -> Option<Tenant> {
        key::tenant(rule, key::decode(key)?)
    }

    /// Invalidations name a key and no database.
    fn reported_as<'k>(&self, key: &'k Key) -> &'k [u8] {
        key::decode(key).map_or_else(|| key.as_bytes(), |KeyRef { name, .. }| name)
    }

    fn show_key(&self, key: &Key) -> String {
        key::decode(key).map_or_else(|| format!("{key:?}"), key::show)
    }

    fn dataset_of(&self, key: &Key) -> Dataset {
        key::dataset(key::decode(key).map_or(0, |KeyRef { db, .. }| db))
    }

    async fn compare_endpoints(
        &self,
        source: &Arc<dyn Database>,
        target: &Arc<dyn Database>,
    ) -> Vec<Finding> {
        match (self.ours(source), self.ours(target)) {
            (Some(source), Some(target)) => compare::endpoints(&source, &target).await,
            _ => vec![Finding {
                code: "EXO-PRE-121",
                severity: Severity::NotRun,
                side: None,
                evidence: "one of the endpoints was not opened by this family".into(),
                remedy: "open both endpoints with the same family".into(),
            }],
        }
    }

    async fn cleanup(&self, database: &Arc<dyn Database>) -> Result<Vec<String>, PortError> {
        let mut removed = Vec::new();
        let reaped = database.reap().await?;
        if reaped > 0 {
            removed.push(format!("{reaped} connections of earlier boots"));
        }
        let Some(database) = self.ours(database) else { return Ok(removed) };
        database
            .control(async |conn| {
                for (db, _) in Info::ask(conn, "keyspace").await?.keyspace() {
                    let keys = remove_scratch(conn, db).await?;
                    if keys > 0 {
                        removed.push(format!("{keys} scratch keys in db{db}"));
                    }
                }
                removed.extend(remove_accounts(conn).await?);
                Ok(())
            })
            .await?;
        let own = |row: &clients::ClientRow| row.name.starts_with(database.link().tag());
        let left = database.control(async |conn| clients::list(conn).await).await?;
        let left = left.iter().filter(|row| own(row)).count();
        removed.push(format!("{left} connections of this process remain until it ends"));
        Ok(removed)
    }
}

/// Removes every key under our own prefix from a database.
async fn remove_scratch(conn: &mut Conn, db: u16) -> Result<usize, PortError> {
    let pattern = [key::OWN_PREFIX, b"*"].concat();
    let mut cursor = b"0".to_vec();
    let mut removed = 0;
    conn.select(db).await?;
    loop {
        let reply = conn.call(&[b"SCAN", &cursor, b"MATCH", &pattern, b"COUNT", b"1000"]).await?;
        let reply = items(reply, "SCAN", conn)?;
        for name in reply.get(1).and_then(Value::as_items).unwrap_or_default() {
            if let Some(name) = name.as_bytes().filter(|name| key::is_own(name)) {
                conn.ask(&[b"UNLINK", name]).await?;
                removed += 1;
            }
        }
        cursor = reply.first().and_then(Value::as_bytes).map_or(b"0".to_vec(), |c| c.to_vec());
        if cursor == b"0" {
            return Ok(removed);
        }
    }
}

/// Removes scratch accounts that a killed preflight left.
async fn remove_accounts(conn: &mut Conn) -> Result<Vec<String>, PortError> {
    let reply = conn.call(&[b"ACL", b"USERS"]).await?;
    let mut removed = Vec::new();
    for user in reply.as_items().unwrap_or_default() {
        if let Some(user) = user.as_str().filter(|user| user.starts_with("__exodus_scratch_")) {
            conn.ask(&[b"ACL", b"DELUSER", user.as_bytes()]).await?;
            removed.push(format!("scratch account {user}"));
        }
    }
    Ok(removed)
}
