//! What the plays need of a family's stage, and nothing more.

use std::time::Duration;

use anyhow::Result;
use api::Side;
use chaos::checkers::Judgement;
use chaos::load::Stats;

use super::home::Home;
use super::result::Page;

/// A running load.
pub(super) trait Flow {
    /// Numbers since the start.
    fn stats(&self) -> Stats;
    /// Numbers since this was last called.
    fn take_window(&self) -> Stats;
    /// Waits until this many more operations were answered.
    fn wait_ops(&self, more: u64, limit: Duration) -> bool;
    /// Waits until every client rests.
    fn pause(&self, limit: Duration) -> bool;
    /// Goes on after a pause.
    fn resume(&self);
}

/// What comparing both sides gave.
pub(super) struct Equal {
    /// Whether they are.
    pub equal: bool,
    /// How many records were compared.
    pub compared: u64,
    /// The evidence, its first line a summary.
    pub told: String,
}

impl Equal {
    /// The summary.
    pub(super) fn summary(&self) -> &str {
        self.told.lines().next().unwrap_or("")
    }
}

/// Two servers with data, a load, and a node: the stage of one family.
pub(super) trait Scene {
    /// Its load.
    type Load: Flow;
    /// What the load was told.
    type Ledger;
    /// What the servers show of us before anything begins.
    type Before;

    /// The node and its surroundings.
    fn home(&self) -> &Home;
    /// The same, to kill and restart it.
    fn home_mut(&mut self) -> &mut Home;
    /// The load, while it runs.
    fn load(&self) -> Result<&Self::Load>;
    /// Operations per second that the load is asked for.
    fn pace(&self) -> u32;
    /// What records are called: `keys`, `rows`.
    fn unit(&self) -> &'static str;
    /// Records that were seeded.
    fn seeded(&self) -> u64;
    /// `host:port` of source and target.
    fn servers(&self) -> [String; 2];
    /// How a person gets in through the interlay.
    fn client(&self) -> String;
    /// Sends every client through the interlay; whether all have arrived.
    fn redirect(&self, limit: Duration) -> Result<bool>;
    /// SIGKILL of the target.
    fn kill_target(&mut self) -> Result<()>;
    /// The target comes back.
    fn restart_target(&mut self) -> Result<()>;
    /// Changes so many records on the target behind everybody's back; how many it were.
    fn corrupt(&self, records: u64) -> Result<u64>;
    /// Looks at the servers before anything of ours is there.
    fn before(&self) -> Result<Self::Before>;
    /// Looks again after everything; whether nothing is left, and the evidence.
    fn residue(&self, before: &Self::Before) -> Result<(bool, String)>;
    /// Compares both sides while nobody writes; the authority's is what should be.
    fn equal(&self, authority: Side) -> Result<Equal>;
    /// Whether both sides are compared after a cutover too, and not only after the rollback.
    fn compares_after_cutover(&self) -> bool;
    /// What the preflight leaves to the operator, once everything is copied.
    fn by_hand(&self) -> Result<()>;
    /// Stops the load; what it was told, how many writes those are, and its numbers.
    fn stop_load(&mut self) -> Result<(Self::Ledger, u64, Stats)>;
    /// Judges the ledger against one side.
    fn judge(&self, ledger: &Self::Ledger, side: Side) -> Result<Judgement>;
    /// Checks that only this family has.
    fn more(&self, page: &mut Page) -> Result<()>;
}
