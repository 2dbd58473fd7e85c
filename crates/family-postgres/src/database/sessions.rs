//! Who is connected.

use family::PortError;

use crate::conn::{Conn, kill};
use crate::sql::literal;

/// Of `pg_stat_activity`: clients of this database that are not ours, whatever their boot. A role
/// that may not see more of others sees that they are there.
pub(super) fn strangers(conn: &Conn) -> String {
    format!(
        "datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL \
         AND coalesce(backend_type, 'client backend') = 'client backend' \
         AND NOT starts_with(coalesce(application_name, ''), {})",
        literal(&conn.link().family_tag())
    )
}

/// Ends sessions of this migration's other boots, and those this process gave up. They may be
/// to any database of the server.
pub(super) async fn reap(conn: &mut Conn) -> Result<usize, PortError> {
    let link = conn.link().clone();
    let given_up = link.abandoned().bury(conn, link.tag()).await?;
    let others = format!(
        "starts_with(application_name, {}) AND NOT starts_with(application_name, {})",
        literal(&link.family_tag()),
        literal(&format!("{}:", link.tag()))
    );
    Ok(given_up + kill(conn, &others).await?)
}

/// Sessions that are not ours: where from, as whom, and what they call themselves.
pub(super) async fn foreign(conn: &mut Conn) -> Result<Vec<String>, PortError> {
    let sql = format!(
        "SELECT coalesce(CASE WHEN family(client_addr) = 6 THEN '[' || host(client_addr) || ']' \
           ELSE host(client_addr) END || ':' || client_port, 'local'), \
         coalesce(usename, '?'), application_name \
         FROM pg_stat_activity WHERE {} ORDER BY 1, 2, 3",
        strangers(conn)
    );
    let shown = |row: &crate::conn::Row| {
        let (from, user, name) = (row.text(0)?, row.text(1)?, row.opt(2)?.unwrap_or_default());
        let name = if name.is_empty() { "unnamed" } else { name };
        Ok(format!("{from} {user} ({name})"))
    };
    conn.query(&sql).await?.iter().map(shown).collect()
}
