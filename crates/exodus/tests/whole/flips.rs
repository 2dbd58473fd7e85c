//! The authority goes there and back under load with shared reads.

use crate::rig::{Whole, flows};

const ROUNDS: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flips_under_load_lose_nothing_and_no_client_sees_an_error() {
    let (whole, load) = Whole::under_load(5, 1_000).await;
    for round in 1..=ROUNDS {
        flows(&load, 600).await;
        let _earlier = load.take_window();
        let frozen = whole.flip().await;
        flows(&load, 200).await;
        let seen = load.take_window();
        println!(
            "flip {round}: frozen {frozen:?}, slowest write {:?}, gap {:?}",
            seen.write_latency_max(),
            seen.write_gap_max
        );
    }
    let stats = whole.judge(load).await;
    println!("{:.0} ops/s, {} stale reads", stats.ops_per_second(), stats.stale_reads);
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
}
