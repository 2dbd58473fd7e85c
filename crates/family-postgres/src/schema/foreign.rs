//! Foreign keys: added without a look at the rows, then validated, which only blocks writers of
//! the referenced table for a moment.

use family::PortError;

use crate::conn::Conn;
use crate::follow::names::SCHEMA;

/// Statements that add the source's foreign keys. Those of partitioned tables are added with a
/// look: servers before 18 cannot do otherwise. Those that no row was looked at for stay so.
pub(super) async fn statements(conn: &mut Conn) -> Result<Vec<String>, PortError> {
    let sql = format!(
        "SELECT 'ALTER TABLE ' || CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END \
         || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || ' ADD CONSTRAINT ' \
         || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) \
         || CASE WHEN c.relkind = 'p' OR NOT k.convalidated THEN '' ELSE ' NOT VALID' END || ';' \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname NOT IN ('{SCHEMA}', 'pg_catalog') \
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass \
           AND d.objid = k.oid AND d.deptype = 'e') \
         ORDER BY n.nspname, c.relname, k.conname"
    );
    let rows = conn.query(&sql).await?;
    let mut made = Vec::new();
    for row in &rows {
        made.push(row.text(0)?.to_owned());
    }
    // Whoever was not validated on the source is marked, so that it is not validated here either.
    let kept = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(k.conname) \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT k.convalidated";
    let note = format!(
        "CREATE TABLE IF NOT EXISTS {SCHEMA}.unvalidated (tab text, con text, PRIMARY KEY (tab, con));"
    );
    let rows = conn.query(kept).await?;
    if !rows.is_empty() {
        made.push(note);
    }
    for row in &rows {
        made.push(format!(
            "INSERT INTO {SCHEMA}.unvalidated VALUES ({}, {}) ON CONFLICT DO NOTHING;",
            crate::sql::literal(row.text(0)?),
            crate::sql::literal(row.text(1)?)
        ));
    }
    Ok(made)
}

/// Validates what was added without a look. May be repeated; says what it did.
pub(super) async fn validate(conn: &mut Conn) -> Result<Vec<String>, PortError> {
    let there = format!("SELECT to_regclass('{SCHEMA}.unvalidated') IS NOT NULL");
    let except = match conn.query_one(&there).await?.flag(0)? {
        true => format!(
            "AND NOT EXISTS (SELECT FROM {SCHEMA}.unvalidated u WHERE u.con = quote_ident(k.conname) \
             AND u.tab = quote_ident(n.nspname) || '.' || quote_ident(c.relname))"
        ),
        false => String::new(),
    };
    let sql = format!(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(k.conname) \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT k.convalidated {except} ORDER BY 1, 2"
    );
    let rows = conn.query(&sql).await?;
    for row in &rows {
        let (table, key) = (row.text(0)?, row.text(1)?);
        conn.execute(&format!("ALTER TABLE {table} VALIDATE CONSTRAINT {key}")).await?;
    }
    let said = format!("{} foreign keys validated", rows.len());
    Ok(if rows.is_empty() { Vec::new() } else { vec![said] })
}
