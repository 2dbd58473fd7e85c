//! What remains of us on a server after the end: slots, publications, triggers, tables, sessions.
//!
//! Everything of a run is named after it; the schema `exodus` is shared by the runs of a database
//! and goes with the last of them.

use family::{PortError, Trouble};

use super::sessions;
use crate::conn::{Conn, kill};
use crate::follow::names::{SCHEMA, plain};
use crate::sql::{ident, literal};

/// Removes what is ours, and says what it removed.
pub(crate) async fn cleanup(conn: &mut Conn) -> Result<Vec<String>, PortError> {
    let mut removed = Vec::new();
    let reaped = sessions::reap(conn).await?;
    if reaped > 0 {
        removed.push(format!("{reaped} connections of earlier boots"));
    }
    let run = conn.link().run().to_owned();
    let named = format!("exodus_{}", plain(&run));
    removed.extend(triggers(conn, &named).await?);
    removed.extend(slots(conn, &named).await?);
    removed.extend(publications(conn, &named).await?);
    removed.extend(tables(conn, &run).await?);
    let own = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
         AND starts_with(application_name, {})",
        literal(&format!("{}:", conn.link().tag()))
    );
    let left: u64 = conn.query_one(&own).await?.number(0)?;
    if left > 0 {
        removed.push(format!("{left} connections of this process remain until it ends"));
    }
    Ok(removed)
}

/// Of a name column: it is the run's own name, or that with an end of ours.
fn ours(column: &str, named: &str) -> String {
    let ends = ["", "_f", "_r", "_ins", "_ddl", "_ddl_start", "_ddl_drop"];
    let names: Vec<String> = ends.iter().map(|end| literal(&format!("{named}{end}"))).collect();
    format!("{column} IN ({})", names.join(", "))
}

async fn slots(conn: &mut Conn, named: &str) -> Result<Vec<String>, PortError> {
    let which = ours("slot_name", named);
    // Whoever reads from one holds it.
    let readers = format!(
        "pid IN (SELECT active_pid FROM pg_replication_slots WHERE {which} \
         AND database = current_database())"
    );
    kill(conn, &readers).await?;
    let sql = format!(
        "SELECT slot_name, pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE {which} AND database = current_database()"
    );
    let named = |row: &crate::conn::Row| Ok(format!("replication slot {}", row.text(0)?));
    conn.query(&sql).await?.iter().map(named).collect()
}

async fn publications(conn: &mut Conn, named: &str) -> Result<Vec<String>, PortError> {
    let sql = format!("SELECT pubname FROM pg_publication WHERE {}", ours("pubname", named));
    drop_each(conn, &sql, "PUBLICATION", "publication").await
}

async fn triggers(conn: &mut Conn, named: &str) -> Result<Vec<String>, PortError> {
    let sql = format!("SELECT evtname FROM pg_event_trigger WHERE {}", ours("evtname", named));
    drop_each(conn, &sql, "EVENT TRIGGER", "event trigger").await
}

async fn drop_each(
    conn: &mut Conn,
    sql: &str,
    kind: &str,
    shown: &str,
) -> Result<Vec<String>, PortError> {
    let mut removed = Vec::new();
    for row in conn.query(sql).await? {
        let name = row.text(0)?;
        conn.execute(&format!("DROP {kind} IF EXISTS {}", ident(name))).await?;
        removed.push(format!("{shown} {name}"));
    }
    Ok(removed)
}

/// The run's rows of our tables; the schema once nobody has any.
async fn tables(conn: &mut Conn, run: &str) -> Result<Vec<String>, PortError> {
    let sql = format!(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = '{SCHEMA}' AND c.relkind = 'r' AND EXISTS (SELECT FROM pg_attribute a \
           WHERE a.attrelid = c.oid AND a.attname = 'run' AND NOT a.attisdropped)"
    );
    let mut others = 0u64;
    for row in conn.query(&sql).await? {
        let table = format!("{SCHEMA}.{}", ident(row.text(0)?));
        conn.execute(&format!("DELETE FROM {table} WHERE run = {}", literal(run))).await?;
        others +=
            conn.query_one(&format!("SELECT count(*) FROM {table}")).await?.number::<u64>(0)?;
    }
    let there = format!("SELECT count(*) > 0 FROM pg_namespace WHERE nspname = '{SCHEMA}'");
    if others > 0 || !conn.query_one(&there).await?.flag(0)? {
        return Ok(Vec::new());
    }
    match conn.execute(&format!("DROP SCHEMA {SCHEMA} CASCADE")).await {
        Ok(_) => Ok(vec![format!("schema {SCHEMA}")]),
        Err(error) => {
            let error: PortError = error.into();
            match error.trouble {
                // Made by another role, perhaps an operator's: said, not forced.
                Trouble::Denied => Ok(vec![format!("schema {SCHEMA} remains: {}", error.message)]),
                _ => Err(error),
            }
        }
    }
}
