//! Reports and the runbook, made from what is stored.

use std::fmt::Write as _;
use std::sync::Arc;

use api::{CommandShare, Recommendation, Report};
use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::http::data as http_data;
use crate::migration::Migration;
use crate::status::{self, Look};
use crate::{evidence, preflight};

/// What the observed workload leads to; none before anything was seen.
pub(crate) fn recommend(
    migration: &Migration,
    commands: &[CommandShare],
    look: &Look,
) -> Option<Recommendation> {
    let requests: u64 = commands.iter().map(|c| c.count).sum();
    if requests == 0 {
        return None;
    }
    let reads = look.sum.reads as f64 / (look.sum.reads + look.sum.writes).max(1) as f64;
    let rate = look.rates.reads_per_s + look.rates.writes_per_s;
    let megabytes = look.engine.as_ref().map_or(0, |e| e.backfill.bytes_total) as f64 / 1e6;
    let density = if megabytes > 0.0 { Some(rate / megabytes) } else { None };
    let (sizing, why) = match density {
        None => ("balanced", "the size of the data is not known yet".to_owned()),
        Some(d) if d < 1.0 => ("memory", format!("{d:.2} operations per second and MB")),
        Some(d) if d <= 50.0 => ("balanced", format!("{d:.1} operations per second and MB")),
        Some(d) => ("compute", format!("{d:.0} operations per second and MB")),
    };
    let strategy = if reads >= 0.5 { "canary" } else { "big_bang" };
    let configured = migration.world.document.load().write.before.0;
    Some(Recommendation {
        strategy: strategy.to_owned(),
        write_policy: configured.as_str().to_owned(),
        sizing: sizing.to_owned(),
        reasons: vec![
            format!("{:.0} % of {requests} requests are reads", reads * 100.0),
            format!("{why}; plan 20 to 30 % headroom"),
            format!("seen {:.0} requests per second in the last minute", rate),
            "uncertain until a whole business cycle was watched".to_owned(),
        ],
    })
}

/// A report by its kind.
pub(crate) async fn report(migration: &Arc<Migration>, kind: &str) -> anyhow::Result<Report> {
    let world = &migration.world;
    let mut sections = vec![
        ("status".to_owned(), serde_json::to_value(status::build(migration).await?)?),
        ("checks".to_owned(), serde_json::to_value(preflight::stored(world).await?)?),
        ("workload".to_owned(), serde_json::to_value(http_data::profile(migration).await)?),
        ("compared reads".to_owned(), serde_json::to_value(http_data::compared(migration))?),
    ];
    let mut pieces = Vec::new();
    for kind in workflow::EvidenceKind::ALL {
        if let Some(piece) = evidence::report(world, *kind).await {
            pieces.push(json!({ "kind": kind.as_str(), "evidence": piece }));
        }
    }
    sections.push(("evidence".to_owned(), Value::Array(pieces)));
    if let Some(run) = &migration.runner.snapshot().run {
        let flips = run.history.iter().map(|a| {
            json!({
                "attempt": a.number, "kind": a.kind.as_str(), "moved": a.moved,
                "began": rfc3339(a.began_ms), "pause_ms": a.pause_ms, "took_ms": a.took_ms,
                "reason": a.reason,
            })
        });
        sections.push(("barriers".to_owned(), flips.collect()));
    }
    Ok(Report { kind: kind.to_owned(), at: rfc3339(migration.runner.now_ms()), sections })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A report as a page without any external asset.
pub(crate) fn html(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html><meta charset=utf-8><title>Exodus {0}</title>\
         <style>body{{font:14px system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}}\
         pre{{background:#8881;padding:1rem;overflow:auto}}</style><h1>Exodus: {0} report</h1><p>{1}",
        escape(&report.kind),
        escape(&report.at)
    );
    for (title, value) in &report.sections {
        let body = serde_json::to_string_pretty(value).unwrap_or_default();
        let _ = write!(out, "<h2>{}</h2><pre>{}</pre>", escape(title), escape(&body));
    }
    out
}

/// The runbook: steps, commands, owners, gates, triggers, and how to do without Exodus.
pub(crate) fn runbook(migration: &Migration) -> String {
    let document = migration.world.document.load_full();
    let plan = migration.runner.snapshot().plan.clone();
    let mut out = format!("# Runbook of {}\n\n", document.migration);
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let target = document.target.as_ref().map_or("not named yet", |t| t.address.as_str());
    line(format!("{} to {target}, strategy {}.\n", document.source.address, plan.strategy));
    line("## Owners\n".to_owned());
    for (role, name) in document.owners.all() {
        line(format!("- {role}: {}", name.unwrap_or("**nobody is named**")));
    }
    line("\n## Steps\n".to_owned());
    for place in workflow::Place::ALL {
        let Some(verb) = workflow::forward(*place) else { continue };
        let needs = plan.evidence_for(*place);
        let needs: Vec<_> = needs.iter().map(|k| k.as_str()).collect();
        let needs = match needs.is_empty() {
            true => String::new(),
            false => format!("; needs {}", needs.join(", ")),
        };
        line(format!(
            "- {place}: `exodus {} {}`{needs}",
            workflow::spelt(verb),
            document.migration
        ));
    }
    line("\n## Gates\n".to_owned());
    for (gate, spec) in &plan.gates {
        let roles: Vec<_> = spec.roles.iter().map(|r| r.as_str()).collect();
        line(format!("- {gate}: {} of {}", spec.quorum, roles.join(", ")));
    }
    line("\n## Rollback triggers\n".to_owned());
    for check in &plan.criteria {
        let acts = if check.enforce { "acts" } else { "is only recorded" };
        line(format!(
            "- {}: {} of {} samples, {acts}",
            check.name, check.fail_after, check.fail_window
        ));
    }
    line(format!(
        "\n## Rollback\n\n`exodus rollback {}` at any time before the end of the warm-source window. \
        Clients wait at most {} ms.\n",
        document.migration, plan.rollback_budget_ms
    ));
    line("## Without Exodus\n".to_owned());
    line("If the host of Exodus is lost for good, the side whose application accounts may write decides; \
        the other one is fenced. Point applications at that side directly:\n".to_owned());
    let now = status::authority(migration);
    line(format!("- now: {} at `{}` (epoch {})", now.authority.as_str(), now.address, now.epoch));
    out
}
