//! Walking a dataset chunk by chunk.

use model::{Dataset, Frontier, Key, Side};

use crate::engine::Engine;
use crate::error::EngineError;

pub(crate) struct Scan {
    side: Side,
    dataset: Dataset,
    from: Option<Frontier>,
    done: bool,
}

impl Scan {
    pub(crate) const fn new(side: Side, dataset: Dataset, from: Option<Frontier>) -> Self {
        Self { side, dataset, from, done: false }
    }

    /// The frontier behind the last chunk; `None` at the very beginning and end.
    pub(crate) const fn frontier(&self) -> Option<&Frontier> {
        self.from.as_ref()
    }

    /// The next chunk of wanted keys (maybe empty), or `None` when the dataset is done.
    pub(crate) async fn next(&mut self, engine: &Engine) -> Result<Option<Vec<Key>>, EngineError> {
        if self.done {
            return Ok(None);
        }
        let limit = engine.parts.config.scan_chunk;
        let database = engine.database(self.side);
        let call = database.scan(&self.dataset, self.from.as_ref(), limit);
        let chunk = engine.bounded(self.side, call).await?;
        self.done = chunk.next.is_none();
        self.from = chunk.next;
        let filter = engine.filter.load();
        let mut keys = chunk.keys;
        if !filter.is_everything() {
            keys.retain(|key| filter.wants(engine.parts.family.as_ref(), key));
        }
        Ok(Some(keys))
    }
}

impl Engine {
    /// The datasets of a side that the filter moves.
    pub(crate) async fn datasets(&self, side: Side) -> Result<Vec<Dataset>, EngineError> {
        let inventory = self.bounded(side, self.database(side).inventory()).await?;
        let filter = self.filter.load();
        Ok(inventory
            .into_iter()
            .map(|one| one.dataset)
            .filter(|dataset| filter.wants_dataset(dataset))
            .collect())
    }
}
