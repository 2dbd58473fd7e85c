//! What a stream has besides its entries: ids, counters, groups, consumers, pending entries.
//!
//! A pending entry whose stream entry was deleted cannot be made anew by commands and is left
//! out; the times of delivery are exact to the round trip.

use std::collections::BTreeMap;

use family::PortError;
use wire_redis::Value;

use super::{Stop, expect};
use crate::conn::Conn;
use crate::database::items;

/// Pending entries per request.
const PENDING_STEP: usize = 1000;

/// A consumer group, without its pending entries.
pub(crate) struct Group {
    pub(crate) name: Vec<u8>,
    pub(crate) last_delivered: Vec<u8>,
    /// `None` when unknown to the server; the server itself says so with nil.
    pub(crate) entries_read: Option<i64>,
    /// Whether the server keeps `entries_read` at all (7.0).
    pub(crate) counts_reads: bool,
}

/// One delivered, unacknowledged entry.
pub(crate) struct Pending {
    pub(crate) id: Vec<u8>,
    pub(crate) consumer: Vec<u8>,
    pub(crate) idle_ms: i64,
    pub(crate) deliveries: i64,
}

/// Ids and counters of the stream itself.
pub(crate) struct Counters {
    pub(crate) last_id: Vec<u8>,
    /// Servers since 7.0: entries ever added, and the largest id deleted.
    pub(crate) added: Option<(i64, Vec<u8>)>,
}

/// An `XRANGE` entry as id and flat fields.
pub(crate) fn entry(entry: &Value) -> Option<(&[u8], &[Value])> {
    match entry.as_items()? {
        [id, fields] => Some((id.as_bytes()?, fields.as_items()?)),
        _ => None,
    }
}

/// Asks for the counters; [`take_counters`] has the answer.
pub(crate) fn ask_counters(conn: &mut Conn, name: &[u8]) {
    conn.queue(&[b"XINFO", b"STREAM", name]);
}

pub(crate) async fn take_counters(conn: &mut Conn) -> Result<Counters, PortError> {
    let reply = conn.next().await?;
    let fields = by_name(items(reply, "XINFO STREAM", conn)?);
    let bytes = |field: &str| fields.get(field).and_then(Value::as_bytes).map(|b| b.to_vec());
    let added = fields.get("entries-added").and_then(Value::as_int);
    Ok(Counters {
        last_id: bytes("last-generated-id").unwrap_or_default(),
        added: added.zip(bytes("max-deleted-entry-id")),
    })
}

/// Asks for the groups; [`take_groups`] has the answer.
pub(crate) fn ask_groups(conn: &mut Conn, name: &[u8]) {
    conn.queue(&[b"XINFO", b"GROUPS", name]);
}

/// The groups, by name.
pub(crate) async fn take_groups(conn: &mut Conn) -> Result<Vec<Group>, PortError> {
    let reply = conn.next().await?;
    let mut found: Vec<Group> = items(reply, "XINFO GROUPS", conn)?
        .into_iter()
        .filter_map(Value::into_items)
        .map(by_name)
        .map(|fields| Group {
            name: text(&fields, "name"),
            last_delivered: text(&fields, "last-delivered-id"),
            entries_read: fields.get("entries-read").and_then(Value::as_int),
            counts_reads: fields.contains_key("entries-read"),
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Asks for a group's consumers; [`take_consumers`] has the answer.
pub(crate) fn ask_consumers(conn: &mut Conn, name: &[u8], group: &[u8]) {
    conn.queue(&[b"XINFO", b"CONSUMERS", name, group]);
}

/// The names of a group's consumers, sorted.
pub(crate) async fn take_consumers(conn: &mut Conn) -> Result<Vec<Vec<u8>>, PortError> {
    let reply = conn.next().await?;
    let mut found: Vec<Vec<u8>> = items(reply, "XINFO CONSUMERS", conn)?
        .into_iter()
        .filter_map(Value::into_items)
        .map(|fields| text(&by_name(fields), "name"))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Asks for a chunk of pending entries after `after` (empty to begin); [`take_pending`] has the
/// answer.
pub(crate) fn ask_pending(conn: &mut Conn, name: &[u8], group: &[u8], after: &[u8]) {
    let from = if after.is_empty() { b"-".to_vec() } else { [b"(", after].concat() };
    let step = PENDING_STEP.to_string();
    conn.queue(&[b"XPENDING", name, group, &from, b"+", step.as_bytes()]);
}

/// Pending entries in id order, and whether there may be more.
pub(crate) async fn take_pending(conn: &mut Conn) -> Result<(Vec<Pending>, bool), PortError> {
    let reply = conn.next().await?;
    let entries = items(reply, "XPENDING", conn)?;
    let found: Vec<Pending> = entries
        .iter()
        .filter_map(|entry| match entry.as_items()? {
            [id, consumer, idle, deliveries] => Some(Pending {
                id: id.as_bytes()?.to_vec(),
                consumer: consumer.as_bytes()?.to_vec(),
                idle_ms: idle.as_int()?,
                deliveries: deliveries.as_int()?,
            }),
            _ => None,
        })
        .collect();
    Ok((found, entries.len() >= PENDING_STEP))
}

/// Makes the scratch stream, empty.
pub(super) async fn begin(to: &mut Conn, scratch: &[u8]) -> Result<(), Stop> {
    to.queue(&[b"XGROUP", b"CREATE", scratch, b"0", b"0", b"MKSTREAM"]);
    to.queue(&[b"XGROUP", b"DESTROY", scratch, b"0"]);
    to.queue(&[b"PEXPIRE", scratch, super::SCRATCH_LIFE_MS]);
    expect(to, 3).await
}

/// Gives the scratch stream the ids, counters and groups of the original.
pub(super) async fn finish(
    from: &mut Conn,
    to: &mut Conn,
    name: &[u8],
    scratch: &[u8],
) -> Result<(), Stop> {
    ask_counters(from, name);
    ask_groups(from, name);
    let Counters { last_id, added } = take_counters(from).await?;
    let groups = take_groups(from).await?;
    match &added {
        Some((added, deleted)) => {
            let added = added.to_string();
            to.queue(&[
                b"XSETID",
                scratch,
                &last_id,
                b"ENTRIESADDED",
                added.as_bytes(),
                b"MAXDELETEDID",
                deleted,
            ]);
        }
        None => to.queue(&[b"XSETID", scratch, &last_id]),
    }
    expect(to, 1).await?;
    for group in groups {
        let entries_read = group.entries_read.unwrap_or(-1).to_string();
        let mut create: Vec<&[u8]> =
            vec![b"XGROUP", b"CREATE", scratch, &group.name, &group.last_delivered];
        if group.counts_reads {
            create.extend([b"ENTRIESREAD".as_slice(), entries_read.as_bytes()]);
        }
        to.queue(&create);
        let mut owed = 1;
        ask_consumers(from, name, &group.name);
        for consumer in take_consumers(from).await? {
            to.queue(&[b"XGROUP", b"CREATECONSUMER", scratch, &group.name, &consumer]);
            owed += 1;
        }
        expect(to, owed).await?;
        let (mut after, mut more) = (Vec::new(), true);
        while more {
            ask_pending(from, name, &group.name, &after);
            let chunk;
            (chunk, more) = take_pending(from).await?;
            if let Some(last) = chunk.last() {
                after.clone_from(&last.id);
            }
            for entry in &chunk {
                to.queue(&[
                    b"XCLAIM",
                    scratch,
                    &group.name,
                    &entry.consumer,
                    b"0",
                    &entry.id,
                    b"IDLE",
                    entry.idle_ms.to_string().as_bytes(),
                    b"RETRYCOUNT",
                    entry.deliveries.to_string().as_bytes(),
                    b"FORCE",
                    b"JUSTID",
                ]);
            }
            expect(to, chunk.len()).await?;
        }
    }
    Ok(())
}

fn by_name(flat: Vec<Value>) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    let mut flat = flat.into_iter();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        if let Some(name) = name.as_str() {
            fields.insert(name.to_owned(), value);
        }
    }
    fields
}

fn text(fields: &BTreeMap<String, Value>, name: &str) -> Vec<u8> {
    fields.get(name).and_then(Value::as_bytes).map(|b| b.to_vec()).unwrap_or_default()
}
