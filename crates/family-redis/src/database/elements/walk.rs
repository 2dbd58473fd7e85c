//! Reading a value in chunks of bounded size.
//!
//! Order: lists, sorted sets, streams and the bytes of a string come in their own order; members
//! of sets and hashes come in any order, and possibly twice.

use family::PortError;
use wire_redis::Value;

use crate::conn::Conn;
use crate::database::items;
use crate::error;

/// Bytes aimed at per chunk.
const CHUNK_BYTES: u64 = 1024 * 1024;
/// Most elements per chunk.
const CHUNK_ELEMENTS: u64 = 1024;

/// The data types that can be read by elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    List,
    Set,
    Hash,
    Zset,
    Stream,
}

impl Kind {
    /// By the word of `TYPE`.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "string" => Self::String,
            "list" => Self::List,
            "set" => Self::Set,
            "hash" => Self::Hash,
            "zset" => Self::Zset,
            "stream" => Self::Stream,
            _ => return None,
        })
    }

    /// The command that counts elements.
    pub(crate) fn counter(self) -> &'static [u8] {
        match self {
            Self::String => b"STRLEN",
            Self::List => b"LLEN",
            Self::Set => b"SCARD",
            Self::Hash => b"HLEN",
            Self::Zset => b"ZCARD",
            Self::Stream => b"XLEN",
        }
    }

    /// What is counted.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::String => "bytes",
            Self::List => "elements",
            Self::Set | Self::Zset => "members",
            Self::Hash => "fields",
            Self::Stream => "entries",
        }
    }
}

enum At {
    /// The next element by position.
    Offset(u64),
    /// A scan cursor.
    Cursor(Vec<u8>),
    /// After this stream id.
    After(Vec<u8>),
    End,
}

/// A position in a value.
pub(crate) struct Walk {
    kind: Kind,
    at: At,
    /// Elements per chunk (bytes for strings).
    step: u64,
}

impl Walk {
    /// Begins; `size` is the whole value's bytes in memory, 0 when unknown.
    pub(crate) async fn new(
        conn: &mut Conn,
        name: &[u8],
        kind: Kind,
        size: u64,
    ) -> Result<Self, PortError> {
        let reply = conn.call(&[kind.counter(), name]).await?;
        let elements = u64::try_from(reply.as_int().unwrap_or(0)).unwrap_or(0);
        let at = match kind {
            Kind::String | Kind::List | Kind::Zset => At::Offset(0),
            Kind::Set | Kind::Hash => At::Cursor(b"0".to_vec()),
            Kind::Stream => At::After(Vec::new()),
        };
        let step = match kind {
            Kind::String => CHUNK_BYTES,
            _ => step_for(size, elements),
        };
        Ok(Self { kind, at, step })
    }

    /// The next chunk (possibly empty), `None` at the end. Hashes and sorted sets come flat, in
    /// pairs.
    pub(crate) async fn next(
        &mut self,
        conn: &mut Conn,
        name: &[u8],
    ) -> Result<Option<Vec<Value>>, PortError> {
        let step = self.step.to_string();
        let step = step.as_bytes();
        match std::mem::replace(&mut self.at, At::End) {
            At::End => Ok(None),
            At::Offset(from) => {
                let last = (from + self.step - 1).to_string();
                let first = from.to_string();
                let (first, last) = (first.as_bytes(), last.as_bytes());
                let reply = match self.kind {
                    Kind::String => conn.call(&[b"GETRANGE", name, first, last]).await?,
                    Kind::Zset => conn.call(&[b"ZRANGE", name, first, last, b"WITHSCORES"]).await?,
                    _ => conn.call(&[b"LRANGE", name, first, last]).await?,
                };
                let (chunk, got) = match self.kind {
                    Kind::String => {
                        let reply = error::checked(reply, "GETRANGE", conn.at())?;
                        let got = reply.as_bytes().map_or(0, |b| b.len() as u64);
                        (if got == 0 { vec![] } else { vec![reply] }, got)
                    }
                    Kind::Zset => {
                        let chunk = items(reply, "ZRANGE", conn)?;
                        let got = chunk.len() as u64 / 2;
                        (chunk, got)
                    }
                    _ => {
                        let chunk = items(reply, "LRANGE", conn)?;
                        let got = chunk.len() as u64;
                        (chunk, got)
                    }
                };
                if got == self.step {
                    self.at = At::Offset(from + got);
                }
                Ok(Some(chunk))
            }
            At::Cursor(cursor) => {
                let command: &[u8] = if self.kind == Kind::Set { b"SSCAN" } else { b"HSCAN" };
                let reply = conn.call(&[command, name, &cursor, b"COUNT", step]).await?;
                let mut reply = items(reply, "SSCAN", conn)?.into_iter();
                let next = reply.next().and_then(|v| v.as_bytes().map(|b| b.to_vec()));
                let chunk = reply.next().and_then(Value::into_items);
                let (Some(next), Some(chunk)) = (next, chunk) else {
                    return Err(error::unexpected("SSCAN", conn.at()));
                };
                if next != b"0" {
                    self.at = At::Cursor(next);
                }
                Ok(Some(chunk))
            }
            At::After(id) => {
                let from = if id.is_empty() { b"-".to_vec() } else { [b"(", &id[..]].concat() };
                let reply = conn.call(&[b"XRANGE", name, &from, b"+", b"COUNT", step]).await?;
                let chunk = items(reply, "XRANGE", conn)?;
                if chunk.len() as u64 == self.step {
                    let last = chunk.last().and_then(Value::as_items).and_then(<[_]>::first);
                    let last = last.and_then(Value::as_bytes).map(|b| b.to_vec());
                    self.at =
                        At::After(last.ok_or_else(|| error::unexpected("XRANGE", conn.at()))?);
                }
                Ok(Some(chunk))
            }
        }
    }
}

/// Elements per chunk such that a chunk is about [`CHUNK_BYTES`].
fn step_for(size: u64, elements: u64) -> u64 {
    let average = size / elements.max(1);
    (CHUNK_BYTES / average.max(1)).clamp(1, CHUNK_ELEMENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        assert_eq!(step_for(0, 0), CHUNK_ELEMENTS);
        assert_eq!(step_for(100 << 20, 100), 1);
        assert_eq!(step_for(10 << 20, 100), 10);
    }
}
