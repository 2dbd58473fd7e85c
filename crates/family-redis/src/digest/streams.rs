//! Digests of streams: entries, then ids and counters, then each group with its consumers and
//! pending entries.
//!
//! Small streams are asked for together, in two round trips for all of them; what is hashed, and
//! in which order, is the same as for large ones.

use blake3::Hasher;
use family::{PortError, Trouble};
use model::Digest;

use super::content::{Content, field};
use crate::conn::Conn;
use crate::database::elements::stream::{self, Counters, Group, Pending};
use crate::database::elements::walk::Kind;
use crate::database::items;
use crate::key::KeyRef;

/// Streams asked for together.
const TOGETHER: usize = 64;

/// Digests small streams into `found`; false when one of them shows that it moved.
pub(super) async fn digests(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    streams: &[(usize, i64)],
    found: &mut [Option<Digest>],
) -> Result<bool, PortError> {
    let mut steady = true;
    for some in streams.chunks(TOGETHER) {
        steady &= together(conn, refs, some, found).await?;
    }
    Ok(steady)
}

async fn together(
    conn: &mut Conn,
    refs: &[KeyRef<'_>],
    streams: &[(usize, i64)],
    found: &mut [Option<Digest>],
) -> Result<bool, PortError> {
    for &(i, _) in streams {
        conn.queue(&[b"XRANGE", refs[i].name, b"-", b"+"]);
        stream::ask_counters(conn, refs[i].name);
        stream::ask_groups(conn, refs[i].name);
    }
    let mut steady = true;
    let mut begun = Vec::with_capacity(streams.len());
    for &(i, expiry) in streams {
        let entries = conn.next().await?;
        let entries = items(entries, "XRANGE", conn);
        let counters = stream::take_counters(conn).await;
        let groups = stream::take_groups(conn).await;
        // All three were taken, so what was told of the others can still be attributed.
        let Some((entries, counters, groups)) = still(entries, counters, groups, conn)? else {
            steady = false;
            continue;
        };
        let mut content = Content::new(Kind::Stream, expiry);
        steady &= content.add(&entries);
        add_counters(&mut content.hasher, &counters);
        begun.push((i, content, groups));
    }
    for (i, _, groups) in &begun {
        for group in groups {
            stream::ask_consumers(conn, refs[*i].name, &group.name);
            stream::ask_pending(conn, refs[*i].name, &group.name, b"");
        }
    }
    // Chunks after a group's first are asked for when all owed answers are taken.
    let mut answers = Vec::new();
    for (_, _, groups) in &begun {
        for _ in groups {
            let consumers = stream::take_consumers(conn).await;
            let pending = stream::take_pending(conn).await;
            answers.push(still(Ok(()), consumers, pending, conn)?);
        }
    }
    let mut answers = answers.into_iter();
    for (i, mut content, groups) in begun {
        let mut whole = true;
        for group in &groups {
            match answers.next().flatten() {
                None => whole = false,
                Some(((), consumers, (pending, more))) => {
                    add_group(&mut content.hasher, group, &consumers);
                    add_pending(&mut content.hasher, &pending);
                    if let Some(last) = pending.last().filter(|_| more) {
                        let after = last.id.clone();
                        let hasher = &mut content.hasher;
                        rest(conn, refs[i].name, &group.name, after, hasher).await?;
                    }
                }
            }
        }
        steady &= whole;
        found[i] = whole.then(|| content.finish());
    }
    Ok(steady)
}

/// Three answers, `None` when one is an error of the record's own: it moved (to another type, or
/// away) since it was looked at.
fn still<A, B, C>(
    a: Result<A, PortError>,
    b: Result<B, PortError>,
    c: Result<C, PortError>,
    conn: &Conn,
) -> Result<Option<(A, B, C)>, PortError> {
    let moved = |error: PortError| match error.trouble {
        Trouble::Rejected if !conn.is_spent() => Ok(None),
        _ => Err(error),
    };
    match (a, b, c) {
        (Ok(a), Ok(b), Ok(c)) => Ok(Some((a, b, c))),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => moved(error),
    }
}

/// Adds what a stream has besides its entries, one question at a time.
pub(super) async fn state(
    conn: &mut Conn,
    name: &[u8],
    hasher: &mut Hasher,
) -> Result<(), PortError> {
    stream::ask_counters(conn, name);
    add_counters(hasher, &stream::take_counters(conn).await?);
    stream::ask_groups(conn, name);
    for group in stream::take_groups(conn).await? {
        stream::ask_consumers(conn, name, &group.name);
        add_group(hasher, &group, &stream::take_consumers(conn).await?);
        rest(conn, name, &group.name, Vec::new(), hasher).await?;
    }
    Ok(())
}

/// Adds the pending entries after an id.
async fn rest(
    conn: &mut Conn,
    name: &[u8],
    group: &[u8],
    mut after: Vec<u8>,
    hasher: &mut Hasher,
) -> Result<(), PortError> {
    loop {
        stream::ask_pending(conn, name, group, &after);
        let (pending, more) = stream::take_pending(conn).await?;
        add_pending(hasher, &pending);
        match pending.last() {
            Some(last) if more => after.clone_from(&last.id),
            _ => return Ok(()),
        }
    }
}

fn add_counters(hasher: &mut Hasher, counters: &Counters) {
    field(hasher, &counters.last_id);
    if let Some((added, deleted)) = &counters.added {
        hasher.update(&added.to_le_bytes());
        field(hasher, deleted);
    }
}

fn add_group(hasher: &mut Hasher, group: &Group, consumers: &[Vec<u8>]) {
    field(hasher, b"group");
    field(hasher, &group.name);
    field(hasher, &group.last_delivered);
    hasher.update(&group.entries_read.unwrap_or(-1).to_le_bytes());
    for consumer in consumers {
        field(hasher, consumer);
    }
}

fn add_pending(hasher: &mut Hasher, pending: &[Pending]) {
    for entry in pending {
        field(hasher, &entry.id);
        field(hasher, &entry.consumer);
        hasher.update(&entry.deliveries.to_le_bytes());
    }
}
