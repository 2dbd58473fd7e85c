//! The bug zoo: every planted bug has to be found by the simulation, or it proves nothing.
//! `cargo test -p engine --features zoo --test zoo`.

mod rig;
mod sim;

use std::panic::AssertUnwindSafe;

use engine::Bug;

/// Seeds a bug may hide from.
const SEEDS: u64 = 60;

fn finds(bug: Bug) -> Option<u64> {
    (1..=SEEDS).find(|seed| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime can be built");
        let run = async {
            // A plant that keeps the sides from ever being in step is found by time.
            let limit = std::time::Duration::from_secs(600);
            let run = sim::run(*seed, |config| config.bug = Some(bug));
            tokio::time::timeout(limit, run).await
        };
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(run)));
        !matches!(ended, Ok(Ok(_)))
    })
}

#[test]
fn every_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| ()));
    let found: Vec<_> = Bug::ALL.iter().map(|bug| (*bug, finds(*bug))).collect();
    let _ = std::panic::take_hook();
    for (bug, seed) in &found {
        println!("{bug:?}: {}", seed.map_or("NOT FOUND".into(), |seed| format!("seed {seed}")));
    }
    assert!(found.iter().all(|(_, seed)| seed.is_some()), "{found:?}");
}
