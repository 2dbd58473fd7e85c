//! Judging what clients were told against what a database holds in the end.
//!
//! Constraints: the load has stopped and everything has drained. Each judge is a pure function
//! over the ledger and what was read, with a reader beside it. An unknown outcome may have
//! happened once or never; an acknowledged one exactly once; a refused one never.
//!
//! Layout: `rows` judges single rows, `bank` transfers and their audit, `lists` transactions by
//! the order that lists tell, `own` single-writer rows, `schema` changes of it.

mod bank;
mod lists;
mod own;
mod rows;
mod schema;

use std::time::Duration;

use super::conn::{Conn, Fault, PgAddress};
use super::load::PgLedger;
pub use crate::checkers::{Judgement, Verdict};

/// Reading a table of the load takes no longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Judges the whole ledger against the database at `address` (connect with every right).
pub fn judge(ledger: &PgLedger, address: &PgAddress) -> Result<Judgement, Fault> {
    let mut conn = Conn::open(address, PATIENCE)?;
    let conn = &mut conn;
    let verdicts = vec![
        rows::inserts(ledger, conn)?,
        rows::counters(ledger, conn)?,
        rows::jobs(ledger, conn)?,
        rows::copies(ledger, conn)?,
        rows::parts(ledger, conn)?,
        rows::turns(ledger, conn)?,
        rows::swaps(ledger, conn)?,
        bank::transfers(ledger, conn)?,
        bank::audit(conn)?,
        lists::judge(ledger, conn)?,
        own::judge(ledger, conn)?,
        schema::judge(ledger, conn)?,
        sessions(ledger),
    ];
    Ok(Judgement { verdicts })
}

/// What clients saw while it happened.
fn sessions(ledger: &PgLedger) -> Verdict {
    let mut verdict = Verdict::new("sessions: reads and replies never contradict");
    verdict.examined = ledger.records.len() as u64;
    for seen in &ledger.session_violations {
        verdict.violation(seen.clone());
    }
    verdict.violations_seen = ledger.session_violations_seen;
    verdict
}
