use crate::wire_names;

wire_names! {
    /// What a client's success means for the other side.
    pub enum WritePolicy ("write policy") {
        /// Both commit or neither does (PostgreSQL only).
        TwoPhaseCommit => "two_phase_commit",
        /// The authority has it, and the secondary has it or the change is captured durably.
        BothRequired => "both_required",
        /// The source has it; the target follows.
        OldAuthoritative => "old_authoritative",
        /// The target has it; the source follows.
        NewAuthoritative => "new_authoritative",
        /// The authority has it; a failure on the other side is counted, not retried.
        BestEffort => "best_effort",
    }
}

wire_names! {
    /// What happens to a record that already exists on the target before our first copy of it.
    pub enum ConflictPolicy ("conflict policy") {
        /// Stop and report the key.
        Fail => "fail",
        /// The target's record stays; the source's is counted as kept.
        KeepTarget => "keep_target",
        /// The source's record replaces it.
        Overwrite => "overwrite",
        /// The one with the newer version stays, where the family has versions.
        KeepNewer => "keep_newer",
        /// Family-defined union, or refused.
        Merge => "merge",
    }
}

wire_names! {
    /// How reads are spread while both sides are alive.
    pub enum ReadMode ("read mode") {
        /// Every read from the source.
        Source => "source",
        /// Every read from the target, once in step.
        Target => "target",
        /// A stable fraction of cohorts reads from the target.
        Percent => "percent",
        /// Both sides are asked for a sample; the authority's answer is served.
        Compare => "compare",
        /// The target while it is healthy, else the source.
        PreferTarget => "prefer_target",
    }
}
