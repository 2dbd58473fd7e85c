//! What a server can do, found by asking it, as far as reading records depends on it.

use family::PortError;
use wire_redis::Value;

use crate::conn::Conn;
use crate::info::Info;

/// A name under our own prefix that is never created.
pub(crate) const ABSENT: &[u8] = b"__exodus:probe:absent";

/// How a server counts the use of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// It does not evict, or at random: use does not matter.
    Careless,
    /// By idle time.
    Recency,
    /// By frequency.
    Frequency,
}

/// Differences between servers that change how records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    /// `PEXPIRETIME` exists (7.0); else the expiry is computed from `PTTL` and `TIME`.
    pub(crate) pexpiretime: bool,
    /// `MEMORY USAGE` is allowed; else sizes are unknown and no key counts as big.
    pub(crate) memory_usage: bool,
    pub(crate) eviction: Eviction,
}

impl Traits {
    pub(crate) async fn of(conn: &mut Conn) -> Result<Self, PortError> {
        conn.queue(&[b"PEXPIRETIME", ABSENT]);
        conn.queue(&[b"MEMORY", b"USAGE", ABSENT]);
        let pexpiretime = matches!(conn.next().await?, Value::Int(_));
        let memory_usage = !matches!(conn.next().await?, Value::Error(_));
        // A server that hides INFO is taken for one that does not evict.
        let policy = match Info::ask(conn, "memory").await {
            Ok(info) => info.text("maxmemory_policy").to_owned(),
            Err(error) if conn.is_spent() => return Err(error),
            Err(_) => String::new(),
        };
        Ok(Self { pexpiretime, memory_usage, eviction: eviction_of(&policy) })
    }
}

fn eviction_of(policy: &str) -> Eviction {
    match policy {
        p if p.ends_with("-lru") => Eviction::Recency,
        p if p.ends_with("-lfu") => Eviction::Frequency,
        _ => Eviction::Careless,
    }
}
