//! The same bytes in, the same bytes out: through an interlay and directly.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::raw::{Raw, bind, describe, execute, flush, message, parse, query, run, sync};
use crate::rig::Rig;

/// What a server answers to a script up to the end of the connection.
fn answer(address: SocketAddr, database: &str, script: &[u8]) -> Vec<u8> {
    let mut raw = Raw::login(address, database);
    let mut writer = raw.stream.try_clone().unwrap();
    let script: Arc<[u8]> = script.into();
    // Written beside the reading, so that neither end waits for the other.
    let writing = std::thread::spawn(move || {
        use std::io::Write as _;
        let _ = writer.write_all(&script);
    });
    let mut all = Vec::new();
    while let Some(message) = raw.message() {
        all.extend_from_slice(&without_place(message));
    }
    writing.join().unwrap();
    all
}

/// An error without the line of the server's source that made it: errors of ours have none.
fn without_place(message: Vec<u8>) -> Vec<u8> {
    if message[0] != b'E' {
        return message;
    }
    let fields = message[5..].split(|b| *b == 0);
    let kept = fields.filter(|f| !matches!(f.first(), Some(b'F' | b'L' | b'R')));
    crate::raw::message(b'E', &kept.collect::<Vec<_>>().join(&0))
}

fn check(rig: &Rig, name: &str, script: &[u8]) {
    let script = [script, &message(b'X', b"")].concat();
    let direct = SocketAddr::from((Ipv4Addr::LOCALHOST, rig.source.port));
    let expect = answer(direct, &rig.database, &script);
    let got = answer(rig.address(), &rig.database, &script);
    let shown = |bytes: &[u8]| bytes[..bytes.len().min(3000)].escape_ascii().to_string();
    assert!(got == expect, "{name}\n got {}\n not {}", shown(&got), shown(&expect));
}

const TABLE: &str = "create temp table c (a int, b text)";

#[test]
fn scripts_of_every_kind_of_message() {
    let rig = Rig::open();
    let copy = |data: &str| message(b'd', data.as_bytes());
    let done = || message(b'c', b"");
    let copy_in = "copy c from stdin";
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("simple", vec![query("select 1; select 2, null"), query(""), query("select 'a'")]),
        (
            "errors",
            vec![query("select 1/0; select 2"), query("begin"), query("x"), query("rollback")],
        ),
        ("notice", vec![query("do $$begin raise notice 'a'; end$$")]),
        (
            "extended",
            vec![
                parse("s", "select 1 as a"),
                describe('S', "s"),
                sync(),
                bind("", "s"),
                describe('P', ""),
                execute("", 0),
                sync(),
                message(b'C', b"Ss\0"),
                sync(),
            ],
        ),
        (
            "until sync",
            vec![
                run("select 1"),
                run("select 1/0"),
                run("select 2"),
                sync(),
                run("select 3"),
                sync(),
            ],
        ),
        ("bad parse", vec![message(b'P', b"x"), run("select 1"), sync(), query("select 2")]),
        ("flush", vec![run("select 1"), flush(), run("select 2"), flush(), sync()]),
        (
            "error and flush",
            vec![
                run("select 1/0"),
                flush(),
                run("select 2"),
                flush(),
                run("select 3"),
                sync(),
                query("select 4"),
            ],
        ),
        ("query in a group", vec![run("select 1"), query("select 2"), sync()]),
        (
            "query in a failed group",
            vec![run("select 1/0"), query("select 2"), sync(), query("select 3")],
        ),
        (
            "lone",
            vec![
                sync(),
                flush(),
                sync(),
                done(),
                copy("x"),
                message(b'f', b"x\0"),
                query("select 1"),
            ],
        ),
        (
            "portal",
            vec![
                query("begin"),
                parse("", "select generate_series(1, 5)"),
                bind("p", ""),
                execute("p", 2),
                sync(),
                execute("p", 2),
                flush(),
                execute("p", 9),
                sync(),
                query("end"),
            ],
        ),
        (
            "cursor",
            vec![
                query("begin"),
                query("declare k cursor for select generate_series(1, 5)"),
                query("fetch 2 from k"),
                query("fetch 9 from k"),
                query("commit"),
            ],
        ),
        (
            "function",
            vec![
                message(
                    b'F',
                    &[
                        0, 0, 0, 177, 0, 1, 0, 1, 0, 2, 0, 0, 0, 4, 0, 0, 0, 40, 0, 0, 0, 4, 0, 0,
                        0, 2, 0, 1,
                    ],
                ),
                message(b'F', &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
                query("select 1"),
            ],
        ),
        (
            "copy out",
            vec![query("copy (select generate_series(1, 1000)) to stdout"), query("select 1")],
        ),
        (
            "copy in",
            vec![
                query(TABLE),
                query(copy_in),
                copy("1\tx\n2"),
                copy("\ty\n"),
                done(),
                query("select a + 0, b || '' from c"),
            ],
        ),
        (
            "copy in with sync and flush",
            vec![
                query(TABLE),
                query(copy_in),
                sync(),
                copy("1\tx\n"),
                flush(),
                sync(),
                done(),
                sync(),
                query("select a + 0, b || '' from c"),
            ],
        ),
        (
            "copy fails here",
            vec![
                query(TABLE),
                query(copy_in),
                copy("1\tx\n"),
                message(b'f', b"why\0"),
                query("select a + 0, b || '' from c"),
            ],
        ),
        (
            "copy fails there",
            vec![
                query(TABLE),
                query(copy_in),
                copy("bad\tx\n"),
                copy("2\ty\n"),
                done(),
                query("select a + 0, b || '' from c"),
            ],
        ),
        (
            "extended copy",
            vec![
                query(TABLE),
                run(copy_in),
                sync(),
                copy("1\tx\n"),
                done(),
                sync(),
                run("select a + 0, b || '' from c"),
                sync(),
            ],
        ),
        (
            "extended copy behind a flush",
            vec![
                query(TABLE),
                run(copy_in),
                flush(),
                copy("1\tx\n"),
                done(),
                sync(),
                run(copy_in),
                flush(),
                sync(),
                copy("2\tx\n"),
                done(),
                sync(),
                query("select a + 0, b || '' from c"),
            ],
        ),
        (
            "extended copy fails there",
            vec![
                query(TABLE),
                run(copy_in),
                sync(),
                copy("bad\tx\n"),
                copy("2\ty\n"),
                done(),
                sync(),
                query("select a + 0, b || '' from c"),
            ],
        ),
        ("garbage", vec![query("select 1"), vec![b'?'; 20]]),
        ("a length that cannot be", vec![query("select 1"), vec![b'Q', 0, 0, 0, 1]]),
        ("a length that is too long", vec![query("select 1"), vec![b'E', 0x7f, 0, 0, 0]]),
        ("a password", vec![query("select 1"), message(b'p', b"x\0")]),
        ("a second startup", vec![crate::raw::startup(&[("user", "open")])]),
    ];
    for (name, script) in cases {
        check(&rig, name, &script.concat());
    }
}

#[test]
fn ten_thousand_groups_in_a_row() {
    let rig = Rig::open();
    let mut script = Vec::new();
    for i in 0..10_000 {
        let text = if i % 100 == 7 { "select 1/0".to_owned() } else { format!("select {i}") };
        script.extend_from_slice(&run(&text));
        script.extend_from_slice(&sync());
    }
    check(&rig, "pipeline", &script);
}

#[test]
fn large_messages_both_ways() {
    let rig = Rig::open();
    let text = format!("select length('{0}'), '{0}'", "x".repeat(3 << 20));
    let script = [query(&text), run(&text), sync(), query("select 1")].concat();
    check(&rig, "large", &script);
    check(&rig, "rows", &query("select repeat('y', 2000) from generate_series(1, 5000)"));
}

#[test]
fn notifications_come_without_being_asked_for() {
    let rig = Rig::open();
    let mut listener = Raw::login(rig.address(), &rig.database);
    assert_eq!(listener.ask("listen ch"), "LISTEN I");
    let mut other = Raw::login(rig.address(), &rig.database);
    assert_eq!(other.ask("notify ch, 'hello'"), "NOTIFY I");
    let message = listener.message().unwrap();
    assert_eq!((message[0], &message[9..]), (b'A', &b"ch\0hello\0"[..]));
    assert_eq!(listener.ask("select 1"), "1 I");
}

#[test]
fn the_interlay_says_who_decides() {
    let rig = Rig::open();
    let mut raw = Raw::login(rig.address(), &rig.database);
    assert_eq!(raw.ask("show exodus.authority"), "source I");
    raw.send(&[run("show exodus.authority"), sync()].concat());
    let (reply, status) = raw.until_ready();
    assert_eq!((crate::raw::said(&reply).as_str(), status), ("source", b'I'));
    raw.send(&[parse("n", "SHOW exodus.authority"), describe('S', "n"), sync()].concat());
    assert_eq!(raw.until_ready().1, b'I');
    raw.send(&[bind("", "n"), execute("", 0), sync()].concat());
    assert_eq!(crate::raw::said(&raw.until_ready().0), "source");
    assert_eq!(raw.ask("begin"), "BEGIN T");
    assert_eq!(raw.ask("show exodus.authority"), "source T");
}
