//! Whole migrations by seed; see `sim`. `EXODUS_SIM_SEED=n` replays one seed, `EXODUS_SIM_SEEDS=n`
//! runs that many.

mod rig;
mod sim;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_both_sides_end_equal() {
    let seeds: Vec<u64> = match number("EXODUS_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("EXODUS_SIM_SEEDS").unwrap_or(20)).collect(),
    };
    let (mut flips, mut crashes, mut reads) = (0, 0, 0);
    for seed in &seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime can be built");
        println!("seed {seed}");
        let (f, c, r) = runtime.block_on(sim::run(*seed, |_| ()));
        flips += f;
        crashes += c;
        reads += r;
    }
    println!(
        "{} seeds: {flips} flips, {crashes} crashes, {reads} reads on the secondary",
        seeds.len()
    );
    if seeds.len() >= 20 {
        assert!(flips > 20 && crashes > 20 && reads > 1_000, "the simulation lost its teeth");
    }
}
