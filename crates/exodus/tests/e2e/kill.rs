//! SIGKILL at persisted steps: of the node, right before and right after what it makes durable,
//! and of the databases while it does.

use std::collections::BTreeSet;

use chaos::rng::Rng;

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
fn persisted(journey: &Journey, go: fn(&Way) -> anyhow::Result<()>) -> Vec<String> {
    let lines = points::trace(&journey.stage).len();
    journey.on(go);
    points::since(&journey.stage, lines)
}

/// Whatever a migration makes durable, found by watching one: the node dies before and after each
/// of it, and some time after each step of a barrier; each database dies at each step of a
/// barrier.
#[test]
fn everything_dies_at_every_persisted_step() {
    if !long() {
        return;
    }
    let mut journey = Journey::begin(&options());
    let copy = persisted(&journey, Way::ready);
    let there = persisted(&journey, Way::cutover);
    let back = persisted(&journey, Way::rollback);
    println!("on the way: {copy:#?}\nin a cutover: {there:#?}\nin a rollback: {back:#?}");
    journey.on(Way::ready);

    let moments = [Moment::Before, Moment::After, Moment::Later(2), Moment::Later(8)];
    let mut missed = Vec::new();
    for label in &there {
        for moment in moments {
            missed.extend(journey.through(&[(moment, label)], Way::cutover));
            journey.flows();
            journey.checkpoint(&format!("cut over, {moment:?} {label}"));
            journey.on(Way::step_back);
        }
        for victim in [Victim::Source, Victim::Target] {
            let met = journey.bereaved(victim, label, Way::cutover);
            missed.extend((!met).then(|| format!("{victim:?} at {label}")));
            journey.flows();
            journey.checkpoint(&format!("cut over, {victim:?} died at {label}"));
            journey.on(Way::step_back);
        }
    }
    for label in &back {
        for moment in moments {
            journey.on(Way::cutover);
            missed.extend(journey.through(&[(moment, label)], Way::rollback));
            journey.flows();
            journey.checkpoint(&format!("rolled back, {moment:?} {label}"));
            journey.on(Way::ready);
        }
        for victim in [Victim::Source, Victim::Target] {
            journey.on(Way::cutover);
            let met = journey.bereaved(victim, label, Way::rollback);
            missed.extend((!met).then(|| format!("{victim:?} at {label}")));
            journey.flows();
            journey.checkpoint(&format!("rolled back, {victim:?} died at {label}"));
            journey.on(Way::ready);
        }
    }
    journey.finish();

    for label in &copy {
        let mut journey = Journey::begin(&options());
        let both = [(Moment::Before, label.as_str()), (Moment::After, label.as_str())];
        missed.extend(journey.through(&both, Way::ready));
        journey.flows();
        journey.equal(&format!("copied, around {label}"));
        journey.leave();
    }
    println!("not passed again: {missed:#?}");
}
