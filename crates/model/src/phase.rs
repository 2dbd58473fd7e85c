use crate::wire_names;

wire_names! {
    /// The seven phases of a run, entered in this order (rollback from any of them).
    pub enum Phase ("phase") {
        /// Applications talk to the source directly; a copy of the traffic is observed.
        PreTest => "pre_test",
        /// Applications talk to the interlay; everything is forwarded and profiled.
        Analyze => "analyze",
        /// Safe reads are mirrored to the target and compared, never served.
        Compare => "compare",
        /// Smoke tests, drills and the rollback rehearsal.
        Test => "test",
        /// Backfill, catch-up, read steps and the cutover.
        Migrate => "migrate",
        /// All authority returns, or has returned, to the source.
        Rollback => "rollback",
        /// The target stays; the warm-source window runs.
        Commit => "commit",
    }
}

wire_names! {
    /// The generator of routing tables a migration uses.
    pub enum Strategy ("strategy") {
        /// In step, then reads and writes together.
        BigBang => "big_bang",
        /// Reads shift in steps, then authority.
        Canary => "canary",
        /// Both in parallel, full shadow load, one change.
        BlueGreen => "blue_green",
        /// Tenant by tenant.
        UserByUser => "user_by_user",
        /// Exercised and compared, never served.
        Shadow => "shadow",
    }
}
