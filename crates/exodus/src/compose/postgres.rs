use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use control::Secret;
use control::plugin::{Access, Bind, CommandResult, FamilyPlugin, Scratch, TapReport};
use family::{EndpointSpec, Family};
use family_postgres::PostgresFamily;
use family_postgres::session::{PostgresProtocol, ProtocolOptions};
use proxy::{Interlay, InterlayHandle, ProxyError};
use serde_json::Value;
use workflow::FamilyCaps;

use super::postgres_client;

/// PostgreSQL and compatible systems.
pub(super) struct PostgresPlugin {
    family: Arc<PostgresFamily>,
}

impl PostgresPlugin {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { family: Arc::new(PostgresFamily::new()) })
    }
}

#[async_trait]
impl FamilyPlugin for PostgresPlugin {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn family(&self) -> Arc<dyn Family> {
        Arc::clone(&self.family) as Arc<dyn Family>
    }

    fn caps(&self) -> FamilyCaps {
        FamilyCaps { two_phase_commit: false, reverse: true, tenant_filter: false }
    }

    fn bind(&self, bind: Bind<'_>) -> Result<InterlayHandle, ProxyError> {
        let (options, wrong) = options(bind.options);
        for mistake in wrong {
            tracing::warn!(mistake, "an option is not used");
        }
        let protocol = PostgresProtocol::new(options);
        Interlay::bind(bind.config, protocol, bind.upstreams, bind.table, bind.capture)
    }

    fn check_options(&self, all: &BTreeMap<String, Value>) -> Vec<String> {
        options(all).1
    }

    async fn run_commands(&self, access: &Access, commands: &[String]) -> Vec<CommandResult> {
        postgres_client::run(access, commands).await
    }

    async fn tap(&self, _source: &EndpointSpec) -> Option<Result<TapReport, String>> {
        None
    }

    fn scratch(&self) -> Option<Scratch> {
        const SCHEMA: &str = "exodus_rehearsal";
        let table = format!("{SCHEMA}.scratch");
        Some(Scratch {
            rule: String::new(),
            tenant: Vec::new(),
            write: format!(
                "INSERT INTO {table} VALUES ({{n}}, {{v}}) \
                 ON CONFLICT (n) DO UPDATE SET v = excluded.v"
            ),
            read: format!("SELECT v FROM {table} WHERE n = {{n}}"),
            remove: format!("DELETE FROM {table} WHERE n = {{n}}"),
            setup: vec![
                format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"),
                format!("CREATE SCHEMA {SCHEMA}"),
                format!("CREATE TABLE {table} (n bigint PRIMARY KEY, v bigint NOT NULL)"),
            ],
            teardown: vec![format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")],
            dataset: Some(table),
        })
    }
}

/// What the options of a document mean to listeners, and a sentence per mistake.
fn options(all: &BTreeMap<String, Value>) -> (ProtocolOptions, Vec<String>) {
    let mut options = ProtocolOptions::default();
    let mut wrong = Vec::new();
    for (name, value) in all {
        match (name.as_str(), value) {
            ("tls_required", Value::Bool(on)) => options.tls_required = *on,
            ("trust", Value::Bool(on)) => options.trusts = *on,
            ("credentials", Value::Object(roles)) => {
                for (role, secret) in roles {
                    match password(secret) {
                        Ok(password) => {
                            options.credentials.insert(role.clone(), password);
                        }
                        Err(why) => wrong.push(format!("credentials of `{role}`: {why}")),
                    }
                }
            }
            // Understood by the directions.
            ("identity_full", Value::Bool(_) | Value::String(_) | Value::Array(_)) => {}
            ("tls_required" | "trust", _) => {
                wrong.push(format!("`{name}` is true or false, not {value}"));
            }
            ("credentials" | "identity_full", _) => {
                wrong.push(format!("`{name}` does not take {value}"));
            }
            _ => wrong.push(format!(
                "postgres has no option `{name}`; there are credentials, identity_full, \
                 tls_required and trust"
            )),
        }
    }
    (options, wrong)
}

fn password(secret: &Value) -> Result<Arc<str>, String> {
    let secret: Secret = serde_json::from_value(secret.clone()).map_err(|e| e.to_string())?;
    secret.resolve().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood_or_named() {
        let given = |name: &str, value: Value| BTreeMap::from([(name.to_owned(), value)]);
        let wrong = |name, value| options(&given(name, value)).1;
        assert!(wrong("trust", Value::Bool(true)).is_empty());
        assert!(wrong("identity_full", Value::Bool(true)).is_empty());
        assert_eq!(wrong("trust", Value::from(1)), ["`trust` is true or false, not 1"]);
        assert_eq!(wrong("nonsense", Value::Null).len(), 1);
        let clear = serde_json::json!({ "app": "not a reference" });
        assert_eq!(wrong("credentials", clear).len(), 1);
    }
}
