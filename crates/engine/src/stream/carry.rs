//! Brings over now and then what no log carries, so that little is left for a barrier, and a
//! secondary that has to take over without one is not far behind.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;

/// How often. A barrier carries exactly; in between this bounds by how much it is behind.
const EVERY: Duration = Duration::from_secs(2);

pub(super) async fn run(engine: Arc<Engine>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let side = engine.deciding();
        let follows = engine.backfill.is_done() && engine.side(side).feed.is_open();
        if !follows || engine.frozen() || !engine.both_well() {
            continue;
        }
        let Ok(follow) = engine.follow(side).await else { continue };
        if let Err(error) = engine.bounded(side, follow.carry()).await {
            tracing::debug!(%side, %error, "what no log carries is not carried over now");
        }
    }
}
