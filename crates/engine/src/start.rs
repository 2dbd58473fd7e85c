//! What happens before the first record is copied.

use std::sync::Arc;

use family::Doubt;
use journal::{Cause, Lane, key_hash};
use model::{ConflictPolicy, Side};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::parts::EXISTING_MAX;
use crate::progress::Durable;
use crate::scan::Scan;
use crate::zoo::Bug;

impl Engine {
    /// Takes over what a former process stored.
    pub(crate) fn restore(&self, durable: &Durable) {
        for side in [Side::Source, Side::Target] {
            let facts = &durable.sides[side.index()];
            self.side(side).incarnation.lock().clone_from(&facts.incarnation);
            self.side(side).set_doubt(facts.doubt);
        }
        *self.existing.lock() = durable.existing.iter().flatten().copied().collect();
        self.backfill.restore(&durable.fills);
        self.ledger.restore(&durable.divergences);
        self.verify.restore(durable.verified.clone());
        if self.streams.is_some() {
            // Nothing is noted here: the log keeps what happened meanwhile.
            self.parts.journal.set_uncertain(false);
            return;
        }
        // Before anybody can ask: what was marked is uncertain until it was looked at.
        let marked = self.parts.journal.markers().set_buckets();
        if self.parts.config.has(Bug::SkipRecheck) {
            self.refresh_certainty();
        } else if !marked.is_empty() {
            self.verify.require("the last process did not end cleanly".into());
            self.recheck_buckets(&marked, Cause::Feed, "unclean stop");
        }
    }

    /// Looks whether a server is still the one that was met before. Stored before it is used.
    pub(crate) async fn meet(self: &Arc<Self>, side: Side, incarnation: &str) {
        let before = {
            let mut known = self.side(side).incarnation.lock();
            if *known == incarnation {
                return;
            }
            std::mem::replace(&mut *known, incarnation.to_owned())
        };
        // Of a log the stream itself tells whether it is still the one it was.
        if !before.is_empty() && self.streams.is_none() {
            self.gap(side, Doubt::Replaced, "the server restarted, failed over or was replaced");
        }
        self.save_side(side).await;
    }
}

/// Old connections dead, identities checked, the target's own records counted; then the copiers.
pub(crate) async fn prologue(engine: Arc<Engine>, durable: Durable) {
    let mut failures = 0;
    while let Err(error) = prepare(&engine, durable.existing.is_some()).await {
        failures += 1;
        tracing::warn!(code = error.code(), %error, "not ready to copy yet");
        tokio::time::sleep(engine.delay(failures)).await;
    }
    engine.parts.journal.reclaim();
    let now = Instant::now().into_std();
    engine.parts.journal.stale(durable.parked, Lane::Bulk, Cause::Feed, None, now);
    engine.set_ready();
}

async fn prepare(engine: &Arc<Engine>, counted: bool) -> Result<(), EngineError> {
    for side in [Side::Source, Side::Target] {
        let database = engine.database(side);
        let ready = async {
            let probe = engine.bounded(side, database.probe()).await?;
            if !engine.parts.config.has(Bug::SkipReapAtStart) {
                engine.bounded(side, database.reap()).await?;
            }
            Ok(probe)
        };
        match ready.await {
            Ok(probe) => engine.meet(side, &probe.incarnation).await,
            Err(error) => {
                engine.port_failed(side, &error);
                return Err(EngineError::Port(error));
            }
        }
    }
    // Where transactions are followed the family looks at what is there before it copies.
    let counted = counted || engine.streams.is_some();
    if !counted && engine.parts.config.conflict != ConflictPolicy::Overwrite {
        census(engine).await?;
    }
    Ok(())
}

/// Which records the target has of its own, before anything of ours reaches it.
async fn census(engine: &Engine) -> Result<(), EngineError> {
    let mut hashes = Vec::new();
    for dataset in engine.datasets(Side::Target).await? {
        let mut scan = Scan::new(Side::Target, dataset, None);
        while let Some(keys) = scan.next(engine).await? {
            hashes.extend(keys.iter().map(|key| key_hash(key).0));
            if hashes.len() > EXISTING_MAX {
                let message = format!(
                    "the target holds more than {EXISTING_MAX} records of its own: only conflict \
                     policy `overwrite` can be kept"
                );
                return Err(EngineError::Refused { code: "EXO-ENG-005", message });
            }
        }
    }
    engine.parts.progress.save_existing(&hashes).await?;
    *engine.existing.lock() = hashes.into_iter().collect();
    Ok(())
}
