//! Authority there and back under load, again and again, both sides equal after each.

use crate::journey::{Journey, options};
use crate::way::Way;

/// Every third round is a real rollback with the way forward again; the others step back, as an
/// operator does who only wants to look again.
#[test]
fn authority_moves_there_and_back_under_load_and_both_sides_are_equal_each_time() {
    let rounds = std::env::var("EXODUS_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    let journey = Journey::begin(&options());
    journey.on(Way::ready);
    for round in 1..=rounds {
        journey.on(Way::cutover);
        journey.flows();
        journey.equal(&format!("round {round}, on the target"));
        if round % 3 == 1 {
            journey.on(Way::rollback);
            journey.flows();
            journey.equal(&format!("round {round}, rolled back"));
            journey.on(Way::ready);
        } else {
            journey.on(Way::step_back);
            journey.flows();
            journey.equal(&format!("round {round}, stepped back"));
        }
    }
    journey.finish();
}
