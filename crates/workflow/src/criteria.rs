//! The judge: counts samples of named checks and says what a failure asks for.
//!
//! A sample without data, or with too little of it, is never counted: it cannot make a check
//! fail, and it cannot keep one passing.

use std::collections::VecDeque;

use crate::place::Place;

model::wire_names! {
    /// What one sample, or a check as a whole, says.
    pub enum Verdict ("verdict") {
        /// As it should be.
        Pass => "pass",
        /// Not as it should be.
        Fail => "fail",
        /// Too little to tell.
        Inconclusive => "inconclusive",
        /// Nothing was measured.
        NoData => "no_data",
    }
}

model::wire_names! {
    /// What a failed check does to the run.
    pub enum OnFailure ("on_failure") {
        /// Stay here.
        Hold => "hold",
        /// One step back.
        StepBack => "step_back",
        /// All the way back.
        Rollback => "rollback",
    }
}

model::wire_names! {
    /// When a check is judged.
    pub enum JudgedAt ("judged_at") {
        /// While the target serves anything.
        Shift => "shift",
        /// Before the commit only.
        Commit => "commit",
    }
}

/// The check that a rejection by the decision owner fails at once.
pub const DECISION_OWNER_REJECTS: &str = "decision_owner_rejects";

/// One named check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// Its name, e.g. `target_error_rate`.
    pub name: String,
    /// When it is judged.
    pub at: JudgedAt,
    /// How many failing samples fail it …
    pub fail_after: usize,
    /// … of this many last counted samples.
    pub fail_window: usize,
    /// How many passing samples in a row pass it.
    pub pass_after: usize,
    /// What a failure does; none = step back from reads, hold once writes moved.
    pub on_failure: Option<OnFailure>,
    /// Whether a failure acts and a missing pass blocks; else it is only recorded.
    pub enforce: bool,
}

impl Criterion {
    /// Enforced, `fail_after: 3 of 5`, `pass_after: 5`, judged while shifting.
    #[must_use]
    pub fn shift(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            at: JudgedAt::Shift,
            fail_after: 3,
            fail_window: 5,
            pass_after: 5,
            on_failure: None,
            enforce: true,
        }
    }

    /// Enforced, passes at its first passing sample, judged before the commit.
    #[must_use]
    pub fn commit(name: &str) -> Self {
        Self {
            at: JudgedAt::Commit,
            fail_after: 1,
            fail_window: 1,
            pass_after: 1,
            ..Self::shift(name)
        }
    }

    /// The decision owner's veto: failed by one rejection, silent otherwise.
    #[must_use]
    pub fn veto(on_failure: OnFailure) -> Self {
        Self {
            fail_after: 1,
            fail_window: 1,
            pass_after: 1,
            on_failure: Some(on_failure),
            ..Self::shift(DECISION_OWNER_REJECTS)
        }
    }

    /// What a failure does here.
    #[must_use]
    pub fn reaction(&self, place: Place) -> OnFailure {
        self.on_failure.unwrap_or(match place {
            Place::Reads => OnFailure::StepBack,
            _ => OnFailure::Hold,
        })
    }

    /// Whether its samples mean anything at this place.
    #[must_use]
    pub fn judged_in(&self, place: Place) -> bool {
        match self.at {
            JudgedAt::Shift => matches!(
                place,
                Place::Reads
                    | Place::Tenants
                    | Place::ReadyToCutover
                    | Place::ServingTarget
                    | Place::WarmSource
            ),
            JudgedAt::Commit => matches!(place, Place::ServingTarget | Place::WarmSource),
        }
    }
}

/// What is known of a check at this step. Starts anew with every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The last counted samples, oldest first: true = passed. At most as many as are needed.
    pub counted: VecDeque<bool>,
    /// What they say together with the newest sample.
    pub verdict: Verdict,
    /// Since when it says so, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// The numbers of the newest sample, for people.
    pub numbers: String,
    /// What a failure would have done, where the check is not enforced.
    pub would_have: Option<OnFailure>,
}

impl Judgement {
    /// Nothing known yet.
    #[must_use]
    pub fn blank(now_ms: u64) -> Self {
        Self {
            counted: VecDeque::new(),
            verdict: Verdict::NoData,
            since_ms: now_ms,
            numbers: String::new(),
            would_have: None,
        }
    }

    /// Takes one sample in. Returns true when the check turned to fail just now.
    pub fn take(&mut self, spec: &Criterion, sample: Verdict, numbers: &str, now_ms: u64) -> bool {
        let before = self.verdict;
        numbers.clone_into(&mut self.numbers);
        self.verdict = match sample {
            Verdict::NoData | Verdict::Inconclusive => sample,
            Verdict::Pass | Verdict::Fail => {
                self.counted.push_back(sample == Verdict::Pass);
                while self.counted.len() > spec.fail_window.max(spec.pass_after) {
                    self.counted.pop_front();
                }
                self.weigh(spec)
            }
        };
        if self.verdict != before {
            self.since_ms = now_ms;
        }
        self.verdict == Verdict::Fail && before != Verdict::Fail
    }

    fn weigh(&self, spec: &Criterion) -> Verdict {
        let newest = || self.counted.iter().rev();
        let fails = newest().take(spec.fail_window).filter(|passed| !**passed).count();
        let passes = newest().take_while(|passed| **passed).count();
        if fails >= spec.fail_after.max(1) {
            Verdict::Fail
        } else if passes >= spec.pass_after.max(1) {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }
}
