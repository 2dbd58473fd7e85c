//! Changes of the schema, and the rows that use them.

use crate::checkers::{Verdict, once};
use crate::load::ledger::{Outcome, Token};
use crate::postgres::conn::{Conn, Fault};
use crate::postgres::load::PgLedger;
use crate::postgres::load::ledger::Kind;

pub(super) fn judge(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Schema: every acknowledged change is there, with its rows");
    let mut tokens = Vec::new();
    // Rows below zero were seeded.
    let sql = "SELECT token FROM load.growing WHERE token >= 0 ORDER BY id";
    conn.each(sql, &[], |row| tokens.push(Ok(Token(row.get::<_, i64>(0).unsigned_abs()))))?;
    once::check("growing", &ledger.of(Kind::Grow), &tokens, true, &mut verdict);
    for change in &ledger.ddl {
        verdict.examined += 1;
        // What was renamed since is found under its new name by a later probe.
        let done = match conn.text(&change.probe) {
            Ok(answer) => answer.as_deref() == Some("t"),
            Err(Fault::Refused { .. }) => false,
            Err(broken) => return Err(broken),
        };
        let fits = match change.outcome {
            Outcome::Ok => done,
            Outcome::Unknown => true,
            Outcome::No => !done,
        };
        if !fits {
            verdict.violation(format!("{:?}, yet {}: {}", change.outcome, done, change.sql));
        }
    }
    Ok(verdict)
}
