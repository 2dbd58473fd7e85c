//! What a server shows of a migration besides data: everything that holds WAL, listens, fences,
//! is prepared or carries our name.
//!
//! A picture before and one after; what is in one only was left, or was taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::conn::{Conn, Fault, PgAddress};

/// Kind, then name, then fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residue(BTreeMap<(&'static str, String), String>);

/// Kinds whose things may come and go with the application's own; only changes count.
const CHANGES_ONLY: [&str; 2] = ["replica identity", "trigger"];

const QUERIES: [(&str, &str); 13] = [
    ("slot", "SELECT slot_name::text, concat_ws(' ', plugin, slot_type) FROM pg_replication_slots"),
    ("publication", "SELECT pubname::text, '' FROM pg_publication"),
    ("subscription", "SELECT subname::text, '' FROM pg_subscription"),
    ("event trigger", "SELECT evtname::text, evtevent::text FROM pg_event_trigger"),
    ("origin", "SELECT roname, '' FROM pg_replication_origin"),
    ("prepared transaction", "SELECT gid, database::text FROM pg_prepared_xacts"),
    (
        "database",
        "SELECT datname::text, concat_ws(' ', coalesce(datacl, acldefault('d', datdba))::text, \
         datallowconn, datconnlimit) FROM pg_database",
    ),
    (
        "setting",
        "SELECT concat_ws(' ', setdatabase, setrole), setconfig::text FROM pg_db_role_setting \
         UNION ALL SELECT name, setting FROM pg_settings \
         WHERE sourcefile LIKE '%postgresql.auto.conf'",
    ),
    (
        "role",
        "SELECT rolname::text, concat_ws(' ', rolsuper, rolcanlogin, rolreplication, \
         rolconnlimit, md5(rolpassword), (SELECT string_agg(m.roleid::regrole::text, ',' \
         ORDER BY 1) FROM pg_auth_members m WHERE m.member = r.oid)) \
         FROM pg_authid r WHERE rolname !~ '^pg_'",
    ),
    (
        "object named after us",
        "SELECT name, what FROM (SELECT nspname::text, 'schema' FROM pg_namespace \
         UNION ALL SELECT oid::regclass::text, 'relation' FROM pg_class \
         UNION ALL SELECT oid::regprocedure::text, 'function' FROM pg_proc \
         UNION ALL SELECT oid::regtype::text, 'type' FROM pg_type \
         UNION ALL SELECT tgname::text, 'trigger' FROM pg_trigger) AS o (name, what) \
         WHERE name ~* 'exodus'",
    ),
    (
        "replica identity",
        "SELECT oid::regclass::text, relreplident::text FROM pg_class \
         WHERE relkind IN ('r', 'p') AND oid >= 16384",
    ),
    (
        "trigger",
        "SELECT concat_ws(' ', tgrelid::regclass, tgname), tgenabled::text FROM pg_trigger \
         WHERE NOT tgisinternal",
    ),
    ("large object", "SELECT oid::text, '' FROM pg_largeobject_metadata"),
];

impl Residue {
    /// Looks at a server; connect with every right to the database that moves.
    pub fn of(address: &PgAddress) -> Result<Self, Fault> {
        let mut conn = Conn::open(address, Duration::from_secs(30))?;
        let mut found = BTreeMap::new();
        for (kind, sql) in QUERIES {
            for row in conn.simple(sql)? {
                let mut fields = row.into_iter().map(Option::unwrap_or_default);
                let name = fields.next().unwrap_or_default();
                found.insert((kind, name), fields.next().unwrap_or_default());
            }
        }
        Ok(Self(found))
    }

    /// What is here now and was not, is not and was, or is otherwise. Roles in `known` may come.
    #[must_use]
    pub fn since(&self, before: &Self, known: &[&str]) -> Vec<String> {
        let mut told = Vec::new();
        for ((kind, name), fact) in &self.0 {
            match before.0.get(&(*kind, name.clone())) {
                Some(then) if then == fact => {}
                Some(then) => told.push(format!("{kind} {name} is «{fact}», was «{then}»")),
                None if CHANGES_ONLY.contains(kind) => {}
                None if *kind == "role" && known.contains(&name.as_str()) => {}
                None => told.push(format!("{kind} {name} is left: {fact}")),
            }
        }
        for (kind, name) in before.0.keys() {
            if !self.0.contains_key(&(*kind, name.clone())) && !CHANGES_ONLY.contains(kind) {
                told.push(format!("{kind} {name} is gone"));
            }
        }
        told
    }
}

/// Sessions of this role on any database of the server, walsenders included.
pub fn sessions(address: &PgAddress, role: &str) -> Result<u64, Fault> {
    let mut conn = Conn::open(address, Duration::from_secs(30))?;
    let rows = conn
        .query("SELECT count(*) FROM pg_stat_activity WHERE usename = $1::text::name", &[&role])?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
}
