//! Reports behind dated evidence. The workflow keeps the digest; the report stays readable.

use serde_json::{Value, json};
use store::{Batch, Change, Kind};
use workflow::{EvidenceKind, EvidenceOutcome};

use crate::clock::rfc3339;
use crate::world::World;

/// Stores a report and returns its digest.
pub(crate) async fn keep(
    world: &World,
    kind: EvidenceKind,
    outcome: EvidenceOutcome,
    report: &Value,
) -> String {
    let digest = blake3::hash(report.to_string().as_bytes()).to_hex()[..16].to_owned();
    let body = json!({
        "at": rfc3339(world.clock.now_ms()),
        "outcome": outcome.as_str(),
        "digest": digest,
        "report": report,
    });
    let put = Change::put(Kind::Evidence, &world.id, kind.as_str(), body.to_string().into_bytes());
    if let Err(error) = world.store.commit(Batch::data(vec![put])).await {
        tracing::error!(%error, %kind, "a report was not stored");
    }
    digest
}

/// The newest report of a kind.
pub(crate) async fn report(world: &World, kind: EvidenceKind) -> Option<Value> {
    let doc = world.store.get(Kind::Evidence, &world.id, kind.as_str()).await.ok()??;
    serde_json::from_slice(&doc.body).ok()
}
