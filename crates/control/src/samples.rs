//! Metrics history: one row every five seconds, kept for a day, so that a bare install has charts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::Side;
use store::{Batch, Change, Store};

use crate::migration::Migration;
use crate::server::Server;
use crate::status::{self, Look};

/// Seconds between rows.
pub(crate) const EVERY_S: u64 = 5;
/// Seconds a row is kept.
const KEEP_S: u64 = 24 * 3_600;

/// Samples every migration until stopped.
pub(crate) async fn run(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(EVERY_S));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let mut changes = Vec::new();
        for migration in server.all() {
            let row = row(&migration);
            let at_s = server.common.clock.now_ms() / 1_000 / EVERY_S * EVERY_S;
            let body = serde_json::to_vec(&row).unwrap_or_default();
            let scope = migration.world.id.clone();
            changes.push(Change::Sample { scope, at_s, body, keep_s: KEEP_S });
        }
        if !changes.is_empty()
            && let Err(error) = server.common.store.commit(Batch::data(changes)).await
        {
            tracing::debug!(%error, "a sample was not stored");
        }
    }
}

/// The numbers of a migration now, by name.
pub(crate) fn row(migration: &Migration) -> BTreeMap<&'static str, f64> {
    let look = Look::at(migration);
    let world = &migration.world;
    let mut row = BTreeMap::new();
    row.insert("reads_per_s", look.rates.reads_per_s);
    row.insert("writes_per_s", look.rates.writes_per_s);
    row.insert("connections", look.sum.connections as f64);
    row.insert("client_errors", look.rates.client_errors as f64);
    if let Some(share) = look.rates.target_reads {
        row.insert("target_reads_percent", share);
    }
    for line in status::latency(world, &look) {
        match line.side.as_str() {
            _ if line.requests == 0 => {}
            "client" => {
                row.insert("client_p99_ms", line.p99_us as f64 / 1_000.0);
            }
            "added" => {
                row.insert("added_p99_ms", line.p99_us as f64 / 1_000.0);
            }
            _ => {}
        }
    }
    if let Some(engine) = &look.engine {
        let p99 = |side: Side| engine.sides[side.index()].ping_p99_us;
        if let Some(us) = p99(Side::Source) {
            row.insert("source_p99_ms", us as f64 / 1_000.0);
        }
        if let Some(us) = p99(Side::Target) {
            row.insert("target_p99_ms", us as f64 / 1_000.0);
        }
        row.insert("queue_depth", (engine.depth.live + engine.depth.bulk) as f64);
        row.insert("lag_ms", engine.lag_ms as f64);
        row.insert("parked", engine.depth.parked as f64);
        row.insert("copied_per_s", engine.copied_per_second);
        row.insert("backfill_records", engine.backfill.records_done as f64);
        row.insert("divergence_open", engine.verify.open as f64);
    }
    row
}

/// The rows of a span as columns.
pub(crate) async fn columns(
    store: &dyn Store,
    scope: &str,
    from_s: u64,
    to_s: u64,
) -> anyhow::Result<api::Samples> {
    let rows = store.samples(scope, from_s, to_s).await?;
    let mut out = api::Samples::default();
    for (index, (at, body)) in rows.iter().enumerate() {
        out.at.push(*at);
        let row: BTreeMap<String, f64> = serde_json::from_slice(body).unwrap_or_default();
        for (name, value) in row {
            let column = out.series.entry(name).or_default();
            column.resize(index, None);
            column.push(Some(value));
        }
    }
    for column in out.series.values_mut() {
        column.resize(out.at.len(), None);
    }
    Ok(out)
}
