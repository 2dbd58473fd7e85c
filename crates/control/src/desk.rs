//! What every door (HTTP, and whatever stands on it) may ask and order.
//!
//! Constraints: answers are API types, errors are [`Problem`]s; a door decides nothing and computes
//! nothing. Rights, scopes and idempotency are the door's; state versions are checked here,
//! because only the owner of the state can compare and change it in one step.

use std::sync::Arc;

use api::{
    AllowedAction, Analysis, AuthorityLine, Check, CompareReport, ConfigDocument, ConfigPlan,
    ConfigView, Criterion, DatasetProgress, Divergence, Endpoint, Evidence, Failure, Gate,
    Interlay, MigrationDetail, MigrationSummary, NextStep, Page, Problem, Queue, QueueEntry, Ready,
    Report, Run, Samples, Status, Tenant, Traffic, Validation, Verb, VerbOutcome, VerbRequest,
    VerifyState, Waiting, Warning,
};
use async_trait::async_trait;

use crate::people::Caller;

/// Most items a page may have.
pub const PAGE_MAX: usize = 1_000;

/// Everything a server knows.
#[async_trait]
pub trait Desk: Send + Sync + 'static {
    /// Whether every interlay listens and the store works.
    fn ready(&self) -> Ready;
    /// Who decides, per migration, measured from the interlays.
    fn authority(&self) -> Vec<AuthorityLine>;
    /// The metrics page.
    fn metrics(&self) -> String;
    /// Looks at a config without connecting to anything.
    fn validate(&self, document: &ConfigDocument) -> Validation;
    /// Creates a migration from a config.
    async fn create(
        &self,
        document: ConfigDocument,
        caller: &Caller,
    ) -> Result<MigrationSummary, Problem>;
    /// Every migration, by name.
    fn fleet(&self) -> Vec<MigrationSummary>;
    /// One migration.
    fn find(&self, id: &str) -> Option<Arc<dyn MigrationDesk>>;
    /// Every endpoint.
    fn endpoints(&self) -> Vec<Endpoint>;
    /// Every interlay.
    fn interlays(&self) -> Vec<Interlay>;
}

/// What stands around the data of every answer about a migration.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Version of the state; what `If-Match` is compared with.
    pub state_version: u64,
    /// What the run waits for.
    pub waiting_on: Option<Waiting>,
    /// Every verb, allowed or not.
    pub allowed_actions: Vec<AllowedAction>,
    /// Things that deserve attention.
    pub warnings: Vec<Warning>,
    /// The likely next commands.
    pub next_steps: Vec<NextStep>,
}

/// A verb as it was ordered.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which.
    pub verb: Verb,
    /// Its body.
    pub request: VerbRequest,
    /// Who.
    pub caller: Caller,
    /// The state version the caller looked at; absent only for verbs that need none.
    pub expected: Option<u64>,
}

impl Order {
    /// Whether it is only to be narrated: asked for, or dangerous and not confirmed.
    #[must_use]
    pub fn narrate_only(&self, migration: &str) -> bool {
        let confirmed = self.request.yes || self.request.typed_name.as_deref() == Some(migration);
        self.request.dry_run || (self.verb.info().dangerous && !confirmed)
    }
}

/// Which page of a list, and which items.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// At most this many items, 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// Only items in this state.
    pub state: Option<String>,
    /// Only items of this class.
    pub class: Option<String>,
}

/// One migration.
#[async_trait]
pub trait MigrationDesk: Send + Sync + 'static {
    /// What stands around every answer.
    fn head(&self) -> Head;
    /// Carries a verb out, or narrates it. Answers when the decision is stored.
    async fn act(&self, order: Order) -> Result<VerbOutcome, Problem>;
    /// The document that CLI and dashboard show.
    async fn status(&self) -> Result<Status, Problem>;
    /// What it is made of.
    async fn detail(&self) -> Result<MigrationDetail, Problem>;
    /// Its config, secrets by reference.
    async fn config(&self) -> Result<ConfigView, Problem>;
    /// What another config would change.
    async fn plan(&self, document: &ConfigDocument) -> Result<ConfigPlan, Problem>;
    /// Its runs, newest first.
    async fn runs(&self) -> Result<Vec<Run>, Problem>;
    /// Answers of its checks.
    async fn checks(&self) -> Result<Vec<Check>, Problem>;
    /// Its gates.
    async fn gates(&self) -> Result<Vec<Gate>, Problem>;
    /// Its criteria.
    async fn criteria(&self) -> Result<Vec<Criterion>, Problem>;
    /// Its evidence.
    async fn evidence(&self) -> Result<Vec<Evidence>, Problem>;
    /// The copy of each dataset.
    async fn datasets(&self) -> Result<Vec<DatasetProgress>, Problem>;
    /// Records on which the sides differ.
    async fn divergences(&self, listing: Listing) -> Result<Page<Divergence>, Problem>;
    /// Records that could not be moved.
    async fn failures(&self, listing: Listing) -> Result<Page<Failure>, Problem>;
    /// The replay queue in numbers.
    async fn queue(&self) -> Result<Queue, Problem>;
    /// The replay queue, record by record.
    async fn queue_entries(&self, listing: Listing) -> Result<Page<QueueEntry>, Problem>;
    /// The verifier.
    async fn verify(&self) -> Result<VerifyState, Problem>;
    /// Read and write routing.
    async fn traffic(&self) -> Result<Traffic, Problem>;
    /// Tenants, where authority moves by tenant.
    async fn tenants(&self) -> Result<Vec<Tenant>, Problem>;
    /// What comparing reads found.
    async fn compare(&self) -> Result<CompareReport, Problem>;
    /// The workload profile.
    async fn analysis(&self) -> Result<Analysis, Problem>;
    /// Metrics history between two unix seconds.
    async fn samples(&self, from_s: u64, to_s: u64) -> Result<Samples, Problem>;
    /// The runbook, Markdown.
    async fn runbook(&self) -> Result<String, Problem>;
    /// A report: `assessment` or `final`.
    async fn report(&self, kind: &str) -> Result<Report, Problem>;
    /// The incident bundle, a tar file.
    async fn bundle(&self) -> Result<Vec<u8>, Problem>;
}
