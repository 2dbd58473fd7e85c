//! A switch of authority, as sessions in every state see it.

use std::time::Duration;

use model::Side;
use routing::{Authority, Freeze};

use crate::raw::{Raw, bind, execute, parse, query, run, said, sync};
use crate::rig::Rig;

/// Long enough for anything that should come at once.
const SOON: Duration = Duration::from_secs(20);
/// What open transactions get here.
const SHORT: Duration = Duration::from_millis(1500);

/// Which server answers.
fn port(raw: &mut Raw) -> String {
    raw.ask("select current_setting('port')")
}

#[test]
fn a_session_goes_on_where_it_left_off() {
    let rig = Rig::two();
    let mut raw = rig.raw();
    raw.ask("set app.tenant = 'it''s'; set search_path = pg_temp, public; listen ch");
    raw.ask("prepare q as select 'by sql'");
    raw.send(&[parse("p", "select 'by protocol'"), sync()].concat());
    raw.until_ready();
    let source = port(&mut raw);
    rig.switch(SOON);
    assert_ne!(port(&mut raw), source);
    assert_eq!(raw.ask("select current_setting('app.tenant')"), "it's I");
    assert_eq!(raw.ask("show search_path"), "pg_temp, public I");
    assert_eq!(raw.ask("execute q"), "by sql I");
    raw.send(&[bind("", "p"), execute("", 0), sync()].concat());
    assert_eq!(said(&raw.until_ready().0), "by protocol");
    assert_eq!(raw.ask("notify ch, 'x'"), "NOTIFY I");
    assert_eq!(raw.ask("show exodus.authority"), "target I");
}

#[test]
fn what_is_held_is_answered_by_the_new_authority() {
    let rig = Rig::two();
    let mut raw = rig.raw();
    let source = port(&mut raw);
    let epoch = rig.publish(|t| t.freeze = Freeze::Writes);
    raw.send(&query("select current_setting('port')"));
    assert!(rig.wait(rig.handle.quiet(epoch, SOON)).unwrap().quiet);
    let mut late = rig.late();
    let epoch = rig.publish(|t| t.authority = Authority::whole(Side::Target));
    rig.wait(rig.handle.rehomed(epoch, SOON)).unwrap();
    rig.publish(|t| t.freeze = Freeze::Open);
    assert_ne!(said(&raw.until_ready().0) + " I", source);
    // Who came while it was frozen got in only afterwards.
    late.until_ready();
    assert_ne!(port(&mut late), source);
}

#[test]
fn a_transaction_finishes_in_time_or_is_ended_honestly() {
    let rig = Rig::two();
    let (mut quick, mut slow) = (rig.raw(), rig.raw());
    assert_eq!(quick.ask("begin"), "BEGIN T");
    assert_eq!(slow.ask("begin"), "BEGIN T");
    assert_eq!(slow.ask("insert into t values (1)"), "INSERT 0 1 T");
    let source = port(&mut slow);
    let epoch = rig.publish(|t| t.freeze = Freeze::Writes);
    assert_eq!(quick.ask("insert into t values (2)"), "INSERT 0 1 T");
    assert_eq!(quick.ask("commit"), "COMMIT I");
    let report = rig.wait(rig.handle.quiet(epoch, SHORT)).unwrap();
    assert!(report.quiet, "{report:?}");
    assert_eq!(report.transactions_ended, 1);
    let epoch = rig.publish(|t| t.authority = Authority::whole(Side::Target));
    rig.wait(rig.handle.rehomed(epoch, SOON)).unwrap();
    rig.publish(|t| t.freeze = Freeze::Open);
    assert_eq!(slow.ask("insert into t values (3)"), "!40001 E");
    slow.send(&[run("select 1"), sync()].concat());
    let (reply, status) = slow.until_ready();
    assert_eq!((said(&reply).as_str(), status), ("!25P02", b'E'));
    assert_eq!(slow.ask("rollback"), "ROLLBACK I");
    assert_ne!(port(&mut slow), source);
    assert_eq!(rig.source.sql(&rig.database, "select string_agg(a::text, ',') from t"), "2");
}

#[test]
fn a_commit_that_does_not_happen_is_an_error() {
    let rig = Rig::two();
    let mut raw = rig.raw();
    raw.ask("begin");
    raw.ask("insert into t values (1)");
    // In the middle of a statement that would not end in time.
    raw.send(&query("select pg_sleep(60)"));
    rig.switch(SHORT);
    assert_eq!(said(&raw.until_ready().0), "!57014");
    assert_eq!(raw.ask("commit"), "!40001 I");
    assert_eq!(raw.ask("insert into t values (2)"), "INSERT 0 1 I");
    assert_eq!(rig.source.sql(&rig.database, "select count(*) from t"), "0");
}

#[test]
fn a_session_that_cannot_move_is_told() {
    let rig = Rig::two();
    for state in ["create temp table x ()", "select pg_advisory_lock(1)"] {
        let mut raw = rig.raw();
        raw.ask(state);
        rig.switch(SOON);
        raw.send(&query("select 1"));
        assert_eq!(said(&raw.rest()), "!57P01", "{state}");
        rig.switch(SOON);
    }
}

#[test]
fn a_switch_that_is_given_up_leaves_everybody_where_they_were() {
    let rig = Rig::two();
    let mut raw = rig.raw();
    raw.ask("set app.a = 'b'");
    let source = port(&mut raw);
    let epoch = rig.publish(|t| t.freeze = Freeze::Writes);
    assert!(rig.wait(rig.handle.quiet(epoch, SOON)).unwrap().quiet);
    rig.publish(|t| t.freeze = Freeze::Open);
    assert_eq!(port(&mut raw), source);
    assert_eq!(raw.ask("select current_setting('app.a')"), "b I");
}
