//! The faults on offer, each with what has to be true afterwards.

use anyhow::{Result, bail};
use api::Status;
use chaos::dataset;
use chaos::rng::Rng;
use redis::cmd;
use serde_json::Map;

use super::args::{Chaos, Options};
use super::guide::{Guide, STUCK};
use super::say;
use super::stage::Stage;

/// Kills the node and starts it again, if that was asked for; status has to answer at once.
pub(super) fn kill_node(stage: &mut Stage, options: &Options, when: &str) -> Result<()> {
    if !options.harms(&Chaos::KillNode) {
        return Ok(());
    }
    let before = stage.door.status()?;
    stage.node.kill9()?;
    say::line(format!("chaos: SIGKILL of the node {when}"));
    stage.restart_node()?;
    let after: Status = stage.door.status()?;
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
    if !stage.load()?.wait_ops(200, STUCK) {
        bail!("EXO-DEM-004: clients do not get through after the node came back");
    }
    Ok(())
}

/// Kills the target while the source decides: no client may notice.
pub(super) fn kill_target(stage: &mut Stage, options: &Options) -> Result<()> {
    if !options.harms(&Chaos::KillTarget) {
        return Ok(());
    }
    stage.target.kill9()?;
    say::line("chaos: SIGKILL of the target while it follows");
    if !stage.load()?.wait_ops(500, STUCK) {
        bail!("EXO-DEM-004: clients stopped because the target is down");
    }
    stage.target.restart()?;
    say::detail("the target is back");
    let mut guide = Guide::new(stage.door.clone());
    guide.wait("the target to be in step again", STUCK, |s| s.writes.following == "in_step")?;
    Ok(())
}

/// Changes keys on the target by a foreign client; verify has to find all, repair to mend all.
pub(super) fn corrupt(stage: &mut Stage, options: &Options) -> Result<u64> {
    let Some(keys) = options.corrupt() else { return Ok(0) };
    let mut conn = stage.target.connect(0)?;
    let mut rng = Rng::fork(options.seed, 0xC0);
    let mut corrupted = 0;
    for _ in 0..keys * 50 {
        let key = stage.dataset.key(rng.below(stage.dataset.keys));
        if corrupted == keys {
            break;
        }
        if key.db != 0 || key.ttl_ms.is_some() || key.kind != dataset::Kind::String {
            continue;
        }
        let mut damage = cmd(if corrupted % 2 == 0 { "APPEND" } else { "DEL" });
        damage.arg(&key.name);
        if corrupted % 2 == 0 {
            damage.arg("corrupted");
        }
        conn.call(&damage)?;
        corrupted += 1;
    }
    say::line(format!("chaos: {corrupted} keys changed or deleted on the target behind our back"));
    let mut guide = Guide::new(stage.door.clone());
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
