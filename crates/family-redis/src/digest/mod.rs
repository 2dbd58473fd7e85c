//! Content digests that are equal on both sides exactly when the records are.
//!
//! `DUMP` bytes differ between versions and even between equal values of one server, so the
//! content itself is read and hashed (BLAKE3, first 16 bytes) in a form that depends on no
//! encoding: type; absolute expiry in milliseconds (its mere presence where a side cannot tell
//! it exactly); a string's bytes; a list's elements in order; a set's and a hash's elements
//! sorted by their own digests; a sorted set's members by rank, scores as the bits of the number
//! (servers print them differently); a stream's entries in order, its last id and counters, and
//! its groups with consumers and pending entries (delivery counts, not times).
//!
//! Layout: `content` hashes, `streams` reads what a stream has besides entries, `describe` is for
//! people.
//!
//! Constraints: every record is read under a watch and again when it moved meanwhile; memory is
//! one chunk plus 16 bytes for each member of a set or field of a hash being read.

mod content;
mod describe;
mod streams;

use blake3::Hasher;
use family::PortError;
use model::Digest;
use wire_redis::Value;

use crate::conn::Conn;
use crate::database::elements::walk::{Kind, Walk};
use crate::database::reader::{by_db, server_time_ms};
use crate::database::watch::{exec_unchanged, watch};
use crate::error;
use crate::key::KeyRef;
use crate::traits::Traits;
use content::{Content, short};

pub(crate) use describe::describe;

/// Values up to this many bytes are read in one command each, pipelined.
const SMALL_BYTES: u64 = 64 * 1024;
/// Bytes of small values asked for before their replies are taken.
const WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Times a record that changes while it is read is read again, alone.
const ATTEMPTS: usize = 3;

/// Digests in the order of `refs`, `None` for absent records. A record that moves during every
/// attempt gets the digest of a state that may never have been.
pub(crate) async fn digests(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    traits: Traits,
    exact_expiry: bool,
) -> Result<Vec<Option<Digest>>, PortError> {
    if refs.is_empty() {
        return Ok(Vec::new());
    }
    let (mut found, steady) = attempt(conn, refs, traits, exact_expiry).await?;
    if !steady {
        for (i, key) in refs.iter().enumerate() {
            for _ in 0..ATTEMPTS {
                let (mut single, steady) =
                    attempt(conn, std::slice::from_ref(key), traits, exact_expiry).await?;
                found[i] = single.pop().flatten();
                if steady {
                    break;
                }
            }
        }
    }
    Ok(found)
}

/// Type, expiry, size of one record.
#[derive(Clone, Copy)]
struct Outline {
    kind: Option<Kind>,
    absent: bool,
    expiry_ms: i64,
    size: u64,
}

async fn attempt(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    traits: Traits,
    exact_expiry: bool,
) -> Result<(Vec<Option<Digest>>, bool), PortError> {
    let groups = by_db(refs);
    watch(conn, refs, &groups).await?;
    let outlines = outline(conn, refs, &groups, traits).await?;
    let mut found = vec![None; refs.len()];
    let mut steady = true;
    for (db, members) in &groups {
        conn.select(*db).await?;
        let mut window = Vec::new();
        let mut bytes = 0;
        let mut streams = Vec::new();
        for &i in members {
            let Outline { kind, absent, expiry_ms, size } = outlines[i];
            if absent {
                continue;
            }
            let expiry = if exact_expiry { expiry_ms } else { expiry_ms.min(0) };
            match kind {
                Some(Kind::Stream) if size <= SMALL_BYTES => streams.push((i, expiry)),
                Some(kind) if kind != Kind::Stream && size <= SMALL_BYTES => {
                    queue_whole(conn, refs[i].name, kind);
                    window.push((i, kind, expiry));
                    bytes += size;
                    if bytes > WINDOW_BYTES {
                        steady &= collect(conn, &mut window, &mut found).await?;
                        bytes = 0;
                    }
                }
                Some(kind) => {
                    steady &= collect(conn, &mut window, &mut found).await?;
                    match by_walk(conn, refs[i].name, kind, size, expiry).await {
                        Ok(digest) => found[i] = Some(digest),
                        Err(error) if conn.is_spent() => return Err(error),
                        Err(_) => steady = false,
                    }
                }
                None => {
                    steady &= collect(conn, &mut window, &mut found).await?;
                    found[i] = Some(opaque(conn, refs[i].name, expiry).await?);
                }
            }
        }
        steady &= collect(conn, &mut window, &mut found).await?;
        steady &= streams::digests(conn, refs, &streams, &mut found).await?;
    }
    let unchanged = exec_unchanged(conn).await?;
    Ok((found, steady && unchanged))
}

async fn outline(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    groups: &[(u16, Vec<usize>)],
    traits: Traits,
) -> Result<Vec<Outline>, PortError> {
    let mut seen = vec![Outline { kind: None, absent: true, expiry_ms: -1, size: 0 }; refs.len()];
    for (db, members) in groups {
        let owed = conn.queue_select(*db);
        for &i in members {
            let name = refs[i].name;
            conn.queue(&[b"TYPE", name]);
            if traits.pexpiretime {
                conn.queue(&[b"PEXPIRETIME", name]);
            } else {
                conn.queue(&[b"TIME"]);
                conn.queue(&[b"PTTL", name]);
            }
            if traits.memory_usage {
                conn.queue(&[b"MEMORY", b"USAGE", name]);
            }
        }
        conn.selected(owed).await?;
        for &i in members {
            let told = conn.next().await?;
            let now = if traits.pexpiretime { 0 } else { server_time_ms(conn).await? };
            let left = conn.next().await?.as_int().unwrap_or(-1);
            let size = match traits.memory_usage {
                true => conn.next().await?.as_int().unwrap_or(0),
                false => 0,
            };
            let told = error::checked(told, "TYPE", conn.at())?;
            let word = told.as_str().unwrap_or_default();
            seen[i] = Outline {
                kind: Kind::named(word),
                absent: word == "none",
                expiry_ms: if left >= 0 { now + left } else { -1 },
                size: u64::try_from(size).unwrap_or(0),
            };
        }
    }
    Ok(seen)
}

fn queue_whole(conn: &mut Conn, name: &[u8], kind: Kind) {
    match kind {
        Kind::String => conn.queue(&[b"GET", name]),
        Kind::List => conn.queue(&[b"LRANGE", name, b"0", b"-1"]),
        Kind::Set => conn.queue(&[b"SMEMBERS", name]),
        Kind::Hash => conn.queue(&[b"HGETALL", name]),
        Kind::Zset | Kind::Stream => conn.queue(&[b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"]),
    }
}

/// Digests the replies of a window; false when one of them shows that its record moved.
async fn collect(
    conn: &mut Conn,
    window: &mut Vec<(usize, Kind, i64)>,
    found: &mut [Option<Digest>],
) -> Result<bool, PortError> {
    let mut steady = true;
    let mut trouble = None;
    for (i, kind, expiry) in window.drain(..) {
        let reply = conn.next().await?;
        if let Some(text) = reply.error() {
            let error = error::from_reply(&text, "reading a value", conn.at());
            // Another type by now.
            if text.starts_with("WRONGTYPE") {
                steady = false;
            } else {
                trouble.get_or_insert(error);
            }
            continue;
        }
        let mut content = Content::new(kind, expiry);
        let understood = match reply {
            Value::Nil => false,
            Value::Bulk(_) => content.add(std::slice::from_ref(&reply)),
            other => other.into_items().is_some_and(|items| content.add(&items)),
        };
        steady &= understood;
        found[i] = understood.then(|| content.finish());
    }
    match trouble {
        Some(error) => Err(error),
        None => Ok(steady),
    }
}

async fn by_walk(
    conn: &mut Conn,
    name: &[u8],
    kind: Kind,
    size: u64,
    expiry: i64,
) -> Result<Digest, PortError> {
    let mut content = Content::new(kind, expiry);
    let mut walk = Walk::new(conn, name, kind, size).await?;
    while let Some(items) = walk.next(conn, name).await? {
        if !content.add(&items) {
            return Err(error::unexpected("a chunk", conn.at()));
        }
    }
    if kind == Kind::Stream {
        streams::state(conn, name, &mut content.hasher).await?;
    }
    Ok(content.finish())
}

/// A type of a module: its serialisation is all there is to compare.
async fn opaque(conn: &mut Conn, name: &[u8], expiry: i64) -> Result<Digest, PortError> {
    let reply = conn.ask(&[b"DUMP", name]).await?;
    let mut hasher = Hasher::new();
    hasher.update(b"opaque").update(&expiry.to_le_bytes());
    let body = reply.as_bytes().and_then(|b| crate::image::payload::body(b));
    hasher.update(body.unwrap_or_default());
    Ok(short(&hasher))
}
