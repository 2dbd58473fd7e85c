use crate::Key;
use crate::wire_names;

wire_names! {
    /// In what way the two sides differ on one record.
    pub enum DivergenceClass ("divergence class") {
        /// The authority has it, the secondary does not.
        MissingOnTarget => "missing_on_target",
        /// The secondary has a record the authority does not.
        ExtraOnTarget => "extra_on_target",
        /// Same type, other content.
        Value => "value",
        /// Other type.
        Type => "type",
        /// Same content, other expiry.
        Ttl => "ttl",
        /// Same members, other order.
        Order => "order",
        /// Structure differs.
        Schema => "schema",
        /// An index differs.
        Index => "index",
        /// A sequence is behind.
        Sequence => "sequence",
    }
}

wire_names! {
    /// The life of a divergence.
    pub enum DivergenceState ("divergence state") {
        /// Seen once; may be in flight.
        Suspected => "suspected",
        /// Seen again with nothing in flight.
        Confirmed => "confirmed",
        /// Written again and re-compared equal.
        Repaired => "repaired",
        /// An operator decided that it may stay.
        Accepted => "accepted",
        /// An operator looks away from it, until it differs in another way or a time has passed.
        Ignored => "ignored",
        /// Equal when looked at again, with no repair by us.
        SelfHealed => "self_healed",
    }
}

/// One record on which the sides differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Which record.
    pub key: Key,
    /// How it differs.
    pub class: DivergenceClass,
    /// Where it is in its life.
    pub state: DivergenceState,
    /// A short masked description of the source's side.
    pub source_summary: String,
    /// A short masked description of the target's side.
    pub target_summary: String,
    /// What most likely made it, if something is known.
    pub likely_cause: Option<String>,
}

/// A record that could not be moved or replayed. Counted apart from divergence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which record.
    pub key: Key,
    /// The `EXO-` code.
    pub code: &'static str,
    /// What the server or the family said, values masked.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}
