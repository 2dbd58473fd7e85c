//! Reading records under a fence: `WATCH`, read, and later `MULTI PING EXEC`.
//!
//! Constraints: the value and the expiry of a record come from one instant. They are two
//! commands, so the expiry is asked before and after the value and both answers have to agree; a
//! record that moved between them is asked again. (That it moved also voids the fence.)
//!
//! A read is two round trips: the fence with expiry and size, so that a key too big for one
//! message is never dumped, then the payloads. One does where `strings` apply. `WATCH` holds on
//! to the database it was given in.

use std::sync::Arc;

use async_trait::async_trait;
use family::{Moved, PortError, Reader, Trouble};
use model::{Digest, Image, Key, Record};
use wire_redis::Value;

use crate::conn::{Conn, Link};
use crate::database::strings::{self, Guess};
use crate::database::watch::{Ending, Fence, exec_unchanged, queue_watch, watched};
use crate::digest;
use crate::error::{self, code};
use crate::image::{self, Body, Parts, Usage};
use crate::key::{self, KeyRef};
use crate::pairing::Pairing;
use crate::traits::{Eviction, Traits};

/// Bytes one read may hold as payloads; beyond it, values above [`SPILL_BYTES`] are copied by
/// elements as well.
const BATCH_BYTES: u64 = 128 * 1024 * 1024;
const SPILL_BYTES: u64 = 256 * 1024;
/// Times a record that changes while it is read is asked again.
const ATTEMPTS_MAX: usize = 16;

/// A connection that reads.
pub(crate) struct RedisReader {
    link: Arc<Link>,
    pairing: Arc<Pairing>,
    conn: Option<Conn>,
    traits: Traits,
    fence: Fence,
    guess: Guess,
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
            guess: Guess::default(),
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

    /// Reads under a new fence. With `ending`, an open fence is confirmed on the way.
    async fn read_fenced(
        &mut self,
        keys: &[Key],
        ending: &mut Ending,
    ) -> Result<Vec<Record>, PortError> {
        let refs = parse(keys)?;
        let groups = by_db(&refs);
        let (big_bytes, traits) = (self.pairing.big_bytes(), self.traits);
        let pulls = self.pairing.other_than(self.link.side()).is_some();
        let guessed = self.guess.strings(traits);
        if *ending == Ending::Nothing {
            self.ready().await?;
        }
        let Some(conn) = &mut self.conn else { return Err(error::unexpected("WATCH", "")) };
        ending.queue(conn);
        let mut images: Vec<Option<Image>> = vec![None; keys.len()];
        let mut left = groups;
        if guessed {
            texts(conn, &refs, &left, traits, ending, &mut images).await?;
            left = missing(left, &images);
            let strings = images.iter().flatten().filter(|i| **i != Image::Absent).count();
            let others = left.iter().map(|(_, members)| members.len()).sum::<usize>();
            self.guess.learn(strings + others, strings);
            if left.is_empty() {
                return Ok(records(keys, images));
            }
        }
        let mut glances = glance(conn, &refs, &left, traits, (!guessed).then_some(ending)).await?;
        let mut planned = 0;
        for &i in left.iter().flat_map(|(_, members)| members) {
            let seen = glances[i];
            if seen.expiry_ms == -2 {
                images[i] = Some(Image::Absent);
                continue;
            }
            let spills = planned + seen.size > BATCH_BYTES && seen.size > SPILL_BYTES;
            if pulls && (seen.size > big_bytes || spills) {
                let (expiry_ms, usage, body) = (seen.expiry_ms, seen.usage, Body::Elements);
                images[i] = Some(image::encode(Parts { expiry_ms, usage, body }));
            } else {
                planned += seen.size;
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            dump(conn, &refs, &left, traits, &mut glances, &mut images).await?;
            if images.iter().all(Option::is_some) {
                if !guessed {
                    let (present, strings) = strings::among(&images);
                    self.guess.learn(present, strings);
                }
                return Ok(records(keys, images));
            }
        }
        let message = format!("{}: a record changes faster than it can be read", conn.at());
        Err(PortError::new(Trouble::Unreachable, code::MOVING, message))
    }
}

fn records(keys: &[Key], images: Vec<Option<Image>>) -> Vec<Record> {
    let images = images.into_iter().flatten();
    keys.iter().zip(images).map(|(key, image)| Record { key: key.clone(), image }).collect()
}

/// The positions whose image is not there yet.
fn missing(groups: Vec<(u16, Vec<usize>)>, images: &[Option<Image>]) -> Vec<(u16, Vec<usize>)> {
    let left = groups.into_iter().map(|(db, mut members)| {
        members.retain(|&i| images[i].is_none());
        (db, members)
    });
    left.filter(|(_, members)| !members.is_empty()).collect()
}

#[async_trait]
impl Reader for RedisReader {
    async fn read(&mut self, keys: &[Key]) -> Result<Vec<Record>, PortError> {
        if keys.is_empty() {
            self.ready().await?;
            self.fence = Fence::Empty;
            return Ok(Vec::new());
        }
        let records = self.read_fenced(keys, &mut Ending::Nothing).await?;
        self.fence = Fence::around(keys);
        Ok(records)
    }

    async fn turn(&mut self, keys: &[Key]) -> Result<(Moved, Vec<Record>), PortError> {
        let usable = self.conn.as_ref().is_some_and(|conn| !conn.is_spent());
        if keys.is_empty() || !usable || !matches!(self.fence, Fence::Up { .. }) {
            let moved = self.confirm().await?;
            return Ok((moved, self.read(keys).await?));
        }
        let fence = std::mem::replace(&mut self.fence, Fence::Down);
        let mut ending = Ending::Asked;
        let records = self.read_fenced(keys, &mut ending).await?;
        self.fence = Fence::around(keys);
        Ok((fence.moved(ending == Ending::Unchanged), records))
    }

    async fn confirm(&mut self) -> Result<Moved, PortError> {
        let fence = std::mem::replace(&mut self.fence, Fence::Down);
        let unchanged = match fence {
            Fence::Up { .. } => match self.conn.take() {
                None => false,
                Some(mut conn) => {
                    let unchanged = exec_unchanged(&mut conn).await?;
                    self.conn = Some(conn);
                    unchanged
                }
            },
            Fence::Empty => true,
            // Nothing was read, or the read failed: nothing may be called unchanged.
            Fence::Down => false,
        };
        Ok(fence.moved(unchanged))
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

/// Raises the fence and reads every record as a string in one round trip.
async fn texts(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    groups: &[(u16, Vec<usize>)],
    traits: Traits,
    ending: &mut Ending,
    images: &mut [Option<Image>],
) -> Result<(), PortError> {
    for (db, members) in groups {
        let owed = conn.queue_select(*db);
        queue_watch(conn, refs, members);
        for &i in members {
            strings::queue(conn, refs[i].name, traits);
        }
        ending.take(conn).await?;
        conn.selected(owed).await?;
        watched(conn).await?;
        for &i in members {
            images[i] = strings::take(conn, traits).await?;
        }
    }
    Ok(())
}

pub(super) fn queue_expiry(conn: &mut Conn, name: &[u8], traits: Traits) {
    if traits.pexpiretime {
        conn.queue(&[b"PEXPIRETIME", name]);
    } else {
        conn.queue(&[b"TIME"]);
        conn.queue(&[b"PTTL", name]);
    }
}

/// The reply to [`queue_expiry`]: -2 absent, -1 none, else absolute milliseconds.
pub(super) async fn expiry(conn: &mut Conn, traits: Traits) -> Result<i64, PortError> {
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

/// Expiry, size and use of every record. Raises the fence on the way where there is the ending of
/// one before it to take.
async fn glance(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    groups: &[(u16, Vec<usize>)],
    traits: Traits,
    mut fence: Option<&mut Ending>,
) -> Result<Vec<Glance>, PortError> {
    let mut seen = vec![Glance { expiry_ms: -2, size: 0, usage: Usage::Unknown }; refs.len()];
    for (db, members) in groups {
        let owed = conn.queue_select(*db);
        if fence.is_some() {
            queue_watch(conn, refs, members);
        }
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
        if let Some(ending) = &mut fence {
            ending.take(conn).await?;
        }
        conn.selected(owed).await?;
        if fence.is_some() {
            watched(conn).await?;
        }
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
                    let body = Body::Dump(&payload);
                    Some(image::encode(Parts { expiry_ms: after, usage, body }))
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
