//! Everything an operator can do to a migration: one closed list, read by the server (rights,
//! versions), the CLI (commands, prompts) and the dashboard (buttons).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::role::Role;

/// The body of `POST …/verbs/{verb}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerbRequest {
    /// Why; stored with the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Arguments by name, see [`VerbInfo::args`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// Only narrate.
    pub dry_run: bool,
    /// Really do it, where the verb is dangerous.
    pub yes: bool,
    /// The migration's name, typed; counts as `yes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typed_name: Option<String>,
}

/// What a verb did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerbOutcome {
    /// Wire name of the verb.
    pub verb: String,
    /// Whether the decision was stored; false for a dry run.
    pub applied: bool,
    /// Each effect, in order.
    pub effects: Vec<Effect>,
    /// How to take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// One sentence.
    pub message: String,
    /// What the verb returns beyond that, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

/// One effect of a verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Effect {
    /// What happens.
    pub what: String,
    /// What it touches: `writes`, `reads`, `source`, `target`, `scratch` (records of nobody),
    /// `state` (of the run alone), `clients`.
    pub touches: String,
    /// How long that is expected to take, where it can be estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_ms: Option<u64>,
}

/// One verb: who may use it and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct VerbInfo {
    /// Wire name.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it touches, one sentence.
    pub blast_radius: &'static str,
    /// Any one of these roles suffices; `admin` always does.
    pub roles: &'static [Role],
    /// Only narrates unless `yes` or the typed name is given.
    pub dangerous: bool,
    /// Refused without a reason.
    pub reason_required: bool,
    /// Needs `If-Match`.
    pub if_match: bool,
    /// `name: type` of each argument; `?` marks optional ones.
    pub args: &'static [&'static str],
}

macro_rules! verbs {
    ($($variant:ident = $name:literal, $roles:expr, $flags:expr, [$($arg:literal),*],
       $summary:literal, $radius:literal;)+) => {
        /// A verb.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Verb {
            $(
                #[doc = $summary]
                $variant
            ),+
        }

        /// Every verb, in the order of the documentation.
        pub const VERBS: &[VerbInfo] = &[$(VerbInfo {
            name: $name,
            summary: $summary,
            blast_radius: $radius,
            roles: $roles,
            dangerous: $flags.0,
            reason_required: $flags.1,
            if_match: $flags.2,
            args: &[$($arg),*],
        }),+];

        impl Verb {
            /// Every verb.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The wire name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

const DRIVE: &[Role] = &[Role::Operator];
const UNDO: &[Role] = &[
    Role::Operator,
    Role::DatabaseOwner,
    Role::ApplicationOwner,
    Role::RollbackApprover,
    Role::DecisionOwner,
    Role::IncidentOwner,
];
const PEOPLE: &[Role] = &[
    Role::Operator,
    Role::DatabaseOwner,
    Role::ApplicationOwner,
    Role::RollbackApprover,
    Role::DecisionOwner,
];
const DECIDE: &[Role] = &[Role::DecisionOwner];
const DATA: &[Role] = &[Role::Operator, Role::DatabaseOwner];
const INCIDENT: &[Role] = &[Role::IncidentOwner, Role::Operator];

/// (dangerous, reason required, If-Match)
const PLAIN: (bool, bool, bool) = (false, false, true);
const CAREFUL: (bool, bool, bool) = (true, false, true);
const GRAVE: (bool, bool, bool) = (true, true, true);
const REASONED: (bool, bool, bool) = (false, true, true);
const AT_ONCE: (bool, bool, bool) = (false, false, false);

verbs! {
    Start = "start", DRIVE, PLAIN, [], "Start a run of the guided workflow",
        "Creates a run; traffic keeps passing to the source.";
    Advance = "advance", DRIVE, CAREFUL, ["to: string?", "force: bool?"], "Go to the next step or phase",
        "May move reads or, at the cutover step, the authority over writes.";
    Hold = "hold", DRIVE, PLAIN, [], "Stay at this step; data keeps flowing",
        "Stops automatic progress; no traffic changes.";
    Release = "release", DRIVE, PLAIN, [], "End a hold or a panic",
        "Automatic progress goes on.";
    StepBack = "step_back", DRIVE, PLAIN, [], "Go to the previous step",
        "Reads of the last step return to the authority.";
    Retry = "retry", DRIVE, PLAIN, [], "Try the failed step, or a rolled-back run, again",
        "Repeats the step that failed.";
    Rollback = "rollback", UNDO, AT_ONCE, ["scope: all|reads|step?"], "Return all authority to the source",
        "All reads and writes return to the source; writes pause for the barrier if authority had moved.";
    Panic = "panic", UNDO, AT_ONCE, [], "Pass everything to the present authority, shifting and comparing off",
        "Reads return to the authority; capture stays on.";
    Commit = "commit", DECIDE, GRAVE, [], "Decide that the target stays; starts the warm-source window",
        "The target stays the authority; rollback works until the window ends.";
    Finalize = "finalize", DECIDE, GRAVE, [], "End the warm-source window",
        "The reverse stream ends; rollback is no longer possible.";
    Abandon = "abandon", DRIVE, GRAVE, [], "End a rolled-back run",
        "The run ends; the source keeps serving everything.";
    Approve = "approve", PEOPLE, PLAIN, ["gate: string"], "Approve a gate",
        "The gate counts one more approval, bound to its evidence.";
    Reject = "reject", PEOPLE, REASONED, ["gate: string"], "Reject a gate",
        "The gate stays shut.";
    Revoke = "revoke", PEOPLE, REASONED, ["gate: string"], "Take an approval back",
        "The gate shuts again.";
    PreflightRun = "preflight_run", DRIVE, AT_ONCE, [], "Run every check again",
        "Read-only probes on both sides.";
    PreflightWaive = "preflight_waive", PEOPLE, REASONED, ["check: string", "expires_in_s: integer?"], "Waive a risk",
        "The check no longer blocks until the waiver expires.";
    Rehearse = "rehearse", DRIVE, CAREFUL, ["what: rollback|cutover"], "Rehearse the rollback or narrate the cutover",
        "A rollback rehearsal runs the real barrier there and back; writes pause twice, within the budget.";
    SmokeRun = "smoke_run", DRIVE, PLAIN, [], "Run the smoke commands of the config through the interlay",
        "Executes the commands of the config on disk.";
    TrafficSet = "traffic_set", DRIVE, PLAIN, ["mode: string?", "percent: integer?", "force: bool?"], "Set the read routing",
        "Reads move between the sides; at most 25 points up per call.";
    TrafficPin = "traffic_pin", DRIVE, PLAIN, ["attribute: string", "side: source|target"], "Pin a cohort's reads to a side",
        "Reads of that user or client name move.";
    TrafficUnpin = "traffic_unpin", DRIVE, PLAIN, ["attribute: string"], "Remove a pin",
        "Reads of that user or client name follow the general mode.";
    TenantMove = "tenant_move", DRIVE, CAREFUL, ["tenant: string"], "Move a tenant's authority to the target",
        "Writes pause for the barrier; then that tenant's authority moves.";
    TenantReturn = "tenant_return", UNDO, AT_ONCE, ["tenant: string"], "Return a tenant's authority to the source",
        "Writes pause for the barrier; then that tenant's authority returns.";
    BackfillPause = "backfill_pause", DATA, PLAIN, [], "Pause the backfill",
        "Copying of history stops; live writes keep being replayed.";
    BackfillResume = "backfill_resume", DATA, PLAIN, [], "Resume the backfill",
        "Copying of history goes on.";
    VerifyRun = "verify_run", DATA, PLAIN, ["scope: full|suspects?"], "Verify both sides against each other",
        "Reads both sides, throttled.";
    VerifyPause = "verify_pause", DATA, PLAIN, [], "Pause verify", "Verification stops where it is.";
    VerifyResume = "verify_resume", DATA, PLAIN, [], "Resume verify", "Verification goes on.";
    DiffRepair = "diff_repair", DATA, CAREFUL, ["ids: [string]?", "all: bool?"], "Write the authority's state to the other side",
        "Overwrites the named records on the secondary, compare-and-set.";
    DiffAccept = "diff_accept", DATA, REASONED, ["ids: [string]?", "all: bool?"], "Accept differences as they are",
        "The differences stay and no longer block.";
    DiffIgnore = "diff_ignore", DATA, REASONED, ["ids: [string]", "expires_in_s: integer?"], "Ignore differences for a time",
        "The differences are shown but not counted, until they change their class or the time is over.";
    DiffRecheck = "diff_recheck", DATA, PLAIN, ["ids: [string]?", "all: bool?"], "Compare differences again",
        "Reads the named records on both sides.";
    QueueRetry = "queue_retry", DATA, PLAIN, ["ids: [string]?", "all: bool?"], "Try parked records again",
        "The records are copied again.";
    QueuePark = "queue_park", DATA, REASONED, ["ids: [string]"], "Set queued records aside",
        "The records are not copied, even when they are written again, until retried.";
    QueueDrop = "queue_drop", DATA, GRAVE, ["ids: [string]"], "Give parked records up",
        "The records stay different on the secondary and are listed as accepted.";
    ThrottleSet = "throttle_set", DATA, PLAIN, ["records_per_s: integer?", "ttl_s: integer?"], "Bound the background load",
        "Backfill and verify get slower or faster.";
    CompareSet = "compare_set", DRIVE, PLAIN, ["sample_percent: number"], "Set the share of reads that is compared",
        "More or fewer reads are also asked of the other side.";
    ConfigApply = "config_apply", DRIVE, PLAIN, ["yaml: string", "digest: string"], "Apply a planned config change",
        "Changes as the plan showed them.";
    IncidentHold = "incident_hold", INCIDENT, AT_ONCE, ["owner: string?"], "Block cleanup and every automatic decision except rollback",
        "Nothing automatic happens until released, except rollback.";
    IncidentRelease = "incident_release", INCIDENT, PLAIN, [], "End an incident hold",
        "Automatic decisions go on.";
    InterlayDrain = "interlay_drain", DRIVE, CAREFUL, ["interlay: string?"], "Stop accepting clients and let the present ones finish",
        "New clients are refused at that listener.";
    Cleanup = "cleanup", DRIVE, CAREFUL, [], "Remove Exodus' own objects from both sides",
        "Removes only what Exodus itself created, each checked.";
}

impl Verb {
    /// What is known of the verb.
    #[must_use]
    pub fn info(self) -> &'static VerbInfo {
        &VERBS[self as usize]
    }

    /// The verb with this wire name; `-` is taken for `_`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.iter().copied().find(|v| v.as_str() == name)
    }

    /// Whether any of these roles may use it.
    #[must_use]
    pub fn permits(self, roles: &[Role]) -> bool {
        roles.iter().any(|r| *r == Role::Admin || self.info().roles.contains(r))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_enum_agree() {
        for (index, verb) in Verb::ALL.iter().enumerate() {
            assert_eq!(verb.as_str(), VERBS[index].name);
            assert_eq!(Verb::parse(verb.as_str()), Some(*verb));
        }
    }

    #[test]
    fn agents_and_observers_execute_nothing() {
        for verb in Verb::ALL {
            assert!(!verb.permits(&[Role::Observer, Role::Agent]), "{verb:?}");
            assert!(verb.permits(&[Role::Admin]), "{verb:?}");
        }
    }

    #[test]
    fn going_back_never_waits() {
        for verb in [Verb::Rollback, Verb::Panic] {
            let info = verb.info();
            assert!(!info.if_match && !info.dangerous && !info.reason_required, "{verb:?}");
        }
    }

    #[test]
    fn grave_verbs_need_a_reason() {
        for verb in [Verb::Commit, Verb::Finalize, Verb::PreflightWaive, Verb::QueueDrop] {
            assert!(verb.info().reason_required, "{verb:?}");
        }
    }
}
