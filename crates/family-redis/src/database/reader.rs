//! Reading records under a fence: `WATCH`, read, and later `MULTI PING EXEC`.
//!
//! Constraints: the value and the expiry of a record come from one instant. They are two
//! commands, so the expiry is asked before and after the value and both answers have to agree; a
//! record that moved between them is asked again. (That it moved also voids the fence.)
//!
//! A read is two round trips: expiry and size first, so that a key too big for one message is
//! never dumped, then the payloads. `WATCH` holds on to the database it was given in.

use std::sync::Arc;

use async_trait::async_trait;
use family::{Moved, PortError, Reader, Trouble};
use model::{Digest, Image, Key, Record};
use wire_redis::Value;

use crate::conn::{Conn, Link};
use crate::digest;
use crate::error::{self, code};
use crate::image::{self, Parts, Usage};
use crate::key::{self, KeyRef};
use crate::pairing::Pairing;
use crate::traits::{Eviction, Traits};

/// Bytes one read may hold as payloads; beyond it, values above [`SPILL_BYTES`] are copied by
/// elements as well.
const BATCH_BYTES: u64 = 128 * 1024 * 1024;
const SPILL_BYTES: u64 = 256 * 1024;
/// Times a record that changes while it is read is asked again.
const ATTEMPTS_MAX: usize = 16;

/// What the fence covers.
enum Fence {
    Down,
    /// Around nothing: holds trivially.
    Empty,
    Up {
        /// Named when it is a single record: then a nil says which one moved.
        only: Option<Key>,
    },
}

/// A connection that reads.
pub(crate) struct RedisReader {
    link: Arc<Link>,
    pairing: Arc<Pairing>,
    conn: Option<Conn>,
    traits: Traits,
    fence: Fence,
}

/// A record as its first round trip shows it.
#[derive(Clone, Copy)]
struct Glance {
    /// -2 absent, -1 no expiry, else absolute milliseconds.
    expiry_ms: i64,
    /// Bytes in the server's memory; 0 when it does not tell.
    size: u64,
    usage: Usage,
}

impl RedisReader {
    pub(crate) async fn open(link: &Arc<Link>, pairing: &Arc<Pairing>) -> Result<Self, PortError> {
        let mut conn = link.connect().await?;
        let traits = Traits::of(&mut conn).await?;
        pairing.note_expiry(link.side(), traits.pexpiretime);
        Ok(Self {
            link: link.clone(),
            pairing: pairing.clone(),
            conn: Some(conn),
            traits,
            fence: Fence::Down,
        })
    }

    /// The connection, made anew where it broke; an open fence is dropped.
    async fn ready(&mut self) -> Result<&mut Conn, PortError> {
        let fenced = matches!(std::mem::replace(&mut self.fence, Fence::Down), Fence::Up { .. });
        let mut conn = match self.conn.take() {
            Some(conn) if !conn.is_spent() => conn,
            _ => {
                let mut conn = self.link.connect().await?;
                self.traits = Traits::of(&mut conn).await?;
                self.pairing.note_expiry(self.link.side(), self.traits.pexpiretime);
                return Ok(self.conn.insert(conn));
            }
        };
        if fenced {
            conn.ask(&[b"UNWATCH"]).await?;
        }
        Ok(self.conn.insert(conn))
    }

    async fn read_fenced(&mut self, keys: &[Key]) -> Result<Vec<Record>, PortError> {
        let refs = parse(keys)?;
        let groups = by_db(&refs);
        let (big_bytes, traits) = (self.pairing.big_bytes(), self.traits);
        let pulls = self.pairing.other_than(self.link.side()).is_some();
        let conn = self.ready().await?;
        watch(conn, &refs, &groups).await?;
        let mut glances = glance(conn, &refs, &groups, traits).await?;
        let mut images: Vec<Option<Image>> = vec![None; keys.len()];
        let mut planned = 0;
        for (image, seen) in images.iter_mut().zip(&glances) {
            if seen.expiry_ms == -2 {
                *image = Some(Image::Absent);
                continue;
            }
            let spills = planned + seen.size > BATCH_BYTES && seen.size > SPILL_BYTES;
            if pulls && (seen.size > big_bytes || spills) {
                let (expiry_ms, usage) = (seen.expiry_ms, seen.usage);
                *image = Some(image::encode(Parts { expiry_ms, usage, payload: None }));
            } else {
                planned += seen.size;
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            dump(conn, &refs, &groups, traits, &mut glances, &mut images).await?;
            if images.iter().all(Option::is_some) {
                let images = images.into_iter().flatten();
                return Ok(keys
                    .iter()
                    .zip(images)
                    .map(|(key, image)| Record { key: key.clone(), image })
                    .collect());
            }
        }
        let message = format!("{}: a record changes faster than it can be read", conn.at());
        Err(PortError::new(Trouble::Unreachable, code::MOVING, message))
    }
}

#[async_trait]
impl Reader for RedisReader {
    async fn read(&mut self, keys: &[Key]) -> Result<Vec<Record>, PortError> {
        if keys.is_empty() {
            self.ready().await?;
            self.fence = Fence::Empty;
            return Ok(Vec::new());
        }
        let records = self.read_fenced(keys).await?;
        self.fence = Fence::Up { only: (keys.len() == 1).then(|| keys[0].clone()) };
        Ok(records)
    }

    async fn confirm(&mut self) -> Result<Moved, PortError> {
        let only = match std::mem::replace(&mut self.fence, Fence::Down) {
            Fence::Up { only } => only,
            Fence::Empty => return Ok(Moved::None),
            // Nothing was read, or the read failed: nothing may be called unchanged.
            Fence::Down => return Ok(Moved::Some),
        };
        let Some(mut conn) = self.conn.take() else { return Ok(Moved::Some) };
        let unchanged = exec_unchanged(&mut conn).await?;
        self.conn = Some(conn);
        Ok(match (unchanged, only) {
            (true, _) => Moved::None,
            (false, Some(key)) => Moved::Keys(vec![key]),
            (false, None) => Moved::Some,
        })
    }

    async fn digest(&mut self, keys: &[Key]) -> Result<Vec<Option<Digest>>, PortError> {
        let refs = parse(keys)?;
        let (traits, exact) = (self.traits, self.pairing.expiry_is_exact());
        let conn = self.ready().await?;
        digest::digests(conn, &refs, traits, exact).await
    }

    async fn describe(&mut self, keys: &[Key]) -> Result<Vec<String>, PortError> {
        let refs = parse(keys)?;
        let traits = self.traits;
        let conn = self.ready().await?;
        digest::describe(conn, &refs, traits).await
    }
}

/// Takes identities apart.
pub(crate) fn parse(keys: &[Key]) -> Result<Vec<KeyRef<'_>>, PortError> {
    keys.iter()
        .map(|k| {
            key::decode(k).ok_or_else(|| {
                let message = "a record identity of another family";
                PortError::new(Trouble::Unsupported, code::IDENTITY, message)
            })
        })
        .collect()
}

/// Positions grouped by database, in the order in which the databases first appear.
pub(crate) fn by_db(refs: &[KeyRef<'_>]) -> Vec<(u16, Vec<usize>)> {
    let mut groups: Vec<(u16, Vec<usize>)> = Vec::new();
    for (i, key) in refs.iter().enumerate() {
        match groups.iter_mut().find(|(db, _)| *db == key.db) {
            Some((_, members)) => members.push(i),
            None => groups.push((key.db, vec![i])),
        }
    }
    groups
}

/// Watches every key; on return the fence is up.
pub(crate) async fn watch(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    groups: &[(u16, Vec<usize>)],
) -> Result<(), PortError> {
    for (db, members) in groups {
        let owed = conn.queue_select(*db);
        conn.queue_head(1 + members.len());
        conn.arg(b"WATCH");
        for &i in members {
            conn.arg(refs[i].name);
        }
        conn.selected(owed).await?;
        let reply = conn.next().await?;
        error::checked(reply, "WATCH", conn.at())?;
    }
    Ok(())
}

/// Whether nothing watched has changed. Ends the watch.
pub(crate) async fn exec_unchanged(conn: &mut Conn) -> Result<bool, PortError> {
    conn.queue(&[b"MULTI"]);
    conn.queue(&[b"PING"]);
    conn.queue(&[b"EXEC"]);
    let multi = conn.next().await?;
    let queued = conn.next().await?;
    let exec = conn.next().await?;
    error::checked(multi, "MULTI", conn.at())?;
    error::checked(queued, "PING", conn.at())?;
    match error::checked(exec, "EXEC", conn.at())? {
        Value::Nil => Ok(false),
        Value::Array(_) => Ok(true),
        _ => Err(error::unexpected("EXEC", conn.at())),
    }
}

fn queue_expiry(conn: &mut Conn, name: &[u8], traits: Traits) {
    if traits.pexpiretime {
        conn.queue(&[b"PEXPIRETIME", name]);
    } else {
        conn.queue(&[b"TIME"]);
        conn.queue(&[b"PTTL", name]);
    }
}

/// The reply to [`queue_expiry`]: -2 absent, -1 none, else absolute milliseconds.
async fn expiry(conn: &mut Conn, traits: Traits) -> Result<i64, PortError> {
    let now = if traits.pexpiretime { None } else { Some(server_time_ms(conn).await?) };
    let reply = conn.next().await?;
    let reply = error::checked(reply, "PEXPIRETIME", conn.at())?;
    let told = reply.as_int().ok_or_else(|| error::unexpected("PEXPIRETIME", conn.at()))?;
    Ok(match now {
        Some(now) if told >= 0 => now + told,
        _ => told,
    })
}

/// The reply to `TIME`, in milliseconds.
pub(crate) async fn server_time_ms(conn: &mut Conn) -> Result<i64, PortError> {
    let reply = conn.next().await?;
    let reply = error::checked(reply, "TIME", conn.at())?;
    let part = |i: usize| reply.as_items().and_then(|v| v.get(i)).and_then(Value::as_int);
    match (part(0), part(1)) {
        (Some(seconds), Some(micros)) => Ok(seconds * 1000 + micros / 1000),
        _ => Err(error::unexpected("TIME", conn.at())),
    }
}

async fn glance(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    groups: &[(u16, Vec<usize>)],
    traits: Traits,
) -> Result<Vec<Glance>, PortError> {
    let mut seen = vec![Glance { expiry_ms: -2, size: 0, usage: Usage::Unknown }; refs.len()];
    for (db, members) in groups {
        let owed = conn.queue_select(*db);
        for &i in members {
            let name = refs[i].name;
            match traits.eviction {
                Eviction::Careless => {}
                Eviction::Recency => conn.queue(&[b"OBJECT", b"IDLETIME", name]),
                Eviction::Frequency => conn.queue(&[b"OBJECT", b"FREQ", name]),
            }
            queue_expiry(conn, name, traits);
            if traits.memory_usage {
                conn.queue(&[b"MEMORY", b"USAGE", name]);
            }
        }
        conn.selected(owed).await?;
        for &i in members {
            // A server may refuse OBJECT when its policy has just been changed; use is a hint.
            seen[i].usage = match traits.eviction {
                Eviction::Careless => Usage::Unknown,
                Eviction::Recency => usage(conn.next().await?, Usage::IdleSeconds),
                Eviction::Frequency => {
                    usage(conn.next().await?, |f| Usage::Frequency(u8::try_from(f).unwrap_or(255)))
                }
            };
            seen[i].expiry_ms = expiry(conn, traits).await?;
            if traits.memory_usage {
                let told = conn.next().await?.as_int().unwrap_or(0);
                seen[i].size = u64::try_from(told).unwrap_or(0);
            }
        }
    }
    Ok(seen)
}

fn usage(reply: Value, wrap: impl FnOnce(u32) -> Usage) -> Usage {
    match reply {
        Value::Int(n) => u32::try_from(n).map_or(Usage::Unknown, wrap),
        _ => Usage::Unknown,
    }
}

/// Fills in the images still missing whose expiry did not change around the payload.
async fn dump(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    groups: &[(u16, Vec<usize>)],
    traits: Traits,
    seen: &mut [Glance],
    images: &mut [Option<Image>],
) -> Result<(), PortError> {
    for (db, members) in groups {
        let owed = conn.queue_select(*db);
        let missing = || members.iter().copied().filter(|&i| images[i].is_none());
        if missing().next().is_none() {
            conn.selected(owed).await?;
            continue;
        }
        for i in missing() {
            conn.queue(&[b"DUMP", refs[i].name]);
            queue_expiry(conn, refs[i].name, traits);
        }
        let missing: Vec<usize> = missing().collect();
        conn.selected(owed).await?;
        for i in missing {
            let reply = conn.next().await?;
            let dumped = error::checked(reply, "DUMP", conn.at());
            let after = expiry(conn, traits).await?;
            let before = std::mem::replace(&mut seen[i].expiry_ms, after);
            images[i] = match dumped? {
                Value::Nil if after == -2 => Some(Image::Absent),
                Value::Bulk(payload) if agree(before, after, traits) => {
                    let usage = seen[i].usage;
                    Some(image::encode(Parts { expiry_ms: after, usage, payload: Some(&payload) }))
                }
                Value::Nil | Value::Bulk(_) => None,
                _ => return Err(error::unexpected("DUMP", conn.at())),
            };
        }
    }
    Ok(())
}

/// Whether two answers name the same expiry; one computed from two clocks readings may be off by
/// their rounding.
fn agree(before: i64, after: i64, traits: Traits) -> bool {
    before == after
        || (!traits.pexpiretime && before >= 0 && after >= 0 && before.abs_diff(after) <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouping_keeps_the_order_within_a_database() {
        let at = |db| KeyRef { db, name: b"k" };
        let refs = [at(1), at(0), at(1), at(0)];
        assert_eq!(by_db(&refs), vec![(1, vec![0, 2]), (0, vec![1, 3])]);
    }
}
