//! `--script all-phases`: the whole journey without a person, checked on the way and at the end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use api::{CompareReport, Side};
use chaos::checkers::Judgement;
use serde_json::Map;

use super::args::{Chaos, Common};
use super::door::Door;
use super::guide::{Guide, STUCK, measured};
use super::harm;
use super::result::{Moved, Page};
use super::say;
use super::scene::{Flow as _, Scene};

/// Plays everything; true if all that was checked holds.
pub(super) fn play<S: Scene>(scene: &mut S, options: &Common) -> Result<bool> {
    let mut page = Page::default();
    let before = scene.before()?;
    let mut guide = Guide::new(scene.home().door.clone());

    say::head("pre_test and analyze");
    guide.reach("tap")?;
    watch(scene, options)?;
    guide.reach("analyze")?;
    redirect(scene)?;
    watch(scene, options)?;

    say::head("compare and test");
    guide.reach("compare")?;
    watch(scene, options)?;
    compared(&scene.home().door, &mut page)?;
    guide.reach("seeding")?;
    rehearsed(&scene.home().door, &mut page)?;

    say::head("migrate");
    harm::kill_node(scene, options, "during the copy")?;
    let began = Instant::now();
    guide.reach("verifying")?;
    page.fact("copied and in step in", say::ms(began.elapsed()));
    scene.by_hand()?;
    harm::kill_target(scene, options)?;
    guide.reach("reads")?;
    let corrupted = harm::corrupt(scene, options)?;
    page.fact("divergences found, repaired", corrupted.to_string());
    harm::kill_node(scene, options, "while reads are shared")?;
    guide.reach("ready_to_cutover")?;
    cut_over(scene, &mut guide, &mut page, "cutover")?;
    watch(scene, options)?;
    if scene.compares_after_cutover() {
        equal_in_between(scene, &mut guide, &mut page, ("cutover", Side::Target))?;
    }
    harm::kill_node(scene, options, "while the target decides")?;

    say::head("rollback");
    roll_back(scene, &mut guide, &mut page)?;
    equal_in_between(scene, &mut guide, &mut page, ("rollback", Side::Source))?;

    say::head("migrate again, commit");
    guide.decide("retry")?;
    guide.reach("ready_to_cutover")?;
    cut_over(scene, &mut guide, &mut page, "second cutover")?;
    watch(scene, options)?;
    guide.reach("warm_source")?;
    watch(scene, options)?;

    say::head("the end");
    finish(scene, options, &mut guide, &mut page)?;
    guide.reach("finalized")?;
    let status = scene.home().door.status()?;
    page.check("authority measured on the target", measured(&status, Side::Target), {
        let by = &status.writes.measured_by;
        format!("{} of {} interlays at epoch {}", by.agreeing, by.of, status.writes.epoch)
    });
    let last = guide.last_event()?;
    guide.decide("cleanup")?;
    cleaned_up(&scene.home().door, last)?;
    let ended = scene.home_mut().node.terminate(Duration::from_secs(20));
    ended.context("the node does not end")?;
    let (clean, told) = scene.residue(&before)?;
    page.check("nothing of ours is left on the servers", clean, told);
    print!("{}", page.render());
    Ok(page.holds())
}

/// Sends the applications through the interlay.
pub(super) fn redirect<S: Scene>(scene: &S) -> Result<()> {
    if !scene.redirect(STUCK)? {
        bail!("EXO-DEM-004: not every client got through the interlay");
    }
    let interlay = scene.home().interlay;
    say::line(format!("applications redirected to the interlay at {interlay}"));
    Ok(())
}

/// Waits until both sides were cleaned up; what could not be is an error.
fn cleaned_up(door: &Door, after: u64) -> Result<()> {
    let told = || {
        let events = door.events_after(after).ok()?;
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
pub(super) fn watch<S: Scene>(scene: &S, options: &Common) -> Result<()> {
    let load = scene.load()?;
    let _earlier = load.take_window();
    let ops = (f64::from(scene.pace()) * options.duration.as_secs_f64()) as u64;
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

fn compared(door: &Door, page: &mut Page) -> Result<()> {
    let report: CompareReport = door.resource("compare")?;
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

fn rehearsed(door: &Door, page: &mut Page) -> Result<()> {
    let rehearsal = door.status()?.undo.last_rehearsal;
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

fn cut_over<S: Scene>(
    scene: &S,
    guide: &mut Guide,
    page: &mut Page,
    name: &'static str,
) -> Result<()> {
    let (load, last) = (scene.load()?, guide.last_event()?);
    let _earlier = load.take_window();
    let began = Instant::now();
    guide.reach("serving_target")?;
    guide.wait("every interlay to serve the target", STUCK, |s| measured(s, Side::Target))?;
    let took = began.elapsed();
    moved(scene, guide, page, (name, took, last))
}

fn roll_back<S: Scene>(scene: &S, guide: &mut Guide, page: &mut Page) -> Result<()> {
    let undo = scene.home().door.status()?.undo;
    say::detail(format!(
        "undo meter: ready {}, estimated {}, writes at risk {}",
        undo.ready,
        undo.estimated_ms.map_or_else(|| "-".to_owned(), |v| format!("{v} ms")),
        undo.writes_at_risk
    ));
    let last = guide.last_event()?;
    let _earlier = scene.load()?.take_window();
    let began = Instant::now();
    guide.act("rollback", Map::new())?;
    guide.wait("the source to serve everything", STUCK, |s| {
        s.phase.step == "rolled_back" && measured(s, Side::Source)
    })?;
    let took = began.elapsed();
    moved(scene, guide, page, ("rollback", took, last))
}

/// Closes the window of a move: some operations must have passed under the new authority.
fn moved<S: Scene>(
    scene: &S,
    guide: &mut Guide,
    page: &mut Page,
    (name, took, last_event): (&'static str, Duration, u64),
) -> Result<()> {
    let load = scene.load()?;
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
fn equal_in_between<S: Scene>(
    scene: &S,
    guide: &mut Guide,
    page: &mut Page,
    (after, authority): (&str, Side),
) -> Result<()> {
    let load = scene.load()?;
    if !load.pause(STUCK) {
        bail!("EXO-DEM-004: some clients do not come to rest");
    }
    drained(guide)?;
    let found = scene.equal(authority)?;
    load.resume();
    say::line(format!("after the {after}: {}", found.summary()));
    page.check(&format!("both sides equal after the {after}"), found.equal, found.told);
    Ok(())
}

fn drained(guide: &mut Guide) -> Result<()> {
    guide.wait("everything to be drained", STUCK, |s| {
        s.queue.depth == 0 && s.queue.in_flight == 0 && s.writes.following == "in_step"
    })?;
    Ok(())
}

/// Stops the load and judges what is left on both sides.
fn finish<S: Scene>(
    scene: &mut S,
    options: &Common,
    guide: &mut Guide,
    page: &mut Page,
) -> Result<()> {
    let (ledger, writes, stats) = scene.stop_load()?;
    say::line(format!("load stopped after {writes} recorded writes"));
    drained(guide)?;
    let status = scene.home().door.status()?;
    let found = scene.equal(Side::Target)?;
    say::line(found.summary());
    let unit = scene.unit();
    page.fact(&format!("{unit} seeded"), scene.seeded().to_string());
    page.fact(&format!("{unit} compared at the end"), found.compared.to_string());
    page.fact(
        "load",
        format!("{:.0} ops/s, {writes} writes in the ledger", stats.ops_per_second()),
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
    page.check("both sides equal at the end", found.equal, found.told);
    page.check("nothing parked", status.queue.parked == 0, "");
    // A killed node breaks connections; without that no client may see an error.
    let harmless = stats.errors.is_empty() || options.harms(&Chaos::KillNode);
    let seen = if stats.errors.is_empty() { String::new() } else { format!("{:?}", stats.errors) };
    page.check("no error seen by a client", harmless, seen);
    scene.more(page)?;
    for side in [Side::Target, Side::Source] {
        let judgement = scene.judge(&ledger, side)?;
        page.check(
            &format!("the load's ledger against the {}", side.as_str()),
            judgement.holds(),
            told(&judgement),
        );
    }
    Ok(())
}

/// In a line while all judges agree, in full when one does not.
fn told(judgement: &Judgement) -> String {
    if judgement.holds() {
        let examined: u64 = judgement.verdicts.iter().map(|v| v.examined).sum();
        return format!("{} judges, {examined} entries examined", judgement.verdicts.len());
    }
    format!("\n{judgement}")
}
