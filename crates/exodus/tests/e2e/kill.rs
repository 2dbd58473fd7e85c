//! SIGKILL at persisted steps: of the node, right before and right after what it makes durable,
//! and of the databases while it does.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos::rng::Rng;

use exodus::demo::args::Options;

use crate::journey::{Journey, Victim, long, options, seed};
use crate::points::{self, Moment};
use crate::way::Way;

/// The way from analyze to the place from where authority may move.
const COPY: &[(Moment, &str)] = &[
    (Moment::After, "run:seeding"),
    (Moment::Before, "frontier:on_the_way"),
    (Moment::After, "frontier:on_the_way"),
    (Moment::Before, "frontier:done"),
    (Moment::After, "frontier:done"),
    (Moment::Before, "run:verifying"),
    (Moment::After, "put:verified"),
];

/// A cutover, up to the commit that cannot be undone.
const CUTOVER: &[(Moment, &str)] = &[
    (Moment::After, "run:cutting_over:cutover:open_feed"),
    (Moment::After, "run:cutting_over:cutover:await_quiet"),
    (Moment::Before, "fence_recorded:source"),
    (Moment::After, "fence_recorded:source"),
    (Moment::Before, "run:cutting_over:cutover:await_rehomed"),
    (Moment::After, "run:cutting_over:cutover:await_rehomed"),
];

/// A rollback.
const ROLLBACK: &[(Moment, &str)] = &[
    (Moment::After, "run:rolling_back:rollback:await_quiet"),
    (Moment::After, "fence_recorded:target"),
    (Moment::After, "run:rolling_back:rollback:await_rehomed"),
];

#[test]
fn the_node_dies_at_persisted_steps_and_goes_on() {
    let mut journey = Journey::begin(&options());
    let missed = journey.through(&sample(COPY, 1, 3), Way::ready);
    assert!(missed.is_empty(), "never passed: {missed:?}");
    journey.equal("copied");
    let missed = journey.through(&sample(CUTOVER, 2, 3), Way::cutover);
    assert!(missed.is_empty(), "never passed: {missed:?}");
    journey.flows();
    journey.equal("on the target");
    let missed = journey.through(&sample(ROLLBACK, 3, 2), Way::rollback);
    assert!(missed.is_empty(), "never passed: {missed:?}");
    journey.flows();
    journey.equal("rolled back");
    journey.on(Way::ready);
    journey.finish();
}

/// Some of the points in their order, chosen by the seed; all of them where the full matrix is
/// asked for.
fn sample(
    points: &[(Moment, &'static str)],
    stream: u64,
    count: usize,
) -> Vec<(Moment, &'static str)> {
    if long() {
        return points.to_vec();
    }
    let mut rng = Rng::fork(seed(), stream);
    let mut chosen = BTreeSet::new();
    while chosen.len() < count.min(points.len()) {
        chosen.insert(rng.below(points.len() as u64) as usize);
    }
    chosen.into_iter().map(|i| points[i]).collect()
}

/// Entering it, being asked to rehearse, and some time into the barrier on scratch records.
#[test]
fn the_node_dies_in_a_rehearsal_and_rehearses_again() {
    let mut whole = options();
    (whole.common.brief, whole.common.duration) = (false, Duration::from_millis(100));
    let mut journey = Journey::begin(&whole);
    let rehearsing = "run:rehearsal";
    let moments = [Moment::After, Moment::Before, Moment::After, Moment::Later(8)];
    let missed = journey.through(&moments.map(|moment| (moment, rehearsing)), Way::ready);
    assert!(missed.len() < moments.len() - 1, "hardly anything was met: {missed:?}");
    journey.flows();
    journey.on(Way::cutover);
    journey.flows();
    journey.equal("rehearsed, and on the target");
    journey.leave();
}

#[test]
fn databases_die_at_persisted_steps_and_come_back() {
    let mut journey = Journey::begin(&options());
    assert!(journey.bereaved(Victim::Target, "frontier:on_the_way", Way::ready));
    journey.flows();
    journey.equal("the target died during the copy");
    let cutover = "run:cutting_over:cutover:await_quiet";
    assert!(journey.bereaved(Victim::Source, cutover, Way::cutover));
    journey.flows();
    journey.equal("the source died during the cutover");
    let rollback = "run:rolling_back:rollback:await_quiet";
    assert!(journey.bereaved(Victim::Target, rollback, Way::rollback));
    journey.flows();
    journey.equal("the target died during the rollback");
    journey.on(Way::ready);
    journey.finish();
}

/// What is durable along a stretch of the way.
fn persisted(journey: &Journey, go: impl Fn(&Way) -> anyhow::Result<()>) -> Vec<String> {
    let lines = points::trace(&journey.stage).len();
    journey.on(go);
    points::since(&journey.stage, lines)
}

/// The moments around one that is made durable, at which the node dies.
const MOMENTS: [Moment; 4] = [Moment::Before, Moment::After, Moment::Later(2), Moment::Later(8)];

/// A load that a busy machine can follow, too: it goes on for half an hour.
fn for_long() -> Options {
    Options { rate: 150, ..options() }
}

/// The node dies before, after and some time after everything that a stretch of the way makes
/// durable, found by watching it once; each database dies at each of it. `to` goes there, `back`
/// returns, and everything is judged after each.
fn dies_at_every_step(
    journey: &mut Journey,
    labels: &[String],
    to: impl Fn(&Way) -> anyhow::Result<()> + Sync,
    back: impl Fn(&Way) -> anyhow::Result<()>,
) {
    let mut missed = Vec::new();
    for label in labels {
        for moment in MOMENTS {
            missed.extend(journey.through(&[(moment, label)], &to));
            journey.flows();
            journey.checkpoint(&format!("{moment:?} {label}"));
            journey.on(&back);
        }
        for victim in [Victim::Source, Victim::Target] {
            let met = journey.bereaved(victim, label, &to);
            missed.extend((!met).then(|| format!("{victim:?} at {label}")));
            journey.flows();
            journey.checkpoint(&format!("{victim:?} died at {label}"));
            journey.on(&back);
        }
    }
    println!("not passed again: {missed:#?}");
    assert!(missed.len() * 2 < labels.len() * MOMENTS.len(), "hardly anything was met");
}

#[test]
fn a_cutover_survives_a_death_at_every_persisted_step() {
    if !long() {
        return;
    }
    let mut journey = Journey::begin(&for_long());
    journey.on(Way::ready);
    let labels = persisted(&journey, Way::cutover);
    println!("in a cutover: {labels:#?}");
    journey.on(Way::step_back);
    dies_at_every_step(&mut journey, &labels, Way::cutover, Way::step_back);
    journey.finish();
}

#[test]
fn a_rollback_survives_a_death_at_every_persisted_step() {
    if !long() {
        return;
    }
    let mut journey = Journey::begin(&for_long());
    journey.on(Way::ready);
    journey.on(Way::cutover);
    let labels = persisted(&journey, Way::rollback);
    println!("in a rollback: {labels:#?}");
    let there = |way: &Way| way.ready().and_then(|()| way.cutover());
    journey.on(there);
    dies_at_every_step(&mut journey, &labels, Way::rollback, there);
    journey.finish();
}

#[test]
fn a_copy_survives_a_death_at_every_persisted_step() {
    if !long() {
        return;
    }
    let journey = Journey::begin(&for_long());
    let labels = persisted(&journey, Way::ready);
    println!("on the way: {labels:#?}");
    journey.leave();
    for label in &labels {
        let mut journey = Journey::begin(&for_long());
        let both = [(Moment::Before, label.as_str()), (Moment::After, label.as_str())];
        let missed = journey.through(&both, Way::ready);
        println!("not passed again: {missed:?}");
        journey.flows();
        journey.equal(&format!("copied, around {label}"));
        journey.leave();
    }
}
