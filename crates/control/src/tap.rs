//! Looking at traffic that does not come through an interlay yet: one bounded burst at the source,
//! ended early by its own effect on the source.

use std::sync::Arc;

use model::Side;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use workflow::{EvidenceKind, EvidenceOutcome, Fact};

use crate::endpoint;
use crate::evidence;
use crate::world::World;

/// Share of requests that may stay unparsed, per thousand.
const UNPARSED_MAX: u64 = 1;

/// Listens once, beside everything else, not longer than `until`; the evidence is told afterwards.
/// A run that goes on without it had it already, or does not ask for it.
pub(crate) fn begin(world: &Arc<World>, until: CancellationToken) {
    world.spawn(async move |world| {
        let Some((outcome, report)) = until.run_until_cancelled(listen(&world)).await else {
            return;
        };
        let kind = EvidenceKind::Tap;
        let digest = evidence::keep(&world, kind, outcome, &report).await;
        world.report(Fact::EvidenceAdded { kind, digest, outcome }).await;
    });
}

async fn listen(world: &World) -> (EvidenceOutcome, serde_json::Value) {
    let nothing = |why: String| (EvidenceOutcome::Inconclusive, json!({ "summary": why }));
    let document = world.document.load_full();
    let tag = format!("exodus:{}:{}", world.id, world.node.0);
    let source = match endpoint::spec(&document.source, Side::Source, &tag) {
        Ok(source) => source,
        Err(error) => return nothing(error.to_string()),
    };
    let report = match world.plugin.tap(&source).await {
        None => return nothing("this family has no tap; waive the evidence".to_owned()),
        Some(Err(why)) => return nothing(why),
        Some(Ok(report)) => report,
    };
    let parsed = report.unparsed.saturating_mul(1_000) <= report.seen.saturating_mul(UNPARSED_MAX);
    let outcome = match (report.seen, parsed, &report.cut_short) {
        (1.., true, None) => EvidenceOutcome::Pass,
        _ => EvidenceOutcome::Inconclusive,
    };
    let cut = report.cut_short.as_ref().map_or(String::new(), |why| format!(", cut short: {why}"));
    let summary = format!(
        "{} requests in {} ms, {} not understood{cut}",
        report.seen, report.took_ms, report.unparsed
    );
    let shown = json!({
        "summary": summary,
        "kinds": report.kinds,
        "clients": report.clients,
        "risky": report.risky,
    });
    (outcome, shown)
}

/// Usage that needs attention, as the last tap saw it.
pub(crate) async fn risky(world: &World) -> Vec<api::CommandShare> {
    let report = evidence::report(world, EvidenceKind::Tap).await.unwrap_or_default();
    let rows = report["report"]["risky"].as_array().cloned().unwrap_or_default();
    let one = |row: &serde_json::Value| {
        Some(api::CommandShare {
            name: row.get(0)?.as_str()?.to_owned(),
            count: row.get(1)?.as_u64()?,
            errors: 0,
            note: row.get(2)?.as_str().map(str::to_owned),
        })
    };
    rows.iter().filter_map(one).collect()
}
