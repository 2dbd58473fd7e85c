//! Roles: those the target lacks are made with the source's attributes and, where it may be read,
//! the same password verifier, so that nobody needs a new password. Roles that are there are left
//! alone; memberships are added, never taken.

use std::collections::BTreeSet;

use family::PortError;

use crate::conn::{Conn, Row};
use crate::sql::{ident, literal};

/// Attributes that only a superuser, or a role that has them, may give.
const GUARDED: [(&str, usize); 3] = [("SUPERUSER", 1), ("REPLICATION", 2), ("BYPASSRLS", 3)];

/// Makes missing roles and memberships on `to`. Says what it did and what it could not.
pub(crate) async fn roles(from: &mut Conn, to: &mut Conn) -> Result<Vec<String>, PortError> {
    let there = names(to).await?;
    let (found, verifiers) = read(from).await?;
    let all = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    let superuser = to.query_one(all).await?.flag(0)?;
    let mut said = Vec::new();
    let (mut made, mut silent) = (0, Vec::new());
    for row in found.iter().filter(|row| row.text(0).is_ok_and(|name| !there.contains(name))) {
        let (sql, withheld) = create(row, superuser)?;
        to.execute(&sql).await?;
        made += 1;
        let name = row.text(0)?;
        if !withheld.is_empty() {
            said.push(format!("role {name} was made without {}", withheld.join(", ")));
        }
        if row.flag(4)? && row.get(9).is_none() {
            silent.push(name.to_owned());
        }
    }
    let joined = memberships(from, to).await?;
    said.insert(0, format!("{made} roles and {joined} memberships made"));
    if !silent.is_empty() && !verifiers {
        said.push(format!(
            "roles without their password, which we may not read: {}",
            silent.join(", ")
        ));
    }
    Ok(said)
}

async fn names(conn: &mut Conn) -> Result<BTreeSet<String>, PortError> {
    let rows = conn.query("SELECT rolname FROM pg_roles").await?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// The source's roles, and whether their verifiers could be read.
async fn read(conn: &mut Conn) -> Result<(Vec<Row>, bool), PortError> {
    let columns = "rolname, rolsuper, rolreplication, rolbypassrls, rolcanlogin, rolinherit, \
         rolcreaterole, rolcreatedb, rolconnlimit";
    let rest = "rolvaliduntil::text, pg_catalog.shobj_description(oid, 'pg_authid')";
    let where_ = "WHERE rolname !~ '^pg_' ORDER BY rolname";
    let may = "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')";
    if conn.query_one(may).await?.flag(0)? {
        let sql = format!("SELECT {columns}, rolpassword, {rest} FROM pg_authid {where_}");
        return Ok((conn.query(&sql).await?, true));
    }
    let sql = format!("SELECT {columns}, NULL, {rest} FROM pg_roles {where_}");
    Ok((conn.query(&sql).await?, false))
}

/// The statement that makes a role, and what we may not give it.
fn create(row: &Row, superuser: bool) -> Result<(String, Vec<&'static str>), PortError> {
    let name = row.text(0)?;
    let mut sql = format!("CREATE ROLE {}", ident(name));
    let mut withheld = Vec::new();
    for (word, column) in GUARDED {
        match (row.flag(column)?, superuser) {
            (true, true) => sql.push_str(&format!(" {word}")),
            (true, false) => withheld.push(word),
            (false, _) => {}
        }
    }
    for (word, column) in [("LOGIN", 4), ("INHERIT", 5), ("CREATEROLE", 6), ("CREATEDB", 7)] {
        let no = if row.flag(column)? { "" } else { "NO" };
        sql.push_str(&format!(" {no}{word}"));
    }
    sql.push_str(&format!(" CONNECTION LIMIT {}", row.number::<i64>(8)?));
    if let Some(verifier) = row.opt(9)? {
        sql.push_str(&format!(" PASSWORD {}", literal(verifier)));
    }
    if let Some(until) = row.opt(10)? {
        sql.push_str(&format!(" VALID UNTIL {}", literal(until)));
    }
    if let Some(comment) = row.opt(11)? {
        sql.push_str(&format!("; COMMENT ON ROLE {} IS {}", ident(name), literal(comment)));
    }
    Ok((sql, withheld))
}

/// Adds memberships that the target lacks. Those of roles that are not there are passed over.
async fn memberships(from: &mut Conn, to: &mut Conn) -> Result<usize, PortError> {
    let sql = "SELECT g.rolname, m.rolname, a.admin_option, \
         coalesce(to_jsonb(a) ->> 'inherit_option', 'true')::boolean, \
         coalesce(to_jsonb(a) ->> 'set_option', 'true')::boolean \
         FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid \
         JOIN pg_roles m ON m.oid = a.member WHERE m.rolname !~ '^pg_' ORDER BY 1, 2";
    let there: BTreeSet<(String, String)> = pairs(&to.query(sql).await?)?;
    let roles = names(to).await?;
    let mut joined = 0;
    for row in from.query(sql).await? {
        let (group, member) = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
        if !roles.contains(&group) || there.contains(&(group.clone(), member.clone())) {
            continue;
        }
        let mut grant = format!("GRANT {} TO {}", ident(&group), ident(&member));
        let mut options = Vec::new();
        if row.flag(2)? {
            options.push("ADMIN OPTION".to_owned());
        }
        if to.version() >= 160_000 {
            options = vec![
                format!("ADMIN {}", row.flag(2)?),
                format!("INHERIT {}", row.flag(3)?),
                format!("SET {}", row.flag(4)?),
            ];
        }
        if !options.is_empty() {
            grant.push_str(&format!(" WITH {}", options.join(", ")));
        }
        to.execute(&grant).await?;
        joined += 1;
    }
    Ok(joined)
}

fn pairs(rows: &[Row]) -> Result<BTreeSet<(String, String)>, PortError> {
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).collect()
}
