//! Taking everybody's right to connect, ending their sessions, and giving the right back.
//!
//! Rights on tables are left alone: they leak through owners, superusers, functions and open
//! transactions. Without a session nobody writes. Superusers cannot be kept out; preflight names
//! those of the application.
//!
//! Layout of a record: the line `postgres-connect/1`, then `database`, `own` (our role), `acl`
//! (the access list as the server prints it; the line is missing where there was none) and, for
//! each right to connect in it, `grant` with role (empty for everybody) and whether it may be
//! passed on. Fields are separated by tabs; tabs and line ends in names are escaped.

use family::{FenceRecord, PortError, Trouble};

use super::sessions::strangers;
use crate::conn::{Conn, kill};
use crate::error::{self, code};
use crate::sql::{ident, literal};

const FORMAT: &str = "postgres-connect/1";

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Doors {
    database: String,
    own: String,
    acl: Option<String>,
    grants: Vec<(String, bool)>,
}

impl Doors {
    fn print(&self) -> FenceRecord {
        let mut text =
            format!("{FORMAT}\ndatabase\t{}\nown\t{}", escape(&self.database), escape(&self.own));
        if let Some(acl) = &self.acl {
            text.push_str(&format!("\nacl\t{}", escape(acl)));
        }
        for (role, option) in &self.grants {
            text.push_str(&format!("\ngrant\t{}\t{option}", escape(role)));
        }
        FenceRecord(text)
    }

    fn parse(record: &FenceRecord) -> Result<Self, PortError> {
        Self::read(&record.0).ok_or_else(|| {
            let why = "the stored fence is not one of this family";
            PortError::new(Trouble::Rejected, code::FENCE_RECORD, why)
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return None;
        }
        let mut doors =
            Self { database: String::new(), own: String::new(), acl: None, grants: Vec::new() };
        for line in lines {
            let fields: Vec<String> = line.split('\t').map(unescape).collect();
            match fields.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["database", name] => doors.database = name.to_owned(),
                ["own", name] => doors.own = name.to_owned(),
                ["acl", text] => doors.acl = Some(text.to_owned()),
                ["grant", role, option] => {
                    doors.grants.push((role.to_owned(), option.parse().ok()?));
                }
                _ => return None,
            }
        }
        (!doors.database.is_empty() && !doors.own.is_empty()).then_some(doors)
    }
}

/// Reads what would have to be restored, and proves that it could be done. Changes nothing.
pub(super) async fn plan(conn: &mut Conn) -> Result<FenceRecord, PortError> {
    let at = conn.at().clone();
    let refuse =
        |why: &str| PortError::new(Trouble::Unsupported, code::NO_FENCE, format!("{at}: {why}"));
    let row = conn
        .query_one(
            "SELECT d.datname, r.rolname, d.datacl::text, r.rolsuper, \
             r.rolsuper OR pg_has_role(d.datdba, 'USAGE'), \
             r.rolsuper OR pg_has_role('pg_signal_backend', 'USAGE') \
             FROM pg_database d, pg_roles r \
             WHERE d.datname = current_database() AND r.rolname = current_user",
        )
        .await?;
    let own = row.text(1)?.to_owned();
    if !row.flag(4)? {
        return Err(refuse(&format!("our role {own} is not the owner of the database")));
    }
    if !row.flag(5)? {
        return Err(refuse(&format!("our role {own} may not end sessions of others")));
    }
    if conn.link().application_users().contains(&own) {
        return Err(refuse(&format!("our own role is {own}, as the application's")));
    }
    let doors = Doors {
        database: row.text(0)?.to_owned(),
        own,
        acl: row.opt(2)?.map(str::to_owned),
        grants: grants(conn).await?,
    };
    Ok(doors.print())
}

/// Shuts the doors, ends every session that is not ours, and looks whether anybody could come.
pub(super) async fn apply(conn: &mut Conn, record: &FenceRecord) -> Result<(), PortError> {
    let doors = Doors::parse(record)?;
    let database = ident(&doors.database);
    let superuser = conn.query_one(SUPERUSER).await?.flag(0)?;
    let mut sql = String::from("BEGIN;");
    for (role, _) in grants(conn).await? {
        if superuser || role != doors.own {
            sql.push_str(&format!(
                "REVOKE CONNECT ON DATABASE {database} FROM {} CASCADE;",
                to(&role)
            ));
        }
    }
    if !superuser {
        // After the rest: it may have been had only through a role that just lost it.
        sql.push_str(&format!("GRANT CONNECT ON DATABASE {database} TO {};", ident(&doors.own)));
    }
    sql.push_str("COMMIT");
    run(conn, &sql).await?;
    let leaks = |why: String| PortError::new(Trouble::Denied, code::FENCE_LEAKS, why);
    let open = format!(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname <> {} \
         AND has_database_privilege(oid, current_database(), 'CONNECT') ORDER BY 1",
        literal(&doors.own)
    );
    if let Some(row) = conn.query(&open).await?.first() {
        let why = format!("{}: role {} can still connect", conn.at(), row.text(0)?);
        return Err(leaks(why));
    }
    let which = strangers(conn);
    kill(conn, &which).await.map(|_| ()).map_err(|error| match error.trouble {
        Trouble::Unreachable if !conn.is_spent() => leaks(error.message),
        _ => error,
    })
}

/// Opens exactly the doors that were open. Fine where they are.
pub(super) async fn lift(conn: &mut Conn, record: &FenceRecord) -> Result<(), PortError> {
    let doors = Doors::parse(record)?;
    if current(conn).await? == doors.acl {
        return Ok(());
    }
    let database = ident(&doors.database);
    let superuser = conn.query_one(SUPERUSER).await?.flag(0)?;
    let mut sql = String::from("BEGIN;");
    for (role, option) in &doors.grants {
        if !role.is_empty() && !exists(conn, role).await? {
            continue;
        }
        let option = if *option { " WITH GRANT OPTION" } else { "" };
        sql.push_str(&format!("GRANT CONNECT ON DATABASE {database} TO {}{option};", to(role)));
    }
    if !doors.grants.iter().any(|(role, _)| *role == doors.own) {
        sql.push_str(&format!("REVOKE CONNECT ON DATABASE {database} FROM {};", ident(&doors.own)));
    }
    sql.push_str("COMMIT");
    run(conn, &sql).await?;
    if superuser && current(conn).await? != doors.acl {
        // An access list that was never written differs from one that says the same, and the
        // order of its items shows. Its roles are there, or the cast fails and what was granted
        // above stays: it means the same.
        let acl =
            doors.acl.as_deref().map_or("NULL".into(), |a| format!("{}::aclitem[]", literal(a)));
        let exact = format!(
            "UPDATE pg_database SET datacl = {acl} WHERE datname = {}",
            literal(&doors.database)
        );
        match conn.execute(&exact).await {
            Err(error) if !error.is("42704") => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

const SUPERUSER: &str = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";

/// Rights to connect as they are now; the default ones where none were ever written.
async fn grants(conn: &mut Conn) -> Result<Vec<(String, bool)>, PortError> {
    let sql = "SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, \
         bool_or(a.is_grantable) \
         FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a \
         WHERE d.datname = current_database() AND a.privilege_type = 'CONNECT' \
         GROUP BY 1 ORDER BY 1";
    let grant = |row: &crate::conn::Row| Ok((row.text(0)?.to_owned(), row.flag(1)?));
    conn.query(sql).await?.iter().map(grant).collect()
}

async fn current(conn: &mut Conn) -> Result<Option<String>, PortError> {
    let sql = "SELECT datacl::text FROM pg_database WHERE datname = current_database()";
    Ok(conn.query_one(sql).await?.opt(0)?.map(str::to_owned))
}

async fn exists(conn: &mut Conn, role: &str) -> Result<bool, PortError> {
    let sql = format!("SELECT count(*) > 0 FROM pg_roles WHERE rolname = {}", literal(role));
    conn.query_one(&sql).await?.flag(0)
}

/// Runs a transaction; ends it where it failed.
async fn run(conn: &mut Conn, sql: &str) -> Result<(), PortError> {
    match conn.execute(sql).await {
        Ok(_) => Ok(()),
        Err(failed) => {
            if failed.server().is_some_and(|e| !e.fatal) {
                conn.execute("ROLLBACK").await?;
            }
            let failed: PortError = failed.into();
            Err(match failed.trouble {
                Trouble::Denied => PortError::new(Trouble::Denied, code::NO_FENCE, failed.message),
                Trouble::Protocol => error::unexpected("the fence", conn.at()),
                _ => failed,
            })
        }
    }
}

/// A grantee in a statement.
fn to(role: &str) -> String {
    if role.is_empty() { "PUBLIC".into() } else { ident(role) }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            (c, false) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        for acl in [None, Some("{=Tc/o,\"a\\\\\"b\"=c/o}".to_owned())] {
            let doors = Doors {
                database: "d\tb".into(),
                own: "o\n\\n".into(),
                acl,
                grants: vec![(String::new(), false), ("a\"b".into(), true)],
            };
            assert_eq!(Doors::parse(&doors.print()).unwrap(), doors);
        }
        for bad in
            ["", "redis-acl/1\ndefault\t+@all", "postgres-connect/1", "postgres-connect/1\nx"]
        {
            assert_eq!(
                Doors::parse(&FenceRecord(bad.into())).unwrap_err().code,
                code::FENCE_RECORD
            );
        }
    }
}
