//! PostgreSQL's own programs behave through the interlay as they do directly.

use crate::rig::Rig;

#[test]
fn psql_prints_the_same() {
    let rig = Rig::one();
    for script in [
        "select 1 as one, 'a' || 'b' as two",
        "set client_min_messages = error; drop table if exists t; create table t (a int primary key, b text); insert into t values (1, 'x'), (2, null)",
        "select * from t order by a",
        "select 1/0",
        "begin; insert into t values (3, 'y'); select count(*) from t; rollback",
        "\\copy t to stdout",
        "set datestyle = 'german'; show datestyle",
        "do $$begin raise notice 'hello'; end$$",
    ] {
        assert_eq!(rig.psql(true, script), rig.psql(false, script), "{script}");
    }
}

#[test]
fn pgbench_runs_in_every_mode() {
    let rig = Rig::one();
    let run = |args: &[&str]| {
        let done = rig.program("pgbench", true).args(args).output().expect("pgbench runs");
        let text = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{args:?}: {text}");
        text
    };
    run(&["-i", "-q", "-s", "1"]);
    for mode in ["simple", "extended", "prepared"] {
        let text = run(&["-M", mode, "-n", "-c", "4", "-t", "50"]);
        assert!(text.contains("number of transactions actually processed: 200/200"), "{text}");
        assert!(text.contains("number of failed transactions: 0"), "{text}");
    }
}
