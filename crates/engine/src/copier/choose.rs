//! What of a batch is applied: the absence rule and the conflict policy.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use family::PortError;
use journal::{Cause, Finished, Lane, Leased, key_hash};
use model::{Image, Key, Record, Side};

use super::{Copier, wrong_answer};
use crate::decide::{self, ABSENCE, Conflict, EXISTS};
use crate::engine::Engine;
use crate::parts::PARKED_MAX;

impl Copier {
    /// Applies the absence rule and the conflict policy. Both need to know what the secondary
    /// has, and are asked only where that could change the answer.
    pub(super) async fn choose(
        &mut self,
        authority: Side,
        leases: Vec<Leased>,
        records: Vec<Record>,
    ) -> Result<Vec<(Leased, Record)>, (Vec<Leased>, PortError)> {
        let engine = Arc::clone(&self.engine);
        let secondary = authority.other();
        let doubt = engine.side(authority).doubt();
        let unexplained = |leased: &Leased, record: &Record| {
            record.image == Image::Absent && !decide::absence_is_explained(leased.cause, doubt)
        };
        let before_us = |leased: &Leased| secondary == Side::Target && engine.was_there(leased);
        let asked: Vec<usize> = leases
            .iter()
            .zip(&records)
            .enumerate()
            .filter(|(_, (leased, record))| unexplained(leased, record) || before_us(leased))
            .map(|(index, _)| index)
            .collect();
        if asked.is_empty() {
            return Ok(leases.into_iter().zip(records).collect());
        }
        let keys: Vec<Key> = asked.iter().map(|&i| leases[i].key.clone()).collect();
        let exist = match self.exist(secondary, &keys).await {
            Ok(exist) => exist,
            Err(error) => return Err((leases, error)),
        };
        let mut exists = vec![None; leases.len()];
        for (&index, exist) in asked.iter().zip(exist) {
            exists[index] = Some(exist);
        }
        let mut chosen = Vec::with_capacity(leases.len());
        for ((leased, record), exists) in leases.into_iter().zip(records).zip(exists) {
            match exists {
                Some(true) if before_us(&leased) => {
                    if self.settle_conflict(&leased) {
                        chosen.push((leased, record));
                    }
                }
                Some(true)
                    if unexplained(&leased, &record)
                        && engine.parts.journal.depth().parked >= PARKED_MAX =>
                {
                    engine.totals.absences_left.fetch_add(1, Ordering::Relaxed);
                    engine.verify.require("more unexplained absences than can be parked".into());
                    self.finish(&leased, Finished::Equal);
                }
                Some(true) if unexplained(&leased, &record) => {
                    let reason = "it is gone from the authority and nothing explains why";
                    self.park(&leased, ABSENCE, reason);
                }
                Some(false) if before_us(&leased) => {
                    engine.decided(&leased.key);
                    chosen.push((leased, record));
                }
                _ => chosen.push((leased, record)),
            }
        }
        Ok(chosen)
    }

    async fn exist(&mut self, side: Side, keys: &[Key]) -> Result<Vec<bool>, PortError> {
        let engine = Arc::clone(&self.engine);
        let writer = self.writer(side).await?;
        let exist = engine.bounded(side, writer.exists(keys)).await?;
        if exist.len() == keys.len() { Ok(exist) } else { Err(wrong_answer("exists")) }
    }

    /// Decides once per record, before our first write to it. `true`: copy it.
    fn settle_conflict(&self, leased: &Leased) -> bool {
        let totals = &self.engine.totals;
        // Somebody wrote it since: the authority's history is not what is copied here.
        let live = leased.lane == Lane::Live || leased.cause != Cause::Scan;
        match decide::conflict(self.engine.parts.config.conflict) {
            _ if live => {
                totals.conflicts_overwritten.fetch_add(1, Ordering::Relaxed);
                self.engine.decided(&leased.key);
                true
            }
            Conflict::Overwrite => {
                totals.conflicts_overwritten.fetch_add(1, Ordering::Relaxed);
                self.engine.decided(&leased.key);
                true
            }
            Conflict::Keep => {
                totals.conflicts_kept.fetch_add(1, Ordering::Relaxed);
                self.engine.decided(&leased.key);
                self.finish(leased, Finished::Equal);
                false
            }
            Conflict::Refuse => {
                totals.conflicts_failed.fetch_add(1, Ordering::Relaxed);
                self.park(leased, EXISTS, "it was on the target before the first copy");
                false
            }
        }
    }
}

impl Engine {
    /// Whether the record was on the target before us and nothing was decided about it yet.
    fn was_there(&self, leased: &Leased) -> bool {
        let existing = self.existing.lock();
        !existing.is_empty() && existing.contains(&key_hash(&leased.key).0)
    }

    fn decided(&self, key: &Key) {
        if self.existing.lock().remove(&key_hash(key).0) {
            self.existing_changed.store(true, Ordering::Relaxed);
        }
    }
}
