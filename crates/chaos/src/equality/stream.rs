//! Streams: entries, ids, groups, consumers and what is pending for whom.
//!
//! Field names: <https://redis.io/docs/latest/commands/xinfo-stream/>. A field that one side does
//! not report (older servers) is not compared.

use redis::{Cmd, Value, cmd};

use super::Options;
use super::key::about;
use super::pair::Pair;
use super::shape::bytes;
use crate::conn::Fault;
use crate::value;

const CHUNK: usize = 1_000;
const HEAD: [&str; 5] = [
    "length",
    "last-generated-id",
    "max-deleted-entry-id",
    "entries-added",
    "recorded-first-entry-id",
];
const GROUP: [&str; 3] = ["last-delivered-id", "entries-read", "pel-count"];

/// Everything about a stream; `count` limits entries and pending entries, 0 is no limit.
pub(super) fn full(key: &[u8], count: u32) -> Cmd {
    let mut c = cmd("XINFO");
    c.arg("STREAM").arg(key).arg("FULL").arg("COUNT").arg(count);
    c
}

/// Why two streams read whole differ.
pub(super) fn difference(left: &Value, right: &Value, options: &Options) -> Option<String> {
    heads(left, right)
        .or_else(|| {
            let entries = |v: &Value| value::field(v, "entries").cloned();
            (entries(left) != entries(right)).then(|| "entries differ".to_owned())
        })
        .or_else(|| {
            groups(left).iter().zip(groups(right)).find_map(|(l, r)| {
                let pending = |g: &Value| value::field(g, "pel").map(pending).unwrap_or_default();
                unlike(&pending(l), &pending(r), options)
            })
        })
}

/// Why two streams too large to read whole differ; delivery times are not looked at here.
pub(super) fn walk(pair: &mut Pair, key: &[u8]) -> Result<Option<String>, Fault> {
    let (left, right) = pair.both(&[full(key, 1)])?;
    if let Some(why) = heads(&left[0], &right[0]) {
        return Ok(Some(why));
    }
    let mut from = b"-".to_vec();
    loop {
        let mut read = about("XRANGE", key);
        read.arg(&from).arg("+").arg("COUNT").arg(CHUNK);
        let (left, right) = pair.both(&[read])?;
        if left[0] != right[0] {
            return Ok(Some(format!("entries differ from {}", value::show(&from))));
        }
        match next_page(&left[0]) {
            Some(next) => from = next,
            None => break,
        }
    }
    for group in groups(&left[0]) {
        let name = value::field(group, "name").map(bytes).unwrap_or_default();
        if let Some(why) = walk_pending(pair, key, name)? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Pending entries of a group, in chunks: id, consumer, deliveries.
fn walk_pending(pair: &mut Pair, key: &[u8], group: &[u8]) -> Result<Option<String>, Fault> {
    let mut from = b"-".to_vec();
    loop {
        let mut read = about("XPENDING", key);
        read.arg(group).arg(&from).arg("+").arg(CHUNK);
        let (left, right) = pair.both(&[read])?;
        let known = |v: &Value| -> Vec<Vec<Value>> {
            let entries = value::items(v).iter();
            entries
                .map(|e| match value::items(e) {
                    [id, consumer, _idle, count] => {
                        vec![id.clone(), consumer.clone(), count.clone()]
                    }
                    _ => vec![],
                })
                .collect()
        };
        if known(&left[0]) != known(&right[0]) {
            let group = value::show(group);
            return Ok(Some(format!("pending of {group} differs from {}", value::show(&from))));
        }
        match next_page(&left[0]) {
            Some(next) => from = next,
            None => return Ok(None),
        }
    }
}

/// Where the page after this full one begins.
fn next_page(page: &Value) -> Option<Vec<u8>> {
    let page = value::items(page);
    if page.len() < CHUNK {
        return None;
    }
    let last = value::items(page.last()?).first()?;
    Some([b"(", bytes(last)].concat())
}

/// Ids, counters, groups and consumers.
fn heads(left: &Value, right: &Value) -> Option<String> {
    if let Some(why) = fields(left, right, &HEAD) {
        return Some(why);
    }
    let names = |groups: &[&Value]| -> Vec<Vec<u8>> { groups.iter().map(|g| name(g)).collect() };
    let (left, right) = (groups(left), groups(right));
    if names(&left) != names(&right) {
        return Some(format!("{} / {} groups, or other names", left.len(), right.len()));
    }
    left.iter().zip(&right).find_map(|(l, r)| {
        let group = value::show(&name(l));
        fields(l, r, &GROUP).or_else(|| consumers(l, r)).map(|why| format!("group {group}: {why}"))
    })
}

fn consumers(left: &Value, right: &Value) -> Option<String> {
    let known = |group: &Value| -> Vec<(Vec<u8>, Option<i64>)> {
        let consumers = value::field(group, "consumers").map(value::items).unwrap_or_default();
        let mut known: Vec<_> = consumers
            .iter()
            .map(|c| (name(c), value::field(c, "pel-count").and_then(value::int)))
            .collect();
        known.sort();
        known
    };
    (known(left) != known(right)).then(|| "consumers or their pending counts differ".to_owned())
}

fn fields(left: &Value, right: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let (l, r) = (value::field(left, name)?, value::field(right, name)?);
        (l != r).then(|| format!("{name} {l:?} / {r:?}"))
    })
}

fn groups(stream: &Value) -> Vec<&Value> {
    let mut groups: Vec<&Value> =
        value::field(stream, "groups").map(value::items).unwrap_or_default().iter().collect();
    groups.sort_by_key(|g| name(g));
    groups
}

fn name(value: &Value) -> Vec<u8> {
    value::field(value, "name").map(bytes).unwrap_or_default().to_vec()
}

/// A pending entry: id, consumer, delivery time in ms, deliveries.
type Pending = (Vec<u8>, Vec<u8>, i64, i64);

fn pending(pel: &Value) -> Vec<Pending> {
    value::items(pel)
        .iter()
        .filter_map(|entry| match value::items(entry) {
            [id, consumer, time, count] => Some((
                bytes(id).to_vec(),
                bytes(consumer).to_vec(),
                value::int(time)?,
                value::int(count)?,
            )),
            _ => None,
        })
        .collect()
}

fn unlike(left: &[Pending], right: &[Pending], options: &Options) -> Option<String> {
    let same = |(l, r): (&Pending, &Pending)| {
        l.0 == r.0 && l.1 == r.1 && l.3 == r.3 && (l.2 - r.2).abs() <= options.delivery_tolerance_ms
    };
    if left.len() == right.len() && left.iter().zip(right).all(same) {
        return None;
    }
    let at = left.iter().zip(right).position(|pair| !same(pair)).unwrap_or(0);
    Some(format!("pending entry {at}: {:?} / {:?}", left.get(at), right.get(at)))
}
