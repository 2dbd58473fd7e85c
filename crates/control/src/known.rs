//! What is known of the two servers: who they are, what they can do, how full they are.
//!
//! Looked up when a side is connected, with every run of the checks, and now and then: a probe is
//! cheap, and memory changes.

use std::sync::Arc;
use std::time::Duration;

use family::Probe;
use model::Side;

use crate::preflight;
use crate::world::World;

/// How often sessions past the interlay are counted.
const COUNT: Duration = Duration::from_secs(20);
/// A probe is made with every so many counts.
const PROBE: u32 = 3;

/// Looks until the world stops.
pub(crate) async fn run(world: Arc<World>) {
    for turn in 1u32.. {
        tokio::time::sleep(COUNT).await;
        count_direct(&world).await;
        if turn % PROBE != 0 {
            continue;
        }
        for side in [Side::Source, Side::Target] {
            look(&world, side).await;
        }
    }
}

/// Applications are redirected while a run goes on: what was counted once would soon be wrong, and
/// so would the evidence that rests on it.
async fn count_direct(world: &World) {
    let counted = preflight::direct_sessions(world).await.ok().map(|all| all.len() as u64);
    if counted.is_some() && counted != world.direct() {
        preflight::redirect(world).await;
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
