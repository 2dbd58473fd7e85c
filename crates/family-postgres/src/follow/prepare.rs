//! What the other side needs before rows come, and what is built when they are there.

use std::sync::Arc;
use std::time::Duration;

use family::{PortError, Trouble};
use model::ConflictPolicy;

use super::code;
use super::ours;
use super::shared::{Shared, Work};
use super::table::{self, Table};
use crate::conn::Conn;
use crate::schema;
use crate::sql::{literal, qualified};

/// Front of the datasets of a rehearsal.
const REHEARSAL: &str = "exodus_rehearsal.";
/// Longest wait of [`complete`] for the stream to come past the last chunk.
const PASS_WAIT: Duration = Duration::from_secs(60);

/// Switches triggers and foreign keys off for a session: what is copied and applied has already
/// fired them where it was written.
pub(crate) async fn silence(conn: &mut Conn) -> Result<(), PortError> {
    let set =
        conn.execute("SET session_replication_role = replica; SET synchronous_commit = on").await;
    match set {
        Ok(_) => Ok(()),
        Err(error) if error.is("42501") => {
            let message = format!(
                "{}: our account may not set session_replication_role, so triggers and foreign \
                 keys cannot be switched off for what is applied",
                conn.at()
            );
            Err(PortError::new(Trouble::Denied, code::NO_REPLICA_ROLE, message))
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the other side able to hold what this one has.
pub(crate) async fn prepare(shared: &Arc<Shared>) -> Result<Vec<String>, PortError> {
    let policy = shared.spec.conflict;
    if !matches!(policy, ConflictPolicy::Fail | ConflictPolicy::Overwrite) {
        let message = format!(
            "the conflict policy {policy} cannot be kept where whole transactions are applied"
        );
        return Err(PortError::new(Trouble::Unsupported, code::POLICY, message));
    }
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    silence(&mut to).await?;
    ours::adopt(shared).await?;
    // Of a migration of some tables the schema is the operator's: what else hangs together with
    // them is not known here.
    let mut said = match shared.only() {
        Some(_) => Vec::new(),
        None => schema::pre_data(&shared.from, &shared.to).await?,
    };
    let tables: Vec<Arc<Table>> = shared.desk.look(|book| book.tables().cloned().collect());
    let there = table::load(&mut to, None).await?;
    for table in &tables {
        let found = there.iter().find(|t| t.schema == table.schema && t.name == table.name);
        let found = found.ok_or_else(|| {
            let message = format!("{}: no table {}", to.at(), table.dataset());
            PortError::new(Trouble::Rejected, code::SHAPE, message)
        })?;
        let (begun, covered) = shared.desk.look(|book| {
            let shelf = book.find(&table.schema, &table.name).map(|(_, shelf)| shelf);
            shelf.map_or((false, false), |s| (!s.ranges().is_empty(), s.is_covered()))
        });
        if !begun && policy == ConflictPolicy::Fail {
            refuse_rows(&mut to, found).await?;
        }
        if !covered {
            refuse_unique(&mut to, table, found).await?;
        }
    }
    to.close().await;
    said.push(format!("{} tables are ready to be copied", tables.len()));
    Ok(said)
}

async fn refuse_rows(to: &mut Conn, table: &Table) -> Result<(), PortError> {
    let sql = format!("SELECT EXISTS (SELECT FROM {})", table.only());
    if !to.query_one(&sql).await?.flag(0)? {
        return Ok(());
    }
    let message = format!("{}: {} holds rows that are not ours", to.at(), table.dataset());
    Err(PortError::new(Trouble::Rejected, code::NOT_EMPTY, message))
}

/// Chunks are copied at different instants: until the last one is passed, two rows may have one
/// unique value for a while. Only what identifies a row may be unique so early.
async fn refuse_unique(to: &mut Conn, source: &Table, table: &Table) -> Result<(), PortError> {
    let key: Vec<String> = source.key_columns().map(|column| literal(&column.name)).collect();
    let sql = format!(
        "SELECT x.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         WHERE i.indrelid = {}::regclass AND (i.indisunique OR i.indisexclusion) AND i.indimmediate \
         AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname) FROM pg_catalog.pg_attribute a \
              WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) \
         IS DISTINCT FROM (SELECT pg_catalog.array_agg(k ORDER BY k) \
              FROM pg_catalog.unnest(ARRAY[{}]::text[]) k) LIMIT 1",
        literal(&qualified(&table.schema, &table.name)),
        key.join(", ")
    );
    let rows = to.query(&sql).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let message = format!(
        "{}: {} has the unique index {} already, which rows that are being copied may violate for \
         a while",
        to.at(),
        table.dataset(),
        row.text(0)?
    );
    Err(PortError::new(Trouble::Rejected, code::UNIQUE, message))
}

/// Everything is filled: waits until the stream has passed what chunks saw, so that the other side
/// is as the followed one was at one instant, then builds the rest.
pub(crate) async fn complete(shared: &Arc<Shared>) -> Result<Vec<String>, PortError> {
    ours::adopt(shared).await?;
    let mut news = shared.desk.news();
    let passed = async {
        while shared.desk.holds() {
            // The sender lives in `shared`: it cannot have gone.
            let _ = news.changed().await;
        }
    };
    if tokio::time::timeout(PASS_WAIT, passed).await.is_err() {
        let message = "the stream has not come past the last chunk yet".to_owned();
        return Err(PortError::new(Trouble::Unreachable, code::BEHIND, message));
    }
    let mut done = match shared.only() {
        Some(_) => Vec::new(),
        None => schema::post_data(&shared.from, &shared.to).await?,
    };
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    let tables: Vec<Arc<Table>> = shared.desk.look(|book| book.tables().cloned().collect());
    to.set_patience(None);
    for table in tables {
        to.execute(&format!("ANALYZE {}", table.quoted())).await?;
    }
    done.push("planner statistics gathered".to_owned());
    to.close().await;
    Ok(done)
}

/// Brings the other side's sequences to where this one's are. None ever goes back.
pub(crate) async fn carry(shared: &Arc<Shared>) -> Result<(), PortError> {
    if shared.only().is_some_and(|only| only.iter().all(|one| one.as_str().starts_with(REHEARSAL)))
    {
        // No sequence belongs to it, and those of others are none of its business.
        return Ok(());
    }
    let mut from = shared.connect(&shared.from, Work::Ask).await?;
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    for said in schema::sequences(&mut from, &mut to).await? {
        tracing::debug!(said, "sequences");
    }
    from.close().await;
    to.close().await;
    Ok(())
}
