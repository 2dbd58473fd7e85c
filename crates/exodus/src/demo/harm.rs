//! The faults on offer, each with what has to be true afterwards.

use anyhow::{Result, bail};
use api::Status;
use serde_json::Map;

use super::args::{Chaos, Common};
use super::guide::{Guide, STUCK};
use super::say;
use super::scene::{Flow as _, Scene};

/// Kills the node and starts it again, if that was asked for; status has to answer at once.
pub(super) fn kill_node<S: Scene>(scene: &mut S, options: &Common, when: &str) -> Result<()> {
    if !options.harms(&Chaos::KillNode) {
        return Ok(());
    }
    let before = scene.home().door.status()?;
    scene.home_mut().node.kill9()?;
    say::line(format!("chaos: SIGKILL of the node {when}"));
    scene.home_mut().restart_node()?;
    let after: Status = scene.home().door.status()?;
    if after.writes.authority != before.writes.authority || after.writes.epoch < before.writes.epoch
    {
        bail!(
            "EXO-DEM-004: before the kill {} decided at epoch {}, after it {} at {}",
            before.writes.authority.as_str(),
            before.writes.epoch,
            after.writes.authority.as_str(),
            after.writes.epoch
        );
    }
    say::detail(format!(
        "back: {} decides, epoch {}, step {}",
        after.writes.authority.as_str(),
        after.writes.epoch,
        after.phase.step
    ));
    if !scene.load()?.wait_ops(200, STUCK) {
        bail!("EXO-DEM-004: clients do not get through after the node came back");
    }
    Ok(())
}

/// Kills the target while the source decides: no client may notice.
pub(super) fn kill_target<S: Scene>(scene: &mut S, options: &Common) -> Result<()> {
    if !options.harms(&Chaos::KillTarget) {
        return Ok(());
    }
    scene.kill_target()?;
    say::line("chaos: SIGKILL of the target while it follows");
    if !scene.load()?.wait_ops(500, STUCK) {
        bail!("EXO-DEM-004: clients stopped because the target is down");
    }
    scene.restart_target()?;
    say::detail("the target is back");
    let mut guide = Guide::new(scene.home().door.clone());
    guide.wait("the target to be in step again", STUCK, |s| s.writes.following == "in_step")?;
    Ok(())
}

/// Changes records on the target by a foreign client; verify has to find all, repair to mend all.
pub(super) fn corrupt<S: Scene>(scene: &mut S, options: &Common) -> Result<u64> {
    let Some(records) = options.corrupt() else { return Ok(0) };
    let corrupted = scene.corrupt(records)?;
    let unit = scene.unit();
    say::line(format!(
        "chaos: {corrupted} {unit} changed or deleted on the target behind our back"
    ));
    let mut guide = Guide::new(scene.home().door.clone());
    guide.act("verify_run", Map::new())?;
    let found = guide
        .wait("verify to find them", STUCK, |s| s.divergence.open >= corrupted)?
        .divergence
        .open;
    say::detail(format!("verify found {found} differences"));
    let all = [("all".to_owned(), true.into())].into_iter().collect();
    guide.act("diff_repair", all)?;
    guide.wait("the repair", STUCK, |s| s.divergence.open == 0)?;
    guide.act("verify_run", Map::new())?;
    Ok(found)
}
