//! Driving a run through its doors, without anything else of a journey: so that it can be done
//! while a server is being killed.

use anyhow::Result;
use api::{Side, Status};
use exodus::demo::door::Door;
use exodus::demo::guide::{Guide, measured};
use serde_json::Map;

use crate::journey::PATIENCE;

/// Takes a run from place to place. Every method may be called again after it failed half way.
#[derive(Clone)]
pub(crate) struct Way(pub(crate) Door);

impl Way {
    fn guide(&self) -> Guide {
        Guide::new(self.0.clone())
    }

    fn step(&self) -> Result<String> {
        Ok(self.0.status()?.phase.step)
    }

    /// Waits until the status satisfies this.
    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Result<Status> {
        self.guide().wait(what, PATIENCE, holds)
    }

    /// Goes on as the printed next commands say until this step is reached.
    pub(crate) fn reach(&self, step: &str) -> Result<()> {
        self.guide().reach(step).map(drop)
    }

    /// Up to where authority may move; after a rollback forward again.
    pub(crate) fn ready(&self) -> Result<()> {
        if self.step()? == "rolled_back" {
            // What went back is approved anew.
            let gate = [("gate".to_owned(), "migrate".into())].into_iter().collect();
            self.guide().act("approve", gate)?;
            self.guide().act("retry", Map::new())?;
        }
        self.reach("ready_to_cutover")
    }

    /// The authority to the target.
    pub(crate) fn cutover(&self) -> Result<()> {
        self.reach("serving_target")?;
        self.wait("the target to serve", |s| measured(s, Side::Target)).map(drop)
    }

    /// Everything back to the source, asked for once: what died on the way goes on by itself.
    pub(crate) fn rollback(&self) -> Result<()> {
        if !matches!(self.step()?.as_str(), "rolling_back" | "rolled_back" | "rollback_blocked") {
            self.guide().act("rollback", Map::new())?;
        }
        self.wait("the source to serve", |s| {
            s.phase.step == "rolled_back" && measured(s, Side::Source)
        })
        .map(drop)
    }

    /// Authority one step back, without giving the run up.
    pub(crate) fn step_back(&self) -> Result<()> {
        if self.step()? == "serving_target" {
            self.guide().act("step_back", Map::new())?;
        }
        self.wait("the source to serve", |s| {
            s.phase.step == "ready_to_cutover" && measured(s, Side::Source)
        })
        .map(drop)
    }

    /// Nothing is under way, and both sides hold the same.
    pub(crate) fn drained(&self) -> Result<()> {
        self.wait("everything to be drained", |s| {
            s.queue.depth == 0 && s.queue.in_flight == 0 && s.writes.following == "in_step"
        })
        .map(drop)
    }
}
