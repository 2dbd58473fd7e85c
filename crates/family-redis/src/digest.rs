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
//! Constraints: every record is read under a watch and again when it moved meanwhile; memory is
//! one chunk plus 16 bytes for each member of a set or field of a hash being read.

use blake3::Hasher;
use family::PortError;
use model::Digest;
use wire_redis::Value;

use crate::conn::Conn;
use crate::database::elements::stream;
use crate::database::elements::walk::{Kind, Walk};
use crate::database::reader::{by_db, exec_unchanged, server_time_ms, watch};
use crate::error;
use crate::key::KeyRef;
use crate::traits::Traits;

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
        for &i in members {
            let Outline { kind, absent, expiry_ms, size } = outlines[i];
            if absent {
                continue;
            }
            let expiry = if exact_expiry { expiry_ms } else { expiry_ms.min(0) };
            match kind {
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
        stream_state(conn, name, &mut content.hasher).await?;
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

async fn stream_state(conn: &mut Conn, name: &[u8], hasher: &mut Hasher) -> Result<(), PortError> {
    let counters = stream::counters(conn, name).await?;
    field(hasher, &counters.last_id);
    if let Some((added, deleted)) = counters.added {
        hasher.update(&added.to_le_bytes());
        field(hasher, &deleted);
    }
    for group in stream::groups(conn, name).await? {
        field(hasher, b"group");
        field(hasher, &group.name);
        field(hasher, &group.last_delivered);
        hasher.update(&group.entries_read.unwrap_or(-1).to_le_bytes());
        for consumer in stream::consumers(conn, name, &group.name).await? {
            field(hasher, &consumer);
        }
        let mut after = Vec::new();
        loop {
            let chunk = stream::pending(conn, name, &group.name, &after).await?;
            let Some(last) = chunk.last() else { break };
            after.clone_from(&last.id);
            for entry in &chunk {
                field(hasher, &entry.id);
                field(hasher, &entry.consumer);
                hasher.update(&entry.deliveries.to_le_bytes());
            }
        }
    }
    Ok(())
}

/// A digest in the making.
struct Content {
    kind: Kind,
    hasher: Hasher,
    /// Digests of the elements of what has no order.
    unordered: Vec<[u8; 16]>,
}

impl Content {
    fn new(kind: Kind, expiry: i64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&[kind as u8]).update(&expiry.to_le_bytes());
        Self { kind, hasher, unordered: Vec::new() }
    }

    /// Takes a chunk in the form of [`Walk::next`]; false when it has another form.
    fn add(&mut self, items: &[Value]) -> bool {
        self.try_add(items).is_some()
    }

    fn try_add(&mut self, items: &[Value]) -> Option<()> {
        match self.kind {
            Kind::String => {
                for item in items {
                    self.hasher.update(item.as_bytes()?);
                }
            }
            Kind::List => {
                for item in items {
                    field(&mut self.hasher, item.as_bytes()?);
                }
            }
            Kind::Set => {
                for item in items {
                    self.unordered.push(element(&[item.as_bytes()?]));
                }
            }
            Kind::Hash => {
                for pair in items.chunks(2) {
                    let [name, value] = pair else { return None };
                    self.unordered.push(element(&[name.as_bytes()?, value.as_bytes()?]));
                }
            }
            Kind::Zset => {
                for pair in items.chunks(2) {
                    let [member, score] = pair else { return None };
                    field(&mut self.hasher, member.as_bytes()?);
                    self.hasher.update(&score_bits(score)?.to_le_bytes());
                }
            }
            Kind::Stream => {
                for item in items {
                    let (id, fields) = stream::entry(item)?;
                    field(&mut self.hasher, id);
                    self.hasher.update(&(fields.len() as u64).to_le_bytes());
                    for text in fields {
                        field(&mut self.hasher, text.as_bytes()?);
                    }
                }
            }
        }
        Some(())
    }

    fn finish(mut self) -> Digest {
        // A scan may tell an element twice.
        self.unordered.sort_unstable();
        self.unordered.dedup();
        for element in &self.unordered {
            self.hasher.update(element);
        }
        short(&self.hasher)
    }
}

/// Length and bytes, so that neighbours cannot be confused.
fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

fn element(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Hasher::new();
    for part in parts {
        field(&mut hasher, part);
    }
    short(&hasher).0
}

fn short(hasher: &Hasher) -> Digest {
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    Digest(bytes)
}

fn score_bits(score: &Value) -> Option<u64> {
    let number: f64 = match score {
        Value::Double(number) => *number,
        other => other.as_str()?.parse().ok()?,
    };
    // Minus zero equals zero for every command that reads it.
    Some((number + 0.0).to_bits())
}

/// What a record is, without its content: type, length, size, expiry.
pub(crate) async fn describe(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    traits: Traits,
) -> Result<Vec<String>, PortError> {
    let groups = by_db(refs);
    let outlines = outline(conn, refs, &groups, traits).await?;
    let mut lengths = vec![0; refs.len()];
    for (db, members) in &groups {
        let owed = conn.queue_select(*db);
        let known = || members.iter().filter_map(|&i| Some((i, outlines[i].kind?)));
        for (i, kind) in known() {
            conn.queue(&[kind.counter(), refs[i].name]);
        }
        conn.selected(owed).await?;
        for (i, _) in known() {
            lengths[i] = conn.next().await?.as_int().unwrap_or(0);
        }
    }
    Ok(outlines.iter().zip(lengths).map(|(outline, length)| shown(outline, length)).collect())
}

fn shown(outline: &Outline, length: i64) -> String {
    if outline.absent {
        return "absent".into();
    }
    let expiry = match outline.expiry_ms {
        -1 => "no expiry".into(),
        at => format!("expires at {at} ms"),
    };
    let size = match outline.size {
        0 => String::new(),
        bytes => format!(", about {bytes} bytes in memory"),
    };
    match outline.kind {
        Some(kind) => {
            let word = format!("{kind:?}").to_lowercase();
            format!("{word}, {length} {}{size}, {expiry}", kind.unit())
        }
        None => format!("module type{size}, {expiry}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn bulks(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|t| Value::Bulk(Bytes::copy_from_slice(t.as_bytes()))).collect()
    }

    fn digest(kind: Kind, expiry: i64, chunks: &[&[&str]]) -> Digest {
        let mut content = Content::new(kind, expiry);
        for chunk in chunks {
            assert!(content.add(&bulks(chunk)));
        }
        content.finish()
    }

    #[test]
    fn order_counts_only_where_there_is_one() {
        let set = |chunks: &[&[&str]]| digest(Kind::Set, -1, chunks);
        assert_eq!(set(&[&["a", "b"]]), set(&[&["b"], &["a", "b"]]));
        let list = |chunks: &[&[&str]]| digest(Kind::List, -1, chunks);
        assert_ne!(list(&[&["a", "b"]]), list(&[&["b", "a"]]));
        assert_eq!(list(&[&["a", "b"]]), list(&[&["a"], &["b"]]));
        assert_ne!(list(&[&["ab"]]), list(&[&["a", "b"]]));
    }

    #[test]
    fn scores_are_numbers() {
        let zset = |score: &str| digest(Kind::Zset, -1, &[&["m", score]]);
        assert_eq!(zset("3.1"), zset("3.1000000000000001"));
        assert_eq!(zset("-0"), zset("0"));
        assert_eq!(zset("inf"), zset("Infinity"));
        assert_ne!(zset("1"), zset("2"));
    }

    #[test]
    fn type_and_expiry_count() {
        assert_ne!(digest(Kind::Set, -1, &[&["a"]]), digest(Kind::List, -1, &[&["a"]]));
        assert_ne!(digest(Kind::Set, -1, &[&["a"]]), digest(Kind::Set, 5, &[&["a"]]));
    }
}
