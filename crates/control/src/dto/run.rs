use std::collections::BTreeMap;

use model::{Epoch, ReadMode, Side};
use serde::{Deserialize, Serialize};
use workflow::{
    Approval, Attempt, Evidence, EvidenceKind, EvidenceOutcome, FlipKind, Following, Gate, Held,
    Judgement, Node, OnFailure, Outcome, Place, Rejection, Role, RollbackAsked, RunState,
    StepFailure, Verdict, Waiver,
};

use super::flip::{AuthorityDoc, SagaDoc, StepDoc};
use super::{from_text, to_text};
use crate::config::Word;

/// The format written by this version.
const FORMAT: u32 = 1;

/// A stored run that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("EXO-STO-009: the stored run cannot be read: {0}")]
pub(crate) struct RunError(String);

#[derive(Serialize, Deserialize)]
struct Format {
    v: u32,
}

/// Writes a run down.
pub(crate) fn encode(run: &RunState) -> Vec<u8> {
    serde_json::to_vec(&RunDoc::of(run)).expect("every map of the document has text keys")
}

/// Reads a run back.
pub(crate) fn decode(bytes: &[u8]) -> Result<RunState, RunError> {
    let fail = |e: serde_json::Error| RunError(e.to_string());
    let Format { v } = serde_json::from_slice(bytes).map_err(fail)?;
    if v != FORMAT {
        return Err(RunError(format!("format {v}, this binary reads {FORMAT}")));
    }
    let doc: RunDoc = serde_json::from_slice(bytes).map_err(fail)?;
    doc.back().ok_or_else(|| RunError("a tenant's name is damaged".to_owned()))
}

#[derive(Serialize, Deserialize)]
struct RunDoc {
    v: u32,
    run: String,
    migration: String,
    version: u64,
    now_ms: u64,
    epoch: u64,
    step: StepDoc,
    since_ms: u64,
    moved_by: String,
    authority: AuthorityDoc,
    authority_since_ms: u64,
    reads_percent: u8,
    reads_mode: Option<Word<ReadMode>>,
    pins: BTreeMap<String, Word<Side>>,
    held: Option<HeldDoc>,
    panicked: Option<HeldDoc>,
    incident_hold: Option<HeldDoc>,
    approvals: BTreeMap<Word<Gate>, Vec<SignedDoc>>,
    rejections: BTreeMap<Word<Gate>, SignedDoc>,
    evidence: BTreeMap<Word<EvidenceKind>, EvidenceDoc>,
    waivers: BTreeMap<Word<EvidenceKind>, WaiverDoc>,
    criteria: BTreeMap<String, JudgementDoc>,
    nodes: BTreeMap<String, u64>,
    capture: Option<u64>,
    copy_round: u32,
    backfilled: bool,
    following: FollowingDoc,
    verified: bool,
    feeds_lost: Vec<Word<Side>>,
    fences: Vec<Word<Side>>,
    lift_again_ms: Option<u64>,
    saga: Option<SagaDoc>,
    rollback_asked: Option<RollbackDoc>,
    rolled_back_from: Option<Word<Place>>,
    rehearsing_since_ms: Option<u64>,
    attempts: u64,
    history: Vec<AttemptDoc>,
    failure: Option<FailureDoc>,
    retry_at_ms: Option<u64>,
    retries: u32,
    outcome: Option<Word<Outcome>>,
}

/// Mirrors a plain struct of the workflow, field by field.
macro_rules! mirror {
    ($doc:ident = $of:ident { $($field:ident: $type:ty),+ $(,)? } words { $($word:ident: $wtype:ty),* $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        struct $doc { $($field: $type,)+ $($word: Word<$wtype>,)* }

        impl $doc {
            fn of(from: &$of) -> Self {
                let $of { $($field,)+ $($word,)* } = from.clone();
                Self { $($field,)+ $($word: Word($word),)* }
            }

            fn back(self) -> $of {
                $of { $($field: self.$field,)+ $($word: self.$word.0,)* }
            }
        }
    };
}

mirror! { HeldDoc = Held { by: String, reason: String, since_ms: u64 } words {} }
mirror! { EvidenceDoc = Evidence { digest: String, at_ms: u64, stale: Option<String> }
words { outcome: EvidenceOutcome } }
mirror! { WaiverDoc = Waiver { reason: String, author: String, expires_ms: u64 } words {} }
mirror! { FollowingDoc = Following { in_step: bool, lag_ms: u64, pending: u64 } words {} }
mirror! { RollbackDoc = RollbackAsked { by: String, reason: String, accept_loss: bool } words {} }
mirror! { AttemptDoc = Attempt {
    number: u64, began_ms: u64, moved: bool, pause_ms: u64, txn_wait_ms: u64, took_ms: u64,
    reason: Option<String>,
} words { kind: FlipKind } }
mirror! { FailureDoc = StepFailure { worker: String, code: String, why: String, at_ms: u64 }
words {} }

/// An approval (with a digest) or a veto (with a reason).
#[derive(Serialize, Deserialize)]
struct SignedDoc {
    who: String,
    role: Word<Role>,
    at_ms: u64,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct JudgementDoc {
    counted: Vec<bool>,
    verdict: Word<Verdict>,
    since_ms: u64,
    numbers: String,
    would_have: Option<Word<OnFailure>>,
}

impl SignedDoc {
    fn approval(from: &Approval) -> Self {
        let Approval { who, role, at_ms, digest } = from.clone();
        Self { who, role: Word(role), at_ms, text: digest }
    }

    fn rejection(from: &Rejection) -> Self {
        let Rejection { who, role, at_ms, reason } = from.clone();
        Self { who, role: Word(role), at_ms, text: reason }
    }
}

impl JudgementDoc {
    fn of(from: &Judgement) -> Self {
        let Judgement { counted, verdict, since_ms, numbers, would_have } = from.clone();
        Self {
            counted: counted.into(),
            verdict: Word(verdict),
            since_ms,
            numbers,
            would_have: would_have.map(Word),
        }
    }

    fn back(self) -> Judgement {
        Judgement {
            counted: self.counted.into(),
            verdict: self.verdict.0,
            since_ms: self.since_ms,
            numbers: self.numbers,
            would_have: self.would_have.map(|w| w.0),
        }
    }
}

fn words<K: Copy + Ord, V, D>(map: &BTreeMap<K, V>, doc: impl Fn(&V) -> D) -> BTreeMap<Word<K>, D> {
    map.iter().map(|(k, v)| (Word(*k), doc(v))).collect()
}

fn unword<K: Copy + Ord, V, D>(map: BTreeMap<Word<K>, D>, back: impl Fn(D) -> V) -> BTreeMap<K, V> {
    map.into_iter().map(|(k, v)| (k.0, back(v))).collect()
}

fn pins(pins: BTreeMap<String, Word<Side>>) -> Option<BTreeMap<Vec<u8>, Side>> {
    pins.into_iter().map(|(a, s)| Some((from_text(&a)?, s.0))).collect()
}

impl RunDoc {
    fn of(run: &RunState) -> Self {
        // Every field by name: a new one does not compile until it is written down here.
        let RunState {
            run,
            migration,
            version,
            now_ms,
            epoch,
            step,
            since_ms,
            moved_by,
            authority,
            authority_since_ms,
            reads_percent,
            reads_mode,
            pins,
            held,
            panicked,
            incident_hold,
            approvals,
            rejections,
            evidence,
            waivers,
            criteria,
            nodes,
            capture,
            copy_round,
            backfilled,
            following,
            verified,
            feeds_lost,
            fences,
            lift_again_ms,
            saga,
            rollback_asked,
            rolled_back_from,
            rehearsing_since_ms,
            attempts,
            history,
            failure,
            retry_at_ms,
            retries,
            outcome,
        } = run;
        Self {
            v: FORMAT,
            run: run.clone(),
            migration: migration.clone(),
            version: *version,
            now_ms: *now_ms,
            epoch: epoch.0,
            step: StepDoc::of(step),
            since_ms: *since_ms,
            moved_by: moved_by.clone(),
            authority: AuthorityDoc::of(authority),
            authority_since_ms: *authority_since_ms,
            reads_percent: *reads_percent,
            reads_mode: reads_mode.map(Word),
            pins: pins.iter().map(|(a, s)| (to_text(a), Word(*s))).collect(),
            held: held.as_ref().map(HeldDoc::of),
            panicked: panicked.as_ref().map(HeldDoc::of),
            incident_hold: incident_hold.as_ref().map(HeldDoc::of),
            approvals: words(approvals, |list| list.iter().map(SignedDoc::approval).collect()),
            rejections: words(rejections, SignedDoc::rejection),
            evidence: words(evidence, EvidenceDoc::of),
            waivers: words(waivers, WaiverDoc::of),
            criteria: criteria.iter().map(|(k, j)| (k.clone(), JudgementDoc::of(j))).collect(),
            nodes: nodes.iter().map(|(n, e)| (n.0.clone(), e.0)).collect(),
            capture: capture.map(|e| e.0),
            copy_round: *copy_round,
            backfilled: *backfilled,
            following: FollowingDoc::of(following),
            verified: *verified,
            feeds_lost: feeds_lost.iter().copied().map(Word).collect(),
            fences: fences.iter().copied().map(Word).collect(),
            lift_again_ms: *lift_again_ms,
            saga: saga.as_ref().map(SagaDoc::of),
            rollback_asked: rollback_asked.as_ref().map(RollbackDoc::of),
            rolled_back_from: rolled_back_from.map(Word),
            rehearsing_since_ms: *rehearsing_since_ms,
            attempts: *attempts,
            history: history.iter().map(AttemptDoc::of).collect(),
            failure: failure.as_ref().map(FailureDoc::of),
            retry_at_ms: *retry_at_ms,
            retries: *retries,
            outcome: outcome.map(Word),
        }
    }

    fn back(self) -> Option<RunState> {
        let approval =
            |s: SignedDoc| Approval { who: s.who, role: s.role.0, at_ms: s.at_ms, digest: s.text };
        let rejection =
            |s: SignedDoc| Rejection { who: s.who, role: s.role.0, at_ms: s.at_ms, reason: s.text };
        Some(RunState {
            run: self.run,
            migration: self.migration,
            version: self.version,
            now_ms: self.now_ms,
            epoch: Epoch(self.epoch),
            step: self.step.back(),
            since_ms: self.since_ms,
            moved_by: self.moved_by,
            authority: self.authority.back()?,
            authority_since_ms: self.authority_since_ms,
            reads_percent: self.reads_percent,
            reads_mode: self.reads_mode.map(|w| w.0),
            pins: pins(self.pins)?,
            held: self.held.map(HeldDoc::back),
            panicked: self.panicked.map(HeldDoc::back),
            incident_hold: self.incident_hold.map(HeldDoc::back),
            approvals: unword(self.approvals, |list| list.into_iter().map(approval).collect()),
            rejections: unword(self.rejections, rejection),
            evidence: unword(self.evidence, EvidenceDoc::back),
            waivers: unword(self.waivers, WaiverDoc::back),
            criteria: self.criteria.into_iter().map(|(k, j)| (k, j.back())).collect(),
            nodes: self.nodes.into_iter().map(|(n, e)| (Node(n), Epoch(e))).collect(),
            capture: self.capture.map(Epoch),
            copy_round: self.copy_round,
            backfilled: self.backfilled,
            following: self.following.back(),
            verified: self.verified,
            feeds_lost: self.feeds_lost.into_iter().map(|w| w.0).collect(),
            fences: self.fences.into_iter().map(|w| w.0).collect(),
            lift_again_ms: self.lift_again_ms,
            saga: match self.saga {
                Some(saga) => Some(saga.back()?),
                None => None,
            },
            rollback_asked: self.rollback_asked.map(RollbackDoc::back),
            rolled_back_from: self.rolled_back_from.map(|w| w.0),
            rehearsing_since_ms: self.rehearsing_since_ms,
            attempts: self.attempts,
            history: self.history.into_iter().map(AttemptDoc::back).collect(),
            failure: self.failure.map(FailureDoc::back),
            retry_at_ms: self.retry_at_ms,
            retries: self.retries,
            outcome: self.outcome.map(|w| w.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::Tenant;
    use routing::Authority;
    use workflow::{FlipState, FlipTerms, Saga, Step};

    use super::*;

    fn full() -> RunState {
        let mut run = RunState::new("r-1", "m", "ann", 1_000);
        let held = Held { by: "ann".into(), reason: "lunch".into(), since_ms: 3 };
        let node = Node("n\\1".to_owned());
        run.step = Step::RollbackBlocked { reason: "no route".into() };
        run.authority = Authority {
            default: Side::Source,
            moved: BTreeSet::from([Tenant::new(b"a\x00\\b"), Tenant::new("é".as_bytes())]),
        };
        (run.held, run.panicked) = (Some(held.clone()), Some(held.clone()));
        run.incident_hold = Some(held);
        let signed =
            Approval { who: "bob".into(), role: Role::DecisionOwner, at_ms: 4, digest: "d".into() };
        run.approvals.insert(Gate::Commit, vec![signed]);
        run.rejections.insert(
            Gate::Migrate,
            Rejection { who: "bob".into(), role: Role::Admin, at_ms: 5, reason: "no".into() },
        );
        for outcome in EvidenceOutcome::ALL {
            let piece = Evidence {
                digest: "x".into(),
                at_ms: 6,
                outcome: *outcome,
                stale: Some("old".into()),
            };
            run.evidence.insert(EvidenceKind::ALL[*outcome as usize], piece);
        }
        run.waivers.insert(
            EvidenceKind::Tap,
            Waiver { reason: "r".into(), author: "a".into(), expires_ms: 9 },
        );
        let mut judgement = Judgement::blank(7);
        judgement.counted.push_back(true);
        judgement.would_have = Some(OnFailure::StepBack);
        run.criteria.insert("target_p99".into(), judgement);
        run.nodes.insert(node.clone(), Epoch(3));
        run.capture = Some(Epoch(2));
        run.reads_mode = Some(ReadMode::PreferTarget);
        run.pins.insert(b"a\\\xff".to_vec(), Side::Target);
        (run.copy_round, run.lift_again_ms) = (3, Some(5));
        run.feeds_lost.insert(Side::Target);
        run.fences.insert(Side::Source);
        let terms = FlipTerms {
            kind: FlipKind::Cutover,
            from: Side::Source,
            to: Side::Target,
            attempt: 1,
            budget_ms: 1_000,
            txn_deadline_ms: 500,
            fence: true,
            lift_new: true,
            accept_loss: false,
        };
        let begun = FlipState::begin(terms, Epoch(4), BTreeSet::from([node]), 8);
        run.saga = Some(Saga {
            flip: begun.state,
            next: Authority::whole(Side::Target),
            lands: Step::ServingTarget,
            falls: Step::Reads { index: 3 },
            by: "ann".into(),
        });
        run.rollback_asked =
            Some(RollbackAsked { by: "x".into(), reason: "y".into(), accept_loss: true });
        run.rolled_back_from = Some(Place::Reads);
        run.rehearsing_since_ms = Some(1);
        run.history.push_back(Attempt {
            number: 1,
            kind: FlipKind::Rehearsal,
            began_ms: 1,
            moved: true,
            pause_ms: 2,
            txn_wait_ms: 3,
            took_ms: 4,
            reason: None,
        });
        run.failure = Some(StepFailure {
            worker: "backfill".into(),
            code: "EXO-ENG-001".into(),
            why: "w".into(),
            at_ms: 1,
        });
        run.retry_at_ms = Some(77);
        run.outcome = Some(Outcome::Abandoned);
        run
    }

    #[test]
    fn a_run_goes_there_and_back() {
        for run in [RunState::new("r", "m", "a", 1), full()] {
            assert_eq!(decode(&encode(&run)).unwrap(), run);
        }
        let steps = Place::ALL.iter().map(|place| {
            let mut run = RunState::new("r", "m", "a", 1);
            run.step =
                StepDoc { place: Word(*place), index: Some(2), reason: Some("x".into()) }.back();
            run
        });
        for run in steps {
            assert_eq!(decode(&encode(&run)).unwrap(), run);
        }
    }

    #[test]
    fn another_format_is_refused() {
        let text = String::from_utf8(encode(&full())).unwrap();
        let newer = text.replacen("\"v\":1", "\"v\":2", 1);
        assert!(decode(newer.as_bytes()).unwrap_err().to_string().contains("format 2"));
        assert!(decode(b"{}").is_err());
    }
}
