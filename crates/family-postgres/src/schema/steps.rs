//! The two steps of a schema.

use std::collections::BTreeSet;
use std::sync::Arc;

use family::PortError;

use super::dump::{Archive, Entry};
use super::{foreign, roles};
use crate::conn::{Conn, Link, Purpose};
use crate::database::inventory::tables_sql;
use crate::follow::names::SCHEMA;
use crate::sql::literal;

const PURPOSE: Purpose = Purpose::of("schema");

/// Names of our own that the follower leaves on the source.
const OURS: &str = "exodus_";

/// Roles, then everything before rows: tables and what identifies their rows. Says what it did.
pub(crate) async fn pre_data(from: &Arc<Link>, to: &Arc<Link>) -> Result<Vec<String>, PortError> {
    let mut target = target(to).await?;
    if let Some(said) = done(&mut target, to.run(), "pre_data").await? {
        return Ok(vec![said]);
    }
    let mut source = from.connect(PURPOSE).await?;
    let mut said = roles(&mut source, &mut target).await?;
    let (wanted, there) = (tables(&mut source).await?, tables(&mut target).await?);
    if !wanted.is_empty() && wanted.is_subset(&there) {
        // Made by the operator or a tool of theirs: it is theirs to finish as well.
        note(&mut target, "", to.run(), "pre_data", FOUND).await?;
        said.push(format!("the target has all {} tables already", wanted.len()));
        return Ok(said);
    }
    let archive = Archive::make(from, source.version() / 10_000).await?;
    let identities = identities(&mut source).await?;
    let (before, after) = (archive.entries("pre-data").await?, archive.entries("post-data").await?);
    let chosen: Vec<&Entry> = before
        .iter()
        .filter(|entry| !is_ours(entry))
        .chain(after.iter().filter(|entry| identifies(entry, &identities)))
        .collect();
    let sql = archive.sql(&chosen).await?;
    note(&mut target, &sql, to.run(), "pre_data", "made").await?;
    said.push(format!("{} objects made before rows", chosen.len()));
    source.close().await;
    target.close().await;
    Ok(said)
}

/// Everything that waits for rows: indexes, constraints, triggers, rights that depend on them,
/// and foreign keys, added without a look and then validated.
pub(crate) async fn post_data(from: &Arc<Link>, to: &Arc<Link>) -> Result<Vec<String>, PortError> {
    let mut target = target(to).await?;
    if let Some(said) = done(&mut target, to.run(), "post_data").await? {
        return foreign::validate(&mut target).await.map(|more| [vec![said], more].concat());
    }
    if found(&mut target, to.run()).await? {
        return Ok(vec!["the target's schema was there before: left as it is".into()]);
    }
    let mut source = from.connect(PURPOSE).await?;
    let archive = Archive::make(from, source.version() / 10_000).await?;
    let identities = identities(&mut source).await?;
    let entries = archive.entries("post-data").await?;
    let rest: Vec<&Entry> = entries
        .iter()
        .filter(|e| !is_ours(e) && !e.is("FK CONSTRAINT") && !identifies(e, &identities))
        .collect();
    // A comment may be on a foreign key.
    let (comments, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|e| e.is("COMMENT"));
    let mut sql = archive.sql(&rest).await?;
    let keys = foreign::statements(&mut source).await?;
    let count = keys.len();
    sql.push_str(&keys.join("\n"));
    sql.push_str(&archive.sql(&comments).await?);
    note(&mut target, &sql, to.run(), "post_data", "made").await?;
    let mut said = vec![format!(
        "{} objects and {count} foreign keys made after rows",
        rest.len() + comments.len()
    )];
    said.extend(foreign::validate(&mut target).await?);
    source.close().await;
    target.close().await;
    Ok(said)
}

/// Said of a step whose objects were there.
const FOUND: &str = "found";

/// A connection that may wait for an index of any size.
async fn target(link: &Arc<Link>) -> Result<Conn, PortError> {
    let mut conn = link.connect(PURPOSE).await?;
    conn.set_patience(None);
    let make = format!(
        "CREATE SCHEMA IF NOT EXISTS {SCHEMA}; CREATE TABLE IF NOT EXISTS {SCHEMA}.schema_step \
         (run text NOT NULL, step text NOT NULL, how text NOT NULL, PRIMARY KEY (run, step))"
    );
    let there = format!("SELECT to_regclass('{SCHEMA}.schema_step') IS NOT NULL");
    if !conn.query_one(&there).await?.flag(0)? {
        conn.execute(&make).await?;
    }
    Ok(conn)
}

async fn how(conn: &mut Conn, run: &str, step: &str) -> Result<Option<String>, PortError> {
    let sql = format!(
        "SELECT how FROM {SCHEMA}.schema_step WHERE run = {} AND step = '{step}'",
        literal(run)
    );
    let rows = conn.query(&sql).await?;
    rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()
}

async fn done(conn: &mut Conn, run: &str, step: &str) -> Result<Option<String>, PortError> {
    let how = how(conn, run, step).await?;
    Ok(how.map(|how| format!("{step} was done before ({how})")))
}

async fn found(conn: &mut Conn, run: &str) -> Result<bool, PortError> {
    Ok(how(conn, run, "pre_data").await?.as_deref() == Some(FOUND))
}

/// Runs a step and notes it, both or neither.
async fn note(
    conn: &mut Conn,
    sql: &str,
    run: &str,
    step: &str,
    how: &str,
) -> Result<(), PortError> {
    conn.execute("BEGIN").await?;
    let noted = format!(
        "INSERT INTO {SCHEMA}.schema_step VALUES ({}, '{step}', '{how}'); COMMIT",
        literal(run)
    );
    for part in [sql, &noted] {
        if let Err(failed) = conn.execute(part).await {
            if !conn.is_spent() {
                conn.execute("ROLLBACK").await?;
            }
            return Err(failed.into());
        }
    }
    Ok(())
}

async fn tables(conn: &mut Conn) -> Result<BTreeSet<(String, String)>, PortError> {
    let rows = conn.query(&tables_sql()).await?;
    let name = |row: &crate::conn::Row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
    rows.iter().map(name).collect()
}

/// Schema and name of every index by which the log identifies rows, partitions' own included.
async fn identities(conn: &mut Conn) -> Result<BTreeSet<(String, String)>, PortError> {
    let sql = "SELECT n.nspname, x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
         JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = x.relnamespace \
         WHERE i.indisvalid AND i.indimmediate AND n.nspname NOT IN ('pg_catalog', 'pg_toast') \
         AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END";
    let rows = conn.query(sql).await?;
    let name = |row: &crate::conn::Row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
    rows.iter().map(name).collect()
}

/// Whether an entry makes or attaches an index of these.
fn identifies(entry: &Entry, identities: &BTreeSet<(String, String)>) -> bool {
    let kind = ["CONSTRAINT", "INDEX", "INDEX ATTACH"].into_iter().any(|kind| entry.is(kind));
    kind && identities.iter().any(|(schema, name)| entry.names(schema) && entry.names(name))
}

/// Whether an entry is something of ours on the source.
fn is_ours(entry: &Entry) -> bool {
    let kinds =
        ["PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA", "EVENT TRIGGER"];
    kinds.into_iter().any(|kind| entry.is(kind)) && entry.starts_any(OURS)
}
