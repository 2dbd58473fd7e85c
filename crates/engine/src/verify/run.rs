//! One verify, from its first chunk to its verdict.

mod spans;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use family::PortError;
use model::{Divergence, DivergenceState, Key, Side};
use tokio::time::Instant;

use crate::decide::classify;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::parts::DIVERGENCES_MAX;
use crate::progress::Verified;
use crate::scan::Scan;
use crate::scope::VerifyScope;
use crate::verify::compare::{Comparer, Pair};
use crate::verify::name;

/// A difference is confirmed once it was seen this often with the key at rest.
const SEEN: u8 = 2;
/// Rounds after the first; a key still in motion then is the journal's business.
const ROUNDS: usize = 4;
/// Keys of one comparison that asks for each record.
const BATCH: usize = 256;
/// And of one that a server answers from its tables: a table that knows its rows by their content
/// only is read whole for each.
const BATCH_IN_TABLES: usize = 4_096;
/// How long a batch waits while live traffic suffers.
const YIELD: Duration = Duration::from_millis(100);

struct Run<'a> {
    engine: &'a Engine,
    comparer: Comparer<'a>,
    /// Keys to look at again, with how often they differed at rest.
    again: BTreeMap<Key, u8>,
    /// Keys that did not fit into `again`.
    overflow: u64,
    result: Verified,
    began: Instant,
}

/// Compares a scope and stores the verdict.
pub(crate) async fn run(engine: &Engine, scope: &VerifyScope) {
    engine.until_ready().await;
    let answers = engine.verify.state.lock().requirements;
    let mut run = Run {
        engine,
        comparer: Comparer::new(engine),
        again: BTreeMap::new(),
        overflow: 0,
        result: Verified { scope: name(scope), watermark_ms: unix_ms(), ..Verified::default() },
        began: Instant::now(),
    };
    run.known(scope);
    if *scope != VerifyScope::Suspects {
        run.everything(scope).await;
    }
    run.rounds().await;
    run.confirm().await;
    let verified = run.verdict(scope);
    if let Err(error) = engine.parts.progress.save_verified(&verified).await {
        engine.store_failed(&error);
    }
    let mut state = engine.verify.state.lock();
    state.note = verdict_note(&verified);
    if *scope == VerifyScope::All && verified.finished && state.requirements == answers {
        state.required = None;
    }
    state.last = Some(verified);
    state.last_at = Some(Instant::now());
}

impl Run<'_> {
    /// Whatever stands in the ledger, and what looked suspicious, is looked at in any case.
    fn known(&mut self, scope: &VerifyScope) {
        let suspects = self.engine.verify.state.lock().suspects.iter().cloned().collect::<Vec<_>>();
        let family = &self.engine.parts.family;
        let in_scope = |key: &Key| match scope {
            VerifyScope::Dataset(dataset) => family.dataset_of(key) == *dataset,
            _ => true,
        };
        let standing = self.engine.ledger.standing_keys();
        for key in standing.into_iter().chain(suspects).filter(in_scope) {
            self.again.insert(key, 0);
        }
    }

    async fn everything(&mut self, scope: &VerifyScope) {
        let mut whole = BTreeSet::new();
        for side in [Side::Source, Side::Target] {
            let datasets = loop {
                match self.engine.datasets(side).await {
                    Ok(datasets) => break datasets,
                    Err(error) => self.wait_after(&error).await,
                }
            };
            for dataset in datasets {
                if matches!(scope, VerifyScope::Dataset(only) if *only != dataset)
                    || whole.contains(&dataset)
                {
                    continue;
                }
                self.engine.verify.say(format!("comparing {dataset}, from the {side}"));
                if side == Side::Source && self.spans(&dataset).await {
                    whole.insert(dataset);
                    continue;
                }
                let mut scan = Scan::new(side, dataset, None);
                loop {
                    match scan.next(self.engine).await {
                        Ok(Some(keys)) => self.chunk(side, keys).await,
                        Ok(None) => break,
                        Err(error) => self.wait_after(&error).await,
                    }
                }
            }
        }
    }

    async fn chunk(&mut self, side: Side, keys: Vec<Key>) {
        self.seen(side, keys.len() as u64);
        for batch in keys.chunks(self.batch()) {
            self.turn(batch.len()).await;
            let batch = match side {
                Side::Source => batch.to_vec(),
                // What the source has was compared with it already.
                Side::Target => self.only_on_target(batch).await,
            };
            self.count(batch.len());
            self.first_look(batch).await;
        }
    }

    const fn batch(&self) -> usize {
        if self.engine.streams.is_some() { BATCH_IN_TABLES } else { BATCH }
    }

    const fn seen(&mut self, side: Side, records: u64) {
        match side {
            Side::Source => self.result.source_records += records,
            Side::Target => self.result.target_records += records,
        }
    }

    /// What is not found equal at once is looked at again.
    async fn first_look(&mut self, batch: Vec<Key>) {
        for (key, different) in self.glance(batch).await {
            if different.is_none_or(|different| different) {
                self.look_again(key, 0);
            }
        }
    }

    async fn only_on_target(&mut self, keys: &[Key]) -> Vec<Key> {
        loop {
            match self.comparer.not_on_source(keys.to_vec()).await {
                Ok(keys) => return keys,
                Err(error) => self.wait_after(&error.into()).await,
            }
        }
    }

    fn count(&mut self, compared: usize) {
        self.result.compared += compared as u64;
        let mut state = self.engine.verify.state.lock();
        state.compared = self.result.compared;
        state.looked_at_again = self.again.len() as u64;
    }

    fn look_again(&mut self, key: Key, seen: u8) {
        if self.again.len() < DIVERGENCES_MAX || self.again.contains_key(&key) {
            self.again.insert(key, seen);
        } else {
            self.overflow += 1;
        }
    }

    /// Compares keys: `Some(differs)` for each that was at rest, `None` for one in motion.
    async fn look(&mut self, keys: Vec<Key>) -> Vec<(Key, Option<bool>)> {
        if keys.is_empty() {
            return Vec::new();
        }
        loop {
            match self.comparer.at_rest(&keys).await {
                Ok(pairs) => {
                    let differ = pairs.into_iter().map(|pair| pair.map(|[a, b]| a != b));
                    return keys.into_iter().zip(differ).collect();
                }
                Err(error) => self.wait_after(&error.into()).await,
            }
        }
    }

    /// As [`Self::look`], for the first time: what reads the same on both sides is done with,
    /// and everything else is looked at again.
    async fn glance(&mut self, keys: Vec<Key>) -> Vec<(Key, Option<bool>)> {
        if self.engine.streams.is_none() || keys.is_empty() {
            return self.look(keys).await;
        }
        loop {
            match self.comparer.digests(&keys).await {
                Ok(pairs) => {
                    let equal = pairs.into_iter().map(|[a, b]| (a == b).then_some(false));
                    return keys.into_iter().zip(equal).collect();
                }
                Err(error) => self.wait_after(&error.into()).await,
            }
        }
    }

    async fn rounds(&mut self) {
        for round in 1..=ROUNDS {
            if self.again.values().all(|seen| *seen >= SEEN) {
                return;
            }
            self.engine.verify.say(format!("round {round}: {} keys again", self.again.len()));
            tokio::time::sleep(self.engine.parts.config.verify_pause).await;
            self.until_certain().await;
            let keys: Vec<_> = self.again.keys().cloned().collect();
            for batch in keys.chunks(self.batch()) {
                self.turn(batch.len()).await;
                for (key, different) in self.look(batch.to_vec()).await {
                    match different {
                        Some(true) => {
                            *self.again.entry(key).or_default() += 1;
                        }
                        Some(false) => {
                            self.again.remove(&key);
                            self.close(&key).await;
                        }
                        None => {}
                    }
                }
            }
        }
    }

    async fn close(&mut self, key: &Key) {
        self.engine.verify.state.lock().suspects.remove(key);
        if let Some(closed) = self.engine.ledger.equal(key) {
            self.save(&[closed]).await;
        }
    }

    async fn confirm(&mut self) {
        let keys: Vec<_> = self
            .again
            .iter()
            .filter(|(_, seen)| **seen >= SEEN)
            .map(|(key, _)| key.clone())
            .collect();
        self.result.unsettled = (self.again.len() - keys.len()) as u64;
        for batch in keys.chunks(self.batch()) {
            let (pairs, shown) = loop {
                match self.evidence(batch).await {
                    Ok(evidence) => break evidence,
                    Err(error) => self.wait_after(&error.into()).await,
                }
            };
            let mut changed = Vec::new();
            for ((key, pair), shown) in batch.iter().zip(pairs).zip(shown) {
                let Some(pair) = pair.filter(|[a, b]| a != b) else {
                    self.result.unsettled += 1;
                    continue;
                };
                changed.extend(self.engine.ledger.found(self.divergence(key, pair, shown)));
            }
            self.save(&changed).await;
        }
    }

    async fn evidence(
        &mut self,
        keys: &[Key],
    ) -> Result<(Vec<Option<Pair>>, Vec<[String; 2]>), PortError> {
        let shown = self.comparer.describe(keys).await?;
        Ok((self.comparer.at_rest(keys).await?, shown))
    }

    fn divergence(&self, key: &Key, pair: Pair, shown: [String; 2]) -> Divergence {
        let table = self.engine.parts.table.load();
        let authority = self.engine.authority_of(&table, key);
        let (a, b) = (authority.index(), authority.other().index());
        let class = classify((pair[a].is_some(), &shown[a]), (pair[b].is_some(), &shown[b]));
        let [source_summary, target_summary] = shown;
        let likely_cause = (pair[a].is_none()).then(|| {
            "removed on the authority without an explanation, or written to the secondary by \
             somebody else"
                .to_owned()
        });
        let state = DivergenceState::Confirmed;
        Divergence { key: key.clone(), class, state, source_summary, target_summary, likely_cause }
    }

    async fn save(&mut self, changed: &[Divergence]) {
        if changed.is_empty() {
            return;
        }
        if let Err(error) = self.engine.parts.progress.save_divergences(changed).await {
            self.engine.store_failed(&error);
        }
    }

    fn verdict(&mut self, scope: &VerifyScope) -> Verified {
        let mut result = std::mem::take(&mut self.result);
        result.open = self.engine.ledger.open();
        result.finished = self.overflow == 0;
        let vacuous = *scope != VerifyScope::Suspects
            && (result.source_records == 0) != (result.target_records == 0);
        result.clean = result.finished && result.open == 0 && !vacuous;
        result.took_ms = self.began.elapsed().as_millis() as u64;
        result
    }

    /// Waits while paused, and keeps to the configured rate and to the traffic's needs.
    async fn turn(&mut self, records: usize) {
        let mut paused = self.engine.verify.paused.subscribe();
        // The sender lives in the engine: it cannot have gone.
        let _ = paused.wait_for(|paused| !*paused).await;
        if matches!(
            self.engine.throttle.status().reason,
            "source_latency" | "target_latency" | "live_depth"
        ) {
            tokio::time::sleep(YIELD).await;
        }
        if let Some(rate) = self.engine.parts.config.verify_rate_max {
            let pause = records as f64 / f64::from(rate.max(1));
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        }
    }

    /// While changes may have been missed, a difference says nothing.
    async fn until_certain(&mut self) {
        let journal = &self.engine.parts.journal;
        while journal.uncertain() {
            self.engine.verify.say("waiting: records are being looked at again".into());
            tokio::time::sleep(self.engine.parts.config.verify_pause).await;
        }
    }

    async fn wait_after(&mut self, error: &EngineError) {
        self.engine.verify.say(format!("will try again: {error}"));
        if let EngineError::Port(error) = error {
            tracing::debug!(%error, "a comparison failed");
        }
        tokio::time::sleep(self.engine.delay(6)).await;
    }
}

fn verdict_note(verified: &Verified) -> String {
    format!(
        "compared {} records ({} on the source, {} on the target): {} open, {} in motion",
        verified.compared,
        verified.source_records,
        verified.target_records,
        verified.open,
        verified.unsettled
    )
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
