//! The interactive demo: goes as far as the first shared reads, then hands over and keeps
//! everything running until Ctrl-C.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::Status;

use super::args::Options;
use super::guide::{Guide, STUCK};
use super::say;
use super::script::watch;
use super::stage::Stage;
use super::stop;

const TELL_EVERY: Duration = Duration::from_secs(10);

/// Plays the beginning, then waits for the operator and for Ctrl-C.
pub(super) fn play(stage: &mut Stage, options: &Options) -> Result<()> {
    say::line(format!("dashboard: {}/  (token {})", stage.door.base(), stage.door.token()));
    let mut guide = Guide::new(stage.door.clone());
    for step in ["tap", "analyze", "compare", "seeding", "reads"] {
        guide.reach(step)?;
        if step == "analyze" {
            let through = stage.application();
            if !stage.load()?.redirect(through, STUCK) {
                anyhow::bail!("EXO-DEM-004: not every client got through the interlay");
            }
            say::line(format!("applications redirected to the interlay at {}", stage.interlay));
        }
        watch(stage, options)?;
    }
    hand_over(stage)?;
    while !stop::asked() {
        if let Ok(status) = stage.door.status() {
            guide.show(&status);
            tell(stage, &status)?;
        }
        let due = Instant::now() + TELL_EVERY;
        while Instant::now() < due && !stop::asked() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    say::line("ending everything and removing what was written");
    Ok(())
}

fn hand_over(stage: &Stage) -> Result<()> {
    say::head("it is yours now");
    println!(
        "\n  dashboard   {base}/\n  token       {token}\n  interlay    {interlay} \
         (redis-cli -p {port} --user app --pass app-secret)\n  \
         source      {source}\n  target      {target}\n  config      {config}\n\n  \
         export EXODUS_SERVER={base} EXODUS_TOKEN={token}\n  exodus status -w",
        base = stage.door.base(),
        token = stage.door.token(),
        interlay = stage.interlay,
        port = stage.interlay.port(),
        source = stage.source.address().host_port(),
        target = stage.target.address().host_port(),
        config = stage.config_path().display(),
    );
    for next in stage.door.status()?.next_steps {
        println!("  {:<40} # {}", next.command, next.why);
    }
    println!(
        "\n  Ctrl-C ends everything and removes it (state in {}).\n",
        stage.state_dir().display()
    );
    Ok(())
}

fn tell(stage: &Stage, status: &Status) -> Result<()> {
    let seen = stage.load()?.take_window();
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
