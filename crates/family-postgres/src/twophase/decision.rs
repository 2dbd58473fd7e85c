//! The decision table, in the database of the authority, and what is said to it.
//!
//! One row is one decision; its key is the gid, so there is never a second one. `exodus.decide`
//! runs with its owner's rights inside the client's own transaction, because the client's role
//! shall not be able to write the table, and makes that transaction's commit durable whatever the
//! client has set: an acknowledged decision that a crash forgets would be an abort.

use std::time::Duration;

use super::Gid;
use crate::sql::{ident, literal};

/// The schema of everything of ours on a server.
const SCHEMA: &str = "exodus";
/// Rows removed at once.
const PRUNED_MAX: usize = 10_000;

/// Whether the table and its function are there: one row, true or false.
pub const THERE: &str = "SELECT pg_catalog.to_regprocedure(\
    'exodus.decide(text, text, bigint, bigint, bigint)') IS NOT NULL";

/// Makes a session's commits durable where its settings say otherwise.
pub const DURABLE: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) \
    WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

/// Makes the table and its function. Several processes may come here at once; `IF NOT EXISTS`
/// alone can fail then.
#[must_use]
pub fn create() -> String {
    format!(
        "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('{SCHEMA}')); \
         CREATE SCHEMA IF NOT EXISTS {SCHEMA}; \
         CREATE TABLE IF NOT EXISTS {SCHEMA}.decision (gid text PRIMARY KEY, run text NOT NULL, \
           epoch bigint NOT NULL, state text NOT NULL CHECK (state IN ('commit', 'abort')), \
           xid bigint NOT NULL, other_xid bigint, role name NOT NULL, \
           at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()); \
         CREATE OR REPLACE FUNCTION {SCHEMA}.decide(gid text, run text, epoch bigint, \
           own bigint, other bigint) RETURNS void LANGUAGE sql SECURITY DEFINER \
           SET search_path = pg_catalog, pg_temp AS $$ \
           SELECT set_config('synchronous_commit', 'on', true) \
             WHERE current_setting('synchronous_commit') = 'off'; \
           INSERT INTO {SCHEMA}.decision (gid, run, epoch, state, xid, other_xid, role) \
             VALUES ($1, $2, $3, 'commit', coalesce($4, txid_current()), $5, session_user) $$; \
         REVOKE ALL ON FUNCTION {SCHEMA}.decide FROM PUBLIC; COMMIT"
    )
}

/// Lets a client's role decide its own transactions.
#[must_use]
pub fn grant(role: &str) -> String {
    let role = ident(role);
    format!(
        "GRANT USAGE ON SCHEMA {SCHEMA} TO {role}; GRANT EXECUTE ON FUNCTION {SCHEMA}.decide TO {role}"
    )
}

/// Writes the commit row. In the authority's own transaction `own` is `None` and the row carries
/// the id of the transaction that it is part of.
#[must_use]
pub fn decide(gid: &Gid, own: Option<u64>, other: u64) -> String {
    let own = own.map_or_else(|| "NULL".to_owned(), |xid| xid.to_string());
    let (name, run) = (literal(&gid.to_string()), literal(&gid.run));
    format!("SELECT {SCHEMA}.decide({name}, {run}, {}, {own}, {other})", gid.epoch)
}

/// Writes the abort row unless a decision stands, and says what stands then: state and xid. Waits
/// for a transaction that holds an uncommitted row of that name. Both statements are one
/// transaction, so an answer without error is durable.
#[must_use]
pub fn fence(gid: &Gid) -> String {
    let (name, run) = (literal(&gid.to_string()), literal(&gid.run));
    format!(
        "INSERT INTO {SCHEMA}.decision (gid, run, epoch, state, xid, role) \
         VALUES ({name}, {run}, {}, 'abort', pg_catalog.txid_current(), session_user) \
         ON CONFLICT (gid) DO NOTHING; \
         SELECT state, xid FROM {SCHEMA}.decision WHERE gid = {name}",
        gid.epoch
    )
}

/// Removes old rows of a run, a bounded number at a time. `prepared` are the names that are still
/// prepared on either side; `age` is longer than any recoverer takes from its scan to its fence.
#[must_use]
pub fn prune(run: &str, prepared: &[String], age: Duration) -> String {
    let kept: Vec<_> = prepared.iter().map(|name| literal(name)).collect();
    format!(
        "DELETE FROM {SCHEMA}.decision WHERE gid IN (SELECT gid FROM {SCHEMA}.decision \
         WHERE run = {} AND at < pg_catalog.clock_timestamp() - {} * interval '1 second' \
         AND gid <> ALL (ARRAY[{}]::text[]) LIMIT {PRUNED_MAX})",
        literal(run),
        age.as_secs(),
        kept.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_the_own_xid_is_the_servers() {
        let gid: Gid = "exo:orders:7:b1:s-t:99:42".parse().unwrap();
        assert_eq!(
            decide(&gid, None, 5),
            "SELECT exodus.decide('exo:orders:7:b1:s-t:99:42', 'orders', 7, NULL, 5)"
        );
        assert!(decide(&gid, Some(8), 5).ends_with("7, 8, 5)"));
        assert!(grant("it's \"me\"").contains("\"it's \"\"me\"\"\""));
        let kept = prune("orders", &["exo:a".into(), "x'".into()], Duration::from_secs(600));
        assert!(kept.contains("ARRAY['exo:a', 'x''']::text[]") && kept.contains("600 *"));
    }
}
