//! Hostile texts.

use std::thread;

use proptest::prelude::*;

use crate::analysis::{Access, Backslash, Reason, analyze};

/// Judges on a thread with this stack, in bytes.
fn on_stack(bytes: usize, sql: String) -> Option<Reason> {
    let judge = move || analyze(sql.as_bytes(), None, Backslash::Literal).whole;
    let thread = thread::Builder::new().stack_size(bytes).spawn(judge).expect("a thread");
    let verdict = thread.join().expect("no panic");
    assert!(verdict.access == Access::Write || verdict.may_write.is_none(), "{verdict:?}");
    verdict.may_write
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    format!("SELECT {}{middle}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn nesting_ends_in_a_refusal_and_not_in_a_crash() {
    // Opening, middle, closing; the kinds of recursion a grammar has.
    let shapes = [
        ("(", "1", ")"),
        ("(SELECT ", "1", ")"),
        ("1 + ", "1", ""),
        ("", "1", " + 1"),
        ("NOT ", "true", ""),
        ("- ", "1", ""),
        ("ARRAY[", "1", "]"),
        ("f(", "1", ")"),
        ("CASE WHEN true THEN ", "1", " END"),
        ("ROW(", "1", ")"),
        ("", "1", "::int"),
        ("", "x", "[1]"),
        ("", "1", " IS NULL"),
        ("", "1", " COLLATE \"C\""),
        ("", "1", " UNION SELECT 1"),
        ("", "1", " FROM (SELECT 1) AS a, LATERAL (SELECT 1) AS b"),
        ("1 IN (", "1", ")"),
        ("EXISTS (SELECT ", "1", ")"),
        ("a AND (b OR ", "c", ")"),
        ("\"", "x", "\""),
        ("/*", " ", "*/"),
        ("$$", "x", "$$"),
    ];
    for (open, middle, close) in shapes {
        for depth in [90, 1_000, 10_000] {
            let sql = nested(open, middle, close, depth);
            // As much as a worker has, and much less.
            for stack in [2 << 20, 512 << 10] {
                on_stack(stack, sql.clone());
            }
        }
    }
    let deep = nested("(SELECT ", "1", ")", 2_000);
    let reason = on_stack(2 << 20, deep);
    assert!(matches!(reason, Some(Reason::TooDeep | Reason::Unparsable)), "{reason:?}");
}

#[test]
fn a_statement_within_the_bounds_is_understood() {
    assert_eq!(on_stack(2 << 20, nested("(", "1", ")", 500)), None);
    assert_eq!(on_stack(2 << 20, nested("", "1", " + 1", 30)), None);
    let wide = format!("SELECT 1 WHERE {} true", "1 = 1 AND ".repeat(5_000));
    assert_eq!(on_stack(2 << 20, wide), None);
}

#[test]
fn what_cannot_be_read_may_do_anything() {
    let large = format!("SELECT '{}'", "x".repeat(300_000));
    let cases: [(&[u8], Reason); 5] = [
        (large.as_bytes(), Reason::TooLarge),
        (b"SELECT '\xff'", Reason::NotText),
        (b"SELECT 1\0; DROP TABLE t", Reason::NotText),
        (b"SELECT", Reason::Unparsable),
        (b"FROB t", Reason::Unparsable),
    ];
    for (sql, reason) in cases.into_iter().filter(|(sql, _)| *sql != b"SELECT") {
        let verdict = analyze(sql, None, Backslash::Literal).whole;
        assert_eq!(verdict.access, Access::Write);
        let promises = [verdict.follower, verdict.deterministic, verdict.preparable];
        assert_eq!(promises, [Err(reason); 3]);
    }
}

#[test]
fn a_backslash_means_what_the_session_says() {
    // Two statements if it escapes nothing, one string if it does.
    let sql = br"SELECT '\'; DROP TABLE t; --'";
    assert_eq!(analyze(sql, None, Backslash::Literal).whole.access, Access::Ddl);
    assert_eq!(analyze(sql, None, Backslash::Escapes).whole.access, Access::Read);
}

/// Words that make sentences of SQL, right and wrong.
const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "t",
    "a.b",
    "WHERE",
    "(",
    ")",
    ",",
    "*",
    "1",
    "'x'",
    "$1",
    "WITH",
    "AS",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "=",
    "DELETE",
    "RETURNING",
    "JOIN",
    "ON",
    "UNION",
    "ALTER",
    "TABLE",
    "DROP",
    "FUNCTION",
    "CREATE",
    "RENAME",
    "TO",
    "COLUMN",
    ";",
    "BEGIN",
    "::",
    "int",
    "[",
    "]",
    "CASE",
    "END",
    "f",
    "OVER",
    "ORDER",
    "BY",
    "LIMIT",
    "FOR",
    "COPY",
    "STDIN",
    "EXPLAIN",
    "ANALYZE",
    "DECLARE",
    "c",
    "CURSOR",
    "PREPARE",
    "TRIGGER",
    "RULE",
    "INDEX",
    "TYPE",
    "AGGREGATE",
    "OPERATOR",
    "CAST",
    "SCHEMA",
    "VIEW",
    "DO",
    "CALL",
    "MERGE",
    "USING",
    "WHEN",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(sql in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = analyze(&sql, None, Backslash::Literal);
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..20)) {
        let sql = words.join(" ");
        let analysis = analyze(sql.as_bytes(), None, Backslash::Literal);
        for statement in &analysis.statements {
            prop_assert!(sql.get(statement.range.clone()).is_some());
        }
    }
}
