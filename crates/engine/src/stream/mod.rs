//! The road of whole transactions: drives a family's two directions.
//!
//! Constraints: sees offsets, parts and events; what a transaction is and how it is applied once
//! is the family's. One stream per direction. The direction whose side decides applies, the
//! other one names whoever writes there; which of them is which follows from the table alone,
//! looked up under one lock, so that a switch of authority is never seen late.
//!
//! Layout: `pump` keeps a direction's stream open and takes its events, `heads` asks where logs
//! stand and says what that settles, `fill` copies history, `carry` brings over what no log
//! carries, `barrier` drains and turns around, `say` is what is told of it, `pairs` compares and
//! repairs.

mod barrier;
mod carry;
mod fill;
mod heads;
mod pairs;
mod pump;
mod say;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use family::{Doubt, Follow, FollowMode, FollowSpec, Retained, Road};
use model::{Dataset, Side};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;

pub(crate) use fill::fill_all;

/// Both directions, by the side that is followed.
pub(crate) struct Streams {
    directions: [Direction; 2],
    /// Held while modes are derived from the table and set.
    modes: Mutex<()>,
}

/// One side's transactions on their way to the other.
#[derive(Default)]
pub(crate) struct Direction {
    follow: OnceCell<Arc<dyn Follow>>,
    /// Held while it is being captured: a worker and a flip may ask for that at once.
    opening: tokio::sync::Mutex<()>,
    /// Ends the pump that runs.
    running: Mutex<Option<CancellationToken>>,
    /// Held by whoever applies to the other side: the pump per step, a repair per batch.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

/// What is known of a direction.
#[derive(Default)]
struct Known {
    /// The other side can hold what this one has.
    prepared: bool,
    head: u64,
    /// Where the log stood at instants whose acknowledgements are not known to be applied.
    asked: VecDeque<(std::time::Instant, u64)>,
    retained: Option<Retained>,
    transactions: u64,
    changes: u64,
    /// Datasets that the stream cannot keep equal any more.
    stale: BTreeMap<Dataset, String>,
    /// Changes were lost.
    lost: Option<Doubt>,
}

impl Streams {
    pub(crate) fn of(road: Road) -> Option<Self> {
        let directions = [Direction::default(), Direction::default()];
        (road == Road::Transactions).then(|| Self { directions, modes: Mutex::default() })
    }

    fn direction(&self, side: Side) -> &Direction {
        &self.directions[side.index()]
    }
}

impl Engine {
    /// The direction that begins on this side; `None` for a family of the other road.
    fn direction(&self, side: Side) -> Option<&Direction> {
        self.streams.as_ref().map(|streams| streams.direction(side))
    }

    async fn follow(&self, side: Side) -> Result<Arc<dyn Follow>, EngineError> {
        let Some(direction) = self.direction(side) else {
            let message = "this family is not followed by its transactions".to_owned();
            return Err(EngineError::Refused { code: "EXO-ENG-014", message });
        };
        let open = async || {
            let spec = FollowSpec {
                run: self.parts.config.run.clone(),
                datasets: self.filter.load().datasets.clone(),
                conflict: self.parts.config.conflict,
                options: self.parts.config.options.clone(),
            };
            let (from, to) = (self.database(side), self.database(side.other()));
            self.bounded(side, self.parts.family.follow(from, to, spec)).await
        };
        Ok(Arc::clone(direction.follow.get_or_try_init(open).await?))
    }

    /// Sets what each direction does with what it reads, from the table that is published.
    pub(crate) fn set_modes(&self) {
        let Some(streams) = &self.streams else { return };
        let _one_at_a_time = streams.modes.lock();
        let authority = self.parts.table.load().authority.default;
        for side in [Side::Source, Side::Target] {
            if let Some(follow) = streams.direction(side).follow.get() {
                follow.set_mode(match side == authority {
                    true => FollowMode::Apply,
                    false => FollowMode::Audit,
                });
            }
        }
    }

    /// Who decides. On this road one side decides about everything.
    fn deciding(&self) -> Side {
        self.parts.table.load().authority.default
    }

    /// Captures a side's log, brings the other side into a state that can follow it, and follows
    /// it from now on.
    pub(crate) async fn stream_open(self: &Arc<Self>, side: Side) -> Result<(), EngineError> {
        self.until_ready().await;
        let follow = self.follow(side).await?;
        let Some(direction) = self.direction(side) else { return Ok(()) };
        let _alone = direction.opening.lock().await;
        // A slot waits for transactions that are open: the family bounds that itself.
        follow.capture().await?;
        // History goes one way only.
        if side == Side::Source && side == self.deciding() && !self.backfill.is_done() {
            self.prepare(side, direction, follow.as_ref()).await?;
        }
        self.start_pump(side, follow);
        Ok(())
    }

    /// Once in this process: it looks at much.
    async fn prepare(
        &self,
        side: Side,
        direction: &Direction,
        follow: &dyn Follow,
    ) -> Result<(), EngineError> {
        if direction.known.lock().prepared {
            return Ok(());
        }
        for done in follow.prepare().await? {
            tracing::info!(%side, done, "prepared");
        }
        direction.known.lock().prepared = true;
        Ok(())
    }

    /// Stops both streams and gives their logs up.
    pub(crate) async fn stream_release(&self) -> Result<(), EngineError> {
        let Some(streams) = &self.streams else { return Ok(()) };
        for side in [Side::Source, Side::Target] {
            let direction = streams.direction(side);
            if let Some(running) = direction.running.lock().take() {
                running.cancel();
            }
            // The pump has let go of its stream when the turn is free.
            let _turn = direction.turn.lock().await;
            self.follow(side).await?.release().await?;
            *direction.known.lock() = Known::default();
            self.parts.horizon.forget(side);
        }
        Ok(())
    }
}

/// Goes on with what an earlier process followed, then keeps asking where logs stand.
pub(crate) async fn run(engine: Arc<Engine>) {
    engine.until_ready().await;
    for side in [Side::Source, Side::Target] {
        let mut failures = 0;
        loop {
            match resume(&engine, side).await {
                Ok(()) => break,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%side, %error, "cannot tell yet whether this side is followed");
                    tokio::time::sleep(engine.delay(failures)).await;
                }
            }
        }
    }
    tokio::join!(heads::run(Arc::clone(&engine)), carry::run(engine));
}

async fn resume(engine: &Arc<Engine>, side: Side) -> Result<(), EngineError> {
    let follow = engine.follow(side).await?;
    let captured = engine.bounded(side, follow.retained()).await?.is_some();
    if captured {
        engine.start_pump(side, follow);
    }
    Ok(())
}
