//! Asking both sides for the same records.

use family::{PortError, Reader, Trouble, Writer};
use model::{Digest, Key, Side};

use crate::engine::Engine;

/// Connections of one comparer.
pub(crate) struct Comparer<'a> {
    engine: &'a Engine,
    readers: [Option<Box<dyn Reader>>; 2],
    source_lookup: Option<Box<dyn Writer>>,
}

impl Engine {
    /// Whether a record is being changed or copied.
    fn in_motion(&self, key: &Key) -> bool {
        let journal = &self.parts.journal;
        journal.is_busy(key) || journal.uncertain() || journal.anything_pending()
    }
}

/// The digests of one record on source and target.
pub(crate) type Pair = [Option<Digest>; 2];

impl<'a> Comparer<'a> {
    pub(crate) const fn new(engine: &'a Engine) -> Self {
        Self { engine, readers: [None, None], source_lookup: None }
    }

    async fn connect(&mut self) -> Result<(), PortError> {
        for side in [Side::Source, Side::Target] {
            if self.readers[side.index()].is_none() {
                let engine = self.engine;
                let reader = engine.bounded(side, engine.database(side).reader()).await?;
                self.readers[side.index()] = Some(reader);
            }
        }
        Ok(())
    }

    /// Digests of each key on both sides, asked at the same time.
    pub(crate) async fn digests(&mut self, keys: &[Key]) -> Result<Vec<Pair>, PortError> {
        self.connect().await?;
        let engine = self.engine;
        let [Some(source), Some(target)] = &mut self.readers else { return Ok(Vec::new()) };
        let answers = tokio::join!(
            engine.bounded(Side::Source, source.digest(keys)),
            engine.bounded(Side::Target, target.digest(keys))
        );
        match answers {
            (Ok(a), Ok(b)) if a.len() == keys.len() && b.len() == keys.len() => {
                Ok(a.into_iter().zip(b).map(|(a, b)| [a, b]).collect())
            }
            answers => Err(self.lost(answers)),
        }
    }

    /// Digests of each key on one side.
    pub(crate) async fn digests_of(
        &mut self,
        side: Side,
        keys: &[Key],
    ) -> Result<Vec<Option<Digest>>, PortError> {
        self.connect().await?;
        let Some(reader) = &mut self.readers[side.index()] else { return Err(short()) };
        match self.engine.bounded(side, reader.digest(keys)).await {
            Ok(digests) if digests.len() == keys.len() => Ok(digests),
            answer => {
                self.readers[side.index()] = None;
                Err(answer.err().unwrap_or_else(short))
            }
        }
    }

    /// As [`Comparer::digests`], of keys at rest: `None` for one that may be changing.
    pub(crate) async fn at_rest(&mut self, keys: &[Key]) -> Result<Vec<Option<Pair>>, PortError> {
        let engine = self.engine;
        if engine.streams.is_some() {
            return engine.fenced_pairs(self, keys).await;
        }
        let before: Vec<bool> = keys.iter().map(|key| engine.in_motion(key)).collect();
        let pairs = self.digests(keys).await?;
        let looked = keys.iter().zip(pairs).zip(before);
        Ok(looked
            .map(|((key, pair), before)| (!before && !engine.in_motion(key)).then_some(pair))
            .collect())
    }

    /// Masked descriptions of each key on source and target.
    pub(crate) async fn describe(&mut self, keys: &[Key]) -> Result<Vec<[String; 2]>, PortError> {
        self.connect().await?;
        let engine = self.engine;
        let [Some(source), Some(target)] = &mut self.readers else { return Ok(Vec::new()) };
        let answers = tokio::join!(
            engine.bounded(Side::Source, source.describe(keys)),
            engine.bounded(Side::Target, target.describe(keys))
        );
        match answers {
            (Ok(a), Ok(b)) if a.len() == keys.len() && b.len() == keys.len() => {
                Ok(a.into_iter().zip(b).map(|(a, b)| [a, b]).collect())
            }
            answers => Err(self.lost(answers)),
        }
    }

    /// Which of these keys the source does not have.
    pub(crate) async fn not_on_source(&mut self, keys: Vec<Key>) -> Result<Vec<Key>, PortError> {
        let engine = self.engine;
        if self.source_lookup.is_none() {
            let writer = engine.bounded(Side::Source, engine.database(Side::Source).writer());
            self.source_lookup = Some(writer.await?);
        }
        let Some(lookup) = &mut self.source_lookup else { return Ok(Vec::new()) };
        match engine.bounded(Side::Source, lookup.exists(&keys)).await {
            Ok(exist) if exist.len() == keys.len() => {
                Ok(keys.into_iter().zip(exist).filter(|(_, e)| !e).map(|(k, _)| k).collect())
            }
            answer => {
                self.source_lookup = None;
                Err(answer.err().unwrap_or_else(short))
            }
        }
    }

    fn lost<T>(&mut self, answers: (Result<T, PortError>, Result<T, PortError>)) -> PortError {
        self.readers = [None, None];
        answers.0.err().or(answers.1.err()).unwrap_or_else(short)
    }
}

fn short() -> PortError {
    let message = "a comparison was answered for fewer records than it asked for";
    PortError::new(Trouble::Protocol, "EXO-ENG-012", message)
}
