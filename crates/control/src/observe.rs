//! Tells the run what its workers, the feeds and the traffic do.

mod baseline;
mod compared;
mod criteria;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::{FeedState, Status, VerifyScope, WorkState};
use model::Side;
use serde_json::json;
use workflow::{EvidenceKind, EvidenceOutcome, Fact, Place, Plan, RunState, Worker};

use crate::act::worker_of;
use crate::evidence;
use crate::world::World;

pub(crate) use baseline::{Baseline, change as latency_change, load as baseline};
use compared::Comparing;
pub(crate) use compared::Counts;
pub(crate) use traffic::{Rates, Sum, Window};

/// How often the engine is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often an unchanged lag is told all the same.
const LAG_AGAIN_MS: u64 = 1_000;

/// When somebody last looked, and what traffic did lately.
#[derive(Default)]
pub(crate) struct Seen {
    observer_ms: AtomicU64,
    pub(crate) window: parking_lot::Mutex<Window>,
}

impl Seen {
    /// A scrape, a subscriber or a status request was here.
    pub(crate) fn observer(&self, now_ms: u64) {
        self.observer_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn observer_ms(&self) -> u64 {
        self.observer_ms.load(Ordering::Relaxed)
    }
}

/// What was told last, so that news can be told from repetition.
#[derive(Default)]
struct Told {
    in_step: Option<(bool, u64)>,
    lag_at_ms: u64,
    verified: Option<String>,
    first_verified: bool,
    feed_open: [bool; 2],
    failed: Option<String>,
    comparing: Comparing,
    profiled: bool,
    baseline_next_ms: u64,
}

/// Looks until the world stops.
pub(crate) async fn run(world: Arc<World>) {
    let mut told = Told { first_verified: true, ..Told::default() };
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut criteria = criteria::Judge::new();
    loop {
        ticks.tick().await;
        let now = world.clock.now_ms();
        world.seen.window.lock().look(&world.interlays, now);
        let Some(snapshot) = world.snapshot() else { continue };
        let Some(run) = &snapshot.run else { continue };
        let status = world.engine().map(|e| e.status());
        if let Some(status) = &status {
            lag(&world, run, status, &mut told, now).await;
            backfill(&world, run, status, &mut told).await;
            verified(&world, run, status, &mut told).await;
            aged(&world, &snapshot.plan, run, now).await;
            feeds(&world, run, status, &mut told).await;
        }
        crate::ignored::expire(&world, now).await;
        if run.place() == Place::Compare {
            compare_evidence(&world, run, &mut told).await;
        }
        if run.place() == Place::Analyze {
            profiled(&world, run, &mut told).await;
            baseline::take(&world, &run.run, &mut told.baseline_next_ms, now).await;
        } else {
            told.profiled = false;
        }
        criteria.sample(&world, &snapshot.plan, run, status.as_ref(), now).await;
    }
}

async fn lag(world: &World, run: &RunState, status: &Status, told: &mut Told, now: u64) {
    let in_step = status.in_step.follows();
    let pending = (status.depth.live + status.depth.bulk) as u64;
    // A barrier that waits for the other side hears of it at once.
    let same = run.saga.is_none()
        && told.in_step == Some((in_step, pending))
        && run.following.in_step == in_step;
    if same && now < told.lag_at_ms + LAG_AGAIN_MS {
        return;
    }
    told.in_step = Some((in_step, pending));
    told.lag_at_ms = now;
    world.report(Fact::InStep { in_step, lag_ms: status.lag_ms, pending }).await;
}

async fn backfill(world: &World, run: &RunState, status: &Status, told: &mut Told) {
    if run.place() != Place::Seeding {
        told.failed = None;
        return;
    }
    match status.backfill.state {
        WorkState::Done if !run.backfilled => world.report(Fact::BackfillDone).await,
        WorkState::Failed if told.failed.as_ref() != Some(&status.backfill.note) => {
            told.failed = Some(status.backfill.note.clone());
            let why = status.backfill.note.clone();
            let code = code_in(&why).unwrap_or("EXO-ENG-002").to_owned();
            world.report(Fact::WorkerFailed { worker: "backfill".to_owned(), code, why }).await;
        }
        WorkState::Failed => {}
        _ => told.failed = None,
    }
}

/// The code that a message begins with, if it does.
fn code_in(text: &str) -> Option<&str> {
    let code = text.get(..11)?;
    (code.starts_with("EXO-") && code[8..].parse::<u16>().is_ok()).then_some(code)
}

async fn verified(world: &World, run: &RunState, status: &Status, told: &mut Told) {
    let verify = &status.verify;
    if let Some(why) = &verify.required
        && run.evidence.get(&EvidenceKind::Verify).is_some_and(workflow::Evidence::holds)
    {
        tracing::info!(migration = world.id, why, "the last verification no longer counts");
        world.report(Fact::Unverified { why: why.clone() }).await;
    }
    let Some(last) = verify.last.as_ref().filter(|l| l.finished) else {
        told.first_verified = false;
        return;
    };
    let report = json!({
        "summary": format!("{} records compared, {} open differences", last.compared, last.open),
        "compared": last.compared, "open": last.open, "unsettled": last.unsettled,
        "source_records": last.source_records, "target_records": last.target_records,
        "scope": last.scope, "watermark_ms": last.watermark_ms, "took_ms": last.took_ms,
    });
    let text = report.to_string();
    // What a former process found was told by it.
    let known = told.verified.replace(text.clone());
    let first = std::mem::replace(&mut told.first_verified, false) && verify.last_age_ms.is_none();
    if known.as_ref() == Some(&text) || first || last.scope == "suspects" {
        return;
    }
    let outcome = if last.clean { EvidenceOutcome::Pass } else { EvidenceOutcome::Fail };
    let digest = evidence::keep(world, EvidenceKind::Verify, outcome, &report).await;
    world.report(Fact::VerifyDone { digest, clean: last.clean, open: last.open }).await;
}

/// Writes go on after a verification: it is renewed at half of the time for which changes may
/// stay uncompared, and counts no longer after all of it.
async fn aged(world: &World, plan: &Plan, run: &RunState, now: u64) {
    let Some(evidence) = run.evidence.get(&EvidenceKind::Verify).filter(|e| e.holds()) else {
        return;
    };
    let age = now.saturating_sub(evidence.at_ms);
    match age_of(age, plan.verify_dirty_max_ms) {
        Age::Young => {}
        Age::Renew => {
            let idle = |e: &engine::Engine| e.status().verify.state != WorkState::Running;
            if let Some(engine) = world.engine().filter(|e| idle(e))
                && world.workers.wants(Worker::Verify)
                && let Err(error) = engine.start_verify(VerifyScope::All)
            {
                tracing::warn!(migration = world.id, %error, "the verification is not renewed");
            }
        }
        Age::Over => {
            let minutes = age / 60_000;
            let why = format!("what was written in the last {minutes} min was never compared");
            world.report(Fact::Unverified { why }).await;
        }
    }
}

/// How old a verification is, against the time for which changes may stay uncompared.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    Young,
    Renew,
    Over,
}

const fn age_of(age_ms: u64, bound_ms: u64) -> Age {
    match age_ms {
        _ if age_ms > bound_ms => Age::Over,
        _ if age_ms > bound_ms / 2 => Age::Renew,
        _ => Age::Young,
    }
}

async fn feeds(world: &World, run: &RunState, status: &Status, told: &mut Told) {
    for side in [Side::Source, Side::Target] {
        let open = status.sides[side.index()].feed == FeedState::Open;
        let was = std::mem::replace(&mut told.feed_open[side.index()], open);
        let lost = run.feeds_lost.contains(&side);
        if open && lost {
            world.report(Fact::FeedRestored { side }).await;
        } else if was && !open && !lost && world.workers.wants(worker_of(side)) {
            world.report(Fact::FeedLost { side }).await;
        }
    }
}

/// Comparisons of all listeners since this process began.
pub(crate) fn comparisons(world: &World) -> Counts {
    let mut sum = Counts::default();
    for handle in world.interlays.handles() {
        let counts = handle.stats().compare;
        sum.equal += counts.equal;
        sum.different += counts.different;
        sum.errors += counts.secondary_errors;
        sum.missing += counts.missing;
        sum.skipped += counts.skipped;
    }
    sum
}

/// Evidence of the compare phase: see [`Comparing`].
async fn compare_evidence(world: &World, run: &RunState, told: &mut Told) {
    let limit = world.document.load().compare.different_max_percent;
    let Some(judged) = told.comparing.judge(run.since_ms, comparisons(world), limit) else {
        return;
    };
    let (kind, counts) = (EvidenceKind::Compare, judged.counts);
    let report = json!({
        "summary": counts.proves(),
        "equal": counts.equal, "different": counts.different, "target_errors": counts.errors,
        "not_there_yet": counts.missing, "skipped": counts.skipped,
        "different_max_percent": limit,
    });
    let digest = evidence::keep(world, kind, judged.outcome, &report).await;
    world.report(Fact::EvidenceAdded { kind, digest, outcome: judged.outcome }).await;
}

/// Evidence of the analyze phase: one cycle was watched and nothing new is seen any more.
async fn profiled(world: &World, run: &RunState, told: &mut Told) {
    let cycle = world.document.load().analysis.cycle;
    if told.profiled || run.now_ms.saturating_sub(run.since_ms) < cycle.ms() {
        return;
    }
    let profiles: Vec<_> = world.interlays.handles().iter().map(|h| h.profile()).collect();
    let fresh: usize = profiles.iter().map(|p| p.fingerprints_last_minute).sum();
    let all: usize = profiles.iter().map(|p| p.fingerprints).sum();
    let requests: u64 = profiles.iter().flat_map(|p| &p.classes).map(|c| c.count).sum();
    // A cycle shorter than a minute cannot tell old shapes from new ones.
    let settled = cycle.ms() < 60_000 || fresh * 20 <= all;
    if requests == 0 || !settled {
        return;
    }
    told.profiled = true;
    let kind = EvidenceKind::Profile;
    let report = json!({
        "summary": format!("{requests} requests of {all} shapes, {fresh} new in the last minute"),
        "requests": requests, "shapes": all, "new_last_minute": fresh,
    });
    let outcome = EvidenceOutcome::Pass;
    let digest = evidence::keep(world, kind, outcome, &report).await;
    world.report(Fact::EvidenceAdded { kind, digest, outcome }).await;
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_found_at_the_front() {
        assert_eq!(super::code_in("EXO-ENG-002: no"), Some("EXO-ENG-002"));
        assert_eq!(super::code_in("no EXO-ENG-002"), None);
        assert_eq!(super::code_in("EXO"), None);
    }
}
