//! What is known of the two servers: who they are, what they can do, how full they are.
//!
//! Looked up when a side is connected, with every run of the checks, and now and then: a probe is
//! cheap, and memory changes.

use std::sync::Arc;
use std::time::Duration;

use family::Probe;
use model::Side;

use crate::world::World;

/// How old what is known may become.
const EVERY: Duration = Duration::from_secs(60);

/// Looks until the world stops.
pub(crate) async fn run(world: Arc<World>) {
    loop {
        tokio::time::sleep(EVERY).await;
        for side in [Side::Source, Side::Target] {
            look(&world, side).await;
        }
    }
}

/// Looks once. A side that does not answer keeps what was known of it.
pub(crate) async fn look(world: &World, side: Side) {
    let Some(database) = world.database(side) else { return };
    match database.probe().await {
        Ok(probe) => world.set_probe(side, probe),
        Err(error) => tracing::debug!(%side, %error, "not probed"),
    }
}

/// Product and version as the server names itself.
pub(crate) fn product(probe: &Probe) -> String {
    format!("{} {}", probe.product, probe.version).trim().to_owned()
}
