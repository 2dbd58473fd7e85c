//! What becomes of a difference: the authority's state is written again, or it is ignored for a
//! while.

use std::sync::Arc;

use journal::{Cause, Lane};
use model::Key;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::scope::{RepairPlan, RepairScope, RepairStep, VerifyScope};
use crate::verify::compare::Comparer;

/// Records described at once.
const BATCH: usize = 256;

impl Engine {
    /// Looks away from a divergence until it differs in another way or [`Engine::regard`].
    pub async fn ignore(&self, key: &Key, reason: &str) -> Result<bool, EngineError> {
        let Some(ignored) = self.ledger.ignore(key, reason) else { return Ok(false) };
        self.parts.progress.save_divergences(&[ignored]).await?;
        Ok(true)
    }

    /// An ignored divergence counts again. `false` when it is not ignored.
    pub async fn regard(&self, key: &Key) -> Result<bool, EngineError> {
        let Some(open) = self.ledger.regard(key) else { return Ok(false) };
        self.parts.progress.save_divergences(&[open]).await?;
        Ok(true)
    }

    pub(crate) async fn repair_records(
        self: &Arc<Self>,
        scope: RepairScope,
        dry_run: bool,
    ) -> Result<RepairPlan, EngineError> {
        let keys = match scope {
            RepairScope::Keys(keys) => keys,
            RepairScope::All => self.ledger.open_keys(),
        };
        let mut plan = RepairPlan::default();
        let mut comparer = Comparer::new(self);
        for batch in keys.chunks(BATCH) {
            let pairs = comparer.digests(batch).await?;
            let shown = comparer.describe(batch).await?;
            let table = self.parts.table.load();
            for ((key, pair), shown) in batch.iter().zip(pairs).zip(shown) {
                let authority = self.authority_of(&table, key).index();
                let secondary = 1 - authority;
                plan.removals +=
                    usize::from(pair[authority].is_none() && pair[secondary].is_some());
                let [before, after] = [&shown[secondary], &shown[authority]].map(Clone::clone);
                plan.records.push(RepairStep { key: key.clone(), before, after });
            }
        }
        if !dry_run && !keys.is_empty() {
            self.write_again(keys).await?;
            plan.done = true;
            self.verify_start(VerifyScope::Suspects).or_else(|error| match error {
                // The verify that is under way looks at them too late or too early: it follows.
                EngineError::Refused { .. } => Ok(()),
                error => Err(error),
            })?;
        }
        Ok(plan)
    }

    /// The operator's decision explains an absence; the copier's lease and fence do the rest.
    async fn write_again(&self, keys: Vec<Key>) -> Result<(), EngineError> {
        self.ledger.repairing(keys.iter().cloned());
        if self.streams.is_some() {
            for batch in keys.chunks(BATCH) {
                self.stream_repair(batch).await?;
            }
            return Ok(());
        }
        let now = Instant::now().into_std();
        self.parts.journal.stale(keys, Lane::Live, Cause::OwnWrite, None, now);
        Ok(())
    }
}
