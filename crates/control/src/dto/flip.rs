use std::collections::BTreeSet;

use model::{Epoch, Side, Tenant};
use routing::Authority;
use serde::{Deserialize, Serialize};
use workflow::{FlipKind, FlipState, FlipStep, FlipTerms, Node, Place, Saga, Step};

use super::{from_text, to_text};
use crate::config::Word;

#[derive(Serialize, Deserialize)]
pub(super) struct AuthorityDoc {
    default: Word<Side>,
    moved: Vec<String>,
}

impl AuthorityDoc {
    pub(super) fn of(authority: &Authority) -> Self {
        Self {
            default: Word(authority.default),
            moved: authority.moved.iter().map(|t| to_text(t.as_bytes())).collect(),
        }
    }

    pub(super) fn back(self) -> Option<Authority> {
        let tenants = self.moved.iter().map(|t| from_text(t).map(|b| Tenant::new(&b)));
        Some(Authority { default: self.default.0, moved: tenants.collect::<Option<_>>()? })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StepDoc {
    pub(super) place: Word<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl StepDoc {
    pub(super) fn of(step: &Step) -> Self {
        let (index, reason) = match step {
            Step::Reads { index } => (Some(*index), None),
            Step::RollbackBlocked { reason } => (None, Some(reason.clone())),
            _ => (None, None),
        };
        Self { place: Word(step.place()), index, reason }
    }

    pub(super) fn back(self) -> Step {
        match self.place.0 {
            Place::Setup => Step::Setup,
            Place::Tap => Step::Tap,
            Place::Analyze => Step::Analyze,
            Place::Compare => Step::Compare,
            Place::Smoke => Step::Smoke,
            Place::Rehearsal => Step::Rehearsal,
            Place::Seeding => Step::Seeding,
            Place::Verifying => Step::Verifying,
            Place::Reads => Step::Reads { index: self.index.unwrap_or(0) },
            Place::Tenants => Step::Tenants,
            Place::ReadyToCutover => Step::ReadyToCutover,
            Place::CuttingOver => Step::CuttingOver,
            Place::ServingTarget => Step::ServingTarget,
            Place::WarmSource => Step::WarmSource,
            Place::Finalized => Step::Finalized,
            Place::RollingBack => Step::RollingBack,
            Place::RolledBack => Step::RolledBack,
            Place::RollbackBlocked => {
                Step::RollbackBlocked { reason: self.reason.unwrap_or_default() }
            }
            Place::Abandoned => Step::Abandoned,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SagaDoc {
    flip: FlipDoc,
    next: AuthorityDoc,
    lands: StepDoc,
    falls: StepDoc,
    by: String,
}

impl SagaDoc {
    pub(super) fn of(saga: &Saga) -> Self {
        let Saga { flip, next, lands, falls, by } = saga;
        Self {
            flip: FlipDoc::of(flip),
            next: AuthorityDoc::of(next),
            lands: StepDoc::of(lands),
            falls: StepDoc::of(falls),
            by: by.clone(),
        }
    }

    pub(super) fn back(self) -> Option<Saga> {
        Some(Saga {
            flip: self.flip.back(),
            next: self.next.back()?,
            lands: self.lands.back(),
            falls: self.falls.back(),
            by: self.by,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct FlipDoc {
    kind: Word<FlipKind>,
    from: Word<Side>,
    to: Word<Side>,
    attempt: u64,
    budget_ms: u64,
    txn_deadline_ms: u64,
    fence: bool,
    lift_new: bool,
    accept_loss: bool,
    step: Word<FlipStep>,
    epoch: u64,
    live: Vec<String>,
    acked: Vec<String>,
    missing: Vec<String>,
    began_ms: u64,
    frozen_ms: Option<u64>,
    txn_wait_ms: u64,
    deadline_ms: Option<u64>,
    fenced: bool,
    lifted: bool,
    at_risk: u64,
    ended_ms: Option<u64>,
    reason: Option<String>,
}

fn names(nodes: &BTreeSet<Node>) -> Vec<String> {
    nodes.iter().map(|n| n.0.clone()).collect()
}

fn nodes(names: Vec<String>) -> BTreeSet<Node> {
    names.into_iter().map(Node).collect()
}

impl FlipDoc {
    fn of(flip: &FlipState) -> Self {
        let FlipState {
            terms,
            step,
            epoch,
            live,
            acked,
            missing,
            began_ms,
            frozen_ms,
            txn_wait_ms,
            deadline_ms,
            fenced,
            lifted,
            at_risk,
            ended_ms,
            reason,
        } = flip;
        let FlipTerms {
            kind,
            from,
            to,
            attempt,
            budget_ms,
            txn_deadline_ms,
            fence,
            lift_new,
            accept_loss,
        } = terms;
        Self {
            kind: Word(*kind),
            from: Word(*from),
            to: Word(*to),
            attempt: *attempt,
            budget_ms: *budget_ms,
            txn_deadline_ms: *txn_deadline_ms,
            fence: *fence,
            lift_new: *lift_new,
            accept_loss: *accept_loss,
            step: Word(*step),
            epoch: epoch.0,
            live: names(live),
            acked: names(acked),
            missing: names(missing),
            began_ms: *began_ms,
            frozen_ms: *frozen_ms,
            txn_wait_ms: *txn_wait_ms,
            deadline_ms: *deadline_ms,
            fenced: *fenced,
            lifted: *lifted,
            at_risk: *at_risk,
            ended_ms: *ended_ms,
            reason: reason.clone(),
        }
    }

    fn back(self) -> FlipState {
        FlipState {
            terms: FlipTerms {
                kind: self.kind.0,
                from: self.from.0,
                to: self.to.0,
                attempt: self.attempt,
                budget_ms: self.budget_ms,
                txn_deadline_ms: self.txn_deadline_ms,
                fence: self.fence,
                lift_new: self.lift_new,
                accept_loss: self.accept_loss,
            },
            step: self.step.0,
            epoch: Epoch(self.epoch),
            live: nodes(self.live),
            acked: nodes(self.acked),
            missing: nodes(self.missing),
            began_ms: self.began_ms,
            frozen_ms: self.frozen_ms,
            txn_wait_ms: self.txn_wait_ms,
            deadline_ms: self.deadline_ms,
            fenced: self.fenced,
            lifted: self.lifted,
            at_risk: self.at_risk,
            ended_ms: self.ended_ms,
            reason: self.reason,
        }
    }
}
