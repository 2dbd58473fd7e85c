//! Comparing and repairing where transactions are followed.
//!
//! A record that reads the same on the authority before and after a fence, and another way on the
//! secondary between the two, differs: everything that could have made it so was applied. A
//! repair takes the applier's turn, so that nothing is applied between the reading of the
//! authority and the writing of the secondary; what the stream brings later is newer or the same.

use family::PortError;
use model::{Key, Side};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::verify::{Comparer, Pair};

impl Engine {
    /// Digests of each key on source and target; `None` for one that changed meanwhile.
    pub(crate) async fn fenced_pairs(
        &self,
        comparer: &mut Comparer<'_>,
        keys: &[Key],
    ) -> Result<Vec<Option<Pair>>, PortError> {
        let authority = self.deciding();
        let before = comparer.digests_of(authority, keys).await?;
        self.fence_for_reading(authority).await?;
        let other = comparer.digests_of(authority.other(), keys).await?;
        let after = comparer.digests_of(authority, keys).await?;
        let pairs = before.into_iter().zip(other).zip(after);
        Ok(pairs
            .map(|((before, other), after)| {
                let rests = before == after;
                rests.then_some(match authority {
                    Side::Source => [after, other],
                    Side::Target => [other, after],
                })
            })
            .collect())
    }

    async fn fence_for_reading(&self, side: Side) -> Result<(), PortError> {
        let passed = async {
            self.applied_to_head(side).await.map_err(|error| match error {
                EngineError::Port(error) => error,
                other => {
                    PortError::new(family::Trouble::Unreachable, other.code(), other.to_string())
                }
            })
        };
        self.bounded(side, passed).await
    }

    /// Writes what the authority has now over what the secondary has.
    pub(crate) async fn stream_repair(&self, keys: &[Key]) -> Result<(), EngineError> {
        let authority = self.deciding();
        let secondary = authority.other();
        let Some(direction) = self.direction(authority) else { return Ok(()) };
        let mut reader = self.bounded(authority, self.database(authority).reader()).await?;
        let mut writer = self.bounded(secondary, self.database(secondary).writer()).await?;
        let _turn = direction.turn.lock().await;
        let records = self.bounded(authority, reader.read(keys)).await?;
        let applied = self.bounded(secondary, writer.apply(&records)).await?;
        for (record, outcome) in records.iter().zip(applied) {
            if let family::Applied::Failed(error) = outcome {
                let key = self.parts.family.show_key(&record.key);
                tracing::warn!(code = error.code, key, %error, "a record could not be repaired");
            }
        }
        Ok(())
    }
}
