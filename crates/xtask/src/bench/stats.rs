//! Rounds, medians, ranges and ratios.

use std::collections::BTreeMap;
use std::time::Duration;

use super::load::{Cell, Figures};

/// The middle of a set of samples, and how far they spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one sample.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
        };
        Some(Self { median, least, most })
    }
}

/// In which order `count` contenders run in a round: each round begins one further.
pub(crate) fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |at| (at + round) % count.max(1))
}

/// One contender in one cell of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) figures: Figures,
    /// How long the other side took after the last reply until it had everything.
    pub(crate) drained: Duration,
}

impl Sample {
    /// Requests per second with the drain inside the measured time.
    pub(crate) fn rate(&self) -> f64 {
        let requests = self.figures.requests as f64;
        requests / (requests / self.figures.rate + self.drained.as_secs_f64())
    }
}

/// All samples; the first contender is what the others are compared with.
pub(crate) struct Table {
    pub(crate) names: Vec<String>,
    samples: BTreeMap<(Cell, usize), Vec<Sample>>,
}

impl Table {
    pub(crate) fn new(names: &[String]) -> Self {
        Self { names: names.to_vec(), samples: BTreeMap::new() }
    }

    pub(crate) fn add(
        &mut self,
        contender: usize,
        cell: Cell,
        figures: Figures,
        drained: Duration,
    ) {
        self.samples.entry((cell, contender)).or_default().push(Sample { figures, drained });
    }

    fn of(&self, cell: Cell, contender: usize) -> &[Sample] {
        self.samples.get(&(cell, contender)).map_or(&[], Vec::as_slice)
    }

    /// Requests per second.
    pub(crate) fn rate(&self, cell: Cell, contender: usize) -> Option<Spread> {
        Spread::of(&self.of(cell, contender).iter().map(Sample::rate).collect::<Vec<_>>())
    }

    /// Ratio to the first contender, round by round.
    pub(crate) fn ratio(&self, cell: Cell, contender: usize) -> Option<Spread> {
        let pairs = self.of(cell, contender).iter().zip(self.of(cell, 0));
        Spread::of(&pairs.map(|(ours, direct)| ours.rate() / direct.rate()).collect::<Vec<_>>())
    }

    /// 99th percentile of latency in milliseconds.
    pub(crate) fn p99_ms(&self, cell: Cell, contender: usize) -> Option<Spread> {
        let samples = self.of(cell, contender).iter();
        Spread::of(&samples.map(|s| s.figures.p99_ms).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: Cell = Cell::ALL[0];

    fn figures(rate: f64) -> Figures {
        Figures { requests: 1_000, rate, p50_ms: 0.1, p99_ms: 0.2 }
    }

    #[test]
    fn the_median_of_even_and_odd_counts() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]);
        assert_eq!(spread, Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of(&[1.0, 2.0]).map(|s| s.median), Some(1.5));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn every_round_begins_with_another_and_leaves_nobody_out() {
        assert_eq!(order(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(3, 2).collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut table = Table::new(&["direct".to_owned(), "other".to_owned()]);
        for (direct, other) in [(100.0, 50.0), (10.0, 5.0)] {
            table.add(0, CELL, figures(direct), Duration::ZERO);
            table.add(1, CELL, figures(other), Duration::ZERO);
        }
        let ratio = table.ratio(CELL, 1);
        assert_eq!(ratio, Some(Spread { median: 0.5, least: 0.5, most: 0.5 }));
    }

    #[test]
    fn a_drain_counts_as_part_of_the_time() {
        let sample = Sample { figures: figures(1_000.0), drained: Duration::from_secs(1) };
        assert_eq!(sample.rate(), 500.0);
    }
}
