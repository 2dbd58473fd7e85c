//! The end of one direction and the beginning of the other.

use std::sync::Arc;
use std::time::Duration;

use model::Side;
use tokio::time::Instant;

use crate::engine::{Engine, Hold};
use crate::error::EngineError;
use crate::status::{Drained, NotDrained};

/// How often it is looked whether an audit has ended.
const LOOK: Duration = Duration::from_millis(5);

impl Engine {
    /// Waits until every change acknowledged on a side before this call is on the other. One
    /// attempt: fails when the side cannot be asked.
    pub(crate) async fn passed(&self, side: Side) -> bool {
        match self.streams {
            None => self.fence_once(side).await,
            Some(_) => self.applied_to_head(side).await.is_ok(),
        }
    }

    pub(super) async fn applied_to_head(&self, side: Side) -> Result<(), EngineError> {
        let follow = self.follow(side).await?;
        let head = self.bounded(side, follow.head()).await?;
        self.parts.horizon.reached(side, head.0).await;
        Ok(())
    }

    pub(crate) async fn stream_drained(&self, deadline: Duration) -> Result<Drained, NotDrained> {
        let began = Instant::now();
        let done = async {
            self.applied_to_head(self.deciding()).await?;
            // Nobody may be given authority over records that somebody else wrote.
            while self.frozen() && self.verify.suspects() > 0 {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        match tokio::time::timeout(deadline, done).await {
            Ok(Ok(())) => Ok(Drained { took: began.elapsed(), parked: 0 }),
            Ok(Err(error)) => Err(self.stream_not_drained(EngineError::to_string(&error))),
            Err(_) => Err(self.stream_not_drained(self.stream_cause())),
        }
    }

    /// Drains; where a barrier freezes every write, also carries over what no log carries and
    /// says from where on the other direction counts.
    pub(crate) async fn stream_held(
        self: &Arc<Self>,
        deadline: Duration,
    ) -> Result<(Drained, Hold), NotDrained> {
        let began = Instant::now();
        let drained = self.stream_drained(deadline).await?;
        let left = deadline.saturating_sub(began.elapsed());
        if self.frozen() {
            match tokio::time::timeout(left, self.turn_around()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(self.stream_not_drained(error.to_string())),
                Err(_) => {
                    let why = "the other direction could not be prepared in time".to_owned();
                    return Err(self.stream_not_drained(why));
                }
            }
        }
        let gate = Arc::clone(&self.gate).write_owned().await;
        let drained = Drained { took: began.elapsed(), ..drained };
        Ok((drained, Hold::new(gate, Arc::clone(self))))
    }

    async fn turn_around(&self) -> Result<(), EngineError> {
        let side = self.deciding();
        self.follow(side).await?.carry().await?;
        let back = self.follow(side.other()).await?;
        let begins = back.begin().await?;
        tracing::info!(side = %side.other(), offset = begins.0, "the other direction begins here");
        Ok(())
    }

    fn stream_not_drained(&self, cause: String) -> NotDrained {
        let behind = self.undo_of_log().writes_at_risk;
        NotDrained {
            live: usize::try_from(behind).unwrap_or(usize::MAX),
            bulk: 0,
            in_flight: 0,
            parked: 0,
            unnamed: false,
            oldest: self.log_age(),
            cause,
        }
    }
}
