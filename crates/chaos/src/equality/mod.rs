//! Whether two servers hold the same data: every key of every database, read by type from both.
//!
//! Constraints: memory is bounded by one page of keys and by the number of reported differences;
//! encodings and representations (listpack or table, `1.5` or `1.50` as a score) do not matter,
//! contents, order, expiry and consumer groups do. Keys that expire while we look are not
//! differences. Neither side may be written to meanwhile, except by expiry.
//!
//! Layout: `pair` asks both sides at once, `key` compares single keys, `shape` makes replies
//! comparable, `big` walks large keys in chunks, `stream` knows streams, `report` is the answer.

mod big;
mod key;
mod pair;
mod report;
mod shape;
mod stream;

use std::collections::BTreeSet;
use std::time::Instant;

use redis::{Value, cmd};

use crate::conn::{Address, Fault};
use crate::value;
use pair::Pair;
pub use report::{Class, Difference, Report};

/// What counts as equal.
#[derive(Debug, Clone)]
pub struct Options {
    /// How far two absolute expiry times may be apart, in milliseconds.
    pub ttl_tolerance_ms: i64,
    /// How far the delivery times of a pending stream entry may be apart, in milliseconds.
    pub delivery_tolerance_ms: i64,
    /// Keys with one of these prefixes are not looked at.
    pub ignore_prefixes: Vec<Vec<u8>>,
    /// At most this many differences are kept; all are counted.
    pub differences_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ttl_tolerance_ms: 5,
            delivery_tolerance_ms: 5,
            ignore_prefixes: Vec::new(),
            differences_max: 200,
        }
    }
}

/// Keys asked for per SCAN call.
const PAGE: u32 = 512;
/// Suspects kept for a second look; beyond it a difference counts at first sight.
const SUSPECTS_MAX: usize = 100_000;

/// Compares everything. `left` is what should be, `right` what is judged: a key only on the left
/// is *missing*, one only on the right is *extra*.
pub fn compare(left: &Address, right: &Address, options: &Options) -> Result<Report, Fault> {
    let start = Instant::now();
    let mut pair = Pair::open(left, right)?;
    let mut report = Report::new(options.differences_max);
    for db in databases(&mut pair)? {
        pair.select(db)?;
        let mut walk = Walk { pair: &mut pair, options, db, suspects: Vec::new() };
        walk.left_against_right(&mut report)?;
        walk.right_against_left(&mut report)?;
        walk.second_look(&mut report)?;
    }
    libraries(&mut pair, &mut report)?;
    report.took = start.elapsed();
    Ok(report)
}

/// One database.
struct Walk<'w> {
    pair: &'w mut Pair,
    options: &'w Options,
    db: i64,
    suspects: Vec<Vec<u8>>,
}

impl Walk<'_> {
    fn left_against_right(&mut self, report: &mut Report) -> Result<(), Fault> {
        let mut cursor = 0;
        loop {
            let (next, keys) = self.page(true, cursor)?;
            report.keys_left += keys.len() as u64;
            let differences = key::differences(self.pair, &keys, self.options)?;
            report.compared += (keys.len() - differences.len()) as u64;
            for (key, difference) in differences {
                self.suspect(key, Some(difference), report);
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn right_against_left(&mut self, report: &mut Report) -> Result<(), Fault> {
        let mut cursor = 0;
        loop {
            let (next, keys) = self.page(false, cursor)?;
            report.keys_right += keys.len() as u64;
            let exists: Vec<_> = keys.iter().map(|k| key::about("EXISTS", k)).collect();
            let held = self.pair.left.batch_ok(&exists)?;
            for (key, held) in keys.into_iter().zip(held) {
                if value::int(&held) == Some(0) {
                    self.suspect(key, None, report);
                }
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Keys that differed once are read again: what expired in between is no difference.
    fn second_look(&mut self, report: &mut Report) -> Result<(), Fault> {
        let suspects: BTreeSet<Vec<u8>> = std::mem::take(&mut self.suspects).into_iter().collect();
        let suspects: Vec<Vec<u8>> = suspects.into_iter().collect();
        for keys in suspects.chunks(PAGE as usize) {
            for (key, (class, detail)) in key::differences(self.pair, keys, self.options)? {
                report.add(Difference { class, db: self.db, key, detail });
            }
        }
        Ok(())
    }

    fn suspect(&mut self, key: Vec<u8>, seen: Option<(Class, String)>, report: &mut Report) {
        if self.suspects.len() < SUSPECTS_MAX {
            self.suspects.push(key);
        } else {
            let (class, detail) = seen.unwrap_or((Class::Extra, String::new()));
            report.add(Difference { class, db: self.db, key, detail });
        }
    }

    fn page(&mut self, left: bool, cursor: u64) -> Result<(u64, Vec<Vec<u8>>), Fault> {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(PAGE);
        let conn = if left { &mut self.pair.left } else { &mut self.pair.right };
        let reply = conn.call(&scan)?;
        let [next, keys] = value::items(&reply) else {
            return Err(Fault::No("SCAN did not answer with a cursor and keys".to_owned()));
        };
        let next = value::int(next).unwrap_or(0) as u64;
        let keys = value::items(keys)
            .iter()
            .filter_map(value::bytes)
            .filter(|k| !self.options.ignore_prefixes.iter().any(|p| k.starts_with(p)))
            .map(<[u8]>::to_vec)
            .collect();
        Ok((next, keys))
    }
}

/// The databases that hold keys on either side.
fn databases(pair: &mut Pair) -> Result<BTreeSet<i64>, Fault> {
    let mut info = cmd("INFO");
    info.arg("keyspace");
    let (left, right) = pair.both(&[info])?;
    Ok(left
        .iter()
        .chain(&right)
        .filter_map(value::bytes)
        .flat_map(|text| text.split(|b| *b == b'\n'))
        .filter_map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            line.strip_prefix("db")?.split(':').next()?.parse().ok()
        })
        .collect())
}

/// Function libraries, as one more thing to compare; servers without them have none.
fn libraries(pair: &mut Pair, report: &mut Report) -> Result<(), Fault> {
    let mut list = cmd("FUNCTION");
    list.arg("LIST").arg("WITHCODE");
    let (left, right) = pair.both_lenient(std::slice::from_ref(&list))?;
    let code = |side: Vec<Result<Value, String>>| -> BTreeSet<Vec<u8>> {
        let Some(Ok(libraries)) = side.into_iter().next() else { return BTreeSet::new() };
        value::items(&libraries)
            .iter()
            .filter_map(|library| value::bytes(value::field(library, "library_code")?))
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (left, right) = (code(left), code(right));
    let differ = |class, code: &[u8]| Difference {
        class,
        db: 0,
        key: b"(function library)".to_vec(),
        detail: value::show(code),
    };
    left.difference(&right).for_each(|c| report.add(differ(Class::Missing, c)));
    right.difference(&left).for_each(|c| report.add(differ(Class::Extra, c)));
    Ok(())
}
