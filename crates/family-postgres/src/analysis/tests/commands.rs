//! Every command of PostgreSQL's documentation, at least once.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::*;
use crate::analysis::{Backslash, Kind, analyze};

const COMMANDS: &str = include_str!("commands.txt");

fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    COMMANDS.lines().map(|line| line.split_once(" | ").expect("a command and an example"))
}

#[test]
fn every_command_has_a_verdict() {
    let mut listing = String::new();
    for (command, sql) in examples() {
        let verdict = analyze(sql.as_bytes(), None, Backslash::Literal).whole;
        assert_ne!(verdict.kind, Kind::Unknown, "{command}: {sql}");
        let _ = writeln!(listing, "{sql}\n    {}", line(&verdict));
    }
    insta::assert_snapshot!("commands", listing);
}

#[test]
fn every_kind_of_the_parser_has_an_example() {
    let seen: HashSet<_> = examples()
        .map(|(_, sql)| analyze(sql.as_bytes(), None, Backslash::Literal).whole.kind)
        .collect();
    // A part of ALTER TABLE that is never a statement; and what is no kind of the parser.
    let none = [Kind::ReplicaIdentity, Kind::Empty, Kind::Several, Kind::Unknown];
    let missing: Vec<_> =
        Kind::ALL.iter().filter(|kind| !seen.contains(kind) && !none.contains(kind)).collect();
    assert!(missing.is_empty(), "no example for {missing:?}");
}

#[test]
fn no_command_of_the_documentation_is_missing() {
    let help = Cluster::shared().sql("postgres", "\\h");
    let lines: Vec<_> = help.lines().skip(1).collect();
    // Two or more columns, of which the first line tells the width.
    let first = lines[0].trim_start();
    let indent = lines[0].len() - first.len();
    let gap = first.find("  ").expect("several columns");
    let second = indent + gap + first[gap..].len() - first[gap..].trim_start().len();
    let ours: HashSet<_> = examples().map(|(command, _)| command).collect();
    let mut seen = 0;
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let (left, right) = line.split_at(second.min(line.len()));
        for command in [left.trim(), right.trim()].into_iter().filter(|name| !name.is_empty()) {
            assert!(ours.contains(command), "no example for {command:?}");
            seen += 1;
        }
    }
    assert!(seen > 180, "only {seen} commands in the documentation");
}
