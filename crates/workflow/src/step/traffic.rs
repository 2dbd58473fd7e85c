use std::collections::BTreeSet;

use model::{ReadMode, Side, Tenant};

use super::Out;
use crate::action::Refused;
use crate::event::{By, VerbKind};
use crate::needs::command;
use crate::plan::Plan;
use crate::run::RunState;
use crate::verbs::refused;

/// How many points reads may shift up at once without being forced.
const MOST_POINTS_UP: u8 = 25;

/// Chooses how reads are spread until the next step. Taking reads back is never refused.
pub(super) fn set(
    run: &mut RunState,
    by: &By,
    mode: Option<ReadMode>,
    percent: u8,
    forced: bool,
    out: &mut Out,
) -> Result<(), Refused> {
    let no = |why: String| refused(VerbKind::SetTraffic, "EXO-RUN-013", why);
    if percent > 100 {
        return Err(no(format!("{percent} is more than 100 percent")));
    }
    let now_at = share(run.reads_mode, run.reads_percent);
    let up = share(mode, percent).saturating_sub(now_at);
    if up > MOST_POINTS_UP && !forced {
        let mut why = no(format!("{up} points up at once; {MOST_POINTS_UP} is the most"));
        let near = now_at + MOST_POINTS_UP;
        why.instead = vec![command(run, &format!("traffic set --percent {near}"))];
        return Err(why);
    }
    if up > MOST_POINTS_UP && by.reason.trim().is_empty() {
        let why = "forcing a shift needs a reason".to_owned();
        return Err(refused(VerbKind::SetTraffic, "EXO-RUN-009", why));
    }
    if up > 0 && !run.verified {
        return Err(no("the other side is not verified; reads can only be taken back".to_owned()));
    }
    run.reads_mode = mode.filter(|mode| *mode != ReadMode::Percent);
    run.reads_percent = percent;
    out.emit(
        "traffic_set",
        vec![
            ("mode", run.reads_mode.unwrap_or(ReadMode::Percent).to_string()),
            ("reads_percent", percent.to_string()),
            ("by", by.who.clone()),
        ],
    );
    Ok(())
}

/// Percent of the cohorts that a mode lets read from the target.
const fn share(mode: Option<ReadMode>, percent: u8) -> u8 {
    match mode {
        Some(ReadMode::Target | ReadMode::PreferTarget) => 100,
        Some(ReadMode::Source | ReadMode::Compare) => 0,
        Some(ReadMode::Percent) | None => percent,
    }
}

/// Pins or unpins one client.
pub(super) fn pin(
    run: &mut RunState,
    by: &By,
    attribute: &[u8],
    side: Option<Side>,
    out: &mut Out,
) {
    match side {
        Some(side) => run.pins.insert(attribute.to_vec(), side),
        None => run.pins.remove(attribute),
    };
    out.emit(
        "traffic_pinned",
        vec![("side", side.map_or("none", Side::as_str).to_owned()), ("by", by.who.clone())],
    );
}

/// Tenants that move have to be in the plan and with the side they move from.
pub(super) fn known_tenants(
    plan: &Plan,
    run: &RunState,
    verb: VerbKind,
    tenants: &BTreeSet<Tenant>,
    from: Side,
) -> Result<(), Refused> {
    let known = |t: &Tenant| plan.batches.iter().any(|b| b.tenants.contains(t));
    let there = |t: &Tenant| run.authority.of(Some(t)) == from;
    let why = if tenants.is_empty() {
        "no tenant is named".to_owned()
    } else if let Some(t) = tenants.iter().find(|t| !known(t)) {
        format!("{} is not in any batch of the plan", t.as_bytes().escape_ascii())
    } else if let Some(t) = tenants.iter().find(|t| !there(t)) {
        format!("{} is not with the {from}", t.as_bytes().escape_ascii())
    } else {
        return Ok(());
    };
    Err(refused(verb, "EXO-RUN-025", why))
}
