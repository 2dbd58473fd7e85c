//! What the reads of the compare phase prove, judged over a span of counters.
//!
//! Constraints: pure; a pass never rests on reads that the target could not answer yet, and says
//! so; what failed passes only after as many reads again without a finding.

use workflow::EvidenceOutcome;

/// Reads asked of both sides that make an evidence.
pub(crate) const ASKED_MIN: u64 = 20;

/// How comparisons ended, all listeners added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) equal: u64,
    pub(crate) different: u64,
    /// Of the different ones, only the other side gave an error.
    pub(crate) errors: u64,
    /// The other side has no such record yet.
    pub(crate) missing: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// Reads that both sides answered with something to compare.
    pub(crate) const fn judged(&self) -> u64 {
        self.equal + self.different
    }

    /// Reads asked of both sides.
    pub(crate) const fn asked(&self) -> u64 {
        self.judged() + self.missing
    }

    fn since(&self, base: &Self) -> Self {
        Self {
            equal: self.equal.saturating_sub(base.equal),
            different: self.different.saturating_sub(base.different),
            errors: self.errors.saturating_sub(base.errors),
            missing: self.missing.saturating_sub(base.missing),
            skipped: self.skipped.saturating_sub(base.skipped),
        }
    }

    /// Share of the compared reads that differ, percent.
    fn different_percent(&self) -> f64 {
        self.different as f64 * 100.0 / self.judged().max(1) as f64
    }

    /// What this proves, and what it does not.
    pub(crate) fn proves(&self) -> String {
        let missing = match self.missing {
            0 => String::new(),
            n => format!(
                "; {n} reads asked for records the target does not have yet and prove nothing \
                 about data, which only the verification after the copy does"
            ),
        };
        match (self.judged(), self.missing) {
            (0, 0) => "nothing was compared yet".to_owned(),
            (0, _) => format!("no value was compared{missing}"),
            (n, _) => {
                let mut said = format!("{} of {n} compared reads are equal", self.equal);
                if self.different > 0 {
                    let (different, errors) = (self.different, self.errors);
                    let of = match errors {
                        0 => String::new(),
                        n => format!(" ({n} of them errors that only the target gave)"),
                    };
                    said.push_str(&format!(", {different} differ{of}"));
                }
                format!("{said}{missing}")
            }
        }
    }
}

/// A verdict that is news.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) outcome: EvidenceOutcome,
    pub(crate) counts: Counts,
}

/// The compare phase so far.
#[derive(Debug, Default)]
pub(crate) struct Comparing {
    /// When the phase was entered: another one begins with nothing.
    entered_ms: u64,
    base: Counts,
    told: Option<Judged>,
    /// Reads that have to be compared without a finding before a failure is forgotten.
    owed: u64,
}

impl Comparing {
    /// The verdict on the reads since the phase was entered, or since the last finding; `None`
    /// while there is nothing to say that was not said.
    pub(crate) fn judge(
        &mut self,
        entered_ms: u64,
        now: Counts,
        different_max_percent: f64,
    ) -> Option<Judged> {
        if self.entered_ms != entered_ms {
            *self = Self { entered_ms, base: now, ..Self::default() };
        }
        let span = now.since(&self.base);
        if span.different > 0 && span.different_percent() > different_max_percent {
            // Too few reads say nothing, but what differs among enough of them does.
            if span.asked() < ASKED_MIN {
                return None;
            }
            self.owed = self.owed.max(span.asked());
            self.base = now;
            return Some(self.tell(EvidenceOutcome::Fail, span));
        }
        if span.asked() < ASKED_MIN.max(self.owed) {
            return None;
        }
        // Told at every tenfold growth, so that a long phase does not fill the log.
        let passed = self.told.as_ref().filter(|t| t.outcome == EvidenceOutcome::Pass);
        if passed.is_some_and(|t| span.asked() < t.counts.asked().saturating_mul(10)) {
            return None;
        }
        self.owed = 0;
        Some(self.tell(EvidenceOutcome::Pass, span))
    }

    fn tell(&mut self, outcome: EvidenceOutcome, counts: Counts) -> Judged {
        let judged = Judged { outcome, counts };
        self.told = Some(judged.clone());
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(equal: u64, different: u64, missing: u64) -> Counts {
        Counts { equal, different, missing, ..Counts::default() }
    }

    fn outcome(of: Option<Judged>) -> Option<&'static str> {
        of.map(|j| j.outcome.as_str())
    }

    #[test]
    fn an_empty_target_passes_without_claiming_data() {
        let mut phase = Comparing::default();
        assert_eq!(phase.judge(1, counts(5, 0, 0), 0.0), None, "what was before is not counted");
        assert_eq!(outcome(phase.judge(1, counts(5, 0, 19), 0.0)), None);
        let judged = phase.judge(1, counts(5, 0, 980), 0.0).unwrap();
        assert_eq!(judged.outcome, EvidenceOutcome::Pass);
        assert_eq!(judged.counts, counts(0, 0, 980));
        let said = judged.counts.proves();
        assert!(said.starts_with("no value was compared; 980 reads"), "{said}");
    }

    #[test]
    fn differences_do_not_pass_whatever_their_number_of_neighbours() {
        let mut phase = Comparing::default();
        phase.judge(1, Counts::default(), 0.0);
        let judged = phase.judge(1, counts(999, 1, 9_000), 0.0).unwrap();
        assert_eq!(judged.outcome, EvidenceOutcome::Fail);
        assert!(
            judged.counts.proves().starts_with("999 of 1000 compared reads are equal, 1 differ")
        );
        let mut lenient = Comparing::default();
        lenient.judge(1, Counts::default(), 0.5);
        assert_eq!(outcome(lenient.judge(1, counts(999, 1, 0), 0.5)), Some("pass"));
        // Records that are not there do not thin out what differs.
        let mut thin = Comparing::default();
        thin.judge(1, Counts::default(), 0.5);
        assert_eq!(outcome(thin.judge(1, counts(99, 1, 100_000), 0.5)), Some("fail"));
    }

    #[test]
    fn a_failure_is_forgotten_after_as_many_reads_without_a_finding() {
        let mut phase = Comparing::default();
        phase.judge(1, Counts::default(), 0.0);
        assert_eq!(outcome(phase.judge(1, counts(100, 1, 0), 0.0)), Some("fail"));
        assert_eq!(phase.judge(1, counts(200, 1, 0), 0.0), None);
        assert_eq!(outcome(phase.judge(1, counts(201, 1, 0), 0.0)), Some("pass"));
        assert_eq!(outcome(phase.judge(1, counts(202, 2, 0), 0.0)), Some("fail"));
    }

    #[test]
    fn another_visit_begins_with_nothing() {
        let mut phase = Comparing::default();
        phase.judge(1, Counts::default(), 0.0);
        assert_eq!(outcome(phase.judge(1, counts(0, 30, 0), 0.0)), Some("fail"));
        assert_eq!(phase.judge(2, counts(0, 60, 0), 0.0), None);
        assert_eq!(outcome(phase.judge(2, counts(20, 60, 0), 0.0)), Some("pass"));
    }
}
