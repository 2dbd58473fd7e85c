//! Taking a session from one server to another.
//!
//! The server session itself is asked for what it carries, at a moment when nobody may write and
//! nothing is open: settings, role, prepared statements, channels. A fresh session gets the same
//! startup parameters and then all of that. What has no such form (temporary tables, advisory
//! locks, held cursors, statements over types of this server alone) keeps a session from moving.

use family::{ClientError, Expect, Refused};
use wire_postgres::encode;
use wire_postgres::session::{KeyData, ParameterStatus, Transaction};
use wire_postgres::tags::backend as tag;

use super::client::PostgresSession;
use super::{expect, local};

/// First OID of what users create: `src/include/access/transam.h`.
const FIRST_NORMAL_OID: u32 = 16_384;
/// Most statements, settings and channels carried over.
const ITEMS_MAX: usize = 10_000;

/// What one server session carries.
#[derive(Default)]
pub(super) struct Carried {
    settings: Vec<(String, String)>,
    authorization: Option<String>,
    role: Option<String>,
    statements: Vec<Statement>,
    channels: Vec<String>,
}

struct Statement {
    name: String,
    text: String,
    types: Vec<u32>,
    /// By PREPARE: its text is the whole command.
    sql: bool,
}

/// One statement, so that the answer is one state: kind and up to three values.
const QUESTION: &str = "\
SELECT 'setting', name, setting, NULL FROM pg_catalog.pg_settings \
WHERE source = 'session' AND name NOT LIKE 'transaction\\_%' AND name <> 'seed' \
UNION ALL SELECT 'authorization', pg_catalog.current_setting('session_authorization'), NULL, NULL \
UNION ALL SELECT 'role', pg_catalog.current_setting('role'), NULL, NULL \
UNION ALL SELECT CASE WHEN from_sql THEN 'prepare' ELSE 'parse' END, name, statement, \
(parameter_types::pg_catalog.oid[])::pg_catalog.text FROM pg_catalog.pg_prepared_statements \
UNION ALL SELECT 'listen', c, NULL, NULL FROM pg_catalog.pg_listening_channels() c \
UNION ALL SELECT 'pinned', 'temporary tables', NULL, NULL WHERE EXISTS (SELECT FROM \
pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()) \
UNION ALL SELECT 'pinned', 'advisory locks', NULL, NULL WHERE EXISTS (SELECT FROM \
pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()) \
UNION ALL SELECT 'pinned', 'held cursors', NULL, NULL WHERE EXISTS (SELECT FROM \
pg_catalog.pg_cursors WHERE is_holdable)";

impl Carried {
    /// Reads the answer. `Err` says what cannot be carried.
    fn read(reply: &[u8], user: &str) -> Result<Self, String> {
        let mut all = Self::default();
        let mut items = 0;
        for (type_byte, body, _) in local::messages(reply) {
            if type_byte == tag::ERROR {
                return Err("state that the server does not tell".to_owned());
            }
            if type_byte != tag::DATA_ROW {
                continue;
            }
            items += 1;
            if items > ITEMS_MAX {
                return Err("too much state".to_owned());
            }
            let mut values = local::values(body).into_iter();
            let mut next = || values.next().flatten();
            let (kind, name) = (next().unwrap_or_default(), next().unwrap_or_default());
            match kind.as_str() {
                "setting" | "custom" => all.settings.push((name, next().unwrap_or_default())),
                "authorization" => all.authorization = (name != user).then_some(name),
                "role" => all.role = (name != "none").then_some(name),
                "listen" => all.channels.push(name),
                "pinned" => return Err(name),
                kind => {
                    let (text, types) = (next().unwrap_or_default(), next().unwrap_or_default());
                    let types = oids(&types);
                    if kind == "parse" && types.iter().any(|oid| *oid >= FIRST_NORMAL_OID) {
                        return Err("statements over types of this server".to_owned());
                    }
                    all.statements.push(Statement { name, text, types, sql: kind == "prepare" });
                }
            }
        }
        Ok(all)
    }

    /// Appends what makes a fresh session carry the same.
    fn write(&self, out: &mut Vec<u8>, expects: &mut Vec<Expect>) {
        let set = |(name, value): &(String, String)| {
            let (name, value) = (local::literal(name), local::literal(value));
            format!("pg_catalog.set_config({name}, {value}, false)")
        };
        let mut query = |text: &str| {
            local::query(out, text);
            expects.push(expect::QUERY);
        };
        // What comes behind it is written in this encoding.
        let encoding = self.settings.iter().find(|(name, _)| name == "client_encoding");
        if let Some(encoding) = encoding {
            query(&format!("SELECT {}", set(encoding)));
        }
        for settings in self.settings.chunks(100) {
            query(&format!("SELECT {}", settings.iter().map(set).collect::<Vec<_>>().join(", ")));
        }
        if let Some(user) = &self.authorization {
            query(&format!("SET SESSION AUTHORIZATION {}", local::identifier(user)));
        }
        if let Some(role) = &self.role {
            query(&format!("SET ROLE {}", local::identifier(role)));
        }
        for channel in &self.channels {
            query(&format!("LISTEN {}", local::identifier(channel)));
        }
        for statement in self.statements.iter().filter(|s| s.sql) {
            query(&statement.text);
        }
        for Statement { name, text, types, .. } in self.statements.iter().filter(|s| !s.sql) {
            local::put(out, |b| {
                encode::parse(b, name.as_bytes(), text.as_bytes(), types)?;
                encode::sync(b);
                Ok(())
            });
            expects.push(expect::sync(1, true));
        }
    }
}

/// An array of OIDs in its text form.
fn oids(text: &str) -> Vec<u32> {
    let inner = text.trim_start_matches('{').trim_end_matches('}');
    inner.split(',').filter_map(|oid| oid.parse().ok()).collect()
}

impl PostgresSession {
    pub(super) fn ask_for_state(&self, out: &mut Vec<u8>) -> Option<Expect> {
        if !self.is_movable() {
            return None;
        }
        let mut question = QUESTION.to_owned();
        for name in self.custom_names() {
            let name = local::literal(name);
            question.push_str(&format!(
                " UNION ALL SELECT 'custom', {name}, v, NULL FROM \
                 pg_catalog.current_setting({name}, true) v WHERE v IS NOT NULL"
            ));
        }
        local::query(out, &question);
        Some(expect::QUERY)
    }

    pub(super) fn take_state(&mut self, reply: &[u8]) -> Result<(), ClientError> {
        match Carried::read(reply, self.user()) {
            Ok(_) if self.has_foreign_types() => {
                self.pin("types of this server alone");
                Err(Refused::TooLarge.into())
            }
            Ok(carried) => {
                self.carry(carried);
                Ok(())
            }
            Err(what) => {
                self.pin(&what);
                Err(Refused::TooLarge.into())
            }
        }
    }

    pub(super) fn put_state(
        &self,
        out: &mut Vec<u8>,
        expects: &mut Vec<Expect>,
    ) -> Result<(), ClientError> {
        let Some(carried) = self.carries() else { return Err(Refused::TooLarge.into()) };
        // The rest of the opening is the reply to nothing.
        expects.push(expect::GREETING);
        carried.write(out, expects);
        if let Some(parse) = self.unnamed() {
            out.extend_from_slice(parse);
            local::put(out, |b| {
                encode::sync(b);
                Ok(())
            });
            expects.push(expect::sync(1, true));
        }
        Ok(())
    }

    /// The session is on another server: what the client has to know of it.
    pub(super) fn arrived(&mut self, replies: &[u8], out: &mut Vec<u8>) {
        for (type_byte, body, _) in local::messages(replies) {
            match type_byte {
                tag::KEY_DATA => {
                    if let Ok(data) = KeyData::parse(body) {
                        self.is_on(&data);
                    }
                }
                tag::PARAMETER_STATUS => {
                    if let Ok(status) = ParameterStatus::parse(body) {
                        self.hear(&status);
                    }
                }
                _ => {}
            }
        }
        self.tell_differences(out);
        self.settle_down();
    }

    /// What a barrier ended: the server forgets it, the client will be told.
    pub(super) fn break_off(&mut self, out: &mut Vec<u8>) -> Option<Expect> {
        if !self.is_in_transaction() {
            return None;
        }
        local::query(out, "ROLLBACK");
        self.was_ended();
        Some(expect::QUERY)
    }
}

/// Whether a status lets a session move.
pub(super) fn is_over(status: Transaction) -> bool {
    status == Transaction::Idle
}

/// Ends a server session and waits until it is gone; an error when it stays.
pub(super) fn end_of(pid: u64) -> String {
    format!(
        "DO $$DECLARE n int := 0; BEGIN \
         BEGIN PERFORM pg_catalog.pg_terminate_backend({pid}); \
         EXCEPTION WHEN insufficient_privilege THEN NULL; END; \
         WHILE EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = {pid}) LOOP \
         n := n + 1; IF n > 200 THEN RAISE EXCEPTION 'session {pid} does not end'; END IF; \
         PERFORM pg_catalog.pg_sleep(0.005); PERFORM pg_catalog.pg_stat_clear_snapshot(); \
         END LOOP; END$$"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(out: &mut Vec<u8>, values: &[Option<&str>]) {
        let values: Vec<Option<&[u8]>> = values.iter().map(|v| v.map(str::as_bytes)).collect();
        local::put(out, |b| encode::data_row(b, &values));
    }

    #[test]
    fn what_is_read_is_written_again() {
        let mut reply = Vec::new();
        row(&mut reply, &[Some("setting"), Some("a'b"), Some("c\\d"), None]);
        row(&mut reply, &[Some("authorization"), Some("me"), None, None]);
        row(&mut reply, &[Some("role"), Some("other\"one"), None, None]);
        row(&mut reply, &[Some("parse"), Some("s"), Some("select $1"), Some("{23,25}")]);
        row(&mut reply, &[Some("listen"), Some("ch"), None, None]);
        let carried = Carried::read(&reply, "me").unwrap_or_else(|e| panic!("{e}"));
        let (mut out, mut expects) = (Vec::new(), Vec::new());
        carried.write(&mut out, &mut expects);
        let text = String::from_utf8_lossy(&out);
        assert!(text.contains("set_config(E'a''b', E'c\\\\d', false)"), "{text}");
        assert!(text.contains("SET ROLE \"other\"\"one\"") && text.contains("LISTEN \"ch\""));
        assert!(!text.contains("AUTHORIZATION"));
        assert_eq!(expects.len(), 4);
        row(&mut reply, &[Some("pinned"), Some("advisory locks"), None, None]);
        assert_eq!(Carried::read(&reply, "me").err().as_deref(), Some("advisory locks"));
        let mut foreign = Vec::new();
        row(&mut foreign, &[Some("parse"), Some("s"), Some("select $1"), Some("{99999}")]);
        assert!(Carried::read(&foreign, "me").is_err());
    }
}
