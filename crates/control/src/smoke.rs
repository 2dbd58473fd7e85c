//! The smoke tests: the config's commands, through a shadow interlay whose authority is the
//! target. Production traffic never sees that listener.

use std::sync::Arc;

use arc_swap::ArcSwap;
use model::{Epoch, Side};
use proxy::{Capture, InterlayConfig, InterlayHandle, Upstreams};
use routing::RoutingTable;
use serde_json::json;
use workflow::{EvidenceKind, EvidenceOutcome, Fact};

use crate::endpoint;
use crate::evidence;
use crate::plugin::{Access, Bind};
use crate::world::World;

/// Runs them beside everything else; the evidence is told when they are through.
pub(crate) fn begin(world: &Arc<World>) {
    world.spawn(async move |world| {
        let (outcome, report) = run(&world).await;
        let kind = EvidenceKind::Smoke;
        let digest = evidence::keep(&world, kind, outcome, &report).await;
        world.report(Fact::EvidenceAdded { kind, digest, outcome }).await;
    });
}

async fn run(world: &World) -> (EvidenceOutcome, serde_json::Value) {
    let document = world.document.load_full();
    if document.checks.smoke.is_empty() {
        let summary = "the config names no smoke commands (checks.smoke)";
        return (EvidenceOutcome::Inconclusive, json!({ "summary": summary }));
    }
    let shadow = match shadow_of_target(world) {
        Ok(shadow) => shadow,
        Err(why) => return (EvidenceOutcome::Fail, json!({ "summary": why })),
    };
    let Some(target) = &document.target else {
        return (EvidenceOutcome::Fail, json!({ "summary": "there is no target" }));
    };
    let password = target.password.as_ref().and_then(|p| p.resolve().ok());
    let access = Access {
        address: shadow.local_addr().to_string(),
        database: target.database.clone(),
        user: target.user.clone(),
        password,
    };
    let results = world.plugin.run_commands(&access, &document.checks.smoke).await;
    shadow.drain(std::time::Duration::from_millis(200)).await;
    let failed = results.iter().filter(|r| r.outcome.is_err()).count();
    let done = results.len() == document.checks.smoke.len();
    let outcome = match failed == 0 && done {
        true => EvidenceOutcome::Pass,
        false => EvidenceOutcome::Fail,
    };
    let shown: Vec<_> = results
        .iter()
        .map(|r| match &r.outcome {
            Ok(reply) => json!({ "command": r.command, "reply": reply }),
            Err(error) => json!({ "command": r.command, "error": error }),
        })
        .collect();
    let summary = format!(
        "{} of {} commands succeeded on the target",
        results.len() - failed,
        document.checks.smoke.len()
    );
    (outcome, json!({ "summary": summary, "commands": shown }))
}

/// A listener on a free local port that forwards to the target only.
fn shadow_of_target(world: &World) -> Result<InterlayHandle, String> {
    let document = world.document.load();
    let section = document.target.as_ref().ok_or("there is no target")?;
    let tag = format!("exodus:{}:{}", world.id, world.node.0);
    let spec = endpoint::spec(section, Side::Target, &tag).map_err(|e| e.to_string())?;
    let mut config = InterlayConfig::new("shadow", std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    config.shards = 1;
    let table = RoutingTable::passthrough(Epoch(0), Side::Target);
    let table = Arc::new(ArcSwap::from_pointee(table));
    let bound = world.plugin.bind(Bind {
        tenant_rule: None,
        options: &document.options,
        config,
        upstreams: &Upstreams::one(spec),
        table,
        capture: Capture::Nothing,
    });
    bound.map_err(|e| e.to_string())
}
