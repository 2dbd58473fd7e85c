//! The answer, with its evidence.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How two sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Only on the left.
    Missing,
    /// Only on the right.
    Extra,
    /// Same key, different contents.
    Row,
    /// A sequence that would give out a number again, or is not where it should be.
    Sequence,
    /// Something of the schema is otherwise.
    Schema,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub class: Class,
    /// Which table, or what kind of thing.
    pub place: String,
    /// Which row or object.
    pub key: String,
    /// Both sides in short.
    pub detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}: {}", self.class, self.place, self.key, self.detail)
    }
}

/// What was compared and what differs.
#[derive(Debug, Clone)]
pub struct Report {
    /// Tables and views whose rows were compared.
    pub relations: u64,
    /// Rows on the left.
    pub rows_left: u64,
    /// Rows on the right.
    pub rows_right: u64,
    /// Things of the schema compared, sequences included.
    pub objects: u64,
    /// Differences by class, all that were met.
    pub counts: BTreeMap<Class, u64>,
    /// The first differences, as many as asked for.
    pub differences: Vec<Difference>,
    /// How long it took.
    pub took: Duration,
    differences_max: usize,
}

impl Report {
    pub(super) const fn new(differences_max: usize) -> Self {
        Self {
            relations: 0,
            rows_left: 0,
            rows_right: 0,
            objects: 0,
            counts: BTreeMap::new(),
            differences: Vec::new(),
            took: Duration::ZERO,
            differences_max,
        }
    }

    pub(super) fn add(&mut self, class: Class, place: &str, key: &str, detail: String) {
        *self.counts.entry(class).or_default() += 1;
        if self.differences.len() < self.differences_max {
            let (place, key) = (place.to_owned(), shown(key));
            self.differences.push(Difference { class, place, key, detail });
        }
    }

    /// Whether the sides are equal. Two empty sides are not: nothing was proved.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.rows_left > 0 && self.counts.is_empty()
    }

    /// Number of differences met.
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
            "{verdict}: {} rows left, {} right in {} relations, {} objects, {} different, {:.1} s",
            self.rows_left,
            self.rows_right,
            self.relations,
            self.objects,
            self.different(),
            self.took.as_secs_f64()
        )?;
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        Ok(())
    }
}

/// A value in at most eighty characters.
pub(super) fn shown(text: &str) -> String {
    const MAX: usize = 80;
    if text.chars().count() <= MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX - 1).collect();
    short.push('…');
    short
}

/// Both texts from a little before where they part.
pub(super) fn apart(left: &str, right: &str) -> String {
    let same = left.chars().zip(right.chars()).take_while(|(l, r)| l == r).count();
    let from = same.saturating_sub(20);
    let tail = |text: &str| shown(&text.chars().skip(from).collect::<String>());
    format!("«{}» here, «{}» there", tail(left), tail(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_where_they_part() {
        let long = "x".repeat(50);
        assert_eq!(
            apart(&format!("{long}a"), &format!("{long}b")),
            format!("«{0}a» here, «{0}b» there", "x".repeat(20))
        );
    }
}
