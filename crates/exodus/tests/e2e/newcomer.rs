//! What a new user does: two servers of one's own, a client loop, and the printed next commands.

use chaos::checkers;
use chaos::dataset::{self, Dataset};
use chaos::equality::{self, Options as Equality};
use chaos::load::{Load, LoadConfig};

use crate::journey::{PATIENCE, seed};
use crate::rig::Rig;

#[test]
fn a_new_user_follows_the_printed_commands_through_two_kills_a_rollback_and_a_commit() {
    let mut rig = Rig::start();
    let data = Dataset::small(3_000, seed());
    dataset::seed(&data, &rig.source.admin()).unwrap();
    rig.create(&rig.source.address().host_port(), &rig.target.address().host_port());
    let mut config = LoadConfig::new(rig.application(), seed());
    (config.clients, config.ops_per_second, config.dataset) = (4, 200, Some(data));
    config.timeout = std::time::Duration::from_secs(15);
    let load = Load::start(config).unwrap();
    let flows = |rig: &Rig| {
        assert!(
            load.wait_ops(50, PATIENCE),
            "{:?}\n{}",
            load.stats().errors,
            rig.node.log_tail(15)
        );
    };

    rig.follow("seeding");
    rig.node.kill9().unwrap();
    rig.node.restart(PATIENCE).unwrap();
    flows(&rig);
    rig.follow("serving_target");
    rig.node.kill9().unwrap();
    rig.node.restart(PATIENCE).unwrap();
    let step = rig.status().phase.step;
    assert_eq!(step, "serving_target", "it goes on where it was");
    flows(&rig);
    rig.do_it(&["rollback"]);
    rig.wait("the source decides again", |s| s.phase.step == "rolled_back");
    flows(&rig);
    rig.follow("serving_target");
    flows(&rig);
    rig.follow("warm_source");

    let (ledger, stats) = load.stop();
    rig.wait("everything drained", |s| {
        s.queue.depth == 0 && s.queue.in_flight == 0 && s.writes.following == "in_step"
    });
    let (source, target) = (rig.source.admin(), rig.target.admin());
    let report = equality::compare(&source, &target, &Equality::default()).unwrap();
    assert!(report.equal(), "{report}\n{}", rig.node.log_tail(15));
    for address in [&source, &target] {
        let judgement = checkers::judge(&ledger, address).unwrap();
        assert!(judgement.holds(), "{judgement}");
    }
    // A killed process breaks its clients' connections; it never gives them a wrong answer.
    let refused: Vec<_> = stats.errors.keys().filter(|e| e.starts_with("ERR EXO")).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
