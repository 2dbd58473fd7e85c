use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Wraps the data of every answer: what an operator needs to know wherever they look.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Envelope<T> {
    /// Version of the migration's state; goes into `If-Match`. 0 where no migration is meant.
    pub state_version: u64,
    /// What the run waits for; absent when it moves by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<Waiting>,
    /// Every verb, whether it is allowed now, and why not.
    #[serde(default)]
    pub allowed_actions: Vec<AllowedAction>,
    /// Things that deserve attention.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// The commands that most likely come next, best first.
    #[serde(default)]
    pub next_steps: Vec<NextStep>,
    /// The answer itself.
    pub data: T,
}

impl<T> Envelope<T> {
    /// An answer that concerns no migration.
    pub const fn plain(data: T) -> Self {
        Self {
            state_version: 0,
            waiting_on: None,
            allowed_actions: Vec::new(),
            warnings: Vec::new(),
            next_steps: Vec::new(),
            data,
        }
    }
}

/// What the run waits for, and who can end that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// Stable snake_case word: `operator`, `gate`, `soak`, `backfill`, `drain`, `criteria`, …
    pub kind: String,
    /// One sentence.
    pub what: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Who can unblock it: a role, or `time`, or `the system`.
    pub who: String,
    /// The command that unblocks it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// A verb and whether the present state allows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AllowedAction {
    /// Wire name of the verb.
    pub verb: String,
    /// Whether it would be accepted now.
    pub allowed: bool,
    /// Why not, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// What it would touch, in one sentence.
    pub blast_radius: String,
    /// The command line.
    pub command: String,
}

/// Something that deserves attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// The `EXO-` code; `exodus explain` has its page.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// A suggested command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextStep {
    /// As it can be pasted into a shell.
    pub command: String,
    /// Why one would.
    pub why: String,
}
