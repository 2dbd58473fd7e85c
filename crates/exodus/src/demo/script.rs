//! `--script all-phases`: the whole journey without a person, checked on the way and at the end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use api::{CompareReport, Side};
use chaos::checkers;
use chaos::dataset;
use chaos::equality::{self, Options as Equality};
use serde_json::Map;

use super::args::{Chaos, Options};
use super::guide::{Guide, STUCK, measured};
use super::harm;
use super::residue::{Accounts, Residue};
use super::result::{Moved, Page};
use super::say;
use super::stage::Stage;

/// Plays everything; true if all that was checked holds.
pub(super) fn play(stage: &mut Stage, options: &Options) -> Result<bool> {
    let mut page = Page::default();
    let before = Accounts::of(stage)?;
    let mut guide = Guide::new(stage.door.clone());

    say::head("pre_test and analyze");
    guide.reach("tap")?;
    watch(stage, options)?;
    guide.reach("analyze")?;
    let through = stage.application();
    if !stage.load()?.redirect(through, STUCK) {
        bail!("EXO-DEM-004: not every client got through the interlay");
    }
    say::line(format!("applications redirected to the interlay at {}", stage.interlay));
    watch(stage, options)?;

    say::head("compare and test");
    guide.reach("compare")?;
    watch(stage, options)?;
    compared(stage, &mut page)?;
    guide.reach("seeding")?;
    rehearsed(stage, &mut page)?;

    say::head("migrate");
    harm::kill_node(stage, options, "during the copy")?;
    let began = Instant::now();
    guide.reach("verifying")?;
    page.fact("copied and in step in", say::ms(began.elapsed()));
    harm::kill_target(stage, options)?;
    guide.reach("reads")?;
    let corrupted = harm::corrupt(stage, options)?;
    page.fact("divergences found, repaired", corrupted.to_string());
    harm::kill_node(stage, options, "while reads are shared")?;
    guide.reach("ready_to_cutover")?;
    cut_over(stage, &mut guide, &mut page, "cutover")?;
    watch(stage, options)?;
    harm::kill_node(stage, options, "while the target decides")?;

    say::head("rollback");
    roll_back(stage, &mut guide, &mut page)?;
    equal_in_between(stage, &mut guide, &mut page)?;

    say::head("migrate again, commit");
    guide.decide("retry")?;
    guide.reach("ready_to_cutover")?;
    cut_over(stage, &mut guide, &mut page, "second cutover")?;
    watch(stage, options)?;
    guide.reach("warm_source")?;
    watch(stage, options)?;

    say::head("the end");
    finish(stage, options, &mut guide, &mut page)?;
    guide.reach("finalized")?;
    let status = stage.door.status()?;
    page.check("authority measured on the target", measured(&status, Side::Target), {
        let by = &status.writes.measured_by;
        format!("{} of {} interlays at epoch {}", by.agreeing, by.of, status.writes.epoch)
    });
    let last = guide.last_event()?;
    guide.decide("cleanup")?;
    cleaned_up(stage, last)?;
    stage.node.terminate(Duration::from_secs(20)).context("the node does not end")?;
    let after = Residue::of(stage)?;
    page.check("nothing of ours is left on the servers", after.same(&before), after.told(&before));
    print!("{}", page.render());
    Ok(page.holds())
}

/// Waits until both sides were cleaned up; what could not be is an error.
fn cleaned_up(stage: &Stage, after: u64) -> Result<()> {
    let told = || {
        let events = stage.door.events_after(after).ok()?;
        let told: Vec<_> = events.into_iter().filter(|e| e.kind == "cleaned_up").collect();
        (told.len() == 2).then_some(told)
    };
    let told = chaos::wait::value(STUCK, told).context("EXO-DEM-004: the cleanup does not end")?;
    match told.iter().find(|e| e.payload.to_string().contains("\"error\"")) {
        Some(failed) => bail!("EXO-DEM-004: the cleanup failed: {}", failed.message),
        None => Ok(()),
    }
}

/// Lets the load run for a while and shows how it fares.
pub(super) fn watch(stage: &Stage, options: &Options) -> Result<()> {
    let load = stage.load()?;
    let _earlier = load.take_window();
    let ops = (f64::from(options.rate) * options.duration.as_secs_f64()) as u64;
    if !load.wait_ops(ops.max(100), STUCK) {
        bail!("EXO-DEM-004: the load stands still: {:?}", load.stats().errors);
    }
    let seen = load.take_window();
    say::detail(format!(
        "{:.0} ops/s, reads p99 {}, writes p99 {}, errors {}",
        seen.ops_per_second(),
        say::ms(seen.read_latency(0.99)),
        say::ms(seen.write_latency(0.99)),
        seen.no + seen.unknown
    ));
    Ok(())
}

fn compared(stage: &Stage, page: &mut Page) -> Result<()> {
    let report: CompareReport = stage.door.resource("compare")?;
    say::detail(format!(
        "{} reads asked of both: {} equal, {} different, {} of records not there yet, {} skipped",
        report.compared + report.not_there_yet,
        report.equal,
        report.different,
        report.not_there_yet,
        report.skipped
    ));
    page.check("no compared read differs before the copy", report.different == 0, report.proves);
    Ok(())
}

fn rehearsed(stage: &Stage, page: &mut Page) -> Result<()> {
    let rehearsal = stage.door.status()?.undo.last_rehearsal;
    page.check(
        "rollback rehearsed through the real barrier",
        rehearsal.as_ref().is_some_and(|r| r.passed && !r.stale),
        rehearsal.map_or_else(
            || "no rehearsal".to_owned(),
            |r| format!("there {} ms, back {} ms", r.pause_ms[0], r.pause_ms[1]),
        ),
    );
    Ok(())
}

fn cut_over(stage: &Stage, guide: &mut Guide, page: &mut Page, name: &'static str) -> Result<()> {
    let (load, last) = (stage.load()?, guide.last_event()?);
    let _earlier = load.take_window();
    let began = Instant::now();
    guide.reach("serving_target")?;
    guide.wait("every interlay to serve the target", STUCK, |s| measured(s, Side::Target))?;
    let took = began.elapsed();
    moved(stage, guide, page, (name, took, last))
}

fn roll_back(stage: &Stage, guide: &mut Guide, page: &mut Page) -> Result<()> {
    let undo = stage.door.status()?.undo;
    say::detail(format!(
        "undo meter: ready {}, estimated {}, writes at risk {}",
        undo.ready,
        undo.estimated_ms.map_or_else(|| "-".to_owned(), |v| format!("{v} ms")),
        undo.writes_at_risk
    ));
    let last = guide.last_event()?;
    let _earlier = stage.load()?.take_window();
    let began = Instant::now();
    guide.act("rollback", Map::new())?;
    guide.wait("the source to serve everything", STUCK, |s| {
        s.phase.step == "rolled_back" && measured(s, Side::Source)
    })?;
    let took = began.elapsed();
    moved(stage, guide, page, ("rollback", took, last))
}

/// Closes the window of a move: some operations must have passed under the new authority.
fn moved(
    stage: &Stage,
    guide: &mut Guide,
    page: &mut Page,
    (name, took, last_event): (&'static str, Duration, u64),
) -> Result<()> {
    let load = stage.load()?;
    if !load.wait_ops(200, STUCK) {
        bail!("EXO-DEM-004: after the {name} clients do not get through");
    }
    let seen = load.take_window();
    let (reported_ms, attempts) = guide.flips_after(last_event)?;
    say::line(format!(
        "{name} in {}: slowest write {}, no write for {}, reported {}, {attempts} attempt(s)",
        say::ms(took),
        say::ms(seen.write_latency_max()),
        say::ms(seen.write_gap_max),
        reported_ms.map_or_else(|| "-".to_owned(), |v| format!("{v} ms")),
    ));
    page.moved(Moved {
        name,
        took,
        write_max: seen.write_latency_max(),
        gap: seen.write_gap_max,
        reported_ms,
        attempts,
    });
    Ok(())
}

/// The load rests, everything drains, both sides have to be equal; then the load goes on.
fn equal_in_between(stage: &Stage, guide: &mut Guide, page: &mut Page) -> Result<()> {
    let load = stage.load()?;
    if !load.pause(STUCK) {
        bail!("EXO-DEM-004: some clients do not come to rest");
    }
    drained(guide)?;
    let report =
        equality::compare(&stage.source.admin(), &stage.target.admin(), &Equality::default())?;
    load.resume();
    say::line(format!("after the rollback: {}", report.to_string().lines().next().unwrap_or("")));
    page.check("both sides equal after the rollback", report.equal(), report.to_string());
    Ok(())
}

fn drained(guide: &mut Guide) -> Result<()> {
    guide.wait("everything to be drained", STUCK, |s| {
        s.queue.depth == 0 && s.queue.in_flight == 0 && s.writes.following == "in_step"
    })?;
    Ok(())
}

/// Stops the load and judges what is left on both sides.
fn finish(stage: &mut Stage, options: &Options, guide: &mut Guide, page: &mut Page) -> Result<()> {
    let load = stage.load.take().context("the load has already been stopped")?;
    let (ledger, stats) = load.stop();
    say::line(format!("load stopped after {} recorded writes", ledger.records.len()));
    drained(guide)?;
    let status = stage.door.status()?;
    let (source, target) = (stage.source.admin(), stage.target.admin());
    let report = equality::compare(&source, &target, &Equality::default())?;
    say::line(report.to_string().lines().next().unwrap_or(""));
    page.fact("keys seeded", stage.seeded_keys.to_string());
    page.fact("keys compared at the end", report.compared.to_string());
    page.fact(
        "load",
        format!(
            "{:.0} ops/s, {} writes in the ledger",
            stats.ops_per_second(),
            ledger.records.len()
        ),
    );
    page.fact(
        "latency over all phases",
        format!(
            "reads p50 {} p99 {}, writes p50 {} p99 {}",
            say::ms(stats.read_latency(0.5)),
            say::ms(stats.read_latency(0.99)),
            say::ms(stats.write_latency(0.5)),
            say::ms(stats.write_latency(0.99))
        ),
    );
    page.fact("reads behind another client", stats.stale_reads.to_string());
    page.fact(
        "messages",
        format!("{} published, {} received by 2", stats.published, stats.received),
    );
    page.fact(
        "divergence open, parked",
        format!("{}, {}", status.divergence.open, status.queue.parked),
    );
    page.check("both sides equal at the end", report.equal(), report.to_string());
    page.check("nothing parked", status.queue.parked == 0, "");
    // A killed node breaks connections; without that no client may see an error.
    let harmless = stats.errors.is_empty() || options.harms(&Chaos::KillNode);
    let seen = if stats.errors.is_empty() { String::new() } else { format!("{:?}", stats.errors) };
    page.check("no error seen by a client", harmless, seen);
    let seeded = dataset::verify(&stage.dataset, &target, 5_000)?;
    let seeded: Vec<String> = seeded.into_iter().take(5).collect();
    page.check("seeded keys are as seeded", seeded.is_empty(), seeded.join("\n"));
    for (side, address) in [("target", &target), ("source", &source)] {
        let judgement = checkers::judge(&ledger, address)?;
        page.check(
            &format!("the load's ledger against the {side}"),
            judgement.holds(),
            told(&judgement),
        );
    }
    Ok(())
}

/// In a line while all judges agree, in full when one does not.
fn told(judgement: &checkers::Judgement) -> String {
    if judgement.holds() {
        let examined: u64 = judgement.verdicts.iter().map(|v| v.examined).sum();
        return format!("{} judges, {examined} entries examined", judgement.verdicts.len());
    }
    format!("\n{judgement}")
}
