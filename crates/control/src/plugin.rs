//! What the binary hands in for each family, so that nothing here names one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use family::{EndpointSpec, Family};
use proxy::{Capture, InterlayConfig, InterlayHandle, ProxyError, Upstreams};
use routing::RoutingTable;
use serde_json::Value;
use workflow::FamilyCaps;

/// One family, with the parts of it that are static in the proxy.
#[async_trait]
pub trait FamilyPlugin: Send + Sync + 'static {
    /// Its wire name.
    fn name(&self) -> &'static str;
    /// Its cold path.
    fn family(&self) -> Arc<dyn Family>;
    /// What its write policies can rest on.
    fn caps(&self) -> FamilyCaps;
    /// Starts a listener for its protocol.
    fn bind(&self, bind: Bind<'_>) -> Result<InterlayHandle, ProxyError>;
    /// Checks the family's own options of a config; a sentence per mistake.
    fn check_options(&self, options: &BTreeMap<String, Value>) -> Vec<String>;
    /// Runs commands one by one over one connection to an address, as an application would.
    async fn run_commands(&self, access: &Access, commands: &[String]) -> Vec<CommandResult>;
    /// Listens to a server's own traffic for a bounded while; `None` when the family has no tap.
    async fn tap(&self, source: &EndpointSpec) -> Option<Result<TapReport, String>>;
    /// Records that belong to nobody, for rehearsals; `None` when the family has no way to keep
    /// them apart.
    fn scratch(&self) -> Option<Scratch>;
}

/// What a listener is started with.
pub struct Bind<'a> {
    /// How its records are partitioned, if they are.
    pub tenant_rule: Option<&'a str>,
    /// The family's own options, as configured.
    pub options: &'a BTreeMap<String, Value>,
    /// Where and how it listens.
    pub config: InterlayConfig,
    /// What it forwards to.
    pub upstreams: &'a Upstreams,
    /// Who decides.
    pub table: Arc<ArcSwap<RoutingTable>>,
    /// How what is written gets to the other side.
    pub capture: Capture,
}

/// How to reach a listener as an application.
#[derive(Clone)]
pub struct Access {
    /// `host:port`.
    pub address: String,
    /// The database to connect to, for families whose connections are to one.
    pub database: Option<String>,
    /// Account.
    pub user: Option<String>,
    /// Its secret.
    pub password: Option<Arc<str>>,
}

/// How one command went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// The command as it was given.
    pub command: String,
    /// The reply, shortened, or what went wrong.
    pub outcome: Result<String, String>,
}

/// What a tap saw. Names only, never keys or values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapReport {
    /// Requests seen.
    pub seen: u64,
    /// Requests that could not be understood.
    pub unparsed: u64,
    /// Count per kind of request.
    pub kinds: BTreeMap<String, u64>,
    /// Count per client address.
    pub clients: BTreeMap<String, u64>,
    /// Kinds that need attention: name, count, why.
    pub risky: Vec<(String, u64, String)>,
    /// How long it listened, in milliseconds.
    pub took_ms: u64,
    /// Why it ended before its time, if it did.
    pub cut_short: Option<String>,
}

/// Records that belong to nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// A partition rule of the family.
    pub rule: String,
    /// The tenant under that rule that the scratch records belong to.
    pub tenant: Vec<u8>,
    /// A command that writes scratch record number `{n}` with value `{v}`.
    pub write: String,
    /// A command that reads it.
    pub read: String,
    /// A command that removes it.
    pub remove: String,
    /// The dataset that holds them, where whole datasets are followed; `None` where records are.
    pub dataset: Option<String>,
    /// Commands that make the place for them on a server.
    pub setup: Vec<String>,
    /// Commands that remove it again.
    pub teardown: Vec<String>,
}
