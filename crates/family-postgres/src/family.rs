//! The family's entry: opening sides, reading identities, and what concerns both sides.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use family::{
    Database, EndpointSpec, Family, Finding, Follow, FollowSpec, PortError, Road, Severity, Trouble,
};
use model::{Dataset, Key, Tenant};
use parking_lot::Mutex;

use crate::assess;
use crate::conn::{Abandoned, Link};
use crate::database::{PostgresDatabase, cleanup};
use crate::error::code;
use crate::follow::Direction;
use crate::key;

/// PostgreSQL and compatible systems.
#[derive(Default)]
pub struct PostgresFamily {
    opened: Mutex<Vec<Weak<PostgresDatabase>>>,
    /// As many as endpoints were ever opened.
    abandoned: Mutex<HashMap<Known, Arc<Abandoned>>>,
}

/// Address, database and session tag of an endpoint.
type Known = (String, Option<String>, String);

impl PostgresFamily {
    /// A family with nothing opened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The database behind the port, if this family opened it.
    fn ours(&self, database: &Arc<dyn Database>) -> Option<Arc<PostgresDatabase>> {
        let mut opened = self.opened.lock();
        opened.retain(|known| known.strong_count() > 0);
        opened
            .iter()
            .filter_map(Weak::upgrade)
            .find(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(database)))
    }

    fn known(&self, database: &Arc<dyn Database>) -> Result<Arc<PostgresDatabase>, PortError> {
        self.ours(database).ok_or_else(|| {
            let why = "one of the endpoints was not opened by this family";
            PortError::new(Trouble::Unsupported, code::STRANGER, why)
        })
    }
}

#[async_trait]
impl Family for PostgresFamily {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn open(&self, spec: EndpointSpec) -> Result<Arc<dyn Database>, PortError> {
        let known = (spec.address.clone(), spec.database.clone(), spec.session_tag.clone());
        let abandoned = self.abandoned.lock().entry(known).or_default().clone();
        let link = Link::new(&spec, abandoned)?;
        let database = Arc::new(PostgresDatabase::open(link).await?);
        self.opened.lock().push(Arc::downgrade(&database));
        Ok(database)
    }

    /// No rule of this family is told from a key alone: that a statement concerns one tenant is
    /// proved where statements are understood.
    fn tenant_of(&self, _rule: &str, _key: &Key) -> Option<Tenant> {
        None
    }

    fn show_key(&self, key: &Key) -> String {
        key::show(key)
    }

    fn dataset_of(&self, key: &Key) -> Dataset {
        key::decode(key).0
    }

    fn road(&self) -> Road {
        Road::Transactions
    }

    async fn follow(
        &self,
        from: &Arc<dyn Database>,
        to: &Arc<dyn Database>,
        spec: FollowSpec,
    ) -> Result<Arc<dyn Follow>, PortError> {
        let (from, to) = (self.known(from)?, self.known(to)?);
        Ok(Arc::new(Direction::new(from.link().clone(), to.link().clone(), spec)))
    }

    async fn compare_endpoints(
        &self,
        source: &Arc<dyn Database>,
        target: &Arc<dyn Database>,
    ) -> Vec<Finding> {
        match (self.ours(source), self.ours(target)) {
            (Some(source), Some(target)) => assess::both(&source, &target).await,
            _ => vec![Finding {
                code: "EXO-PRE-221",
                severity: Severity::NotRun,
                side: None,
                evidence: "one of the endpoints was not opened by this family".into(),
                remedy: "open both endpoints with the same family".into(),
            }],
        }
    }

    async fn cleanup(&self, database: &Arc<dyn Database>) -> Result<Vec<String>, PortError> {
        let database = self.known(database)?;
        let mut conn = database.control().await?;
        cleanup(&mut conn).await
    }
}
