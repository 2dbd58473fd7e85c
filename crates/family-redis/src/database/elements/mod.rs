//! Copying one record element by element, for what no single message can carry: values too big,
//! and encodings that the other server refuses in every form.
//!
//! Constraints: memory bounded by one chunk; nobody sees a half-built record, because it is built
//! under a scratch name and renamed in one `MULTI` with its expiry; what is published is one
//! state of the source, because the source's key is watched from before the first chunk until
//! after the last; a scratch key left behind by a crash expires by itself.
//!
//! Layout: `walk` reads a value in chunks, `stream` is what a stream has besides its entries.

pub(crate) mod stream;
pub(crate) mod walk;

use bytes::Bytes;
use family::{PortError, Trouble};
use wire_redis::Value;

use crate::conn::Conn;
use crate::database::nonce;
use crate::database::reader::server_time_ms;
use crate::database::watch::exec_unchanged;
use crate::error;
use crate::key::{self, KeyRef};
use walk::{Kind, Walk};

/// Life of a scratch key that nobody finishes, in milliseconds; renewed with every chunk.
const SCRATCH_LIFE_MS: &[u8] = b"3600000";

/// How a copy ended.
pub(crate) enum Copied {
    /// The other side now has what the source had throughout.
    Done,
    /// The record changed meanwhile; nothing was published.
    Moved,
    /// The other side does not take it; nothing was published.
    Refused(PortError),
}

/// A write that was answered with an error of the record's own.
struct Refusal(PortError);

/// Either kind of failure while building.
enum Stop {
    Refused(PortError),
    Broken(PortError),
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Broken(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.0)
    }
}

/// Copies `key` from one connection to another.
pub(crate) async fn copy(
    from: &mut Conn,
    to: &mut Conn,
    key: KeyRef<'_>,
) -> Result<Copied, PortError> {
    from.select(key.db).await?;
    from.ask(&[b"WATCH", key.name]).await?;
    let head = head(from, key.name).await?;
    let scratch = key::scratch_name(key.name, "tmp", nonce());
    to.select(key.db).await?;
    let built = match head.kind {
        None if head.absent => Ok(()),
        None => {
            from.ask(&[b"UNWATCH"]).await?;
            return Ok(Copied::Refused(PortError::new(
                Trouble::Rejected,
                error::code::NO_REBUILD,
                format!("{}: a type that cannot be read element by element", from.at()),
            )));
        }
        Some(kind) => build(from, to, key.name, &scratch, kind, &head).await,
    };
    let unchanged = match &built {
        Ok(()) => exec_unchanged(from).await?,
        Err(_) if from.is_spent() => false,
        Err(_) => {
            from.ask(&[b"UNWATCH"]).await?;
            false
        }
    };
    if unchanged {
        return publish(to, key.name, &scratch, &head).await;
    }
    if !to.is_spent() {
        to.call(&[b"UNLINK", &scratch]).await?;
    }
    match built {
        Ok(()) => Ok(Copied::Moved),
        Err(Stop::Refused(error)) => Ok(Copied::Refused(error)),
        Err(Stop::Broken(error)) => Err(error),
    }
}

/// What is asked of a record before its content.
struct Head {
    absent: bool,
    /// `None` for absent records and types of modules.
    kind: Option<Kind>,
    /// Absolute, in Unix milliseconds; -1 for none.
    expiry_ms: i64,
    /// Bytes in memory, 0 when the server does not tell.
    size: u64,
}

async fn head(conn: &mut Conn, name: &[u8]) -> Result<Head, PortError> {
    conn.queue(&[b"TYPE", name]);
    conn.queue(&[b"TIME"]);
    conn.queue(&[b"PTTL", name]);
    conn.queue(&[b"PEXPIRETIME", name]);
    conn.queue(&[b"MEMORY", b"USAGE", name]);
    let told = conn.next().await?;
    let now = server_time_ms(conn).await?;
    let left = conn.next().await?.as_int().unwrap_or(-1);
    let at = conn.next().await?;
    let size = conn.next().await?.as_int().unwrap_or(0);
    let told = error::checked(told, "TYPE", conn.at())?;
    let kind = told.as_str().unwrap_or_default();
    Ok(Head {
        absent: kind == "none",
        kind: Kind::named(kind),
        expiry_ms: match at {
            Value::Int(at) => at.max(-1),
            _ if left >= 0 => now + left,
            _ => -1,
        },
        size: u64::try_from(size).unwrap_or(0),
    })
}

async fn build(
    from: &mut Conn,
    to: &mut Conn,
    name: &[u8],
    scratch: &[u8],
    kind: Kind,
    head: &Head,
) -> Result<(), Stop> {
    if kind == Kind::Stream {
        stream::begin(to, scratch).await?;
    }
    let mut walk = Walk::new(from, name, kind, head.size).await?;
    while let Some(items) = walk.next(from, name).await? {
        if items.is_empty() {
            continue;
        }
        let commands = append(to, scratch, kind, &items).await?;
        to.queue(&[b"PEXPIRE", scratch, SCRATCH_LIFE_MS]);
        expect(to, commands + 1).await?;
    }
    if kind == Kind::Stream {
        stream::finish(from, to, name, scratch).await?;
    }
    Ok(())
}

/// Queues what adds a chunk to the scratch key; says how many replies are owed.
async fn append(to: &mut Conn, scratch: &[u8], kind: Kind, items: &[Value]) -> Result<usize, Stop> {
    let malformed = || Stop::Broken(error::unexpected("a chunk", "source"));
    if kind == Kind::Stream {
        for entry in items {
            let (id, fields) = stream::entry(entry).ok_or_else(malformed)?;
            to.queue_head(3 + fields.len());
            to.arg(b"XADD");
            to.arg(scratch);
            to.arg(id);
            for field in fields {
                to.arg_large(field.as_bytes().ok_or_else(malformed)?).await?;
            }
        }
        return Ok(items.len());
    }
    let texts: Option<Vec<&Bytes>> = items.iter().map(Value::as_bytes).collect();
    let mut texts = texts.ok_or_else(malformed)?;
    let command: &[u8] = match kind {
        Kind::String => b"APPEND",
        Kind::List => b"RPUSH",
        Kind::Set => b"SADD",
        Kind::Hash => b"HSET",
        Kind::Zset | Kind::Stream => b"ZADD",
    };
    if kind == Kind::Zset {
        // Told as member, score; taken as score, member.
        for pair in texts.chunks_exact_mut(2) {
            pair.swap(0, 1);
        }
    }
    to.queue_head(2 + texts.len());
    to.arg(command);
    to.arg(scratch);
    for text in texts {
        to.arg_large(text).await?;
    }
    Ok(1)
}

/// Takes `n` replies; the first error among them is the answer.
async fn expect(to: &mut Conn, n: usize) -> Result<(), Stop> {
    let mut failed = None;
    for _ in 0..n {
        let reply = to.next().await?;
        if let Some(text) = reply.error() {
            let error = error::from_reply(&text, "copying by elements", to.at());
            failed.get_or_insert(error);
        }
    }
    match failed {
        None => Ok(()),
        Some(error) if error.trouble == Trouble::Rejected => Err(Refusal(error).into()),
        Some(error) => Err(error.into()),
    }
}

async fn publish(
    to: &mut Conn,
    name: &[u8],
    scratch: &[u8],
    head: &Head,
) -> Result<Copied, PortError> {
    if head.absent {
        to.ask(&[b"UNLINK", name]).await?;
        return Ok(Copied::Done);
    }
    to.queue(&[b"MULTI"]);
    match head.expiry_ms {
        at if at > 0 => to.queue(&[b"PEXPIREAT", scratch, at.to_string().as_bytes()]),
        _ => to.queue(&[b"PERSIST", scratch]),
    }
    to.queue(&[b"RENAME", scratch, name]);
    to.queue(&[b"EXEC"]);
    for _ in 0..3 {
        to.next().await?;
    }
    let reply = error::checked(to.next().await?, "EXEC", to.at())?;
    let renamed = reply.as_items().and_then(<[Value]>::last);
    if renamed.is_some_and(Value::is_ok) {
        return Ok(Copied::Done);
    }
    // An expiry already past removes the scratch key: then the record is due to be absent.
    let now = {
        to.queue(&[b"TIME"]);
        server_time_ms(to).await?
    };
    if head.expiry_ms > 0 && head.expiry_ms <= now {
        to.ask(&[b"UNLINK", name]).await?;
        return Ok(Copied::Done);
    }
    let why = renamed.and_then(Value::error).unwrap_or_default();
    Ok(Copied::Refused(error::from_reply(&why, "RENAME", to.at())))
}
