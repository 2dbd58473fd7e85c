//! Paths of both machines, step by step. That no path breaks a law is the model's to show.

use std::collections::BTreeSet;

use model::{Epoch, Side};

use super::coordinator::{Action as C, Coordinator, Event as E, Left, Xids};
use super::recovery::{Action as R, Event as F, Listed, Recovery, Report, Scope, Why};
use super::*;

const XIDS: Xids = Xids { authority: 11, other: 22 };
const OURS: Standing = Standing { verdict: Verdict::Commit, xid: 11 };
const ABORT: Standing = Standing { verdict: Verdict::Abort, xid: 99 };
use Place::{Authority, Other};

/// Feeds events and says which actions came, all of them.
fn run(form: Form, events: &[E]) -> (Coordinator, Vec<C>) {
    let (mut machine, mut all) = Coordinator::begin(form, XIDS);
    for event in events {
        let actions;
        (machine, actions) = machine.step(*event);
        all.extend(actions);
    }
    (machine, all)
}

fn check(form: Form, events: &[E], expect: &[C]) {
    let (machine, actions) = run(form, events);
    assert_eq!(actions, expect, "{events:?}");
    assert!(machine.is_over(), "{events:?}");
}

#[test]
fn authority_last_commits() {
    check(
        Form::AuthorityLast,
        &[
            E::Prepared(Reply::Done),
            E::Decided(Reply::Done),
            E::Committed(Reply::Done),
            E::Finished(Finished::Done),
        ],
        &[
            C::Prepare(Other),
            C::Decide,
            C::Commit,
            C::Finish(Other, Verdict::Commit),
            C::Answer(Outcome::Ok),
        ],
    );
}

#[test]
fn symmetric_commits() {
    check(
        Form::Symmetric,
        &[
            E::Prepared(Reply::Done),
            E::Prepared(Reply::Done),
            E::Recorded(Reply::Done),
            E::Finished(Finished::Done),
            E::Finished(Finished::Done),
        ],
        &[
            C::Prepare(Authority),
            C::Prepare(Other),
            C::Record,
            C::Finish(Authority, Verdict::Commit),
            C::Finish(Other, Verdict::Commit),
            C::Answer(Outcome::Ok),
        ],
    );
}

#[test]
fn a_failed_transaction_that_prepares_successfully_is_a_no() {
    check(
        Form::AuthorityLast,
        &[E::Prepared(Reply::RolledBack), E::RolledBack],
        &[C::Prepare(Other), C::Rollback(Authority), C::Answer(Outcome::No(SqlState::ROLLED_BACK))],
    );
}

#[test]
fn a_lost_prepare_is_a_no_and_is_cleared_away() {
    check(
        Form::AuthorityLast,
        &[
            E::Prepared(Reply::Lost),
            E::RolledBack,
            E::Buried(true),
            E::Stands(Some(ABORT)),
            E::Finished(Finished::Missing),
            E::Fate(Some(Fate::Aborted)),
        ],
        &[
            C::Prepare(Other),
            C::Rollback(Authority),
            C::Bury(Other),
            C::Fence,
            C::Finish(Other, Verdict::Abort),
            C::Status(Other),
            C::Answer(Outcome::No(SqlState::LOST)),
        ],
    );
}

#[test]
fn a_recoverer_that_was_faster_is_obeyed() {
    check(
        Form::AuthorityLast,
        &[
            E::Prepared(Reply::Done),
            E::Decided(Reply::Refused(SqlState::TAKEN)),
            E::RolledBack,
            E::Stands(Some(ABORT)),
            E::Finished(Finished::Missing),
            E::Fate(Some(Fate::Aborted)),
        ],
        &[
            C::Prepare(Other),
            C::Decide,
            C::Rollback(Authority),
            C::Fence,
            C::Finish(Other, Verdict::Abort),
            C::Status(Other),
            C::Answer(Outcome::No(SqlState::FENCED)),
        ],
    );
}

#[test]
fn the_clients_own_unique_violation_stays_what_it_is() {
    let own = SqlState::TAKEN;
    let (_, actions) = run(
        Form::AuthorityLast,
        &[
            E::Prepared(Reply::Done),
            E::Decided(Reply::Done),
            E::Committed(Reply::Refused(own)),
            E::Stands(Some(ABORT)),
            E::Finished(Finished::Done),
        ],
    );
    assert_eq!(actions.last(), Some(&C::Answer(Outcome::No(own))));
}

#[test]
fn a_lost_commit_is_whatever_the_row_says() {
    let lost = [
        E::Prepared(Reply::Done),
        E::Decided(Reply::Done),
        E::Committed(Reply::Lost),
        E::Buried(true),
        E::Stands(None),
    ];
    let end = |more: &[E]| {
        let (machine, actions) = run(Form::AuthorityLast, &[&lost[..], more].concat());
        assert!(machine.is_over());
        actions[6..].to_vec()
    };
    assert_eq!(
        end(&[E::Stands(Some(OURS)), E::Finished(Finished::Done)]),
        [C::Finish(Other, Verdict::Commit), C::Answer(Outcome::Ok)]
    );
    assert_eq!(
        end(&[E::Stands(Some(ABORT)), E::Finished(Finished::Done)]),
        [C::Finish(Other, Verdict::Abort), C::Answer(Outcome::No(SqlState::FENCED))]
    );
    assert_eq!(end(&[E::Deadline]), [C::Answer(Outcome::Unknown), C::Leave(Left::Late)]);
    let other = Standing { xid: 12, ..OURS };
    assert_eq!(
        end(&[E::Stands(Some(other))]),
        [C::Answer(Outcome::Unknown), C::Leave(Left::Contradiction(Authority))]
    );
}

#[test]
fn what_is_decided_is_answered_though_it_cannot_be_finished() {
    let decided = [E::Prepared(Reply::Done), E::Decided(Reply::Done), E::Committed(Reply::Done)];
    let end = |more: &[E]| {
        let (machine, actions) = run(Form::AuthorityLast, &[&decided[..], more].concat());
        assert!(machine.is_over());
        actions[4..].to_vec()
    };
    let denied = SqlState::read("42501");
    assert_eq!(
        end(&[E::Finished(Finished::Refused(denied))]),
        [C::Answer(Outcome::Ok), C::Leave(Left::Refused(Other, denied))]
    );
    assert_eq!(end(&[E::Deadline]), [C::Answer(Outcome::Ok), C::Leave(Left::Late)]);
    assert_eq!(
        end(&[E::Finished(Finished::Missing), E::Fate(Some(Fate::Aborted))]),
        [C::Status(Other), C::Answer(Outcome::Unknown), C::Leave(Left::Contradiction(Other))]
    );
    assert_eq!(
        end(&[E::Finished(Finished::Missing), E::Fate(Some(Fate::Forgotten))]),
        [C::Status(Other), C::Answer(Outcome::Unknown), C::Leave(Left::Forgotten(Other))]
    );
}

#[test]
fn answers_nobody_waits_for_change_nothing() {
    let (machine, _) = run(Form::AuthorityLast, &[E::Prepared(Reply::Done)]);
    for event in [E::Committed(Reply::Done), E::Prepared(Reply::Done), E::Deadline, E::RolledBack] {
        assert_eq!(machine.clone().step(event), (machine.clone(), Vec::new()), "{event:?}");
    }
}

const LEFT: &str = "exo:orders:7:old:s-t:1:42";

fn scope() -> Scope {
    let live = BTreeSet::from(["new".to_owned()]);
    Scope { run: "orders".into(), live, left: BTreeSet::new(), systems: [1, 2] }
}

fn listed(name: &str) -> Listed {
    Listed { name: name.into(), xid: 22, owner: "app".into() }
}

/// A recovery whose every pass finds `first` on the target, then nothing.
fn recover(scope: Scope, first: &[&str], mut answer: impl FnMut(&R) -> F) -> (Vec<R>, Report) {
    let (mut machine, mut actions) = Recovery::begin(scope);
    let mut scans = 0;
    let mut all = Vec::new();
    loop {
        let Some(action) = actions.pop() else { panic!("no action after {all:?}") };
        let event = match &action {
            R::Kill(_) => F::Killed(Reply::Done),
            R::Scan(Side::Target) if scans == 0 => {
                scans += 1;
                F::Scanned(Some(first.iter().map(|name| listed(name)).collect()))
            }
            R::Scan(_) => F::Scanned(Some(Vec::new())),
            R::Done(report) => return (all, report.clone()),
            action => answer(action),
        };
        if !matches!(action, R::Kill(_) | R::Scan(_)) {
            all.push(action);
        }
        (machine, actions) = machine.step(event);
    }
}

#[test]
fn nothing_is_rolled_back_before_its_abort_record_stands() {
    let gid: Gid = LEFT.parse().unwrap();
    let (actions, report) = recover(scope(), &[LEFT], |action| match action {
        R::Fence(..) => F::Stands(Some(ABORT)),
        _ => F::Finished(Finished::Done),
    });
    assert_eq!(
        actions,
        [
            R::Fence(Side::Source, gid.clone()),
            R::Finish(Side::Target, gid.clone(), Verdict::Abort, "app".into()),
        ]
    );
    assert_eq!(report.ended.get(&gid), Some(&Verdict::Abort));
    assert!(report.is_clean());
}

#[test]
fn what_was_decided_is_committed() {
    let (actions, report) = recover(scope(), &[LEFT], |action| match action {
        R::Fence(..) => F::Stands(Some(OURS)),
        _ => F::Finished(Finished::Done),
    });
    assert!(matches!(&actions[1], R::Finish(Side::Target, _, Verdict::Commit, _)));
    assert_eq!(report.ended.len(), 1);
}

#[test]
fn others_are_left_alone() {
    let names =
        ["exo:orders:8:new:s-t:1:1", "exo:invoices:7:old:s-t:1:1", "somebody else's", "exo:"];
    let (actions, report) = recover(scope(), &names, |action| panic!("{action:?}"));
    assert_eq!(actions, []);
    assert!(report.is_clean());
}

#[test]
fn what_a_live_node_left_to_us_is_ended() {
    let name = "exo:orders:8:new:s-t:1:1";
    let left = BTreeSet::from([name.parse().unwrap()]);
    let (_, report) = recover(Scope { left, ..scope() }, &[name], |action| match action {
        R::Fence(..) => F::Stands(Some(ABORT)),
        _ => F::Finished(Finished::Done),
    });
    assert_eq!(report.ended.len(), 1);
}

#[test]
fn names_that_need_somebody_are_told_and_not_touched() {
    let names = ["exo:orders:7:old:s-t:5:42", "exo:orders:7:old"];
    let (actions, report) = recover(scope(), &names, |action| panic!("{action:?}"));
    assert_eq!(actions, []);
    let open: Vec<_> = report.open.into_values().collect();
    assert_eq!(open.len(), 2);
    assert!(open.contains(&Why::OtherSystem) && open.contains(&Why::Garbled));
}

#[test]
fn missing_is_asked_for() {
    let mut later = 0;
    let (actions, report) = recover(scope(), &[LEFT], |action| match action {
        R::Fence(..) => F::Stands(Some(OURS)),
        R::Finish(..) => {
            later += 1;
            F::Finished(if later == 1 { Finished::Later } else { Finished::Missing })
        }
        _ => F::Fate(Some(Fate::Aborted)),
    });
    assert_eq!(actions.last(), Some(&R::Status(Side::Target, 22)));
    assert_eq!(report.open.into_values().collect::<Vec<_>>(), [Why::Contradiction]);
    assert!(report.ended.is_empty());
}

#[test]
fn a_recovery_that_takes_too_long_says_so() {
    let (machine, _) = Recovery::begin(scope());
    let (machine, actions) = machine.step(F::Deadline);
    assert!(matches!(&actions[..], [R::Done(report)] if report.late && !report.is_clean()));
    assert!(machine.is_over());
}

#[test]
fn servers_are_heard_right() {
    let gid = Gid {
        run: "orders".into(),
        epoch: Epoch(7),
        boot: "old".into(),
        participants: Participants { authority: Side::Source, symmetric: false },
        system: 1,
        number: 42,
    };
    assert_eq!(gid.to_string(), LEFT);
    let said =
        |action: &C, tag, row: &[Option<&str>]| heard(action, Said::Done { tag, row }).unwrap();
    let prepare = C::Prepare(Other);
    assert_eq!(words(&prepare, &gid, XIDS).unwrap(), format!("PREPARE TRANSACTION '{LEFT}'"));
    assert_eq!(said(&prepare, "PREPARE TRANSACTION", &[]), E::Prepared(Reply::Done));
    assert_eq!(said(&prepare, "ROLLBACK", &[]), E::Prepared(Reply::RolledBack));
    assert_eq!(said(&C::Commit, "ROLLBACK", &[]), E::Committed(Reply::RolledBack));
    assert_eq!(said(&C::Fence, "SELECT 1", &[Some("commit"), Some("11")]), E::Stands(Some(OURS)));
    assert_eq!(said(&C::Status(Other), "SELECT 1", &[None]), E::Fate(Some(Fate::Forgotten)));
    let refused = |action: &C, state: &str, fatal| {
        heard(action, Said::Refused { state: SqlState::read(state), fatal }).unwrap()
    };
    let finish = C::Finish(Other, Verdict::Commit);
    assert_eq!(refused(&finish, "42704", false), E::Finished(Finished::Missing));
    assert_eq!(refused(&finish, "55000", false), E::Finished(Finished::Later));
    assert_eq!(refused(&finish, "57P01", true), E::Finished(Finished::Later));
    let denied = SqlState::read("42501");
    assert_eq!(refused(&finish, "42501", false), E::Finished(Finished::Refused(denied)));
    assert_eq!(refused(&C::Commit, "57P01", true), E::Committed(Reply::Lost));
    assert_eq!(refused(&C::Fence, "55P03", false), E::Stands(None));
    assert_eq!(heard(&C::Commit, Said::Nothing), Some(E::Committed(Reply::Lost)));
}
