//! Comparing many records by one digest, and only where that differs, each.

use family::{Span, SpanEnd};
use model::{Dataset, Frontier, Key, Side};

use super::Run;
use crate::engine::Engine;
use crate::error::EngineError;

/// Records of one span: few enough that a busy dataset has spans at rest.
const SPAN: usize = 4_096;

/// A span as it is on source and target.
type Both = [Span; 2];

impl Run<'_> {
    /// Compares a dataset span by span. `false` where the family has no spans, or one of the
    /// sides lacks the dataset.
    pub(super) async fn spans(&mut self, dataset: &Dataset) -> bool {
        match self.engine.datasets(Side::Target).await {
            Ok(there) if there.contains(dataset) => {}
            Ok(_) => return false,
            Err(error) => {
                self.wait_after(&error).await;
                return false;
            }
        }
        let mut from: Option<Frontier> = None;
        loop {
            self.turn(SPAN).await;
            let [source, target] = loop {
                match both(self.engine, dataset, from.as_ref()).await {
                    Ok(Some(both)) => break both,
                    Ok(None) => return false,
                    Err(error) => self.wait_after(&error).await,
                }
            };
            self.seen(Side::Source, source.records);
            self.seen(Side::Target, target.records);
            self.count(usize::try_from(source.records).unwrap_or(usize::MAX));
            if source.digest != target.digest || source.records != target.records {
                self.singly(dataset, from.as_ref(), &[source.clone(), target]).await;
            }
            match source.next {
                Some(next) => from = Some(next),
                None => return true,
            }
        }
    }

    /// The records of a span, each: those of the source, then those of the target.
    async fn singly(&mut self, dataset: &Dataset, from: Option<&Frontier>, spans: &Both) {
        for side in [Side::Source, Side::Target] {
            let limit = usize::try_from(spans[side.index()].records).unwrap_or(usize::MAX);
            if limit == 0 {
                continue;
            }
            let engine = self.engine;
            let keys: Vec<Key> = loop {
                let call = engine.database(side).scan(dataset, from, limit);
                match engine.bounded(side, call).await {
                    Ok(chunk) => break chunk.keys,
                    Err(error) => self.wait_after(&error.into()).await,
                }
            };
            let filter = engine.filter.load();
            let wanted = |key: &&Key| filter.wants(engine.parts.family.as_ref(), key);
            let keys: Vec<_> = keys.iter().filter(wanted).cloned().collect();
            for batch in keys.chunks(self.batch()) {
                let batch = match side {
                    Side::Source => batch.to_vec(),
                    Side::Target => self.only_on_target(batch).await,
                };
                self.first_look(batch).await;
            }
        }
    }
}

async fn both(
    engine: &Engine,
    dataset: &Dataset,
    from: Option<&Frontier>,
) -> Result<Option<Both>, EngineError> {
    let source = engine.database(Side::Source).span(dataset, from, SpanEnd::Behind(SPAN));
    let Some(source) = engine.bounded(Side::Source, source).await? else { return Ok(None) };
    let end = SpanEnd::At(source.next.as_ref());
    let target = engine.database(Side::Target).span(dataset, from, end);
    let target = engine.bounded(Side::Target, target).await?;
    Ok(target.map(|target| [source, target]))
}
