//! Points at which the node ends: arming them, and what was committed so far.

use std::collections::BTreeSet;
use std::fs;

use exodus::demo::stage::Stage;

/// When, relative to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// It was decided and is not durable.
    Before,
    /// It is durable and nothing was done about it.
    After,
    /// So many milliseconds after it was durable.
    Later(u64),
    /// The commit waits, so that something else can be harmed at this very moment.
    Hold,
}

/// Arms a point. At most one is armed.
pub(crate) fn arm(stage: &Stage, moment: Moment, label: &str) {
    let line = match moment {
        Moment::Before => format!("before {label}"),
        Moment::After => format!("after {label}"),
        Moment::Later(ms) => format!("after {label} +{ms}"),
        Moment::Hold => format!("hold {label}"),
    };
    let (new, armed) =
        (stage.home.state_dir().join("crash_at.new"), stage.home.state_dir().join("crash_at"));
    fs::write(&new, line).unwrap();
    fs::rename(new, armed).unwrap();
}

/// Whether the point that was armed has struck.
pub(crate) fn struck(stage: &Stage) -> bool {
    !stage.home.state_dir().join("crash_at").exists()
}

/// Whether a commit is being held.
pub(crate) fn held(stage: &Stage) -> bool {
    stage.home.state_dir().join("held").exists()
}

/// Lets the held commit pass.
pub(crate) fn release(stage: &Stage) {
    let _ = fs::remove_file(stage.home.state_dir().join("crash_at"));
    let _ = fs::remove_file(stage.home.state_dir().join("held"));
}

/// Every label that was committed, in order.
pub(crate) fn trace(stage: &Stage) -> Vec<String> {
    let text = fs::read_to_string(stage.home.state_dir().join("trace")).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

/// The labels that were committed for the first time since there were so many lines.
pub(crate) fn since(stage: &Stage, lines: usize) -> Vec<String> {
    let mut seen = BTreeSet::new();
    trace(stage).into_iter().skip(lines).filter(|l| seen.insert(l.clone())).collect()
}
