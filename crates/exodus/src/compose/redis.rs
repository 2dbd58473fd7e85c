use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use control::plugin::{Access, Bind, CommandResult, FamilyPlugin, Scratch, TapReport};
use family::{EndpointSpec, Family};
use family_redis::tap::{TapLimits, TapStop, monitor};
use family_redis::{RedisFamily, RedisProtocol};
use proxy::{Interlay, InterlayHandle, ProxyError};
use serde_json::Value;
use workflow::FamilyCaps;

use super::redis_client;

/// Redis, Valkey and compatible systems.
pub(super) struct RedisPlugin {
    family: Arc<RedisFamily>,
}

impl RedisPlugin {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { family: Arc::new(RedisFamily::new()) })
    }
}

#[async_trait]
impl FamilyPlugin for RedisPlugin {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn family(&self) -> Arc<dyn Family> {
        Arc::clone(&self.family) as Arc<dyn Family>
    }

    fn caps(&self) -> FamilyCaps {
        FamilyCaps { two_phase_commit: false, reverse: true, tenant_filter: true }
    }

    fn bind(&self, bind: Bind<'_>) -> Result<InterlayHandle, ProxyError> {
        let protocol = RedisProtocol::new(bind.tenant_rule);
        Interlay::bind(bind.config, protocol, bind.upstreams, bind.table, bind.capture)
    }

    fn check_options(&self, options: &BTreeMap<String, Value>) -> Vec<String> {
        options.keys().map(|key| format!("redis has no option `{key}`")).collect()
    }

    async fn run_commands(&self, access: &Access, commands: &[String]) -> Vec<CommandResult> {
        redis_client::run(access, commands).await
    }

    async fn tap(&self, source: &EndpointSpec) -> Option<Result<TapReport, String>> {
        let profile = match monitor(source, TapLimits::default()).await {
            Ok(profile) => profile,
            Err(error) => return Some(Err(error.to_string())),
        };
        let cut_short = match profile.stopped {
            TapStop::Duration | TapStop::Commands => None,
            TapStop::Impact { before, now } => Some(format!(
                "the server's latency rose from {} to {} us",
                before.as_micros(),
                now.as_micros()
            )),
            TapStop::Lost(why) => Some(why),
        };
        Some(Ok(TapReport {
            seen: profile.seen,
            unparsed: profile.unparsed,
            kinds: profile.commands,
            clients: profile.clients,
            risky: profile.risky.into_iter().map(|(n, c, w)| (n, c, w.to_owned())).collect(),
            took_ms: u64::try_from(profile.elapsed.as_millis()).unwrap_or(u64::MAX),
            cut_short,
        }))
    }

    fn scratch(&self) -> Option<Scratch> {
        const TENANT: &str = "__exodus_rehearsal";
        Some(Scratch {
            rule: "prefix:\":\"".to_owned(),
            tenant: TENANT.as_bytes().to_vec(),
            write: format!("SET {TENANT}:{{n}} {{v}} EX 600"),
            read: format!("GET {TENANT}:{{n}}"),
            remove: format!("DEL {TENANT}:{{n}}"),
            dataset: None,
            setup: Vec::new(),
            teardown: Vec::new(),
        })
    }
}
