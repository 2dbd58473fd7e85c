//! The interactive demo: goes as far as the first shared reads, then hands over and keeps
//! everything running until Ctrl-C.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::Status;

use super::args::Common;
use super::guide::Guide;
use super::say;
use super::scene::{Flow as _, Scene};
use super::script::{redirect, watch};
use super::stop;

const TELL_EVERY: Duration = Duration::from_secs(10);

/// Plays the beginning, then waits for the operator and for Ctrl-C.
pub(super) fn play<S: Scene>(scene: &S, options: &Common) -> Result<()> {
    say::line(format!(
        "dashboard: {}/  (token {})",
        scene.home().door.base(),
        scene.home().door.token()
    ));
    let mut guide = Guide::new(scene.home().door.clone());
    for step in ["tap", "analyze", "compare", "seeding", "verifying", "reads"] {
        guide.reach(step)?;
        if step == "verifying" {
            scene.by_hand()?;
            continue;
        }
        if step == "analyze" {
            redirect(scene)?;
        }
        watch(scene, options)?;
    }
    hand_over(scene)?;
    while !stop::asked() {
        if let Ok(status) = scene.home().door.status() {
            guide.show(&status);
            tell(scene, &status)?;
        }
        let due = Instant::now() + TELL_EVERY;
        while Instant::now() < due && !stop::asked() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    say::line("ending everything and removing what was written");
    Ok(())
}

fn hand_over<S: Scene>(scene: &S) -> Result<()> {
    say::head("it is yours now");
    println!(
        "\n  dashboard   {base}/\n  token       {token}\n  interlay    {interlay} ({client})\n  \
         source      {source}\n  target      {target}\n  config      {config}\n\n  \
         export EXODUS_SERVER={base} EXODUS_TOKEN={token}\n  exodus status -w",
        base = scene.home().door.base(),
        token = scene.home().door.token(),
        interlay = scene.home().interlay,
        client = scene.client(),
        source = scene.servers()[0],
        target = scene.servers()[1],
        config = scene.home().config_path().display(),
    );
    for next in scene.home().door.status()?.next_steps {
        println!("  {:<40} # {}", next.command, next.why);
    }
    println!(
        "\n  Ctrl-C ends everything and removes it (state in {}).\n",
        scene.home().state_dir().display()
    );
    Ok(())
}

fn tell<S: Scene>(scene: &S, status: &Status) -> Result<()> {
    let seen = scene.load()?.take_window();
    say::line(format!(
        "writes on {} (epoch {}), reads {} % on target, following {}, {:.0} ops/s, writes p99 {}, \
         errors {}",
        status.writes.authority.as_str(),
        status.writes.epoch,
        status.reads.asked_percent,
        status.writes.following,
        seen.ops_per_second(),
        say::ms(seen.write_latency(0.99)),
        seen.no + seen.unknown
    ));
    Ok(())
}
