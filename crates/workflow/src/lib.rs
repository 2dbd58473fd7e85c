//! One run of the guided workflow, as a pure state machine.
//!
//! Constraints: no IO, no async, no clock (time arrives as `now_ms` in events), no serialisation.
//! `step(plan, state, event)` decides; the controller stores the new state, then acts; every
//! action may be repeated and carries the epoch. Rollback and panic are accepted in every state
//! that is not final and wait for nobody.
//!
//! Layout: `plan` what the config asks for, `run` the durable state, `place` its steps, `event`
//! and `action` the two ends, `step` the decision, `saga` the barrier that moves authority, `gate`,
//! `evidence` and `criteria` what going on depends on, `needs` the one list of what is missing,
//! `verbs` what is valid where, `waiting` and `undo` the operator's questions, `derive` what
//! follows from a state alone, `legal` which write policies may be combined, `docs` the generated
//! table.

mod action;
mod criteria;
mod derive;
mod docs;
mod event;
mod evidence;
mod gate;
mod legal;
mod needs;
mod place;
mod plan;
mod run;
mod saga;
mod step;
mod undo;
mod verbs;
mod waiting;

pub use action::{Action, Refused, Transition, Worker};
pub use criteria::{Criterion, DECISION_OWNER_REJECTS, JudgedAt, Judgement, OnFailure, Verdict};
pub use derive::{table_for, wake_at_ms, workers};
pub use docs::docs_table;
pub use event::{By, Event, Fact, Verb, VerbKind};
pub use evidence::{Evidence, EvidenceKind, EvidenceOutcome, Waiver};
pub use gate::{Approval, Gate, GateSpec, GateVerdict, Rejection, Role, gate_digest, gate_verdict};
pub use legal::{FamilyCaps, IllegalPolicy, PlanFault, check_change, check_plan, legal_policy};
pub use needs::{Need, ahead, command, forward, gate_at, needs, next_batch};
pub use place::{Place, Step};
pub use plan::{Environment, OnStepFailure, Plan, Window};
pub use run::{
    ATTEMPTS_KEPT, Attempt, Following, Held, Outcome, RollbackAsked, RunState, Saga, StepFailure,
    TenantBatch,
};
pub use saga::{
    FlipAction, FlipInput, FlipKind, FlipState, FlipStep, FlipTerms, Flipped, LIFT_MS, Node,
    PREPARE_MS, REHOME_MS, flip,
};
pub use step::step;
pub use undo::{LagFacts, UndoMeter, undo};
pub use verbs::{permitted, spelt, why_not};
pub use waiting::{Allowed, WaitingOn, allowed_actions, effect, next, waiting_on};
