//! Whole runs, as transcripts.

mod support;

use model::{Side, Strategy};
use support::{Desk, World, batches, dev};
use workflow::{Place, Verb};

#[test]
fn a_canary_run_reaches_the_target() {
    let plan = workflow::Plan { canary_steps: vec![5, 100], ..dev(Strategy::Canary) };
    let mut desk = Desk::new(plan, World::Obliging);
    for _ in 0..10 {
        desk.must(Verb::Advance);
    }
    assert_eq!(desk.run.place(), Place::ServingTarget);
    assert_eq!(desk.run.authority.default, Side::Target);
}

#[test]
fn a_run_by_tenants_reaches_the_target() {
    let plan = workflow::Plan { batches: batches(&["a", "b"]), ..dev(Strategy::UserByUser) };
    let mut desk = Desk::new(plan, World::Obliging);
    for _ in 0..11 {
        desk.must(Verb::Advance);
    }
    println!("{}", desk.transcript());
    assert_eq!(desk.run.place(), Place::ServingTarget);
}
