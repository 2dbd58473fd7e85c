use model::Phase;

model::wire_names! {
    /// The name of a step, without its data: the row of the state table.
    pub enum Place ("step") {
        /// Exodus is deployed; nothing is observed yet.
        Setup => "setup",
        /// A copy of the traffic is observed; applications talk to the source directly.
        Tap => "tap",
        /// Applications talk to the interlay; the workload is profiled.
        Analyze => "analyze",
        /// Safe reads are mirrored to the target and compared.
        Compare => "compare",
        /// Smoke tests run through a shadow interlay.
        Smoke => "smoke",
        /// The barrier is rehearsed on a scratch keyspace.
        Rehearsal => "rehearsal",
        /// Backfill and catch-up.
        Seeding => "seeding",
        /// Both sides are compared record by record.
        Verifying => "verifying",
        /// A share of the reads is served by the target.
        Reads => "reads",
        /// Tenants move, batch after batch.
        Tenants => "tenants",
        /// Everything is ready for the authority to move.
        ReadyToCutover => "ready_to_cutover",
        /// The barrier is under way.
        CuttingOver => "cutting_over",
        /// The target decides and is observed.
        ServingTarget => "serving_target",
        /// The target stays; the source follows until the window ends.
        WarmSource => "warm_source",
        /// The window is over. Final.
        Finalized => "finalized",
        /// Authority is on its way back to the source.
        RollingBack => "rolling_back",
        /// The source decides again.
        RolledBack => "rolled_back",
        /// The way back is blocked and tried again.
        RollbackBlocked => "rollback_blocked",
        /// A rolled-back run was ended. Final.
        Abandoned => "abandoned",
    }
}

impl Place {
    /// The phase this step belongs to.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Setup | Self::Tap => Phase::PreTest,
            Self::Analyze => Phase::Analyze,
            Self::Compare => Phase::Compare,
            Self::Smoke | Self::Rehearsal => Phase::Test,
            Self::Seeding
            | Self::Verifying
            | Self::Reads
            | Self::Tenants
            | Self::ReadyToCutover
            | Self::CuttingOver
            | Self::ServingTarget => Phase::Migrate,
            Self::WarmSource | Self::Finalized => Phase::Commit,
            Self::RollingBack | Self::RolledBack | Self::RollbackBlocked | Self::Abandoned => {
                Phase::Rollback
            }
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finalized | Self::Abandoned)
    }

    /// Whether data is being moved or kept equal here, so that a failed worker is a failed step.
    #[must_use]
    pub const fn moves_data(self) -> bool {
        matches!(
            self,
            Self::Seeding
                | Self::Verifying
                | Self::Reads
                | Self::Tenants
                | Self::ReadyToCutover
                | Self::CuttingOver
                | Self::ServingTarget
                | Self::WarmSource
        )
    }
}

/// Where a run is. All of it is durable; the docs say who causes the next move, what an operator
/// may do besides the verbs valid everywhere, and how to go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Next: the operator (`advance`), once the `start` checks pass. Back: nothing to undo.
    Setup,
    /// Next: the operator, once the tap's evidence is good. Back: `step_back`, stops the tap.
    Tap,
    /// Next: the operator, once the workload profile is representative. Interlays forward.
    /// Back: `step_back`; applications may stay on the interlay.
    Analyze,
    /// Next: the operator, once findings are settled. Reads are mirrored, never served.
    /// Back: `step_back`, stops mirroring.
    Compare,
    /// Next: the operator, once the smoke tests passed. Back: `step_back`.
    Smoke,
    /// Next: the operator, once a rehearsal (`rehearse`) passed and the migrate gate is open.
    /// A rehearsal killed half way starts anew. Back: `step_back`.
    Rehearsal,
    /// Next: the workers, when the copy is done and the target is in step. Durable besides this:
    /// copy frontiers and unclean markers. Back: `step_back` (stops the copy) or `rollback`.
    Seeding,
    /// Next: the operator, once a verification is clean. Back: `step_back` copies anew.
    Verifying,
    /// Next: the operator, or time where steps advance by themselves, once the soak is over and
    /// the criteria pass. Back: `step_back` takes the last share of reads back at once.
    Reads {
        /// Which step of the plan's list of percentages, from 0.
        index: usize,
    },
    /// Next: the operator; each `advance` moves one batch behind the barrier. Durable: which
    /// batches moved. Back: `step_back` returns the last batch, `rollback` all.
    Tenants,
    /// Next: the operator (`advance`), once in step. Back: `step_back`.
    ReadyToCutover,
    /// Next: the barrier itself. Durable: its sub-step ([`crate::FlipState`]). A crash before the
    /// new authority is stored undoes it; after that it is finished. Back: `step_back`, `hold`
    /// or `rollback` undo it while it can still be undone.
    CuttingOver,
    /// Next: the operator (`commit`), once the commit criteria pass. The source follows.
    /// Back: `step_back` or `rollback`, both through the barrier.
    ServingTarget,
    /// Next: the operator (`finalize`), once the window is over. The source follows.
    /// Back: `step_back` withdraws the commit, `rollback` goes all the way.
    WarmSource,
    /// Final: the target is the only system. Back: a new, reverse migration.
    Finalized,
    /// Next: the barrier itself, towards the source; it resumes after a crash.
    RollingBack,
    /// Next: the operator, `retry` or `abandon`. The source decides and answers everything.
    RolledBack,
    /// Next: time (it is tried again) or the operator (`rollback`, also with `accept_loss`).
    RollbackBlocked {
        /// What blocks it.
        reason: String,
    },
    /// Final: applications talk to the source through a plain interlay, or directly.
    Abandoned,
}

impl Step {
    /// The step's name.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self {
            Self::Setup => Place::Setup,
            Self::Tap => Place::Tap,
            Self::Analyze => Place::Analyze,
            Self::Compare => Place::Compare,
            Self::Smoke => Place::Smoke,
            Self::Rehearsal => Place::Rehearsal,
            Self::Seeding => Place::Seeding,
            Self::Verifying => Place::Verifying,
            Self::Reads { .. } => Place::Reads,
            Self::Tenants => Place::Tenants,
            Self::ReadyToCutover => Place::ReadyToCutover,
            Self::CuttingOver => Place::CuttingOver,
            Self::ServingTarget => Place::ServingTarget,
            Self::WarmSource => Place::WarmSource,
            Self::Finalized => Place::Finalized,
            Self::RollingBack => Place::RollingBack,
            Self::RolledBack => Place::RolledBack,
            Self::RollbackBlocked { .. } => Place::RollbackBlocked,
            Self::Abandoned => Place::Abandoned,
        }
    }

    /// The phase of the step.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.place().phase()
    }
}
