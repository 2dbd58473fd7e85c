//! Rows that one client alone wrote hold what it wrote last.

use std::collections::HashMap;

use crate::checkers::Verdict;
use crate::postgres::conn::{Conn, Fault};
use crate::postgres::load::PgLedger;
use crate::postgres::load::ledger::{Expectation, Owned};

const TABLES: [(Owned, &str); 3] = [
    (Owned::Moving, "SELECT id, value || ':' || length(ballast) FROM load.moving"),
    (
        Owned::Parent,
        "SELECT coalesce(p.id, c.parent), CASE WHEN p.id IS NULL THEN 'orphans' \
         ELSE count(c.id)::text END FROM load.parents p \
         FULL JOIN load.children c ON c.parent = p.id GROUP BY p.id, c.parent",
    ),
    (Owned::Register, "SELECT id::bigint, version::text FROM load.registers"),
];

pub(super) fn judge(ledger: &PgLedger, conn: &mut Conn) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Own rows: what their only writer wrote last");
    let mut held = HashMap::new();
    for (table, sql) in TABLES {
        conn.each(sql, &[], |row| {
            held.insert((table, row.get::<_, i64>(0)), row.get::<_, String>(1));
        })?;
    }
    check(&ledger.expectations, held, &mut verdict);
    Ok(verdict)
}

pub(super) fn check(
    expectations: &[Expectation],
    mut held: HashMap<(Owned, i64), String>,
    verdict: &mut Verdict,
) {
    verdict.examined += expectations.len() as u64;
    for Expectation { table, id, allowed } in expectations {
        let state = held.remove(&(*table, *id));
        if !allowed.contains(&state) {
            verdict.violation(format!("{table:?} {id} holds {state:?}, allowed are {allowed:?}"));
        }
    }
    for ((table, id), state) in held {
        verdict.violation(format!("{table:?} {id} holds {state}, nobody wrote it"));
    }
}
