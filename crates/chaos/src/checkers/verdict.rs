//! The answer, with its evidence.

use std::fmt;

const VIOLATIONS_MAX: usize = 50;

/// One judge's answer.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What was judged.
    pub name: String,
    /// Ledger entries looked at.
    pub examined: u64,
    /// What is wrong; at most fifty lines are kept.
    pub violations: Vec<String>,
    /// Everything that is wrong, counted.
    pub violations_seen: u64,
}

impl Verdict {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), examined: 0, violations: Vec::new(), violations_seen: 0 }
    }

    pub(crate) fn violation(&mut self, what: String) {
        self.violations_seen += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(what);
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.violations_seen == 0
    }
}

/// All judges' answers.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// One per judge.
    pub verdicts: Vec<Verdict>,
}

impl Judgement {
    /// Whether all hold and there was anything to judge.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(Verdict::holds) && self.verdicts.iter().any(|v| v.examined > 0)
    }

    /// The verdict whose name begins like this.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|v| v.name.starts_with(name))
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, verdict) in self.verdicts.iter().enumerate() {
            let answer = if verdict.holds() { "holds " } else { "BROKEN" };
            let line = if n == 0 { "" } else { "\n" };
            write!(f, "{line}{answer} {} ({} examined)", verdict.name, verdict.examined)?;
            if !verdict.holds() {
                write!(f, ", {} violations", verdict.violations_seen)?;
            }
            for violation in verdict.violations.iter().take(8) {
                write!(f, "\n         {violation}")?;
            }
        }
        Ok(())
    }
}
