use crate::plan::Plan;
use crate::run::RunState;

model::wire_names! {
    /// A kind of dated proof. The newest piece of a kind replaces the one before.
    pub enum EvidenceKind ("evidence") {
        /// Checks required at the start passed.
        PreflightStart => "preflight_start",
        /// Checks required when the target is connected passed.
        PreflightConnectTarget => "preflight_connect_target",
        /// Checks required before data moves passed.
        PreflightMigrate => "preflight_migrate",
        /// Checks required before the commit passed.
        PreflightCommit => "preflight_commit",
        /// The tap parsed the traffic without measurable loss.
        Tap => "tap",
        /// The workload profile is representative.
        Profile => "profile",
        /// Findings of mirrored reads are settled.
        Compare => "compare",
        /// The smoke tests passed.
        Smoke => "smoke",
        /// The barrier went there and back on a scratch keyspace.
        Rehearsal => "rehearsal",
        /// No session reaches the source except through an interlay.
        Redirect => "redirect",
        /// Both sides are equal, record by record.
        Verify => "verify",
        /// The target was backed up and that backup restored.
        TargetBackup => "target_backup",
        /// Downstream consumers moved; nobody talks to the source.
        Decommission => "decommission",
    }
}

impl EvidenceKind {
    /// Whether an operator may go on without it. Equality of data can never be waived: reads
    /// would be served from records nobody compared.
    #[must_use]
    pub const fn waivable(self) -> bool {
        !matches!(self, Self::Verify)
    }

    /// The command that makes a fresh piece.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::PreflightStart
            | Self::PreflightConnectTarget
            | Self::PreflightMigrate
            | Self::PreflightCommit => "preflight run",
            // It listens by itself when its step is entered; only passing without it takes a person.
            Self::Tap => "preflight waive tap --reason WHY",
            Self::Profile => "traffic profile",
            Self::Compare => "compare show",
            Self::Smoke => "drill smoke",
            Self::Rehearsal => "rehearse rollback",
            Self::Redirect => "interlay list",
            Self::Verify => "verify run",
            Self::TargetBackup => "preflight waive target_backup --reason WHY",
            Self::Decommission => "preflight waive decommission --reason WHY",
        }
    }
}

model::wire_names! {
    /// What a piece of evidence says.
    pub enum EvidenceOutcome ("evidence outcome") {
        /// It proves what it should.
        Pass => "pass",
        /// It proves the opposite.
        Fail => "fail",
        /// It proves nothing, e.g. too few samples. Never counts as a pass.
        Inconclusive => "inconclusive",
    }
}

/// One dated proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Digest of the report it summarises; what an approval signs.
    pub digest: String,
    /// When it was made, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What it says.
    pub outcome: EvidenceOutcome,
    /// Why it no longer counts, once it does not.
    pub stale: Option<String>,
}

impl Evidence {
    /// Whether it counts.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.outcome == EvidenceOutcome::Pass && self.stale.is_none()
    }
}

/// Permission to go on without a kind of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Why.
    pub reason: String,
    /// Who.
    pub author: String,
    /// When it ends, milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

/// Whether a kind is proved by fresh evidence or waived, or why it is not.
pub(crate) fn settled(run: &RunState, kind: EvidenceKind) -> Result<(), String> {
    if run.waivers.get(&kind).is_some_and(|w| w.expires_ms > run.now_ms) {
        return Ok(());
    }
    match run.evidence.get(&kind) {
        None => Err(format!("there is no {kind} evidence yet")),
        Some(e) => match (&e.stale, e.outcome) {
            (Some(why), _) => Err(format!("{kind} evidence is stale: {why}")),
            (None, EvidenceOutcome::Pass) => Ok(()),
            (None, outcome) => Err(format!("{kind} evidence says {outcome}")),
        },
    }
}

/// Marks what time has made stale. Returns the kinds that changed.
pub(crate) fn age(plan: &Plan, run: &mut RunState) -> Vec<EvidenceKind> {
    let now = run.now_ms;
    let mut turned = Vec::new();
    for (kind, piece) in &mut run.evidence {
        let Some(max) = plan.evidence_max_age_ms.get(kind) else { continue };
        if piece.stale.is_none() && now.saturating_sub(piece.at_ms) > *max {
            piece.stale = Some(format!("older than {} minutes", max / 60_000));
            turned.push(*kind);
        }
    }
    let expired = run.waivers.extract_if(.., |_, w| w.expires_ms <= now);
    turned.extend(expired.map(|(kind, _)| kind));
    turned
}

/// Marks pieces stale for a reason other than age. Returns the kinds that changed.
pub(crate) fn spoil(
    run: &mut RunState,
    kinds: impl IntoIterator<Item = EvidenceKind>,
    why: &str,
) -> Vec<EvidenceKind> {
    let mut turned = Vec::new();
    for kind in kinds {
        if let Some(piece) = run.evidence.get_mut(&kind)
            && piece.stale.is_none()
        {
            piece.stale = Some(why.to_owned());
            turned.push(kind);
        }
    }
    turned
}
