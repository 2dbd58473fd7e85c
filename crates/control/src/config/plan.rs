//! What a document asks of a run.

use std::collections::{BTreeMap, BTreeSet};

use model::Tenant;
use workflow::{
    Criterion, EvidenceKind, GateSpec, JudgedAt, OnStepFailure, Place, Plan, TenantBatch, Window,
};

use crate::config::document::{CriterionSpec, Document, GateSection};

/// The plan of a document. What servers can do (fences) is added when it is known.
#[must_use]
pub fn plan(document: &Document) -> Plan {
    let strategy = &document.strategy;
    let mut plan = Plan::new(document.environment.0, strategy.kind.0);
    plan.canary_steps.clone_from(&strategy.steps);
    if let Some(soak) = strategy.soak {
        plan.soak_ms = soak.ms();
    }
    plan.auto_advance = strategy.auto_advance;
    plan.batches = batches(document);
    plan.pins =
        strategy.pins.iter().map(|pin| (pin.attribute.clone().into_bytes(), pin.side.0)).collect();
    plan.policy_before = document.write.before.0;
    plan.policy_after = document.write.after.0;
    plan.target_timeout_ms = clamp(document.write.target_timeout.ms());
    plan.lag_ms_max = document.write.read_lag_max.map(|s| clamp(s.ms()));
    plan.sample_per_myriad = (document.compare.sample_percent * 100.0).round() as u16;
    plan.capture_in_compare = document.compare.seed;
    plan.verify_dirty_max_ms = document.verify.dirty_max.ms();
    let age = document.verify.max_age.ms();
    plan.evidence_max_age_ms.insert(EvidenceKind::Verify, age);
    for (gate, section) in &document.gates {
        match section.roles.is_empty() {
            true => plan.gates.remove(&gate.0),
            false => plan.gates.insert(gate.0, gate_spec(section)),
        };
    }
    phases(document, &mut plan);
    budgets(document, &mut plan);
    criteria(&document.rollback.criteria, &mut plan.criteria);
    plan
}

fn clamp(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

fn batches(document: &Document) -> Vec<TenantBatch> {
    let batches = document.strategy.tenants.iter().flat_map(|t| &t.batches);
    batches
        .map(|batch| TenantBatch {
            name: batch.name.clone(),
            tenants: batch.tenants.iter().map(|t| Tenant::new(t.as_bytes())).collect(),
        })
        .collect()
}

fn gate_spec(section: &GateSection) -> GateSpec {
    GateSpec {
        roles: section.roles.iter().map(|r| r.0).collect(),
        quorum: section.quorum,
        expiry_ms: Some(section.expiry.ms()),
        distinct_people: section.distinct_people,
        requester_may_approve: section.requester_may_approve,
    }
}

fn phases(document: &Document, plan: &mut Plan) {
    for (place, phase) in &document.phases {
        if let Some(least) = phase.min_duration {
            plan.min_duration_ms.insert(place.0, least.ms());
        }
        if let Some(requires) = &phase.requires {
            let kinds: BTreeSet<_> = requires.iter().map(|k| k.0).collect();
            plan.requires.insert(place.0, kinds);
        }
        let windows: Vec<_> = phase.windows.iter().filter_map(|w| window(w).ok()).collect();
        if !windows.is_empty() {
            plan.windows.insert(place.0, windows);
        }
    }
    // Whatever else a document leaves out: both sides are reached and are different systems.
    let connected = plan.requires.entry(Place::Analyze).or_default();
    connected.insert(EvidenceKind::PreflightConnectTarget);
}

fn budgets(document: &Document, plan: &mut Plan) {
    let rollback = &document.rollback;
    plan.pause_budget_ms = rollback.pause_budget.ms();
    plan.rollback_budget_ms = rollback.rollback_budget.ms();
    plan.txn_deadline_ms = rollback.txn_deadline.ms();
    if let Some(window) = rollback.warm_window {
        plan.warm_window_ms = window.ms();
    }
    plan.on_step_failure = match (rollback.allow_partial, rollback.step_retries) {
        (true, _) => OnStepFailure::AllowPartial,
        (false, Some(times)) => OnStepFailure::Retry { times, backoff_ms: 1_000 },
        (false, None) => OnStepFailure::RollbackAll,
    };
}

/// Criteria judged before the commit only; every other name is judged while shifting.
const COMMIT: [&str; 4] =
    ["target_healthy", "nothing_parked", "oldest_pending_age", "authority_measured"];

fn criteria(specs: &BTreeMap<String, CriterionSpec>, list: &mut Vec<Criterion>) {
    for (name, spec) in specs {
        let at = if COMMIT.contains(&name.as_str()) { JudgedAt::Commit } else { JudgedAt::Shift };
        let criterion = Criterion {
            name: name.clone(),
            at,
            fail_after: spec.fail_after,
            fail_window: spec.fail_window,
            pass_after: spec.pass_after,
            on_failure: spec.on_failure.map(|w| w.0),
            enforce: spec.enforce,
        };
        list.retain(|c| c.name != *name);
        list.push(criterion);
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `mon-fri 09:00-17:00`, `sun 22:00-02:00` or `daily 01:00-03:00`, in UTC.
pub(super) fn window(text: &str) -> Result<Window, String> {
    let wrong = || format!("`{text}` is not a window; write for example `mon-fri 09:00-17:00`");
    let (days, hours) = text.split_once(' ').ok_or_else(wrong)?;
    let day = |name: &str| DAYS.iter().position(|d| *d == name).ok_or_else(wrong);
    let days = match days.split_once('-') {
        _ if days == "daily" => 0x7F,
        Some((first, last)) => {
            let (first, last) = (day(first)?, day(last)?);
            (0..7)
                .filter(|n| (n + 7 - first) % 7 <= (last + 7 - first) % 7)
                .fold(0, |b, n| b | 1 << n)
        }
        None => 1 << day(days)?,
    };
    let minute = |clock: &str| -> Result<u16, String> {
        let (h, m) = clock.split_once(':').ok_or_else(wrong)?;
        let (h, m): (u16, u16) = (h.parse().map_err(|_| wrong())?, m.parse().map_err(|_| wrong())?);
        if h < 24 && m < 60 { Ok(h * 60 + m) } else { Err(wrong()) }
    };
    let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (minute(from)?, minute(to)?);
    let minutes = if to > from { to - from } else { 1_440 - from + to };
    Ok(Window { days, from_minute: from, minutes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_document_lets_a_target_in_that_was_not_checked() {
        let text = "migration: m\nfamily: fake\nenvironment: dev\nsource: {address: a:1}\n\
                    target: {address: b:1}\ninterlay:\n  - listen: 127.0.0.1:1\n\
                    phases:\n  analyze: {requires: []}\n";
        let plan = plan(&crate::config::parse(text).unwrap());
        assert!(plan.requires[&Place::Analyze].contains(&EvidenceKind::PreflightConnectTarget));
    }

    #[test]
    fn windows_are_read() {
        let check = |text: &str, days: u8, from: u16, minutes: u16| {
            let got = window(text).unwrap();
            assert_eq!((got.days, got.from_minute, got.minutes), (days, from, minutes), "{text}");
        };
        check("mon-fri 09:00-17:00", 0b001_1111, 540, 480);
        check("sun 22:00-02:00", 0b100_0000, 1_320, 240);
        check("sat-mon 00:00-00:00", 0b110_0001, 0, 1_440);
        check("daily 01:00-03:30", 0x7F, 60, 150);
        for wrong in ["", "mon", "mon 9-17", "mon 09:00", "monday 09:00-10:00", "mon 25:00-26:00"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
