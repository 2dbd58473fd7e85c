use std::collections::BTreeMap;

use api::{
    ChecksSummary, DataStatus, DatasetProgress, DivergenceStatus, EtaRange, LogKept, LogProgress,
    Measured, QueueStatus, Reads, Rehearsal, SideLatency, SourceHealth, Undo, Writes,
};
use engine::{FeedState, WorkState};
use family::Trouble;
use model::{DivergenceState, Side};
use routing::{Authority, Freeze};
use workflow::{EvidenceKind, LagFacts, Place};

use super::{Look, side};
use crate::clock::rfc3339;
use crate::dto::to_text;
use crate::endpoint::{tls_mode, tls_name};
use crate::evidence;
use crate::known;
use crate::observe::{comparisons, latency_change};
use crate::world::World;

pub(crate) fn writes(world: &World, look: &Look) -> Writes {
    let table = world.interlays.table();
    let handles = world.interlays.handles();
    let agrees = |h: &&proxy::InterlayHandle| {
        let its = h.table();
        its.epoch == table.epoch && its.authority == table.authority
    };
    Writes {
        authority: side(table.authority.default),
        epoch: table.epoch.0,
        policy: table.writes.as_str().to_owned(),
        frozen: table.freeze == Freeze::Writes,
        following: following(look, table.capture).to_owned(),
        lag_ms: look.engine.as_ref().map_or(0, |e| e.lag_ms),
        rate: look.rates.writes_per_s,
        tenants_moved: table.authority.moved.iter().map(|t| to_text(t.as_bytes())).collect(),
        measured_by: Measured {
            agreeing: handles.iter().filter(agrees).count() as u32,
            of: handles.len() as u32,
        },
    }
}

fn following(look: &Look, capture: bool) -> &'static str {
    let (Some(run), Some(engine)) = (&look.run, &look.engine) else { return "no" };
    match () {
        () if !capture => "no",
        () if look.sum.degraded => "degraded",
        () if !run.backfilled => "backfilling",
        () if engine.verify.required.is_some() && !run.verified => "suspect",
        () if engine.in_step.is() => "in_step",
        () => "following",
    }
}

pub(crate) fn reads(world: &World, look: &Look) -> Reads {
    let table = world.interlays.table();
    let asked = match table.reads.mode {
        model::ReadMode::Percent => table.reads.percent,
        model::ReadMode::Target | model::ReadMode::PreferTarget => 100,
        model::ReadMode::Source | model::ReadMode::Compare => {
            if table.authority.default == Side::Target { 100 } else { 0 }
        }
    };
    let (decided, mode) = match table.reads.secondary_ready {
        true => (asked, table.reads.mode.as_str()),
        false => (authority_percent(&table), "authority"),
    };
    Reads {
        mode: mode.to_owned(),
        asked_percent: decided,
        observed_percent: look.rates.target_reads,
        pinned_sessions: look.sum.pinned,
        pins: table.reads.pins.len() as u32,
        secondary_ready: table.reads.secondary_ready,
        rate: look.rates.reads_per_s,
    }
}

fn authority_percent(table: &routing::RoutingTable) -> u8 {
    if table.authority.default == Side::Target { 100 } else { 0 }
}

pub(crate) fn undo(look: &Look, last_rehearsal: Option<Rehearsal>) -> Undo {
    let Some(run) = &look.run else {
        return Undo {
            ready: true,
            reason: "nothing was started: the source decides everything".to_owned(),
            estimated_ms: Some(0),
            writes_at_risk: 0,
            last_rehearsal: None,
            window_ends: None,
        };
    };
    let engine = look.engine.as_ref();
    let healthy = engine.is_some_and(|e| e.sides[Side::Source.index()].failures == 0);
    let lag = LagFacts {
        source_healthy: healthy || !run.target_decides_something(),
        pending: engine.map_or(run.following.pending, |e| e.undo.writes_at_risk),
        drained_per_s: engine.map_or(0, |e| e.copied_per_second as u64),
    };
    let meter = workflow::undo(run, &lag);
    let window = (run.place() == Place::WarmSource)
        .then(|| rfc3339(run.since_ms + look.plan.warm_window_ms));
    Undo {
        ready: meter.ready,
        reason: meter.reason,
        estimated_ms: meter.estimated_ms,
        writes_at_risk: if run.target_decides_something() { meter.writes_at_risk } else { 0 },
        last_rehearsal,
        window_ends: window,
    }
}

/// The last rehearsal: the workflow's evidence with the report's numbers.
pub(crate) async fn rehearsal(world: &World, look: &Look) -> Option<Rehearsal> {
    let piece = look.run.as_ref()?.evidence.get(&EvidenceKind::Rehearsal)?;
    let report = evidence::report(world, EvidenceKind::Rehearsal).await.unwrap_or_default();
    let pause = |way: &str| report["report"][way]["pause_ms"].as_u64().unwrap_or(0);
    Some(Rehearsal {
        at: rfc3339(piece.at_ms),
        passed: piece.outcome == workflow::EvidenceOutcome::Pass,
        pause_ms: [pause("there"), pause("back")],
        stale: piece.stale.is_some(),
    })
}

pub(crate) fn checks(checks: &[api::Check], running: bool, now: u64) -> ChecksSummary {
    let mut sum = ChecksSummary { running, ..ChecksSummary::default() };
    for check in checks {
        let slot = match check.class {
            _ if check.waived.is_some() => &mut sum.waived,
            api::CheckClass::Pass => &mut sum.pass,
            api::CheckClass::Advice => &mut sum.advice,
            api::CheckClass::Risk => &mut sum.risk,
            api::CheckClass::Blocker => &mut sum.blocker,
            api::CheckClass::NotRun => &mut sum.not_run,
        };
        *slot += 1;
    }
    let ran = checks.first().and_then(|c| c.at.parse::<jiff::Timestamp>().ok());
    let ran = ran.and_then(|t| u64::try_from(t.as_millisecond()).ok());
    sum.age_s = ran.map(|at| now.saturating_sub(at) / 1_000);
    sum
}

pub(crate) fn data(look: &Look) -> DataStatus {
    let Some(engine) = &look.engine else {
        return DataStatus { state: "idle".to_owned(), ..DataStatus::default() };
    };
    let fill = &engine.backfill;
    let done = fill.state == WorkState::Done;
    let percent = match fill.records_total {
        _ if done => 100.0,
        0 => 0.0,
        total => (fill.records_done as f64 * 100.0 / total as f64).min(99.9),
    };
    let state = match fill.state {
        WorkState::Running if engine.stalled.is_some() => "stalled",
        WorkState::Running if engine.throttle.reason != "none" => "throttled",
        WorkState::Idle => "idle",
        WorkState::Running => "running",
        WorkState::Paused => "paused",
        WorkState::Done => "done",
        WorkState::Failed => "failed",
    };
    let datasets = fill.datasets.iter().map(|(name, one)| DatasetProgress {
        name: name.as_str().to_owned(),
        state: match (one.done, one.records_done) {
            (true, _) => "done",
            (false, 0) => "waiting",
            (false, _) => "running",
        }
        .to_owned(),
        records: one.records_done,
        total: one.records_total.max(one.records_done),
        verified: 0,
        failed: 0,
    });
    let totals = &engine.totals;
    DataStatus {
        state: state.to_owned(),
        records: fill.records_done,
        total: fill.records_total,
        percent,
        rate: fill.rate,
        bytes: fill.bytes_total,
        eta: fill.eta_seconds.map(|(low_s, high_s)| EtaRange { low_s, high_s }),
        current: (!fill.note.is_empty()).then(|| fill.note.clone()),
        conflicts: totals.conflicts_overwritten + totals.conflicts_kept + totals.conflicts_failed,
        failed: engine.depth.parked as u64,
        datasets: datasets.collect(),
    }
}

pub(crate) fn divergence(world: &World, look: &Look) -> DivergenceStatus {
    let mut out = DivergenceStatus { verify: "idle".to_owned(), ..DivergenceStatus::default() };
    let Some(engine) = &look.engine else { return out };
    let (mut by_state, mut by_class) = (BTreeMap::new(), BTreeMap::new());
    for ((class, state), count) in &engine.divergences {
        *by_state.entry(state.as_str().to_owned()).or_insert(0) += count;
        match state {
            DivergenceState::Confirmed => out.open += count,
            DivergenceState::Suspected => out.suspected += count,
            _ => continue,
        }
        *by_class.entry(class.as_str().to_owned()).or_insert(0) += count;
    }
    (out.by_state, out.by_class) = (by_state, by_class);
    out.verify = match engine.verify.state {
        WorkState::Idle => "idle",
        WorkState::Running => "running",
        WorkState::Paused => "paused",
        WorkState::Done => "done",
        WorkState::Failed => "failed",
    }
    .to_owned();
    if let Some(last) = &engine.verify.last {
        out.last_verify = Some(rfc3339(last.watermark_ms + last.took_ms));
        let all = last.source_records.max(last.target_records);
        let running = engine.verify.state == WorkState::Running && all > 0;
        out.verify_percent =
            running.then(|| (engine.verify.compared as f64 * 100.0 / all as f64).min(99.9));
    }
    let counts = comparisons(world);
    let all = counts.judged();
    out.consistency_percent = (all > 0).then(|| counts.equal as f64 * 100.0 / all as f64);
    out.compared_reads = all;
    out.reads_not_there_yet = counts.missing;
    out
}

/// Whether a side that is in trouble answers at all, and what is wrong with it. `None` while its
/// work succeeds, and for a target that was not named yet.
fn trouble(world: &World, look: &Look, which: Side) -> Option<(bool, &'static str)> {
    const GONE: (bool, &str) = (false, "does not answer");
    if let Some(engine) = &look.engine {
        let status = &engine.sides[which.index()];
        return (status.failures > 0).then(|| status.trouble.map_or(GONE, named));
    }
    let named = which == Side::Source || world.document.load().target.is_some();
    (named && world.database(which).is_none() && world.error(which).is_some()).then_some(GONE)
}

/// Change of the source's p99, seen through us, since the analyze phase.
fn p99_change(world: &World, look: &Look) -> Option<f64> {
    let run = look.run.as_ref()?;
    let table = world.interlays.table();
    let target = Side::Target.index();
    let only_source =
        table.authority == Authority::whole(Side::Source) && look.rates.side_requests[target] == 0;
    let [_, upstream, _] = world.seen.window.lock().latencies(&look.sum);
    let now = (upstream.value_at_quantile(0.99), upstream.len());
    latency_change(world.baseline().as_ref(), &run.run, now, only_source)
}

/// A server that answers and refuses is not one that is gone: the remedy is another.
const fn named(trouble: Trouble) -> (bool, &'static str) {
    match trouble {
        Trouble::Unreachable => (false, "does not answer"),
        Trouble::Full => (true, "refuses writes: out of memory or disk"),
        Trouble::Denied => (true, "refuses us: wrong credentials or a missing right"),
        Trouble::Rejected => (true, "refuses what it is sent"),
        Trouble::Protocol => (true, "answers what the protocol does not allow"),
        Trouble::Unsupported => (true, "lacks a command that is needed"),
        Trouble::Replaced => (true, "was replaced, or takes no writes"),
    }
}

pub(crate) fn source(world: &World, look: &Look) -> SourceHealth {
    let trouble = |which: Side| trouble(world, look, which);
    let answers = |which: Side| trouble(which).is_none_or(|(answers, _)| answers);
    let says = |which: Side| trouble(which).map(|(_, says)| says.to_owned());
    let engine = look.engine.as_ref();
    let ping = engine.and_then(|e| e.sides[Side::Source.index()].ping_p99_us);
    let throttle = engine.map(|e| &e.throttle);
    let bound = world.document.load().throttle.records_per_s;
    let granted = match (throttle.and_then(|t| t.rate), bound) {
        (None, _) => 100.0,
        (Some(rate), Some(full)) if full > 0 => (rate * 100.0 / f64::from(full)).min(100.0),
        (Some(rate), _) => {
            if rate > 0.0 {
                50.0
            } else {
                0.0
            }
        }
    };
    let minutes = (look.rates.over_ms as f64 / 60_000.0).max(1.0 / 60.0);
    SourceHealth {
        reachable: answers(Side::Source),
        target_reachable: answers(Side::Target),
        source_trouble: says(Side::Source),
        target_trouble: says(Side::Target),
        ping_ms: ping.map(|us| us as f64 / 1_000.0),
        p99_change_percent: p99_change(world, look),
        throttle_percent: granted,
        throttle_reason: throttle
            .filter(|t| t.reason != "none")
            .map(|t| format!("{}: {}", t.reason, t.detail)),
        client_errors_per_min: look.rates.client_errors as f64 / minutes,
        direct_sessions: world.direct(),
    }
}

pub(crate) fn queue(look: &Look) -> QueueStatus {
    let Some(engine) = &look.engine else { return QueueStatus::default() };
    QueueStatus {
        depth: (engine.depth.live + engine.depth.bulk) as u64,
        bulk: engine.depth.bulk as u64,
        in_flight: engine.depth.in_flight as u64,
        oldest_ms: engine.lag_ms,
        parked: engine.depth.parked as u64,
        log: engine.log.as_ref().map(log),
    }
}

fn log(log: &engine::LogStatus) -> LogProgress {
    let kept = [Side::Source, Side::Target].into_iter().filter_map(|which| {
        let kept = log.retained[which.index()]?;
        Some(LogKept { side: which.as_str().to_owned(), bytes: kept.bytes, limit: kept.limit })
    });
    LogProgress {
        behind_bytes: log.head - log.applied,
        transactions: log.transactions,
        changes: log.changes,
        kept: kept.collect(),
    }
}

pub(crate) fn latency(world: &World, look: &Look) -> Vec<SideLatency> {
    let [request, upstream, added] = world.seen.window.lock().latencies(&look.sum);
    let authority = world.interlays.table().authority.default;
    let row = |name: &str, h: &hdrhistogram::Histogram<u64>| SideLatency {
        side: name.to_owned(),
        p50_us: h.value_at_quantile(0.5),
        p99_us: h.value_at_quantile(0.99),
        p999_us: h.value_at_quantile(0.999),
        requests: h.len(),
    };
    vec![row("client", &request), row(authority.as_str(), &upstream), row("added", &added)]
}

pub(crate) fn endpoint(world: &World, which: Side) -> Option<api::Endpoint> {
    let document = world.document.load();
    let section = match which {
        Side::Source => &document.source,
        Side::Target => document.target.as_ref()?,
    };
    let feed = world.engine().map(|e| e.status().sides[which.index()].clone());
    let error = world.error(which).or_else(|| feed.as_ref().and_then(|s| s.last_error.clone()));
    let mut capabilities = BTreeMap::new();
    if let Some(status) = &feed {
        capabilities.insert("feed_open".to_owned(), status.feed == FeedState::Open);
    }
    capabilities.insert("fence".to_owned(), world.can_fence().contains(&which));
    let probe = world.probe(which);
    let can = probe.iter().flat_map(|p| &p.capabilities);
    capabilities.extend(can.map(|c| (c.name.to_owned(), c.present)));
    Some(api::Endpoint {
        migration: world.id.clone(),
        side: side(which),
        family: document.family.clone(),
        address: section.address.clone(),
        tls: tls_name(&tls_mode(section)).to_owned(),
        reachable: world.database(which).is_some() && error.is_none(),
        product: probe.as_ref().map(known::product),
        capabilities,
        memory_used: probe.as_ref().map(|p| p.memory_used),
        memory_max: probe.as_ref().map(|p| p.memory_max),
        last_error: error,
    })
}

pub(crate) fn interlays(world: &World) -> Vec<api::Interlay> {
    let one = |handle: &proxy::InterlayHandle| {
        let (table, stats) = (handle.table(), handle.stats());
        let r = &stats.requests;
        api::Interlay {
            migration: world.id.clone(),
            name: handle.name().to_owned(),
            listen: handle.local_addr().to_string(),
            listening: true,
            draining: false,
            epoch: table.epoch.0,
            authority: side(table.authority.default),
            connections: stats.connections as u64,
            requests: r.reads + r.writes + r.other + r.local,
        }
    };
    world.interlays.handles().iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_server_is_not_called_gone() {
        assert_eq!(named(Trouble::Unreachable), (false, "does not answer"));
        let (answers, says) = named(Trouble::Full);
        assert!(answers && says.contains("out of memory"), "{says}");
    }
}
