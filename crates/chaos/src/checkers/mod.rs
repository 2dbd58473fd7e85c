//! Judging what clients were told against what a server holds in the end.
//!
//! Constraints: the load has stopped and everything has drained; the judge reads with a foreign
//! client and knows nothing of how the data got there. Each judge is a pure function over the
//! ledger and what was read, with a reader beside it. An unknown outcome may have happened once
//! or never; an acknowledged one exactly once; a refused one never.
//!
//! Layout: `once` collections, `counters`, `bank`, `jobs`, `own` single-writer keys, `read` the
//! reading in chunks, `verdict` the answer.

pub(crate) mod bank;
pub(crate) mod counters;
pub(crate) mod jobs;
pub(crate) mod once;
mod own;
mod read;
#[cfg(test)]
mod tests;
mod verdict;

use crate::conn::{Address, Fault};
use crate::load::Ledger;
use crate::load::ledger::Kind;
use crate::load::names::Names;
use read::Reader;
pub use verdict::{Judgement, Verdict};

/// Judges the whole ledger against the server at `address` (connect with full rights).
pub fn judge(ledger: &Ledger, address: &Address) -> Result<Judgement, Fault> {
    let names = Names::new(&ledger.prefix);
    let mut reader = Reader::new(address);
    let mut verdicts = Vec::new();
    for kind in [Kind::ListPush, Kind::StreamAdd, Kind::SetAdd, Kind::ZAdd, Kind::Append] {
        verdicts.push(once::judge(kind, ledger, &names, &mut reader)?);
    }
    for kind in [Kind::Incr, Kind::HashIncr, Kind::FloatIncr] {
        verdicts.push(counters::judge(kind, ledger, &names, &mut reader)?);
    }
    verdicts.push(counters::judge_scripts(ledger, &names, &mut reader)?);
    verdicts.push(bank::judge(ledger, &names, &mut reader)?);
    verdicts.push(jobs::judge_popped(ledger, &names, &mut reader)?);
    verdicts.push(jobs::judge_moved(ledger, &names, &mut reader)?);
    verdicts.push(jobs::judge_group(ledger, &names, &mut reader)?);
    verdicts.push(own::judge(ledger, &mut reader)?);
    verdicts.push(sessions(ledger));
    Ok(Judgement { verdicts })
}

/// What clients saw while it happened.
fn sessions(ledger: &Ledger) -> Verdict {
    let mut verdict = Verdict::new("sessions: reads and replies never contradict");
    verdict.examined = ledger.records.len() as u64;
    for seen in &ledger.session_violations {
        verdict.violation(seen.clone());
    }
    verdict.violations_seen = ledger.session_violations_seen;
    verdict
}
