//! Gauges of a migration, set when somebody scrapes.

use metrics::gauge;
use model::Side;

use crate::migration::Migration;
use crate::status::{self, Look};

/// Says every number of a migration.
pub(crate) fn gauge(migration: &Migration) {
    let look = Look::at(migration);
    let world = &migration.world;
    let id = world.id.clone();
    let writes = status::writes(world, &look);
    let reads = status::reads(world, &look);
    let yes = |b: bool| if b { 1.0 } else { 0.0 };
    gauge!("exodus_run_state_version", "migration" => id.clone()).set(look.version() as f64);
    gauge!("exodus_authority_epoch", "migration" => id.clone()).set(writes.epoch as f64);
    for side in [Side::Source, Side::Target] {
        let decides = writes.authority == status::side(side);
        gauge!("exodus_authority_writes", "migration" => id.clone(), "side" => side.as_str())
            .set(yes(decides));
    }
    gauge!("exodus_interlays_agreeing", "migration" => id.clone())
        .set(f64::from(writes.measured_by.agreeing));
    gauge!("exodus_interlays", "migration" => id.clone()).set(f64::from(writes.measured_by.of));
    gauge!("exodus_writes_frozen", "migration" => id.clone()).set(yes(writes.frozen));
    gauge!("exodus_canary_asked_ratio", "migration" => id.clone())
        .set(f64::from(reads.asked_percent) / 100.0);
    if let Some(observed) = reads.observed_percent {
        gauge!("exodus_canary_observed_ratio", "migration" => id.clone()).set(observed / 100.0);
    }
    gauge!("exodus_client_connections", "migration" => id.clone()).set(look.sum.connections as f64);
    let undo = status::undo_now(&look);
    gauge!("exodus_undo_ready", "migration" => id.clone()).set(yes(undo.ready));
    gauge!("exodus_undo_writes_at_risk", "migration" => id.clone()).set(undo.writes_at_risk as f64);
    if let Some(ms) = undo.estimated_ms {
        gauge!("exodus_undo_estimated_seconds", "migration" => id.clone()).set(ms as f64 / 1_000.0);
    }
    if let Some(run) = &look.run {
        for place in workflow::Place::ALL {
            gauge!("exodus_run_step", "migration" => id.clone(), "step" => place.as_str())
                .set(yes(run.place() == *place));
        }
    }
    let Some(engine) = &look.engine else { return };
    let queue = status::queue(&look);
    gauge!("exodus_queue_entries", "migration" => id.clone()).set(queue.depth as f64);
    gauge!("exodus_queue_parked", "migration" => id.clone()).set(queue.parked as f64);
    gauge!("exodus_queue_oldest_seconds", "migration" => id.clone())
        .set(queue.oldest_ms as f64 / 1_000.0);
    gauge!("exodus_backfill_records", "migration" => id.clone())
        .set(engine.backfill.records_done as f64);
    gauge!("exodus_backfill_records_expected", "migration" => id.clone())
        .set(engine.backfill.records_total as f64);
    gauge!("exodus_divergence_open", "migration" => id.clone()).set(engine.verify.open as f64);
    gauge!("exodus_in_step", "migration" => id.clone()).set(yes(engine.in_step.is()));
    for side in [Side::Source, Side::Target] {
        let healthy = engine.sides[side.index()].failures == 0;
        gauge!("exodus_endpoint_healthy", "migration" => id.clone(), "side" => side.as_str())
            .set(yes(healthy));
    }
}
