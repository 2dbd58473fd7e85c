use super::{Out, told};
use crate::action::Refused;
use crate::criteria::{DECISION_OWNER_REJECTS, Verdict};
use crate::event::{By, VerbKind};
use crate::evidence::settled;
use crate::gate::{Approval, Gate, GateSpec, Rejection, Role, gate_digest};
use crate::needs::{command, gate_at};
use crate::plan::Plan;
use crate::run::RunState;
use crate::verbs::refused;

pub(super) fn approve(
    plan: &Plan,
    run: &mut RunState,
    by: &By,
    gate: Gate,
    seen: Option<&str>,
    out: &mut Out,
) -> Result<(), Refused> {
    let no = |why: String| refused(VerbKind::Approve, "EXO-RUN-010", why);
    let Some(spec) = plan.gates.get(&gate) else {
        return Err(no(format!("the plan has no gate {gate}")));
    };
    acceptable(run, by, gate, spec)?;
    for kind in plan.gate_evidence(gate) {
        if let Err(why) = settled(run, kind) {
            let mut no = refused(VerbKind::Approve, "EXO-RUN-005", why);
            no.instead = vec![command(run, kind.verb())];
            return Err(no);
        }
    }
    let digest = gate_digest(plan, run, gate);
    if seen.is_some_and(|seen| seen != digest) {
        return Err(no("the evidence changed since it was looked at; look again".to_owned()));
    }
    let now = run.now_ms;
    let given = run.approvals.entry(gate).or_default();
    given.retain(|a| spec.expiry_ms.is_none_or(|ms| now.saturating_sub(a.at_ms) < ms));
    if spec.distinct_people && given.iter().any(|a| a.who == by.who && a.digest == digest) {
        out.note("already approved");
        return Ok(());
    }
    if spec.distinct_people {
        given.retain(|a| a.who != by.who);
    }
    out.emit(
        "approved",
        vec![("gate", gate.to_string()), ("by", by.who.clone()), ("digest", digest.clone())],
    );
    given.push(Approval { who: by.who.clone(), role: by.role, at_ms: run.now_ms, digest });
    Ok(())
}

fn acceptable(run: &RunState, by: &By, gate: Gate, spec: &GateSpec) -> Result<(), Refused> {
    let no = |why: String| Err(refused(VerbKind::Approve, "EXO-RUN-010", why));
    if gate_at(run.place()) != Some(gate) {
        return no(format!("gate {gate} does not stand at step {}", run.place()));
    }
    if !spec.roles.contains(&by.role) {
        let roles = spec.roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
        return no(format!("{} does not count at gate {gate}; {roles} would", by.role));
    }
    if !spec.requester_may_approve && by.who == run.moved_by {
        return no(format!("{} brought the run here and cannot approve too", by.who));
    }
    match run.rejections.get(&gate) {
        Some(r) => no(format!("{} rejected gate {gate}: {}", r.who, r.reason)),
        None => Ok(()),
    }
}

pub(super) fn reject(
    plan: &Plan,
    run: &mut RunState,
    by: &By,
    gate: Gate,
    out: &mut Out,
) -> Result<(), Refused> {
    let spec = plan.gates.get(&gate);
    if !spec.is_some_and(|spec| spec.roles.contains(&by.role) || by.role == Role::DecisionOwner) {
        let why = format!("{} cannot reject gate {gate}", by.role);
        return Err(refused(VerbKind::Reject, "EXO-RUN-010", why));
    }
    run.approvals.remove(&gate);
    let (who, reason) = (by.who.clone(), by.reason.clone());
    run.rejections.insert(gate, Rejection { who, role: by.role, at_ms: run.now_ms, reason });
    out.emit(
        "rejected",
        vec![("gate", gate.to_string()), ("by", by.who.clone()), ("why", by.reason.clone())],
    );
    out.notify(true, format!("gate {gate} rejected by {}: {}", by.who, by.reason));
    if by.role == Role::DecisionOwner {
        told::sampled(plan, run, DECISION_OWNER_REJECTS, Verdict::Fail, &by.reason, out);
    }
    Ok(())
}

pub(super) fn revoke(
    run: &mut RunState,
    by: &By,
    gate: Gate,
    out: &mut Out,
) -> Result<(), Refused> {
    let vetoed = run.rejections.get(&gate).is_some_and(|r| r.who == by.who);
    let approvals = run.approvals.entry(gate).or_default();
    let before = approvals.len();
    approvals.retain(|a| a.who != by.who);
    let withdrew = approvals.len() != before;
    if vetoed {
        run.rejections.remove(&gate);
    }
    if !withdrew && !vetoed {
        let why = format!("{} gave neither approval nor veto at gate {gate}", by.who);
        return Err(refused(VerbKind::Revoke, "EXO-RUN-010", why));
    }
    out.emit(
        "revoked",
        vec![("gate", gate.to_string()), ("by", by.who.clone()), ("why", by.reason.clone())],
    );
    if withdrew {
        let text = format!("{} withdrew the approval of gate {gate}: {}", by.who, by.reason);
        out.notify(true, text);
    }
    Ok(())
}
