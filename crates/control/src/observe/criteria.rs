//! Samples of the named checks, from counters the data plane and the engine keep.

use std::collections::BTreeMap;

use engine::Status;
use model::Side;
use workflow::{Fact, Plan, RunState, Verdict};

use super::traffic::Window;
use crate::world::World;

/// Requests below which a rate says nothing.
const REQUESTS_MIN: u64 = 20;

/// Takes the samples, and remembers what a change is measured against.
pub(super) struct Judge {
    next_ms: u64,
    /// p99 of the source's round trip when the step began, by step.
    open_before: Option<u64>,
}

impl Judge {
    pub(super) const fn new() -> Self {
        Self { next_ms: 0, open_before: None }
    }

    /// Tells one sample of every check that means something here, when it is time.
    pub(super) async fn sample(
        &mut self,
        world: &World,
        plan: &Plan,
        run: &RunState,
        status: Option<&Status>,
        now: u64,
    ) {
        if now < self.next_ms {
            return;
        }
        let document = world.document.load_full();
        self.next_ms = now + document.telemetry.sample_every.ms().max(100);
        let limits: BTreeMap<_, _> = document
            .rollback
            .criteria
            .iter()
            .filter_map(|(name, spec)| Some((name.as_str(), spec.limit?)))
            .collect();
        let open = status.map(|s| s.verify.open);
        let before = std::mem::replace(&mut self.open_before, open);
        let facts = Facts { world, run, status, now, limits: &limits, open_before: before };
        for check in plan.criteria.iter().filter(|c| c.judged_in(run.place())) {
            let Some((verdict, numbers)) = facts.judge(&check.name) else { continue };
            let name = check.name.clone();
            world.report(Fact::CriterionSample { name, verdict, numbers }).await;
        }
    }
}

struct Facts<'a> {
    world: &'a World,
    run: &'a RunState,
    status: Option<&'a Status>,
    now: u64,
    limits: &'a BTreeMap<&'a str, u64>,
    open_before: Option<u64>,
}

fn verdict(passes: bool) -> Verdict {
    if passes { Verdict::Pass } else { Verdict::Fail }
}

impl Facts<'_> {
    fn limit(&self, name: &str, default: u64) -> u64 {
        self.limits.get(name).copied().unwrap_or(default)
    }

    fn judge(&self, name: &str) -> Option<(Verdict, String)> {
        Some(match name {
            "target_error_rate" => self.error_rate(),
            "target_p99" => self.p99(),
            "divergence_growth" => self.divergence(),
            "observability" => self.observability(),
            "target_healthy" => self.healthy(),
            "nothing_parked" => self.parked(),
            "oldest_pending_age" => self.pending(),
            "authority_measured" => self.measured(),
            // Vetoes and smoke tests speak for themselves.
            _ => return None,
        })
    }

    fn error_rate(&self) -> (Verdict, String) {
        let now = Window::now(&self.world.interlays);
        let rates = self.world.seen.window.lock().rates(&now, self.now);
        let target = Side::Target.index();
        let (requests, errors) = (rates.side_requests[target], rates.side_errors[target]);
        if requests < REQUESTS_MIN {
            return (Verdict::NoData, format!("{requests} requests answered by the target"));
        }
        let (source_requests, source_errors) = (rates.side_requests[0], rates.side_errors[0]);
        let rate = |errors: u64, of: u64| errors as f64 * 100.0 / of.max(1) as f64;
        let (here, there) = (rate(errors, requests), rate(source_errors, source_requests));
        let limit = self.limit("target_error_rate", 1) as f64;
        let numbers = format!("target {here:.2} %, source {there:.2} %, limit +{limit} points");
        (verdict(here <= there + limit), numbers)
    }

    fn p99(&self) -> (Verdict, String) {
        let Some(status) = self.status else { return no_engine() };
        let [source, target] = [0, 1].map(|i: usize| status.sides[i].ping_p99_us);
        let (Some(source), Some(target)) = (source, target) else {
            return (Verdict::NoData, "no round trips measured yet".to_owned());
        };
        // Below a millisecond a ratio is noise.
        let limit = self.limit("target_p99", 200);
        let bound = (source.max(1_000)).saturating_mul(100 + limit) / 100;
        let numbers = format!("target p99 {target} us, source p99 {source} us, limit +{limit} %");
        (verdict(target <= bound), numbers)
    }

    fn divergence(&self) -> (Verdict, String) {
        let Some(status) = self.status else { return no_engine() };
        let open = status.verify.open;
        let Some(before) = self.open_before else {
            return (Verdict::NoData, "first look".to_owned());
        };
        let allowed = before + self.limit("divergence_growth", 0);
        (verdict(open <= allowed), format!("{open} open differences, {before} before"))
    }

    fn observability(&self) -> (Verdict, String) {
        let lost = self.world.document.load().telemetry.lost_after.ms();
        let lost = self.limits.get("observability").map_or(lost, |s| s * 1_000);
        match self.world.seen.observer_ms() {
            0 => (Verdict::NoData, "nobody has looked since the start".to_owned()),
            at => {
                let age = self.now.saturating_sub(at);
                (verdict(age <= lost), format!("last look {} s ago", age / 1_000))
            }
        }
    }

    fn healthy(&self) -> (Verdict, String) {
        let Some(status) = self.status else { return no_engine() };
        let target = &status.sides[Side::Target.index()];
        match &target.last_error {
            Some(error) if target.failures > 0 => (Verdict::Fail, error.clone()),
            _ if target.ping_p99_us.is_none() => (Verdict::NoData, "not measured yet".to_owned()),
            _ => (Verdict::Pass, "the target answers".to_owned()),
        }
    }

    fn parked(&self) -> (Verdict, String) {
        let Some(status) = self.status else { return no_engine() };
        let parked = status.depth.parked;
        (verdict(parked == 0), format!("{parked} records parked"))
    }

    fn pending(&self) -> (Verdict, String) {
        let Some(status) = self.status else { return no_engine() };
        let limit = self.limit("oldest_pending_age", 5_000);
        let lag = status.lag_ms;
        (verdict(lag <= limit), format!("oldest change {lag} ms, limit {limit} ms"))
    }

    fn measured(&self) -> (Verdict, String) {
        let handles = self.world.interlays.handles();
        let agree = handles.iter().filter(|h| {
            let table = h.table();
            table.authority == self.run.authority && table.epoch >= self.run.epoch
        });
        let (agree, all) = (agree.count(), handles.len());
        let numbers = format!("{agree} of {all} interlays at epoch {}", self.run.epoch);
        (verdict(agree == all && all > 0), numbers)
    }
}

fn no_engine() -> (Verdict, String) {
    (Verdict::NoData, "the engine is not running".to_owned())
}
