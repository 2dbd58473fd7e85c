//! The answer, with its evidence.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::value;

/// How two sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Only on the left.
    Missing,
    /// Only on the right.
    Extra,
    /// Different types.
    Type,
    /// Same type, different contents or order.
    Value,
    /// Same contents, different expiry.
    Ttl,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub class: Class,
    /// Where.
    pub db: i64,
    /// Which.
    pub key: Vec<u8>,
    /// Both sides in short.
    pub detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} db{} {}: {}", self.class, self.db, value::show(&self.key), self.detail)
    }
}

/// What was compared and what differs.
#[derive(Debug, Clone)]
pub struct Report {
    /// Keys met on the left.
    pub keys_left: u64,
    /// Keys met on the right.
    pub keys_right: u64,
    /// Keys found equal.
    pub compared: u64,
    /// Differences by class, all of them.
    pub counts: BTreeMap<Class, u64>,
    /// The first differences, as many as asked for.
    pub differences: Vec<Difference>,
    /// How long it took.
    pub took: Duration,
    differences_max: usize,
}

impl Report {
    pub(super) fn new(differences_max: usize) -> Self {
        Self {
            keys_left: 0,
            keys_right: 0,
            compared: 0,
            counts: BTreeMap::new(),
            differences: Vec::new(),
            took: Duration::ZERO,
            differences_max,
        }
    }

    pub(super) fn add(&mut self, difference: Difference) {
        *self.counts.entry(difference.class).or_default() += 1;
        if self.differences.len() < self.differences_max {
            self.differences.push(difference);
        }
    }

    /// Whether the sides are equal. Two empty sides are not: nothing was proved.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.compared > 0 && self.counts.is_empty()
    }

    /// Number of differing keys.
    #[must_use]
    pub fn different(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.equal() { "equal" } else { "NOT EQUAL" };
        write!(
            f,
            "{verdict}: {} keys left, {} right, {} equal, {} different, {:.1} s",
            self.keys_left,
            self.keys_right,
            self.compared,
            self.different(),
            self.took.as_secs_f64()
        )?;
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        Ok(())
    }
}
