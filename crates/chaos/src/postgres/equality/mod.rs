//! Whether two databases hold the same: every row of every table, every sequence, and everything
//! the schema says about itself.
//!
//! Constraints: memory is bounded by the buckets of one table, by the rows of those that differ
//! and by the number of reported differences; how a server stores something does not matter, what
//! it prints does. Neither side may be written to meanwhile.
//!
//! Layout: `pair` asks both sides at once, `rows` digests and reads, `sequences` and `facts` the
//! rest, `report` is the answer.

mod facts;
mod pair;
mod report;
mod rows;
mod sequences;

use std::time::Instant;

use super::conn::{Fault, PgAddress};
use pair::Pair;
pub use report::{Class, Difference, Report};
pub use sequences::SequenceRule;

/// What counts as equal.
#[derive(Debug, Clone)]
pub struct Options {
    /// Schemas that are not looked at.
    pub ignore_schemas: Vec<String>,
    /// Where the right's sequences have to stand.
    pub sequences: SequenceRule,
    /// Whether what materialized views show counts; that they are there and filled always does.
    /// Each server fills its own, when it is told to.
    pub materialized: bool,
    /// Whether roles, their attributes, verifiers and memberships count.
    pub roles: bool,
    /// At most this many differences are kept; all that are met are counted.
    pub differences_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ignore_schemas: Vec::new(),
            sequences: SequenceRule::Equal,
            materialized: true,
            roles: false,
            differences_max: 200,
        }
    }
}

impl Options {
    /// True of a namespace `n` that counts.
    fn theirs(&self) -> String {
        let ignored: Vec<String> =
            self.ignore_schemas.iter().map(|s| format!("'{}'", s.replace('\'', "''"))).collect();
        let ignored = if ignored.is_empty() { "''".to_owned() } else { ignored.join(", ") };
        format!(
            "(n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
             AND n.nspname NOT IN ({ignored}))"
        )
    }
}

/// Compares everything. `left` is what should be, `right` what is judged: a row only on the left
/// is *missing*, one only on the right is *extra*. Connect with every right.
pub fn compare(left: &PgAddress, right: &PgAddress, options: &Options) -> Result<Report, Fault> {
    let start = Instant::now();
    let mut pair = Pair::open(left, right)?;
    let mut report = Report::new(options.differences_max);
    facts::compare(&mut pair, options, &mut report)?;
    sequences::compare(&mut pair, options, &mut report)?;
    rows::compare(&mut pair, options, &mut report)?;
    report.took = start.elapsed();
    Ok(report)
}
